"""The transport that the vendors' SDKs share: what is the same whichever of them is called.

A subclass says how a request becomes a body, what decodes the reply, and how the SDK is asked. The SDKs take a good
part of a second to import, so they, and what stands on their HTTP client, are imported with the first call.
"""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
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
from lash.runtime.providers.failure import SECRET_HEADERS, ProviderFailure
from lash.runtime.providers.limiter import LocalRateLimiter
from lash.runtime.providers.variants import ModelPolicy, VariantSetting
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as the SDK gets it: the body, headers besides its own, members of the body that it does not know."""

    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extensions: JsonObject = field(default_factory=dict[str, Any])


def _ignore(event: AnyStreamEvent) -> None:
    """For a call that nobody listens to."""


class SdkTransport(ABC):
    """One attempt by way of an SDK whose own retries are off.

    `api_key` is kept out of all that failures say, as are the secret ones among the extra headers. `http_client` is
    used where it is given, and stays its owner's to close; else the SDK makes one, which `aclose` closes.
    """

    requires_streaming = False

    def __init__(
        self,
        api_key: str,
        state: ProviderState,
        policy: ModelPolicy,
        clock: Clock,
        http_client: httpx2.AsyncClient | None,
    ) -> None:
        self._api_key = api_key
        self.state = state
        self._policy = policy
        self._clock = clock
        self._http_client = http_client
        self._client: Any = None
        self._starting = asyncio.Lock()

    @abstractmethod
    def prepare(self, request: LlmRequest, setting: VariantSetting | None, *, listened: bool) -> Prepared:
        """The request for the wire; ProviderFailure (`validation`) where it cannot be expressed there.

        `listened` says whether somebody wants the reply piece by piece.
        """

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
    def method(self, client: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The SDK's method that asks for a reply."""

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Make the attempt; see `lash.runtime.providers.components`."""
        options = self.state.options
        prepared = self.prepare(request, self._setting(request), listened=sink is not None)
        others = {**prepared.extensions, **options.extra_body}
        shown: JsonValue = without_images({**prepared.body, **others})
        trace.request_body(shown)
        client = await self._started()
        from lash.host.providers.exchange import exchange, timeouts

        opening = self.method(client)(
            **prepared.body,
            extra_headers={**prepared.headers, **options.extra_headers},
            extra_body=others or None,
            timeout=timeouts(options.reliability),
        )
        decoder = self.decoder(request, sink or _ignore)
        try:
            return await exchange(opening, decoder, trace, self._clock, self.sdk())
        except ProviderFailure as failure:
            shown_failure = failure.without(self._secrets())
            raise shown_failure from shown_failure.__cause__

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        client, self._client = self._client, None
        if client is not None and self._http_client is None:
            await client.close()

    async def _started(self) -> Any:
        """The SDK's client, made with the first call: in a thread, so that the imports hold up nobody else."""
        async with self._starting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._start)
            return self._client

    def _start(self) -> Any:
        """Import all that a call needs, and make a client."""
        importlib.import_module("lash.host.providers.exchange")
        client = self.new_client(self._http_client)
        # The SDK imports a resource and its types when it is mentioned first.
        self.method(client)
        return client

    def _secrets(self) -> list[str]:
        """What must not be shown: the key, and what secret headers carry, with and without the scheme before it."""
        headers = self.state.options.extra_headers.items()
        values = [value for name, value in headers if name.lower() in SECRET_HEADERS]
        return [self._api_key, *values, *(value.split(" ")[-1] for value in values)]

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
