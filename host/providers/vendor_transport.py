"""What the transports of all vendors share, whether an SDK or the HTTP client alone is below them.

One client serves all calls of a transport. Making it takes a good part of a second (imports, certificates), so it is
made with the first call, in a thread, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from lash.runtime.errors import ConfigError
from lash.runtime.providers.components import (
    AlwaysReady,
    Classifier,
    ProviderComponents,
    ProviderState,
    StaticAuth,
    Transport,
)
from lash.runtime.providers.failure import SECRET_HEADERS, ProviderFailure
from lash.runtime.providers.limiter import LocalRateLimiter
from lash.runtime.providers.variants import ModelPolicy, VariantSetting
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2


def ignore(event: AnyStreamEvent) -> None:
    """The sink of a call that nobody listens to."""


class VendorTransport(ABC):
    """The client of a vendor's API, the key that it is asked with, and what failures must not show.

    `api_key` is kept out of all that failures say, as are the secret ones among the extra headers. `http_client` is
    used where it is given, and stays its owner's to close; else one is made, which `aclose` closes.
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
    def new_client(self, http_client: httpx2.AsyncClient | None) -> Any:
        """What requests are made with, on `http_client` where that is given; `aclose` calls its `close`."""

    @abstractmethod
    def start(self) -> Any:
        """Import all that a call needs, and make a client. Runs in a thread."""

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        client, self._client = self._client, None
        if client is not None and self._http_client is None:
            await client.close()

    async def started(self) -> Any:
        """The client, made with the first call."""
        async with self._starting:
            if self._client is None:
                self._client = await asyncio.to_thread(self.start)
            return self._client

    def secrets(self) -> list[str]:
        """What must not be shown: the key, and what secret headers carry, with and without the scheme before it."""
        headers = self.state.options.extra_headers.items()
        values = [value for name, value in headers if name.lower() in SECRET_HEADERS]
        return [self._api_key, *values, *(value.split(" ")[-1] for value in values)]

    def setting(self, request: LlmRequest) -> VariantSetting | None:
        """What the request's variant is on the wire; ProviderFailure (`validation`) for one that there is not."""
        try:
            return self._policy.variant_setting(request.model, request.model_variant)
        except ConfigError as error:
            raise ProviderFailure("validation", error.message, retryable=False, code=error.code) from error


def keyed_components(
    state: ProviderState,
    transport: Transport,
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
