"""The model and the tools of a scenario: what they answer is written down, what they are asked is noted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions, ProviderReliability, ThinkingOptions
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmRequest, LlmResponse, LlmStreamEvent, ResponsePart
from lash.runtime.sansio.tools import ToolFailure
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import ToolContract, ToolDefinition, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolError, ToolResult
from lash.testing.scenarios_format import Preserve, Reply, ScriptedTool
from lash.testing.scripted import ScriptedProvider, ScriptExhausted, Step

MOST_ATTEMPTS = 10_000
"""Model calls that a scenario's model can take in one life of its session."""

OPTIONS = ProviderOptions(
    reliability=ProviderReliability(base_delay_ms=0, max_delay_ms=0), thinking=ThinkingOptions(expose=True)
)
"""Failed attempts are repeated without a wait, and reasoning can be seen."""


class ScenarioModel:
    """The model: gives the replies of the turn under way, in pieces of `pieces` characters or as they are written.

    `asked` holds the last request of every main-chain call of the turn, numbered from 1 by `call_number`.
    """

    def __init__(self, pieces: int | None, call_number: Callable[[], int]) -> None:
        self._pieces = pieces
        self._call_number = call_number
        self._replies: list[str | Reply] = []
        self._stream = False
        self.asked: dict[int, LlmRequest] = {}
        self.provider = ScriptedProvider([self._answer] * MOST_ATTEMPTS, options=OPTIONS)

    @property
    def left(self) -> int:
        """Replies that were not asked for."""
        return len(self._replies)

    def begin_turn(self, replies: Sequence[str | Reply], stream: bool) -> None:
        """Have these replies ready, and no request noted."""
        self._replies = list(replies)
        self._stream = stream
        self.asked = {}

    def _answer(self, request: LlmRequest) -> Step:
        self.asked[self._call_number()] = request
        if not self._replies:
            raise ScriptExhausted("the model was called once more than the scenario has replies")
        reply = self._replies.pop(0)
        return _step(Reply(text=reply) if isinstance(reply, str) else reply, self._pieces, self._stream)


def _step(reply: Reply, pieces: int | None, stream: bool) -> Step:
    """The reply as an attempt: what is streamed, and how it ends."""
    parts: list[ResponsePart] = []
    events: list[AnyStreamEvent] = []
    if reply.reasoning is not None:
        events += [LlmStreamEvent.ReasoningDelta(piece, 0) for piece in _cut(reply.reasoning, pieces, None)]
        parts.append(Block.Reasoning(reply.reasoning))
    if reply.text:
        events += [LlmStreamEvent.TextDelta(piece, len(parts)) for piece in _cut(reply.text, pieces, reply.chunks)]
        parts.append(Block.Text(reply.text))
    usage = NO_USAGE
    if reply.usage is not None:
        given = reply.usage
        usage = TokenUsage(input_tokens=given.input, output_tokens=given.output, cached_input_tokens=given.cached)
        events.append(LlmStreamEvent.UsageUpdate(usage))
    if pieces is None and not stream:
        events = []
    if reply.error is not None:
        kind = "overloaded" if reply.error.retryable else "validation"
        return Step(events, ProviderFailure(kind, reply.error.message, retryable=reply.error.retryable))
    reason = reply.terminal_reason or "stop"
    return Step(events, LlmResponse(reply.text, tuple(parts), usage=usage, terminal_reason=reason))


def _cut(text: str, pieces: int | None, chunks: Sequence[str] | None) -> Sequence[str]:
    if pieces is None:
        return (text,) if chunks is None else chunks
    return [text[start : start + pieces] for start in range(0, len(text), pieces)]


class ScenarioTools(ListedTools):
    """The tools: each gives its results one per call, the last one for ever. `called` are the calls, as received."""

    def __init__(self, tools: Sequence[ScriptedTool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._definitions = {tool.name: _definition(tool) for tool in tools}
        self._used: Counter[str] = Counter()
        self.called: list[tuple[str, JsonValue]] = []

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        return [definition.manifest for definition in self._definitions.values()]

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        definition = self._definitions.get(name)
        return None if definition is None else definition.contract

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`."""
        self.called.append((call.name, call.args))
        results = self._tools[call.name].results
        result = results[min(self._used[call.name], len(results) - 1)]
        self._used[call.name] += 1
        if result.delay_ms:
            await asyncio.sleep(result.delay_ms / 1000)
        if result.error is not None:
            raise ToolError(result.error)
        if result.control is not None:
            if result.control.fail is not None:
                return ToolResult.fail(ToolFailure("execution", "tool_error", result.control.fail["message"]))
            return ToolResult.finish(result.control.finish)
        return ToolResult.success(call.args if result.echo else result.ok)


def _definition(tool: ScriptedTool) -> ToolDefinition:
    preserved = tool.projection.preserve if isinstance(tool.projection, Preserve) else None
    return ToolDefinition.raw(tool.name, tool.description, tool.input_schema, preserve_projected=preserved)
