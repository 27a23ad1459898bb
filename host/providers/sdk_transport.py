"""The transport that the vendors' SDKs share: what is the same whichever of them is called.

A subclass says how a request becomes a body, what decodes the reply, and how the SDK is asked. The SDKs take a good
part of a second to import, so they, and what stands on their HTTP client, are imported with the first call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lash.host.providers.wire import Decoder, JsonObject, without_images
from lash.runtime.errors import ConfigError
from lash.runtime.providers.components import (
    AlwaysReady,
    AttemptTrace,
    Classifier,
    EventSink,
    ProviderComponents,
    ProviderState,
    StaticAuth,
)
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.limiter import LocalRateLimiter
from lash.runtime.providers.variants import ModelPolicy, VariantSetting
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as the SDK gets it: the body, and headers besides those of the SDK."""

    body: JsonObject
    headers: Mapping[str, str]


def _ignore(event: AnyStreamEvent) -> None:
    """For a call that nobody listens to."""


class SdkTransport(ABC):
    """One attempt by way of an SDK whose own retries are off.

    `http_client` is used where it is given, and stays its owner's to close; else the SDK makes one, which `aclose`
    closes.
    """

    requires_streaming = False

    def __init__(
        self, state: ProviderState, policy: ModelPolicy, clock: Clock, http_client: httpx2.AsyncClient | None
    ) -> None:
        self.state = state
        self._policy = policy
        self._clock = clock
        self._http_client = http_client
        self._client: Any = None

    @abstractmethod
    def prepare(self, request: LlmRequest, setting: VariantSetting | None) -> Prepared:
        """The request for the wire; ProviderFailure (`validation`) where it cannot be expressed there."""

    @abstractmethod
    def decoder(self, request: LlmRequest, sink: EventSink) -> Decoder:
        """What the reply is read into."""

    @abstractmethod
    def sdk(self) -> ModuleType:
        """The SDK."""

    @abstractmethod
    def new_client(self, http_client: httpx2.AsyncClient | None) -> Any:
        """A client of the SDK."""

    @abstractmethod
    def open(self, client: Any, body: JsonObject, *, listened: bool) -> AbstractAsyncContextManager[Any]:
        """Ask for a reply; `listened` says whether somebody wants it piece by piece."""

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Make the attempt; see `lash.runtime.providers.components`."""
        from lash.host.providers.exchange import exchange, timeouts

        options = self.state.options
        prepared = self.prepare(request, self._setting(request))
        shown: JsonValue = without_images({**prepared.body, **options.extra_body})
        trace.request_body(shown)
        if self._client is None:
            self._client = self.new_client(self._http_client)
        call = {
            **prepared.body,
            "extra_headers": {**prepared.headers, **options.extra_headers},
            "extra_body": options.extra_body or None,
            "timeout": timeouts(options.reliability),
        }
        opening = self.open(self._client, call, listened=sink is not None)
        decoder = self.decoder(request, sink or _ignore)
        return await exchange(opening, decoder, trace, self._clock, self.sdk())

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        client, self._client = self._client, None
        if client is not None and self._http_client is None:
            await client.close()

    def _setting(self, request: LlmRequest) -> VariantSetting | None:
        """What the request's variant is on the wire."""
        try:
            return self._policy.variant_setting(request.model, request.model_variant)
        except ConfigError as error:
            raise ProviderFailure("validation", error.message, retryable=False, code=error.code) from error


def sdk_components(
    state: ProviderState,
    transport: SdkTransport,
    policy: ModelPolicy,
    classifier: Classifier,
    clock: Clock,
    api_key: str,
) -> ProviderComponents:
    """The parts of a provider with a fixed key and no preflight."""
    return ProviderComponents(
        state=state,
        auth=StaticAuth(api_key),
        readiness=AlwaysReady(),
        transport=transport,
        model_policy=policy,
        classifier=classifier,
        rate_limiter=LocalRateLimiter(state.options.reliability, clock),
    )
