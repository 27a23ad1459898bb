"""The command as a process: on a terminal, in pipes, interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Lash, block
from tests.cli.test_sessions_command import running

TOOLS = '''
import asyncio, pathlib, time
import lash

@lash.tool
async def wait() -> str:
    """Wait for a file."""
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "gone"

@lash.tool
def stubborn() -> str:
    """Wait for a file, whoever asks to stop."""
    pathlib.Path("here").write_text("")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return "gone"
'''


NOISY = '''
import subprocess
import lash

@lash.tool
def noise() -> None:
    """Write to standard output in two ways."""
    print("from python")
    subprocess.run(["echo", "from a child"], check=True)
'''


ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Runs a command with the terminal as its own, so that Ctrl+C typed there reaches it."""


def on_terminal(
    argv: list[str],
    *,
    columns: int = 60,
    seen: Callable[[str], None] = lambda text: None,
    types: Callable[[Callable[[str], None]], Callable[[str], None]] | None = None,
    **environment: str,
) -> tuple[int, str]:
    """Run on a terminal; exit code and all that was written. `seen` is told again and again what was written so far.

    `types` is given what types, and gives another `seen`.
    """
    ours, theirs = pty.openpty()

    def write(text: str) -> None:
        os.write(ours, text.encode())

    seen = seen if types is None else types(write)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", ON_ITS_TERMINAL, *argv],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    written, until = b"", time.monotonic() + 60
    try:
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                seen(written.decode(errors="replace"))
        return process.wait(10), written.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def waiting(lash: Lash) -> list[str]:
    """A command line whose turn waits for the file `go`."""
    lash.write("tools.py", TOOLS)
    script = lash.script(f"I wait.\n{block('x = (call wait {})?' + chr(10) + 'submit { x: x }')}")
    return lash.argv("-p", "Go.", "--provider", script, "--tools", "tools.py")


def go_on_progress(text: str) -> None:
    if re.search(r"wait \{\} \d", text):
        Path("go").write_text("")


def test_a_terminal_shows_prose_program_progress_row_and_answer(waiting: list[str]) -> None:
    code, text = on_terminal(waiting, columns=80, seen=go_on_progress)
    assert code == 0
    assert "\x1b[2m" in text
    plain = re.sub(r"\x1b\[\d*m", "", text).replace("\r\n", "\n")
    shown = [line.rpartition("\r\x1b[K")[2] for line in plain.split("\n")]
    assert shown[:3] == ["I wait.", "│ x = (call wait {})?", "│ submit { x: x }"]
    assert re.fullmatch(r"✓ wait \{\} → gone \d+\.\d s", shown[3])
    assert shown[4:7] == ["{", '  "x": "gone"', "}"]
    assert re.fullmatch(r"session \w+-\w+ \([0-9a-f]{8}\) · turn 1 · 120 tokens · \d+\.\d s", shown[7])


def test_no_color_leaves_colours_out_and_the_progress_line_in(waiting: list[str]) -> None:
    _, text = on_terminal(waiting, seen=go_on_progress, NO_COLOR="1")
    assert set(re.findall(r"\x1b\[[^A-Za-z]*[A-Za-z]", text)) == {"\x1b[K"}


def test_a_dumb_terminal_gets_no_escape_code(waiting: list[str]) -> None:
    Path("go").write_text("")
    code, text = on_terminal(waiting, TERM="dumb")
    assert (code, "\x1b" in text) == (0, False)


def test_no_row_is_wider_than_a_narrow_terminal(waiting: list[str]) -> None:
    Path("go").write_text("")
    _, text = on_terminal(waiting, columns=30)
    rows = re.sub(r"\x1b\[\d*[mK]", "", text).replace("\r", "").split("\n")
    assert max(map(len, rows)) <= 30


def test_prose_that_is_on_the_screen_already_is_not_written_again(lash: Lash) -> None:
    argv = lash.argv("-p", "Go.", "--provider", lash.script("It is seven."))
    assert on_terminal(argv)[1].count("It is seven.") == 1
    assert on_terminal([*argv[:-1], lash.script("It is seven."), "-q"])[1] == "It is seven.\r\n"


# --- pipes -------------------------------------------------------------------------------------------


def test_a_reader_that_goes_early_ends_the_command_quietly(lash: Lash) -> None:
    argv = lash.argv("-p", "Go.", "--provider", lash.script(block('submit join(range(100000), ",")')), "-q")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_a_stream_whose_reader_has_gone_stops_the_turn_and_commits(lash: Lash) -> None:
    replies = [f"{'So. ' * 400}\n{block(f'x = {number}')}" for number in range(30)]
    argv = lash.argv("-p", "Go.", "--provider", lash.script(*replies), "--json=stream", "-q")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    _, err = process.communicate()
    assert b"Traceback" not in err
    shown = lash("sessions", "show", "last", "--json").json
    assert shown["turns"][0]["ended"] == "cancelled"


def test_standard_output_and_error_are_separate(lash: Lash) -> None:
    ran = lash.process("-p", "hi", "--provider", lash.script("Hello."))
    assert (ran.code, ran.out) == (0, "Hello.\n")
    assert ran.err.startswith("Hello.\nsession ")


def test_what_tools_and_their_children_write_is_not_the_answer(lash: Lash) -> None:
    lash.write("tools.py", NOISY)
    ran = lash.process("-p", "hi", "--provider", lash.script(block("call noise {}\nsubmit 7")), "--tools", "tools.py")
    assert (ran.code, ran.out) == (0, "7\n")
    assert "from python" in ran.err
    assert "from a child" in ran.err


# --- Ctrl+C ------------------------------------------------------------------------------------------


def test_one_ctrl_c_cancels_and_commits(lash: Lash) -> None:
    here = lash.folder / "here"
    script = lash.script({"text": "Well, ", "hang": True, "touch": str(here)})
    with running(lash, "-p", "Go.", "--provider", script, until=here) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, b""), err.decode()
    assert "cancelling; Ctrl+C again ends at once" in err.decode()
    assert lash("sessions", "show", "last", "--json").json["turns"][0]["ended"] == "cancelled"


def test_a_second_ctrl_c_ends_at_once_whatever_runs(lash: Lash) -> None:
    lash.write("tools.py", TOOLS)
    script = lash.script(block("call stubborn {}"))
    argv = ("-p", "Go.", "--provider", script, "--tools", "tools.py")
    with running(lash, *argv, until=lash.folder / "here") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"cancelling" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert lash("sessions", "show", "last", "--json").json["turns"] == []


# --- start -------------------------------------------------------------------------------------------


def modules_after(lash: Lash, *arguments: str) -> set[str]:
    """The top-level modules that are loaded when the command has run."""
    code = f"""
import json, sys
sys.argv = ["lash", *{list(arguments)!r}]
try:
    from lash.cli import main
    main()
except SystemExit:
    print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_and_version_load_next_to_nothing(lash: Lash) -> None:
    for flag in ("--help", "--version"):
        assert not modules_after(lash, flag) & {
            "textual",
            "pydantic",
            "wasmtime",
            "anthropic",
            "openai",
            "mcp",
            "sqlite3",
        }


def test_a_turn_loads_no_user_interface_and_no_sdk_that_it_does_not_need(lash: Lash) -> None:
    loaded = modules_after(lash, "-p", "hi", "--provider", lash.script("Yes."))
    assert "wasmtime" in loaded
    assert not loaded & {"textual", "prompt_toolkit", "rich", "anthropic", "openai", "mcp", "trafilatura", "pypdf"}
