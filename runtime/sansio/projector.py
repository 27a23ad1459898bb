"""The projector for modes whose model sees a plain chat: messages and parts become a model request (runtime.md 1.3)."""

from __future__ import annotations

import json

from lash.runtime.sansio.driver import ProjectionInput
from lash.runtime.sansio.llm import AnyBlock, Block, LlmAttachment, LlmMessage, LlmRequest, LlmToolSpec
from lash.runtime.sansio.messages import AttachmentRef, Message, Part, PruneState


class ChatContextProjector:
    """Shows the conversation as it is: system prompt first, then every message, transient ones included.

    Native tools are listed whenever there are any, because the history may hold calls of them and providers want those
    explained; whether the model may call one now is `tool_choice`.
    """

    def project(self, ctx: ProjectionInput, use_tools: bool) -> LlmRequest:
        """The request for the next model call; `use_tools` says whether the model may call tools in it."""
        images = _Images()
        messages = [LlmMessage("system", (Block.Text(ctx.system_prompt),))] if ctx.system_prompt.strip() else []
        for message in ctx.messages:
            if blocks := _blocks(message, images):
                messages.append(LlmMessage(message.role, blocks))
        tools = tuple(
            LlmToolSpec(
                name=spec.name,
                description=spec.description,
                input_schema=spec.input_schema,
                output_schema=spec.output_schema,
                input_projections=spec.input_projections,
            )
            for spec in ctx.tool_specs
            if spec.availability != "searchable"
        )
        return LlmRequest(
            model=ctx.model,
            messages=tuple(messages),
            attachments=images.attachments(),
            tools=tools,
            tool_choice="auto" if use_tools and tools else "none",
            model_variant=ctx.model_variant,
            session_id=ctx.session_id,
        )


class _Images:
    """The attachments of one request, each image once."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._attachments: list[LlmAttachment] = []

    def index_of(self, ref: AttachmentRef) -> int:
        """Where the image stands, which may be at the end from now on."""
        if ref.id not in self._index:
            self._index[ref.id] = len(self._attachments)
            self._attachments.append(LlmAttachment(ref.media_type, ref.id, ref.label, ref.width, ref.height))
        return self._index[ref.id]

    def attachments(self) -> tuple[LlmAttachment, ...]:
        """All of them, by index."""
        return tuple(self._attachments)


def _blocks(message: Message, images: _Images) -> tuple[AnyBlock, ...]:
    """The message's blocks in the order of its parts; a call's results and their images make one block."""
    blocks: list[AnyBlock] = []
    results = _results_by_call(message.parts)
    for part in message.parts:
        call_id = part.tool_call_id
        if call_id is not None and call_id in results and part.kind in ("tool_result", "image"):
            # The whole result stands where its first part stands: providers want one result for each call.
            if own := results[call_id]:
                blocks.append(_tool_result(call_id, own, images))
                results[call_id] = []
        elif (block := _block(part, images)) is not None:
            blocks.append(block)
    return tuple(blocks)


def _results_by_call(parts: tuple[Part, ...]) -> dict[str, list[Part]]:
    """The results of each call that has any, with the images that belong to it."""
    answered = {part.tool_call_id for part in parts if part.kind == "tool_result"}
    found: dict[str, list[Part]] = {}
    for part in parts if answered else ():
        if part.tool_call_id in answered and part.tool_call_id is not None and part.kind in ("tool_result", "image"):
            found.setdefault(part.tool_call_id, []).append(part)
    return found


def _tool_result(call_id: str, parts: list[Part], images: _Images) -> Block.ToolResult:
    shown = [part for part in parts if part.kind == "image" and _is_intact(part) and part.attachment is not None]
    texts = [_text(part) for part in parts if part not in shown]
    return Block.ToolResult(
        call_id=call_id,
        content="\n".join(filter(None, texts)),
        tool_name=next((part.tool_name for part in parts if part.tool_name is not None), None),
        is_error=any(part.is_error for part in parts),
        images=tuple(images.index_of(part.attachment) for part in shown if part.attachment is not None),
    )


def _block(part: Part, images: _Images) -> AnyBlock | None:
    """What a part is to the model, or None where it is nothing."""
    match part.kind:
        case "reasoning":
            # A replay goes back as it was or not at all: providers refuse one whose text was exchanged.
            if not _is_intact(part) or (not part.text.strip() and part.reasoning_replay is None):
                return None
            return Block.Reasoning(part.text, part.reasoning_replay)
        case "tool_call" if part.tool_call_id is not None and part.tool_name is not None:
            arguments = part.text if _is_intact(part) else json.dumps({"note": _text(part)}, ensure_ascii=False)
            return Block.ToolCall(part.tool_call_id, part.tool_name, arguments, part.tool_replay)
        case "image" if _is_intact(part) and part.attachment is not None:
            return Block.Image(images.index_of(part.attachment))
        case _:  # also calls and results that do not say which, and images that are gone: nothing is lost silently
            text = _text(part)
            return Block.Text(text, part.response_meta if _is_intact(part) else None) if text.strip() else None


def _is_intact(part: Part) -> bool:
    return isinstance(part.prune, PruneState.Intact)


def _text(part: Part) -> str:
    """The part's text, or what stands in its place."""
    what = part.kind.replace("_", " ")
    match part.prune:
        case PruneState.Intact():
            return "[image not available]" if part.kind == "image" and not part.text else part.text
        case PruneState.Cleared():
            return f"[{what} cleared]"
        case PruneState.Deleted(breadcrumb=breadcrumb):
            return f"[{what} deleted: {breadcrumb}]"
        case PruneState.Summarized(summary=summary):
            return f"[summary of {what}: {summary}]"
