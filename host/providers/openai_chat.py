"""Chat Completions by way of OpenAI's SDK (providers.md 7); see `openai_chat_request.py` and `openai_chat_reply.py`.

provider = OpenAICompatibleProvider("http://localhost:11434/v1", profile="ollama")
response = await provider.complete(request, sink)
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lash.host.providers.openai_chat_reply import ChatDecoder
from lash.host.providers.openai_chat_request import encode_request
from lash.host.providers.openai_profiles import PRESETS, EndpointProfile, PresetName, profile_for
from lash.host.providers.sdk_transport import Prepared, SdkTransport
from lash.host.providers.settings import BaseUrl, OptionalKey
from lash.host.providers.tool_schemas import restorer
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

KIND = "openai-compatible"

NO_KEY = "none"
"""What is sent as key to servers that want none; the SDK does not do without."""

EXTENSIONS = ("reasoning", "provider")
"""Members of the body that the SDK's signature does not know."""

TOOLS_HINT = (
    "the server refused the tools of the request: vLLM needs to be started with automatic tool choice and a tool call"
    " parser, llama.cpp with a chat template that supports tools, and the model itself has to support them"
)

_NAMES_TOOLS = re.compile(r"\btools?\b|tool[_-]", re.IGNORECASE)


class OpenAICompatibleConfig(ProviderConfig):
    """A provider of kind `openai-compatible`. `profile` is the name of a preset or an object of its settings."""

    base_url: BaseUrl
    api_key: OptionalKey = ""
    profile: PresetName | EndpointProfile | None = None


class ChatTransport(SdkTransport):
    """One attempt at Chat Completions. It always streams, and needs nobody to listen."""

    def __init__(
        self,
        config: OpenAICompatibleConfig,
        profile: EndpointProfile,
        state: ProviderState,
        policy: ModelPolicy,
        clock: Clock,
        http_client: httpx2.AsyncClient | None,
    ) -> None:
        super().__init__(config.api_key, state, policy, clock, http_client)
        self._base_url = config.base_url
        self._profile = profile

    def prepare(self, request: LlmRequest, setting: VariantSetting | None, *, listened: bool) -> Prepared:
        """The request for the wire: for a stream, whoever listens, as a silent connection may be a dead one."""
        body = encode_request(request, self.state.options, setting, self._profile)
        extensions = {name: body.pop(name) for name in EXTENSIONS if name in body}
        session = request.session_id if self._profile.session_affinity else None
        return Prepared(body, {"x-session-affinity": session} if session else {}, extensions)

    def decoder(self, request: LlmRequest, sink: EventSink) -> Decoder:
        """What the reply is read into."""
        return ChatDecoder(sink, self._profile, lambda: f"call_{uuid.uuid4().hex}", restorer(request.tools))

    def sdk(self) -> ModuleType:
        """The SDK."""
        import openai

        return openai

    def new_client(self, http_client: httpx2.AsyncClient | None) -> Any:
        """A client of the SDK."""
        import openai

        # The SDK reads these from the environment, where they are meant for OpenAI and not for this server.
        not_sent: Any = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        return openai.AsyncOpenAI(
            api_key=self._api_key or NO_KEY,
            base_url=self._base_url,
            max_retries=0,
            default_headers=not_sent,
            http_client=http_client,
        )

    def method(self, client: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The SDK's method that asks for a reply."""
        return client.chat.completions.with_streaming_response.create


class ChatClassifier(DefaultClassifier):
    """The rules for all, and the servers that were started without tools."""

    def classify(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure with everything settled."""
        classified = super().classify(failure)
        sent_tools = isinstance(failure.request_body, dict) and bool(failure.request_body.get("tools"))
        plain = failure.status == 400 and classified.terminal_reason == "provider_error"
        if plain and sent_tools and _NAMES_TOOLS.search(failure.message):
            message = f"{failure.message} ({TOOLS_HINT})"
            return classified.replace(kind="unsupported", retryable=False, message=message)
        return classified


class OpenAICompatibleProvider(ProviderHandle):
    """A handle for any server that speaks Chat Completions.

    Arguments: `base_url` up to and with its version (`http://localhost:8000/v1`); `api_key`, where the server wants
    one; `profile`, a preset's name or a profile, chosen by the address where it is not given; `http_client`, which may
    be shared and is not closed with the handle; `policy` for models and variants of its own. Raises ConfigError
    (invalid_provider_spec).
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        profile: EndpointProfile | str | None = None,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        http_client: httpx2.AsyncClient | None = None,
        policy: ModelPolicy | None = None,
    ) -> None:
        clock = clock or SystemClock()
        given = profile.model_dump(mode="json") if isinstance(profile, EndpointProfile) else profile
        document: dict[str, JsonValue] = {"base_url": base_url, "api_key": api_key, "profile": given}
        config = parse_config(KIND, OpenAICompatibleConfig, document)
        chosen = config.profile or profile_for(base_url)
        settings = chosen if isinstance(chosen, EndpointProfile) else PRESETS[chosen]
        state = ProviderState(KIND, options or ProviderOptions(), config.model_dump(mode="json", exclude_defaults=True))
        policy = policy or TableModelPolicy("openrouter" if chosen == "openrouter" else KIND)
        transport = ChatTransport(config, settings, state, policy, clock, http_client)
        classifier = ChatClassifier(clock.now_ms)
        super().__init__(
            keyed_components(state, transport, policy, classifier, clock, api_key), clock=clock, uniform=uniform
        )


class OpenAICompatibleFactory:
    """Makes handles of kind `openai-compatible` from `base_url` and, if they are wanted, `api_key` and `profile`."""

    kind = KIND

    def __init__(self, http_client: httpx2.AsyncClient | None = None) -> None:
        self._http_client = http_client

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, OpenAICompatibleConfig, config)
        return OpenAICompatibleProvider(
            parsed.base_url,
            api_key=parsed.api_key,
            profile=parsed.profile,
            options=parsed.options,
            clock=surroundings.clock,
            uniform=surroundings.uniform,
            http_client=self._http_client,
        )
