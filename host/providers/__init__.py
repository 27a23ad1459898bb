"""Providers: the kinds of models that can be called, by specification (`register_all`) or by their own classes."""

from __future__ import annotations

from lash.host.providers.command import CommandFactory, FilesFactory
from lash.host.providers.unconfigured import UnconfiguredFactory
from lash.runtime.providers.registry import ProviderRegistry


def register_all(registry: ProviderRegistry) -> None:
    """Register every built-in kind."""
    for factory in (CommandFactory(), FilesFactory(), UnconfiguredFactory()):
        registry.register(factory)
