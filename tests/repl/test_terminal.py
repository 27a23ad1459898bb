"""The REPL on a terminal, as a process sees it: keys go in, a screen comes out."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lashlang

ROOT = str(Path(lashlang.__path__[0]).parent)
PATIENCE = 60.0

_ENTRY = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal whose Ctrl-C is this process's
from lashlang.cli import main
sys.exit(main())
"""

_READY = b"\x1b[?2004h"
"""What the editor writes when it begins to take keys (it asks for pasted text to be marked)."""

_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])")


class Terminal:
    """A process on a pseudo-terminal. What it writes is read until what is waited for has come, or for a minute."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        import pty

        self.leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        surroundings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ENTRY, "repl", *arguments],
            cwd=folder,
            env={
                **surroundings,
                "PYTHONPATH": ROOT,
                "TERM": "xterm",
                "LASHLANG_HISTORY": str(folder / "history"),
                "PROMPT_TOOLKIT_NO_CPR": "1",
                **environment,
            },
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self.raw = b""
        self._seen = 0
        self._prompts = 0

    def press(self, keys: str) -> None:
        """Send keys; Enter is a carriage return."""
        os.write(self.leader, keys.encode())

    def enter(self, keys: str) -> None:
        """Wait for the next prompt, then send keys."""
        self._prompts += 1
        self._until(lambda: self.raw.count(_READY) >= self._prompts, "a prompt")
        self.press(keys)

    def wait_for(self, text: str) -> str:
        """Read on until the text has come, and give all that came since the last time, without escape codes."""
        self._until(lambda: text in self._plain(), repr(text))
        plain = self._plain()
        self._seen = len(self.raw)
        return plain

    def _until(self, fulfilled: Callable[[], bool], wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not fulfilled():
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"waited for {wanted}, got {self._plain()!r}")

    def _plain(self) -> str:
        return _ESCAPES.sub(b"", self.raw[self._seen :]).decode(errors="replace").replace("\r", "")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read(PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)

    def _read(self, seconds: float) -> bool:
        """Read what has come; whether there is anything left to wait for."""
        ready, _, _ = select.select([self.leader], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            more = os.read(self.leader, 65536)
        except OSError:  # how Linux tells that the other side has gone
            return False
        self.raw += more
        return bool(more)


Open = Callable[..., Terminal]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    terminals: list[Terminal] = []

    def open_terminal(*arguments: str, **environment: str) -> Terminal:
        terminals.append(Terminal(tmp_path, *arguments, **environment))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.close()


def test_values_are_shown_and_ctrl_d_leaves(opened: Open) -> None:
    terminal = opened()
    terminal.enter("6 * 7\r")
    assert "`:help` tells more, Ctrl-D leaves\n" in terminal.wait_for("\n42\n")
    terminal.enter("\x04")
    assert terminal.end() == 0


def test_enter_goes_on_in_an_unfinished_text(opened: Open) -> None:
    terminal = opened()
    terminal.enter("for x in [2, 3] {\rprint x * 100\r}\r")
    terminal.wait_for("\n200\n300\n")
    terminal.enter("y = [1,\r\r")
    terminal.wait_for("error[syntax_error]: expected an expression, found end of input\n--> line 1, column 8\n")


def test_an_else_on_its_own_is_told_where_it_belongs(opened: Open) -> None:
    terminal = opened()
    terminal.enter("if null { 1 }\r")
    terminal.enter("else { print 2 }\r")
    terminal.wait_for("note: a whole `if` runs at once; `else` stands on the line of its `}`\n")


def test_ctrl_c_stops_a_loop_and_the_session_goes_on(opened: Open) -> None:
    terminal = opened("--fuel", str(10**15))
    terminal.enter('x = 0  print "it " + "runs"  while true { x += 1 }\r')
    terminal.wait_for("\nit runs\n")
    terminal.press("\x03")
    terminal.wait_for("\ninterrupted; what was assigned before stays\n")
    terminal.enter('x > 0 ? "al" + "ive" : 0\r')
    terminal.wait_for('\n"alive"\n')


def test_ctrl_c_throws_a_text_away(opened: Open) -> None:
    terminal = opened()
    terminal.enter("print 'not this\r\x03")
    terminal.enter("1 + 1\r")
    terminal.wait_for("\n2\n")


def test_a_signal_at_the_prompt_does_not_end_the_session(opened: Open) -> None:
    terminal = opened()
    terminal.enter("")
    terminal.process.send_signal(signal.SIGINT)
    terminal.enter("1 + 1\r")
    terminal.wait_for("\n2\n")


def test_tab_completes(opened: Open) -> None:
    terminal = opened()
    terminal.enter("group\t")
    terminal.wait_for("group_by(")
    terminal.press('[{ k: 1 }], "k")\r')
    terminal.wait_for('\n{"1": [{"k": 1}]}\n')


def test_the_closing_brace_goes_back_to_the_margin(opened: Open) -> None:
    terminal = opened()
    terminal.enter('x = """\r\r  }"""\rx\r')
    terminal.enter("if true {\rif true {\rs = 1\r}\r}\r")
    terminal.enter(":undo\r")
    terminal.wait_for("undone: if true { …\n")


def test_what_was_entered_comes_back_in_the_next_session(opened: Open, tmp_path: Path) -> None:
    terminal = opened()
    terminal.enter("[1,\r2]\r")
    terminal.wait_for("\n[1, 2]\n")
    terminal.enter(":quit\r")
    assert terminal.end() == 0
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600
    again = opened()
    again.enter("\x10\x10\r")
    again.wait_for("\n[1, 2]\n")


def test_the_state_is_written_on_leaving_and_begun_with(opened: Open) -> None:
    terminal = opened("--snapshot", "state")
    terminal.enter("x = 5\r")
    terminal.enter("\x04")
    shown = terminal.wait_for("saved to state")
    assert "state does not exist yet" in shown
    assert terminal.end() == 0
    again = opened("--snapshot", "state")
    again.enter("x + 1\r")
    assert "loaded state: 1 variable\n" in again.wait_for("\n6\n")


def test_a_fork_is_in_the_prompt(opened: Open) -> None:
    terminal = opened()
    terminal.enter(":fork try\r")
    terminal.enter(":back\r")
    assert "try>" in terminal.wait_for("is gone\n")


def test_programs_cannot_move_the_cursor(opened: Open) -> None:
    terminal = opened()
    terminal.enter('print "\\u001b[31;7mred"\r')
    terminal.wait_for("\n\\u001b[31;7mred\n")
    terminal.enter('({ ok: false, error: "\\u001b[31;7mred" })?\r')
    terminal.wait_for("error[unwrap_failed]")
    assert b"\x1b[31;7m" not in terminal.raw


def test_errors_have_colour_unless_nobody_wants_it(opened: Open) -> None:
    terminal = opened()
    terminal.enter("nope\r")
    terminal.wait_for("error[unknown_name]")
    assert b"\x1b[1;31merror[unknown_name]" in terminal.raw
    plain = opened(NO_COLOR="1")
    plain.enter("for x in [nope] { }\r")
    plain.wait_for("error[unknown_name]")
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-7]m", plain.raw)


def test_a_dull_terminal_gets_prompts_and_no_escape_codes(opened: Open) -> None:
    terminal = opened("--fuel", str(10**15), TERM="dumb")
    terminal.wait_for("> ")
    terminal.press("x = [1,\n")
    terminal.wait_for("\n. ")
    terminal.press("2]\nx\n")
    terminal.wait_for("[1, 2]\n")
    terminal.press("y = [\n\n")
    terminal.wait_for("error[syntax_error]")
    terminal.press('print "go" + "es"  while true { }\n')
    terminal.wait_for("goes\n")
    terminal.press("\x03")
    terminal.wait_for("interrupted; what was assigned before stays\n> ")
    terminal.press("z = (\n")
    terminal.wait_for("\n. ")
    terminal.press("\x03")
    terminal.wait_for("\n> ")
    terminal.press("x[1]\n")
    terminal.wait_for("\n2\n> ")
    terminal.press("\x04")
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw
