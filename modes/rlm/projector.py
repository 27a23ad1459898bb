"""The model request of RLM mode (rlm.md 6): system prompt, history, iteration tail.

The order keeps requests cacheable: everything up to the end of the history is the same from one iteration to the next,
but for what was added, and carries the mark for it; what changes stands behind.
"""

from __future__ import annotations

from lash.modes.rlm.config import RlmConfig, RlmTermination
from lash.modes.rlm.history import HistoryReader
from lash.modes.rlm.prompt.history_text import NO_HISTORY, HistoryText, Images, ItemTexts, with_breakpoint
from lash.modes.rlm.prompt.tail import Position, iteration_tail
from lash.modes.rlm.view import RlmView
from lash.runtime.sansio.driver import ProjectionInput
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest


class RlmContextProjector:
    """See `ContextProjector`: the same input always gives the same request.

    `reader` may be shared with whoever else reads the session's history. What was read and rendered is kept, so that
    a request costs little more than what is new in it.
    """

    def __init__(self, config: RlmConfig, reader: HistoryReader | None = None) -> None:
        self._config = config
        self._reader = reader or HistoryReader()
        self._texts = ItemTexts(config)

    def project(self, ctx: ProjectionInput, use_tools: bool) -> LlmRequest:
        """The request for the next model call; without native tools in any case.

        Raises pydantic.ValidationError for a mode view, turn options or an event that cannot be read.
        """
        view = RlmView.model_validate({} if ctx.mode_view is None else ctx.mode_view)
        termination = RlmTermination.model_validate(ctx.termination or {})
        history = self._reader.read(ctx.events)
        images = Images()
        told, said_now = HistoryText(self._config, ctx.turn_id, images, self._texts).render(history, ctx.messages)
        position = Position(ctx.mode_iteration - ctx.mode_run_offset + 1, ctx.max_turns, len(history))
        messages: list[LlmMessage] = []
        if ctx.system_prompt.strip():
            messages.append(_text("system", ctx.system_prompt))
        messages += with_breakpoint(told) if told else [_text("user", NO_HISTORY)]
        messages += said_now
        messages.append(_text("user", iteration_tail(position, view, termination)))
        return LlmRequest(
            model=ctx.model,
            messages=tuple(messages),
            attachments=images.attachments(),
            tools=(),
            tool_choice="none",
            model_variant=ctx.model_variant,
            session_id=ctx.session_id,
        )


def _text(role: str, text: str) -> LlmMessage:
    return LlmMessage("system" if role == "system" else "user", (Block.Text(text),))
