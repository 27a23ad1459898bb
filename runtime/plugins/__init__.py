"""Plugins: the contract that they keep, and the host that builds, runs and snapshots them (plugins.md 1)."""
