"""Every row of the table of exit codes is reached, and what is wrong comes with a way on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lash.cli.command import EXIT_CODES
from lash.cli.exits import Exit
from tests.cli.conftest import Lash, Ran, block

TOOLS = '''
import lash
from lash.runtime.sansio.tools import ToolFailure

@lash.tool
async def give_up() -> lash.ToolResult:
    """End the turn."""
    return lash.ToolResult.fail(ToolFailure("execution", "broke", "out of money"))

@lash.tool(needs_approval=True)
async def buy(item: str) -> str:
    """Buy."""
    return item
'''

PARKED = ("--approve", "park", "--name", "shop")


def suspended(lash: Lash) -> Ran:
    return lash.ask(block('submit call buy { item: "tea" }'), also=("--tools", "tools.py", *PARKED))


def taken(lash: Lash) -> Ran:
    suspended(lash)
    return lash.ask("x", also=("--session", "shop"))


def cancelled(lash: Lash) -> Ran:
    here = lash.folder / "here"

    def interrupt() -> None:
        until = time.monotonic() + 60
        while not here.exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    return lash.ask({"text": "Well", "hang": True, "touch": str(here)})


def without_provider(lash: Lash) -> Ran:
    return lash("-p", "hi")


ROWS: dict[Exit, tuple[Callable[[Lash], Ran], tuple[str, ...]]] = {
    Exit.OK: (lambda lash: lash.ask("Yes."), ()),
    Exit.FAILED: (lambda lash: lash.ask({"error": "no such model"}), ("no such model",)),
    Exit.USAGE: (lambda lash: lash.ask("x", also=("--approve", "ask")), ("--approve park",)),
    Exit.NO_PROVIDER: (without_provider, ("ANTHROPIC_API_KEY", "[providers.anthropic]", "files:DIR")),
    Exit.GAVE_UP: (lambda lash: lash.ask(block("call give_up {}"), also=("--tools", "tools.py")), ("out of money",)),
    Exit.LIMIT: (lambda lash: lash.ask({"hang": True}, also=("--timeout", "0.2")), ("timeout after 0.2 s",)),
    Exit.SUSPENDED: (suspended, ("lash approvals allow ID", "lash sessions resume shop --approve ask")),
    Exit.BUSY: (taken, ("lash approvals allow ID", "lash sessions resume shop --approve ask")),
    Exit.CANCELLED: (cancelled, ("cancelling; Ctrl+C again ends at once",)),
}


@pytest.mark.parametrize("code", ROWS, ids=lambda code: code.name)
def test_a_row_is_reached_and_says_what_to_do(lash: Lash, code: Exit) -> None:
    lash.write("tools.py", TOOLS)
    run, told = ROWS[code]
    ran = run(lash)
    assert ran.code == code, ran.err
    for words in told:
        assert words in ran.err


def test_the_rows_are_all_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert set(ROWS) == set(Exit)
    for code in Exit:
        assert f"| {int(code)} | " in page
        assert f" {int(code)} " in EXIT_CODES
