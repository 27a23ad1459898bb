"""Providers: the kinds of models that can be called, by specification (`register_all`) or by their own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.host.providers.anthropic import AnthropicFactory
from lash.host.providers.command import CommandFactory, FilesFactory
from lash.host.providers.google import GoogleFactory
from lash.host.providers.openai_chat import OpenAICompatibleFactory
from lash.host.providers.openai_responses import OpenAIFactory
from lash.host.providers.unconfigured import UnconfiguredFactory
from lash.runtime.providers.registry import ProviderFactory, ProviderRegistry

if TYPE_CHECKING:
    import httpx2


def register_all(registry: ProviderRegistry, *, http_client: httpx2.AsyncClient | None = None) -> None:
    """Register every built-in kind. An `http_client` is shared by all that speak HTTP, and not closed by them."""
    factories: tuple[ProviderFactory, ...] = (
        AnthropicFactory(http_client),
        OpenAIFactory(http_client),
        OpenAICompatibleFactory(http_client),
        GoogleFactory(http_client),
        CommandFactory(),
        FilesFactory(),
        UnconfiguredFactory(),
    )
    for factory in factories:
        registry.register(factory)
