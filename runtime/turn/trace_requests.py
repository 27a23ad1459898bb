"""Prompts, requests, responses, programs and outcomes in the form that records have (observability.md 2).

What only a provider can read (encrypted reasoning, signatures) is told as a boolean, an attachment by its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lash.runtime.sansio.effects import ExecFailure, ExecOutcome, TerminalSubmit
from lash.runtime.sansio.llm import AnyBlock, Block, LlmAttachment, LlmRequest, LlmResponse, ReasoningReplay
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnOutcome
from lash.runtime.sansio.prompt import GUIDANCE_TEXT, INTRO_TEXT, PromptBuiltin, PromptLayer
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, ToolOutput
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.seams.trace_events import (
    AnyTraceBlock,
    TraceAttachment,
    TraceBlock,
    TraceEvent,
    TraceHandoff,
    TraceMessage,
    TracePromptComponent,
    TraceRequest,
    TraceResponse,
    TraceTool,
    TraceToolOutcome,
    TraceToolOutput,
)


def request_of(request: LlmRequest, provider: str, *, stream: bool) -> TraceRequest:
    """A request as a record shows it; `stream` says whether the reply comes piece by piece."""
    bound = request.max_output_tokens
    return TraceRequest(
        model=request.model,
        model_variant=request.model_variant,
        provider=provider,
        messages=tuple(TraceMessage(message.role, blocks_of(message.blocks)) for message in request.messages),
        attachments=tuple(map(_attachment, request.attachments)),
        tools=tuple(
            TraceTool(tool.name, tool.description, tool.input_schema, tool.output_schema) for tool in request.tools
        ),
        tool_choice=request.tool_choice,
        output_spec=None if request.output_spec is None else to_json(request.output_spec),
        generation={} if bound is None else {"max_output_tokens": bound},
        stream=stream,
    )


def response_of(response: LlmResponse, duration_ms: int | None, ttft_ms: int | None) -> TraceResponse:
    """A response as a record shows it."""
    return TraceResponse(
        text=response.full_text,
        duration_ms=duration_ms,
        ttft_ms=ttft_ms,
        terminal_reason=response.terminal_reason,
        response_id=response.response_id,
        response_model=response.response_model,
        parts=blocks_of(response.parts),
    )


def blocks_of(blocks: Iterable[AnyBlock]) -> tuple[AnyTraceBlock, ...]:
    """Content blocks as records show them."""
    return tuple(map(_block, blocks))


def _block(block: AnyBlock) -> AnyTraceBlock:
    match block:
        case Block.Text():
            return TraceBlock.Text(block.text, cache_breakpoint=block.cache_breakpoint or None)
        case Block.Image():
            return TraceBlock.Image(block.attachment_idx)
        case Block.ToolCall():
            replay = block.replay
            return TraceBlock.ToolCall(
                block.call_id,
                block.tool_name,
                block.input_json,
                item_id=None if replay is None else replay.item_id,
                has_signature=replay is not None and replay.opaque is not None,
            )
        case Block.ToolResult():
            return TraceBlock.ToolResult(block.call_id, block.tool_name, block.content)
        case Block.Reasoning():
            replay = block.replay or ReasoningReplay()
            return TraceBlock.Reasoning(
                block.text,
                item_id=replay.item_id,
                summary=replay.summary,
                has_encrypted=replay.encrypted_content is not None or replay.signature is not None,
                redacted=replay.redacted,
            )


def _attachment(attachment: LlmAttachment) -> TraceAttachment:
    # A reference is the hash of the bytes already, where it comes from an attachment store.
    data = attachment.data
    return TraceAttachment(
        mime=attachment.mime,
        filename=attachment.label,
        bytes_sha256=attachment.reference if data is None else hashlib.sha256(data).hexdigest(),
        bytes_len=None if data is None else len(data),
    )


def output_of(output: AnyToolOutput, control: AnyToolControl | None) -> TraceToolOutput:
    """What a tool call came to, as a record shows it."""
    asked = None if control is None else to_json(control)
    match output:
        case ToolOutput.Success(value=value):
            return TraceToolOutput(TraceToolOutcome("success", value), asked)
        case ToolOutput.Failure(failure=failure):
            return TraceToolOutput(TraceToolOutcome("failure", to_json(failure)), asked)
        case ToolOutput.Cancelled(message=message, raw=raw):
            payload: dict[str, JsonValue] = {"message": message} if raw is None else {"message": message, "raw": raw}
            return TraceToolOutput(TraceToolOutcome("cancelled", payload), asked)


def completion_of(outcome: AnyTurnOutcome, duration_ms: int) -> TraceEvent.TurnCompleted:
    """The end of a turn whose commit was answered."""
    match outcome:
        case TurnOutcome.Finished(finish=finish):
            return TraceEvent.TurnCompleted("completed", finish.type, duration_ms)
        case TurnOutcome.Handoff(session_id=successor):
            return TraceEvent.TurnCompleted("handoff", "handoff", duration_ms, TraceHandoff(successor))
        case TurnOutcome.Stopped(stop=stop):
            return TraceEvent.TurnCompleted("stopped", stop.type, duration_ms)


def step_of(iteration: int, code: str, result: ExecOutcome) -> dict[str, JsonValue]:
    """A program and what it came to, as the payload of a mode's step."""
    payload: dict[str, JsonValue] = {"iteration": iteration, "code": code}
    if isinstance(result, ExecFailure):
        return {**payload, "error": result.message}
    payload |= {
        "prints": list(result.observations),
        "tool_calls": [
            {
                "call_id": call.call_id,
                "name": call.tool_name,
                "duration_ms": call.duration_ms,
                "status": output_of(call.output, None).outcome.status,
            }
            for call in result.tool_calls
        ],
        "fuel": result.fuel,
        "duration_ms": result.duration_ms,
    }
    if isinstance(result.terminal_finish, TerminalSubmit):
        payload["submitted"] = result.terminal_finish.value
    if result.error is not None:
        payload["error"] = result.error
    return payload


def components_of(prompt: str, layer: PromptLayer, execution: str) -> tuple[TracePromptComponent, ...]:
    """What a system prompt consists of, in its order: texts of the runtime, of the mode, and contributions to slots.

    A contribution whose gate is shut is none of them; neither is one that the template has no place for.
    """
    texts = [
        (PromptBuiltin.MAIN_AGENT_INTRO.value, "builtin", INTRO_TEXT),
        (PromptBuiltin.EXECUTION_INSTRUCTIONS.value, "builtin", execution.strip()),
        (PromptBuiltin.CORE_GUIDANCE.value, "builtin", GUIDANCE_TEXT),
    ]
    for slot, change in layer.slots.items():
        texts += [(one.title or slot.value, slot.value, one.content) for one in change.contributions]
    placed = sorted((prompt.find(text), name, kind, text) for name, kind, text in texts if text and text in prompt)
    return tuple(TracePromptComponent(name, kind, text_hash(text), len(text)) for _, name, kind, text in placed)


def input_of(messages: Iterable[Message], source: str) -> dict[str, JsonValue]:
    """What a turn begins with, as metadata: parts of messages, their characters, and where they come from."""
    parts = [part for message in messages for part in message.parts]
    return {"input_items": len(parts), "input_chars": sum(len(part.text) for part in parts), "source": source}


def text_hash(text: str) -> str:
    """The SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def known(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The metadata that there is."""
    return {name: value for name, value in metadata.items() if value is not None}
