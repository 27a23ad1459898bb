"""What endpoints that speak Chat Completions differ in (providers.md 7).

Nothing is guessed from a URL or a model's name, but for one: exactly OpenRouter's own address has its preset.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from lash.runtime.sansio.values import JsonValue

OPENROUTER_URL = "https://openrouter.ai/api/v1"

PresetName: TypeAlias = Literal["generic", "openrouter", "vllm", "ollama", "llama_cpp"]
"""The endpoints that have a preset."""


class EndpointProfile(BaseModel):
    """How an endpoint wants to be asked, and what it leaves out of its answers. The defaults are `generic`.

    `reasoning_format` says how an effort is sent: not at all, or as OpenRouter's `reasoning` object. `cache_control`
    is the dialect of cache marks, for the models whose ids match one of the globs in `cache_models`.
    `max_tokens_field` names the bound of a reply. `parallel_tool_calls` and `stream_usage` say whether those fields are
    sent, `structured_output` what becomes of an output schema, `require_finish_reason` whether a stream without one
    counts as cut short. `cached_tokens_include_writes` is for usage reports that count tokens written to the cache as
    read from it. `provider_routing` is sent as `provider`; `session_affinity` sends the session's id in the header
    `x-session-affinity`, so that a gateway can keep a session on the server that has its prompt cached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    reasoning_format: Literal["none", "reasoning"] = "none"
    cache_control: Literal["none", "anthropic", "gemini"] = "none"
    cache_models: tuple[str, ...] = ("*",)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    parallel_tool_calls: bool = True
    stream_usage: bool = True
    structured_output: Literal["json_schema", "json_object"] = "json_schema"
    require_finish_reason: bool = True
    cached_tokens_include_writes: bool = False
    provider_routing: dict[str, JsonValue] | None = None
    session_affinity: bool = False

    def cache_dialect(self, model: str) -> Literal["none", "anthropic", "gemini"]:
        """The dialect of cache marks for a model."""
        wanted = any(fnmatchcase(model, glob) for glob in self.cache_models)
        return self.cache_control if wanted else "none"


PRESETS: dict[PresetName, EndpointProfile] = {
    "generic": EndpointProfile(),
    "openrouter": EndpointProfile(
        reasoning_format="reasoning",
        cache_control="anthropic",
        cache_models=("anthropic/*",),
        cached_tokens_include_writes=True,
    ),
    "vllm": EndpointProfile(),
    "ollama": EndpointProfile(parallel_tool_calls=False),
    "llama_cpp": EndpointProfile(parallel_tool_calls=False),
}


def profile_for(base_url: str) -> PresetName:
    """The preset of an address to which no profile was given."""
    return "openrouter" if base_url.rstrip("/") == OPENROUTER_URL else "generic"
