"""What a model said to the questions of `board.py`, kept so that the example runs without one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from lash.provider import LlmRequest
from lash.runtime.sansio.llm import Block
from lash.testing.scripted import AnyStep, Step, reply


def calls(*made: tuple[str, dict[str, object]]) -> Step:
    """A reply that calls tools."""
    return reply(
        tool_calls=[Block.ToolCall(f"call_{n}", name, json.dumps(args)) for n, (name, args) in enumerate(made)]
    )


def delete_all(request: LlmRequest) -> AnyStep:
    """Delete every task that the last result names."""
    (result,) = [block for block in request.messages[-1].blocks if isinstance(block, Block.ToolResult)]
    found = [("delete_task", {"id": task["id"]}) for task in json.loads(result.content)]
    return calls(*found) if found else "Nothing is done yet."


def count_deleted(request: LlmRequest) -> str:
    """Say how many of the last calls worked."""
    results = [block for block in request.messages[-1].blocks if isinstance(block, Block.ToolResult)]
    return f"{sum(not one.is_error for one in results)} of {len(results)} are deleted."


_RECORDED: dict[str, dict[str, list[AnyStep]]] = {
    "What is open?": {
        "standard": [calls(("list_tasks", {"state": "open"})), "These tasks are open; most of them are Ito's."],
        "rlm": [
            '```lashlang\ntasks = (call list_tasks { state: "open" })?\n'
            'submit join([format("{} ({})", t.title, t.owner) for t in tasks], "\\n")\n```'
        ],
    },
    "The release notes are written. Let Novak announce the release.": {
        "standard": [
            calls(("set_state", {"id": 3, "state": "done"}), ("add_task", {"title": "Announce it", "owner": "Novak"})),
            "The notes are done, and Novak has a new task.",
        ],
        "rlm": [
            '```lashlang\nboth = parallel {\n  call set_state { id: 3, state: "done" }\n'
            '  call add_task { title: "Announce it", owner: "Novak" }\n}\n'
            'submit join([r.ok ? r.value.title + " is " + r.value.state : r.error for r in both], "\\n")\n```'
        ],
    },
    "Delete what is done.": {
        "standard": [calls(("list_tasks", {"state": "done"})), delete_all, count_deleted],
        "rlm": [
            '```lashlang\nfound = (call list_tasks { state: "done" })?\n'
            "results = [call delete_task { id: t.id } for t in found]\n"
            'submit format("{} of {} are deleted.", len([r for r in results if r.ok]), len(found))\n```'
        ],
    },
}
QUESTIONS = list(_RECORDED)
"""What the recording knows."""


class Recording:
    """A model that was recorded: it is told the question, and gives the replies to it one after the other."""

    def __init__(self) -> None:
        self._replies: Iterator[AnyStep] = iter(())

    def hear(self, question: str, mode: str) -> None:
        """The question of the next turn."""
        self._replies = iter(_RECORDED.get(question, {}).get(mode, ()))

    def __call__(self, request: LlmRequest) -> AnyStep:
        """The next reply."""
        return next(self._replies, "I am a recording and know three questions only; run me without any to hear them.")
