"""What the tests of standard mode share: cores with a scripted model, its calls, and what came of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import lash
from lash import LashCore, ModePreset, StandardConfig, TurnEvent, TurnOutput
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.runtime.sansio.messages import Part
from lash.sessions import LashSession
from lash.testing.scripted import AnyStep, ScriptedProvider, Step, reply


def core_with(
    *steps: AnyStep, config: StandardConfig | None = None, folder: Path | None = None, **knobs: Any
) -> LashCore:
    """A core whose model plays the steps; with a folder its sessions outlive it."""
    if folder is not None:
        knobs["store"] = SqliteSessionStoreFactory(folder / "sessions")
        knobs["attachments"] = FileAttachmentStore(folder / "attachments")
    given: dict[str, Any] = {
        "modes": [ModePreset.standard(config)],
        "provider": ScriptedProvider(list(steps)),
        "model": "m",
        "max_context_tokens": 100_000,
    }
    return LashCore(**(given | knobs))


def call(name: str, call_id: str = "a", /, **args: Any) -> Block.ToolCall:
    """A tool call of the model."""
    return Block.ToolCall(call_id, name, json.dumps(args))


def calls(*made: Block.ToolCall, text: str = "") -> Step:
    """A reply of tool calls, after some text if so wished."""
    return reply(text, tool_calls=made)


@lash.tool
async def lookup(item: str) -> dict[str, int]:
    """The price of an item.

    Args:
        item: what is asked for
    """
    return {"price": {"tea": 12, "oil": 30}[item]}


def parts_of(session: LashSession, kind: str) -> list[Part]:
    """The parts of a kind in a session's messages."""
    return [part for message in session.read_view().messages for part in message.parts if part.kind == kind]


def results_of(session: LashSession) -> list[tuple[str | None, str, bool]]:
    """The results in a session: id of the call, text, and whether it failed."""
    return [(part.tool_call_id, part.text, part.is_error) for part in parts_of(session, "tool_result")]


def told(request: LlmRequest) -> list[Block.ToolResult]:
    """The results of tools in a request."""
    return [one for message in request.messages for one in message.blocks if isinstance(one, Block.ToolResult)]


def names_of(output: TurnOutput[Any]) -> list[str]:
    """The kinds of a turn's activities."""
    return [type(one.event).__name__ for one in output.activities]


def completed(output: TurnOutput[Any]) -> list[TurnEvent.ToolCallCompleted]:
    """The calls that were completed, in the order of their ends."""
    return [one.event for one in output.activities if isinstance(one.event, TurnEvent.ToolCallCompleted)]


class Meeting:
    """A tool whose calls wait for each other; `together` is how many were there at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._here = 0
        self._full = asyncio.Event()
        self.together = 0

    @lash.tool
    async def meet(self, name: str) -> str:
        """Wait until all are there."""
        self._here += 1
        self.together = max(self.together, self._here)
        if self._here == self._size:
            self._full.set()
        await self._full.wait()
        return f"met {name}"
