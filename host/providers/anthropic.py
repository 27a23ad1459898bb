"""Anthropic's Messages API by way of its SDK (providers.md 5); see `anthropic_request.py`, `anthropic_reply.py`.

provider = AnthropicProvider(api_key)
response = await provider.complete(request, sink)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lash.host.providers.anthropic_reply import AnthropicDecoder
from lash.host.providers.anthropic_request import encode_request, request_headers
from lash.host.providers.sdk_transport import Prepared, SdkTransport
from lash.host.providers.settings import ApiKey, BaseUrl
from lash.host.providers.vendor_transport import keyed_components
from lash.host.providers.wire import Decoder
from lash.host.system import SystemClock
from lash.runtime.providers.classifier import DefaultClassifier
from lash.runtime.providers.components import EventSink, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, Surroundings, parse_config
from lash.runtime.providers.variants import ModelPolicy, TableModelPolicy, VariantSetting
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

if TYPE_CHECKING:
    import httpx2

KIND = "anthropic"

BASE_URL = "https://api.anthropic.com"
"""Where the API is; given to the SDK in any case, because a provider is what its specification says."""


class AnthropicConfig(ProviderConfig):
    """A provider of kind `anthropic`."""

    api_key: ApiKey
    base_url: BaseUrl | None = None


class AnthropicTransport(SdkTransport):
    """One attempt at the Messages API. It always streams, and needs nobody to listen."""

    def __init__(
        self,
        config: AnthropicConfig,
        state: ProviderState,
        policy: ModelPolicy,
        clock: Clock,
        http_client: httpx2.AsyncClient | None,
    ) -> None:
        super().__init__(config.api_key, state, policy, clock, http_client)
        self._base_url = config.base_url or BASE_URL

    def prepare(self, request: LlmRequest, setting: VariantSetting | None, *, listened: bool) -> Prepared:
        """The request for the wire: for a stream, whoever listens, as a silent connection may be a dead one."""
        return Prepared(encode_request(request, self.state.options, setting), request_headers(setting))

    def decoder(self, request: LlmRequest, sink: EventSink) -> Decoder:
        """What the reply is read into."""
        return AnthropicDecoder(sink)

    def sdk(self) -> ModuleType:
        """The SDK."""
        import anthropic

        return anthropic

    def new_client(self, http_client: httpx2.AsyncClient | None) -> Any:
        """A client of the SDK."""
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=self._api_key, base_url=self._base_url, max_retries=0, http_client=http_client
        )

    def method(self, client: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The SDK's method that asks for a reply."""
        return client.messages.with_streaming_response.create


class AnthropicClassifier(DefaultClassifier):
    """The rules for all, what this vendor calls an unpaid account, and a status that here always means the prompt."""

    def classify(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure with everything settled."""
        classified = super().classify(failure)
        if failure.status == 402 or failure.wire_code == "billing_error":
            return classified.replace(kind="quota", retryable=False)
        if failure.status == 413:
            return classified.replace(terminal_reason="context_overflow")
        return classified


class AnthropicProvider(ProviderHandle):
    """A handle for Anthropic's models.

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
        config = parse_config(KIND, AnthropicConfig, {"api_key": api_key, "base_url": base_url})
        document = config.model_dump(mode="json", exclude_defaults=True)
        state = ProviderState(KIND, options or ProviderOptions(), document)
        policy = policy or TableModelPolicy(KIND)
        transport = AnthropicTransport(config, state, policy, clock, http_client)
        classifier = AnthropicClassifier(clock.now_ms)
        super().__init__(
            keyed_components(state, transport, policy, classifier, clock, api_key), clock=clock, uniform=uniform
        )


class AnthropicFactory:
    """Makes handles of kind `anthropic` from `api_key` and, if it is wanted, `base_url`."""

    kind = KIND

    def __init__(self, http_client: httpx2.AsyncClient | None = None) -> None:
        self._http_client = http_client

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, AnthropicConfig, config)
        return AnthropicProvider(
            parsed.api_key,
            base_url=parsed.base_url,
            options=parsed.options,
            clock=surroundings.clock,
            uniform=surroundings.uniform,
            http_client=self._http_client,
        )
