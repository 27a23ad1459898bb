"""Plugins that come with lash."""
