"""A desk with a till: tools that a person has to allow, turns that wait for it, and workers that come later."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import lash
from lash import LashCore, TurnActivity, TurnEvent
from lash.durability import JournalEffectHost
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.testing.scripted import AnyStep, ScriptedProvider
from tests.facade.crash_hosts import LaterClock

TURN_ID = "t-1"


class Till:
    """Tools, and what they did: a file, so that a killed process leaves it behind."""

    def __init__(self, folder: Path) -> None:
        self._book = folder / "book"

    @property
    def paid(self) -> list[int]:
        """Every payment that was begun."""
        return [int(line) for line in self._book.read_text().split()] if self._book.exists() else []

    def write(self, amount: int) -> None:
        """Note a payment."""
        with self._book.open("a") as book:
            book.write(f"{amount}\n")

    @lash.tool(needs_approval=True)
    async def pay(self, amount: int) -> int:
        """Pay."""
        self.write(amount)
        return amount * 10

    @lash.tool(needs_approval=lambda args, ctx: f"{args['amount']} is a lot" if args["amount"] > 9 else False)
    async def lend(self, amount: int) -> int:
        """Lend, which is free up to 9."""
        self.write(amount)
        return -amount

    @lash.tool
    async def look(self, n: int = 0) -> int:
        """Look, which nobody minds."""
        return n


def core_at(folder: Path, *steps: AnyStep, later: bool = False, mode: str = "rlm", **knobs: Any) -> LashCore:
    """A worker on the stores below a folder; `later` is one that comes when every lease has lapsed."""
    clock = knobs.pop("clock", None) or (LaterClock() if later else None)
    timed: dict[str, Any] = {} if clock is None else {"clock": clock}
    given: dict[str, Any] = {
        "provider": ScriptedProvider(list(steps)),
        "model": "m",
        "max_context_tokens": 100_000,
        "store": SqliteSessionStoreFactory(folder / "sessions", synchronous="NORMAL", **timed),
        "attachments": FileAttachmentStore(folder / "attachments"),
        "effect_host": JournalEffectHost(folder / "journal.db", **timed),
        "tools": [Till(folder)],
        **timed,
    }
    make = LashCore.rlm if mode == "rlm" else LashCore.standard
    return make(**(given | knobs))


@asynccontextmanager
async def desk(folder: Path, *steps: AnyStep, **knobs: Any) -> AsyncGenerator[LashCore]:
    """The same, closed in the end."""
    async with core_at(folder, *steps, **knobs) as core:
        yield core


async def parked(folder: Path, *steps: AnyStep, **knobs: Any) -> tuple[lash.PendingApproval, ...]:
    """Run a turn until it is suspended; the questions."""
    async with desk(folder, *steps, **knobs) as core, core.session("s") as session:
        return await suspended(session.turn("Go.", turn_id=TURN_ID, on_wait="park"))


async def suspended(turn: lash.Turn[Any]) -> tuple[lash.PendingApproval, ...]:
    """Wait until a turn is suspended; the questions. AssertionError where it comes to an end."""
    try:
        result = await turn
    except lash.TurnSuspended as waits:
        assert turn.state == "suspended"
        return waits.approvals
    raise AssertionError(f"the turn was not suspended: {result}")


def program(code: str) -> str:
    """A reply that is a program."""
    return f"```lashlang\n{code}\n```"


def told(activities: Sequence[TurnActivity], *kinds: type) -> list[tuple[str, bool]]:
    """Kind and mark of the activities of tool calls."""
    wanted = kinds or (
        TurnEvent.ToolCallStarted,
        TurnEvent.ApprovalRequested,
        TurnEvent.ApprovalAnswered,
        TurnEvent.ToolCallCompleted,
    )
    return [(one.event.type, one.replayed) for one in activities if isinstance(one.event, wanted)]
