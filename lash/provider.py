"""Model providers: a handle for each kind of endpoint, the registry that builds them from configuration, and what is
known of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.lazy import exports

if TYPE_CHECKING:
    from lash.host.providers import register_all
    from lash.host.providers.anthropic import AnthropicProvider
    from lash.host.providers.command import CommandProvider, FilesProvider
    from lash.host.providers.environment import environment_spec, resolve_secrets
    from lash.host.providers.google import GoogleProvider
    from lash.host.providers.openai_chat import OpenAICompatibleProvider
    from lash.host.providers.openai_profiles import EndpointProfile
    from lash.host.providers.openai_responses import OpenAIProvider
    from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderComponents, ProviderState, Transport
    from lash.runtime.providers.failure import ProviderFailure
    from lash.runtime.providers.handle import ProviderHandle
    from lash.runtime.providers.models import ModelCatalog, ModelInfo
    from lash.runtime.providers.options import ProviderOptions, ProviderReliability
    from lash.runtime.providers.registry import ProviderRegistry, Surroundings
    from lash.runtime.sansio.llm import LlmRequest, LlmResponse, LlmStreamEvent


__all__ = [
    "AnthropicProvider",
    "AttemptTrace",
    "CommandProvider",
    "EndpointProfile",
    "EventSink",
    "FilesProvider",
    "GoogleProvider",
    "LlmRequest",
    "LlmResponse",
    "LlmStreamEvent",
    "ModelCatalog",
    "ModelInfo",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "ProviderComponents",
    "ProviderFailure",
    "ProviderHandle",
    "ProviderOptions",
    "ProviderRegistry",
    "ProviderReliability",
    "ProviderState",
    "Surroundings",
    "Transport",
    "environment_spec",
    "register_all",
    "resolve_secrets",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "lash.host.providers": "register_all",
        "lash.host.providers.anthropic": "AnthropicProvider",
        "lash.host.providers.command": "CommandProvider FilesProvider",
        "lash.host.providers.environment": "environment_spec resolve_secrets",
        "lash.host.providers.google": "GoogleProvider",
        "lash.host.providers.openai_chat": "OpenAICompatibleProvider",
        "lash.host.providers.openai_profiles": "EndpointProfile",
        "lash.host.providers.openai_responses": "OpenAIProvider",
        "lash.runtime.providers.components": "AttemptTrace EventSink ProviderComponents ProviderState Transport",
        "lash.runtime.providers.failure": "ProviderFailure",
        "lash.runtime.providers.handle": "ProviderHandle",
        "lash.runtime.providers.models": "ModelCatalog ModelInfo",
        "lash.runtime.providers.options": "ProviderOptions ProviderReliability",
        "lash.runtime.providers.registry": "ProviderRegistry Surroundings",
        "lash.runtime.sansio.llm": "LlmRequest LlmResponse LlmStreamEvent",
    },
)
