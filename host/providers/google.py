"""Google's Gemini API, with an API key (providers.md 8); see the modules `google_*` beside this one.

provider = GoogleProvider(api_key)
response = await provider.complete(request, sink)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lash.host.providers.google_errors import GoogleClassifier
from lash.host.providers.google_request import encode_settings
from lash.host.providers.settings import ApiKey, BaseUrl
from lash.host.providers.vendor_transport import VendorTransport, keyed_components
from lash.host.system import SystemClock
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, Surroundings, parse_config
from lash.runtime.providers.variants import ModelPolicy, TableModelPolicy
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2

    from lash.host.providers.google_client import GoogleClient

KIND = "google"

BASE_URL = "https://generativelanguage.googleapis.com"
"""Where the API is, up to what comes before its version."""


class GoogleConfig(ProviderConfig):
    """A provider of kind `google`."""

    api_key: ApiKey
    base_url: BaseUrl | None = None


class GoogleTransport(VendorTransport):
    """One attempt at the Gemini API: as a stream where somebody listens, else for a reply in one piece."""

    def __init__(
        self,
        config: GoogleConfig,
        state: ProviderState,
        policy: ModelPolicy,
        clock: Clock,
        http_client: httpx2.AsyncClient | None,
    ) -> None:
        super().__init__(config.api_key, state, policy, clock, http_client)
        self._base_url = config.base_url or BASE_URL

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Make the attempt; see `lash.runtime.providers.components`."""
        options = self.state.options
        settings = encode_settings(request, options, self.setting(request))
        client: GoogleClient = await self.started()
        try:
            return await client.complete(request, settings, options, sink, trace)
        except ProviderFailure as failure:
            shown = failure.without(self.secrets())
            raise shown from shown.__cause__

    def new_client(self, http_client: httpx2.AsyncClient | None) -> GoogleClient:
        """A client of the API, its imports included."""
        from lash.host.providers.google_client import GoogleClient

        return GoogleClient(self._base_url, self._api_key, self._clock, http_client)

    def start(self) -> GoogleClient:
        """Make a client."""
        return self.new_client(self._http_client)


class GoogleProvider(ProviderHandle):
    """A handle for Google's Gemini models.

    Arguments: `api_key`; `base_url` of a gateway that speaks the same; `http_client`, which may be shared and is not
    closed with the handle; `policy` where other models and variants are wanted than the bundled table has. Raises
    ConfigError (invalid_provider_spec).
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None = None,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        http_client: httpx2.AsyncClient | None = None,
        policy: ModelPolicy | None = None,
    ) -> None:
        clock = clock or SystemClock()
        config = parse_config(KIND, GoogleConfig, {"api_key": api_key, "base_url": base_url})
        document = config.model_dump(mode="json", exclude_defaults=True)
        state = ProviderState(KIND, options or ProviderOptions(), document)
        policy = policy or TableModelPolicy(KIND)
        transport = GoogleTransport(config, state, policy, clock, http_client)
        classifier = GoogleClassifier(clock.now_ms)
        super().__init__(
            keyed_components(state, transport, policy, classifier, clock, api_key), clock=clock, uniform=uniform
        )


class GoogleFactory:
    """Makes handles of kind `google` from `api_key` and, if it is wanted, `base_url`."""

    kind = KIND

    def __init__(self, http_client: httpx2.AsyncClient | None = None) -> None:
        self._http_client = http_client

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, GoogleConfig, config)
        return GoogleProvider(
            parsed.api_key,
            base_url=parsed.base_url,
            options=parsed.options,
            clock=surroundings.clock,
            uniform=surroundings.uniform,
            http_client=self._http_client,
        )
