"""A small application that runs in both modes: a task board that one talks to.

    python examples/board.py [--mode rlm|standard] [--folder DIR] [--approve ask|yes|no] [QUESTION ...]

The application is its tools, `Board`; the mode says how a model uses them: by native tool calls in standard mode, by
small programs in RLM mode. Both work on one board, each in a session of its own, and all of it stays in the folder.
What cannot be undone needs a yes. With ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY in the environment a
live model answers (`--provider`, `--model` say which); without, a recorded one, which knows three questions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from task_board.replies import QUESTIONS, Recording
from task_board.terminal import Terminal

import lash
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.provider import AnthropicProvider, GoogleProvider, OpenAIProvider, ProviderHandle
from lash.testing.scripted import ScriptedProvider

PROVIDERS = {
    "anthropic": ("ANTHROPIC_API_KEY", AnthropicProvider),
    "openai": ("OPENAI_API_KEY", OpenAIProvider),
    "google": ("GEMINI_API_KEY", GoogleProvider),
}
State = Literal["open", "done"]


@dataclass
class Task:
    """A task on the board."""

    id: int
    title: str
    owner: str
    state: State = "open"


FIRST = [Task(1, "Fix the login page", "Ito"), Task(2, "Order chairs", "Okafor"), Task(3, "Write release notes", "Ito")]


class Board:
    """The tasks, in a file. The tools are `async`, so no two of them change it at the same moment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            stored = json.loads(file.read_text("utf-8")) if file.exists() else map(asdict, FIRST)
            self._tasks = {task["id"]: Task(**task) for task in stored}
        except (ValueError, TypeError, KeyError) as error:
            raise OSError(f"{file} holds no board: {error}") from error

    @lash.tool(mutates=False)
    async def list_tasks(self, state: State | None = None) -> list[Task]:
        """List tasks.

        Args:
            state: only those in this state
        """
        return [task for task in self._tasks.values() if state in (None, task.state)]

    @lash.tool
    async def add_task(self, title: str, owner: str) -> Task:
        """Put a new task on the board."""
        task = Task(max(self._tasks, default=0) + 1, title, owner)
        self._tasks[task.id] = task
        self._save()
        return task

    @lash.tool
    async def set_state(self, id: int, state: State) -> Task:  # noqa: A002 - the word that a model uses
        """Open or finish a task."""
        task = self._find(id)
        task.state = state
        self._save()
        return task

    @lash.tool(needs_approval=lambda args, ctx: f"task {args['id']} would be gone for good")
    async def delete_task(self, id: int) -> None:  # noqa: A002
        """Take a task off the board."""
        del self._tasks[self._find(id).id]
        self._save()

    def _find(self, number: int) -> Task:
        if number not in self._tasks:
            raise lash.ToolError(f"there is no task {number}; there are {sorted(self._tasks)}", code="no_such_task")
        return self._tasks[number]

    def _save(self) -> None:
        self._file.write_text(json.dumps([asdict(task) for task in self._tasks.values()], indent=2), "utf-8")


def model(options: argparse.Namespace, recording: Recording) -> tuple[ProviderHandle, str | None]:
    """Who answers, and which model of theirs (None: their usual one)."""
    for name, (variable, make) in PROVIDERS.items():
        key = os.environ.get(variable)
        if key and options.provider in (None, name):
            return make(key), options.model
    if options.provider:
        raise lash.ConfigError("missing_credential", f"{PROVIDERS[options.provider][0]} is not set")
    print("No key is set, so a recorded model answers.")
    return ScriptedProvider([recording] * 1000), "recorded"


async def talk(options: argparse.Namespace) -> None:
    """A turn for each question."""
    recording, terminal, board = Recording(), Terminal(options.approve), Board(options.folder / "board.json")
    provider, name = model(options, recording)
    core = lash.LashCore(
        modes=[lash.ModePreset.rlm(), lash.ModePreset.standard()],
        provider=provider,
        model=name,
        models={"recorded": lash.ModelInfo(200_000)},
        tools=[board],
        approve=terminal.ask,
        store=SqliteSessionStoreFactory(options.folder / "sessions"),
        attachments=FileAttachmentStore(options.folder / "attachments"),
    )
    # Standard mode ends in prose anyway; in RLM mode a turn may, instead of a program that submits.
    prose = options.mode == "rlm"
    async with core, core.session(f"board-{options.mode}", mode=options.mode, allow_prose_or_submit=prose) as session:
        for question in options.question or QUESTIONS:
            terminal.say(f"\n> {question}")
            recording.hear(question, options.mode)
            result = await session.turn(question, sink=terminal)
            if not result.is_success():
                why = next((issue.message for issue in result.errors), str(result.outcome))
                terminal.say(f"The turn did not end well: {why}")
            elif result.assistant_message() is None:
                terminal.say(f"{result.submitted_value()}")
        terminal.say("")


def main() -> int:
    """Talk to the board."""
    parser = argparse.ArgumentParser(description="A task board with an agent, in either mode.")
    parser.add_argument("question", nargs="*", help="what to ask, a turn each (default: the recorded questions)")
    parser.add_argument("--mode", choices=["rlm", "standard"], default="rlm", help="how the model acts")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=Path("board"), help="where everything is kept")
    parser.add_argument("--approve", choices=["ask", "yes", "no"], default="ask", help="who allows deleting")
    parser.add_argument("--provider", choices=list(PROVIDERS), help="who answers (default: whose key is set)")
    parser.add_argument("--model", metavar="NAME")
    options = parser.parse_args()
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(talk(options))
    except (OSError, lash.LashError) as problem:
        sys.exit(f"board.py: {problem}")
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
