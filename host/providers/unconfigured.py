"""The placeholder for a provider that nobody has chosen yet: it can be asked for everything but an answer."""

from __future__ import annotations

from collections.abc import Mapping

from lash.host.system import SystemClock
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderComponents, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, Surroundings, parse_config
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

KIND = "unconfigured"


class UnconfiguredTransport:
    """A wire to nobody."""

    requires_streaming = False

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Fail with what to do about it."""
        raise ProviderFailure(
            "validation",
            f"no provider is configured, so model {request.model!r} cannot be called: give the core or the session a"
            " provider, provider=...",
            code="provider_unconfigured",
        )

    async def aclose(self) -> None:
        """There is nothing to give back."""


class UnconfiguredProvider(ProviderHandle):
    """A handle whose every call fails."""

    def __init__(self, *, options: ProviderOptions | None = None, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        state = ProviderState(KIND, options or ProviderOptions())
        super().__init__(ProviderComponents.usual(state, UnconfiguredTransport(), clock), clock=clock)


class UnconfiguredFactory:
    """Makes handles of kind `unconfigured`; it has no keys but options."""

    kind = KIND

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, ProviderConfig, config)
        return UnconfiguredProvider(options=parsed.options, clock=surroundings.clock)
