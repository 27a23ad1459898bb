"""The plugin that lets the configuration say which tools a person is asked about, by patterns of their names."""

from __future__ import annotations

from collections.abc import Sequence

from lash.plugins import PluginFactory, PluginSpec, StaticPluginFactory, SurfaceContext, SurfaceContribution


def asked_first(patterns: Sequence[str]) -> PluginFactory:
    """The plugin for these patterns."""

    def contribute(_: SurfaceContext) -> SurfaceContribution:
        return SurfaceContribution(needs_approval=patterns)

    return StaticPluginFactory("approvals", PluginSpec(surface=[contribute]))
