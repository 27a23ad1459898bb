"""A small application on lash: an order desk that one talks to in the terminal.

    python examples/desk.py [--folder DIR] [--session ID]

The application has its own database and its own tools; lash runs the turns. Each line of standard input is a turn; what
the agent does is shown as it happens. Sessions and orders lie in the folder, so the next start goes on with both. With
ANTHROPIC_API_KEY in the environment a live model answers; without, a recorded one answers the three questions that
`python examples/desk.py --questions` prints.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import lash
from lash import TurnEvent, TurnFinish, TurnOutcome
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.provider import AnthropicProvider, LlmRequest, ProviderHandle
from lash.testing.scripted import ScriptedProvider

ORDERS = [
    ("A-17", "Ito", "tea", 12, 40.0, "2026-05-02", "late"),
    ("A-18", "Novak", "oil", 3, 90.0, "2026-05-03", "shipped"),
    ("A-19", "Ito", "rice", 20, 55.5, "2026-05-05", "late"),
    ("A-20", "Okafor", "tea", 6, 20.0, "2026-05-06", "open"),
]

RECORDED = {
    "Which orders are late, and what are they worth?": [
        '```lashlang\nlate = (call find_orders { state: "late" })?\nprint late\n```',
        """```lashlang
lines = [format("{} for {}: {:.2f}", o.id, o.customer, o.total) for o in late]
submit join(lines, "\\n") + format("\\nTogether {:.2f}.", sum([o.total for o in late]))
```""",
    ],
    "Mark them as shipped.": [
        """The late orders are still in my variable `late`.

```lashlang
done = parallel {
  [call set_state { id: o.id, state: "shipped" } for o in slice(late, 0, 1)]
  [call set_state { id: o.id, state: "shipped" } for o in slice(late, 1)]
}
failed = [r.error for r in flatten(done) if not r.ok]
submit len(failed) == 0 ? format("{} orders are shipped now.", len(late)) : join(failed, "; ")
```"""
    ],
    "And A-99?": [
        '```lashlang\nr = call set_state { id: "A-99", state: "shipped" }\nsubmit r.ok ? "Done." : r.error\n```',
    ],
}
"""What a model answered to three questions, kept so that the example runs without one."""


@dataclass
class Order:
    """An order as the tools show it."""

    id: str
    customer: str
    item: str
    count: int
    total: float
    date: str
    state: str


class Desk:
    """The application's orders, and what an agent may do with them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS orders("
                "id TEXT PRIMARY KEY, customer TEXT, item TEXT, count INTEGER, total REAL, date TEXT, state TEXT)"
            )
            database.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", ORDERS)

    @lash.tool
    def find_orders(self, state: str | None = None, customer: str | None = None) -> list[Order]:
        """Find orders, oldest first.

        Args:
            state: open, late or shipped; all where it is not given
            customer: the customer's name, exactly
        """
        with closing(sqlite3.connect(self._file)) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute(
                "SELECT * FROM orders WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR customer = ?2) ORDER BY date",
                (state, customer),
            )
            return [Order(**row) for row in rows]

    @lash.tool
    def set_state(self, id: str, state: str) -> None:  # noqa: A002 - the word that programs use
        """Change an order's state.

        Args:
            id: the order's number
            state: open, late or shipped
        """
        with closing(sqlite3.connect(self._file)) as database, database:
            changed = database.execute("UPDATE orders SET state = ? WHERE id = ?", (state, id)).rowcount
        if not changed:
            raise lash.ToolError(f"there is no order {id}")


class Terminal:
    """Shows a turn while it runs."""

    async def emit(self, activity: lash.TurnActivity) -> None:
        """Show one activity."""
        match activity.event:
            case TurnEvent.AssistantProseDelta(text=text):
                print(text, end="", flush=True)
            case TurnEvent.ToolCallCompleted(name=name, args=args, success=success):
                print(f"  [{'done' if success else 'failed'}] {name} {args}", flush=True)
            case TurnEvent.CodeBlockCompleted(error=str(error)):
                print(f"  [program] {error.splitlines()[0]}", flush=True)
            case _:
                return


class Recording:
    """A model that was recorded: it is told the question and gives the replies to it one after the other."""

    def __init__(self) -> None:
        self._replies: Iterator[str] = iter(())

    def hear(self, question: str) -> None:
        """The question of the next turn."""
        self._replies = iter(RECORDED.get(question, ()))

    def __call__(self, request: LlmRequest) -> str:
        """The next reply."""
        return next(self._replies, "I am a recording, and know only the questions that --questions prints.")


def model(recording: Recording) -> tuple[ProviderHandle, str]:
    """Who answers."""
    key = os.environ.get("ANTHROPIC_API_KEY")
    if key:
        return AnthropicProvider(key), "claude-sonnet-4-6"
    print("No key is set, so a recorded model answers; see --questions.")
    return ScriptedProvider([recording] * 1000), "recorded"


def lines() -> asyncio.Queue[str]:
    """The lines of standard input, an empty one at its end. They are read in a thread that no exit waits for."""
    loop, typed = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        for line in iter(sys.stdin.readline, ""):
            loop.call_soon_threadsafe(typed.put_nowait, line)
        loop.call_soon_threadsafe(typed.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    return typed


async def chat(folder: Path, session_id: str) -> None:
    """A turn for each line of standard input."""
    recording = Recording()
    provider, name = model(recording)
    core = lash.LashCore.rlm(
        provider=provider,
        model=name,
        max_context_tokens=200_000,
        tools=[Desk(folder / "orders.db")],
        store=SqliteSessionStoreFactory(folder / "sessions"),
        attachments=FileAttachmentStore(folder / "attachments"),
        prompt=[lash.PromptContribution.guidance("Order desk", "Amounts are in euros. Answer in a few lines.")],
    )
    async with core, core.session(session_id, allow_prose_or_submit=True) as session:
        turns = session.read_view().turn_index
        print(f"Session {session_id}, {turns} turns so far. Ask; an empty line ends.")
        typed = lines()
        while question := (await typed.get()).strip():
            recording.hear(question)
            result = await session.turn(question, sink=Terminal())
            match result.outcome:
                case TurnOutcome.Finished(finish=TurnFinish.SubmittedValue(value=value)):
                    print(value if isinstance(value, str) else f"{value}")
                case TurnOutcome.Finished():
                    print()
                case other:
                    print(f"The turn did not end well: {other}")


def main() -> int:
    """Talk to the desk."""
    parser = argparse.ArgumentParser(description="An order desk with an agent.")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=Path("desk"), help="where everything is kept")
    parser.add_argument("--session", metavar="ID", default="desk")
    parser.add_argument("--questions", action="store_true", help="print what the recorded model can answer")
    options = parser.parse_args()
    if options.questions:
        print("\n".join(RECORDED))
        return 0
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(chat(options.folder, options.session))
    except (OSError, lash.LashError) as problem:
        sys.exit(f"desk.py: {problem}")
    except KeyboardInterrupt:
        # A turn that was running is not stored; the ones before it are.
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
