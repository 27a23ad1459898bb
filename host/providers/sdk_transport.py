"""The transport that the vendors' SDKs share: what is the same whichever of them is called.

A subclass says how a request becomes a body, what decodes the reply, and how the SDK is asked. The SDKs, and what
stands on their HTTP client, are imported with the first call.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from lash.host.providers.vendor_transport import VendorTransport, ignore
from lash.host.providers.wire import Decoder, JsonObject, without_images
from lash.runtime.providers.components import AttemptTrace, EventSink
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as the SDK gets it: the body, headers besides its own, members of the body that it does not know."""

    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extensions: JsonObject = field(default_factory=dict[str, Any])


class SdkTransport(VendorTransport):
    """One attempt by way of an SDK whose own retries are off; see `VendorTransport` for its arguments."""

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
    def method(self, client: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The SDK's method that asks for a reply."""

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Make the attempt; see `lash.runtime.providers.components`."""
        options = self.state.options
        prepared = self.prepare(request, self.setting(request), listened=sink is not None)
        others = {**prepared.extensions, **options.extra_body}
        shown: JsonValue = without_images({**prepared.body, **others})
        trace.request_body(shown)
        client = await self.started()
        from lash.host.providers.exchange import exchange, timeouts

        opening = self.method(client)(
            **prepared.body,
            extra_headers={**prepared.headers, **options.extra_headers},
            extra_body=others or None,
            timeout=timeouts(options.reliability),
        )
        decoder = self.decoder(request, sink or ignore)
        try:
            return await exchange(opening, decoder, trace, self._clock, self.sdk())
        except ProviderFailure as failure:
            shown_failure = failure.without(self.secrets())
            raise shown_failure from shown_failure.__cause__

    def start(self) -> Any:
        """Import all that a call needs, and make a client."""
        importlib.import_module("lash.host.providers.exchange")
        client = self.new_client(self._http_client)
        # The SDK imports a resource and its types when it is mentioned first.
        self.method(client)
        return client
