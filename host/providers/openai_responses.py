"""OpenAI's Responses API by way of its SDK (providers.md 6); see `openai_responses_request.py` and `_reply.py`.

provider = OpenAIProvider(api_key)
response = await provider.complete(request, sink)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lash.host.providers.openai_responses_reply import ResponsesDecoder
from lash.host.providers.openai_responses_request import encode_request
from lash.host.providers.sdk_transport import Prepared, SdkTransport
from lash.host.providers.settings import ApiKey
from lash.host.providers.tool_schemas import restorer
from lash.host.providers.vendor_transport import keyed_components
from lash.host.providers.wire import Decoder
from lash.host.system import SystemClock
from lash.runtime.providers.classifier import DefaultClassifier
from lash.runtime.providers.components import EventSink, ProviderState
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, Surroundings, parse_config
from lash.runtime.providers.variants import ModelPolicy, TableModelPolicy, VariantSetting
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2

KIND = "openai"

BASE_URL = "https://api.openai.com/v1"
"""Where the API is; given to the SDK in any case, because a provider is what its specification says."""


class OpenAIConfig(ProviderConfig):
    """A provider of kind `openai`. Other addresses are for the kind `openai-compatible`."""

    api_key: ApiKey


class ResponsesTransport(SdkTransport):
    """One attempt at the Responses API."""

    def prepare(self, request: LlmRequest, setting: VariantSetting | None, *, listened: bool) -> Prepared:
        """The request for the wire: for a stream where somebody listens, else for a reply in one piece."""
        return Prepared({**encode_request(request, self.state.options, setting), "stream": listened})

    def decoder(self, request: LlmRequest, sink: EventSink) -> Decoder:
        """What the reply is read into."""
        return ResponsesDecoder(sink, restorer(request.tools))

    def sdk(self) -> ModuleType:
        """The SDK."""
        import openai

        return openai

    def new_client(self, http_client: httpx2.AsyncClient | None) -> Any:
        """A client of the SDK."""
        import openai

        return openai.AsyncOpenAI(api_key=self._api_key, base_url=BASE_URL, max_retries=0, http_client=http_client)

    def method(self, client: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The SDK's method that asks for a reply."""
        return client.responses.with_streaming_response.create


class OpenAIProvider(ProviderHandle):
    """A handle for OpenAI's models.

    Arguments: `api_key`; `http_client`, which may be shared and is not closed with the handle; `policy` where other
    models and variants are wanted than the bundled table has. Raises ConfigError (invalid_provider_spec).
    """

    def __init__(
        self,
        api_key: str,
        *,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        http_client: httpx2.AsyncClient | None = None,
        policy: ModelPolicy | None = None,
    ) -> None:
        clock = clock or SystemClock()
        config = parse_config(KIND, OpenAIConfig, {"api_key": api_key})
        state = ProviderState(KIND, options or ProviderOptions(), {"api_key": config.api_key})
        policy = policy or TableModelPolicy(KIND)
        transport = ResponsesTransport(api_key, state, policy, clock, http_client)
        classifier = DefaultClassifier(clock.now_ms)
        super().__init__(
            keyed_components(state, transport, policy, classifier, clock, api_key), clock=clock, uniform=uniform
        )


class OpenAIFactory:
    """Makes handles of kind `openai` from `api_key`."""

    kind = KIND

    def __init__(self, http_client: httpx2.AsyncClient | None = None) -> None:
        self._http_client = http_client

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, OpenAIConfig, config)
        return OpenAIProvider(
            parsed.api_key,
            options=parsed.options,
            clock=surroundings.clock,
            uniform=surroundings.uniform,
            http_client=self._http_client,
        )
