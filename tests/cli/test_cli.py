"""The command line: what goes to which stream, and the exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import lashlang
from lashlang.cli import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in an empty folder; `stdin` is what standard input gives, keywords are files made before."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, stdin: str | bytes = "", **files: str | bytes) -> Result:
        for name, text in files.items():
            file = tmp_path / name.replace("__", ".")
            file.write_bytes(text.encode() if isinstance(text, str) else text)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return command


# --- run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("submit 1 + 1", "2\n"),
        ('submit "text as it is"', "text as it is\n"),
        ('submit { a: [1, null, "ü"] }', '{"a": [1, null, "ü"]}\n'),
        ("submit", "null\n"),
        ("submit 1 / 0", "null\n"),
        ("x = 1", ""),
    ],
)
def test_the_submitted_value_goes_to_standard_output(run: Run, source: str, shown: str) -> None:
    assert run("run", "p.lash", p__lash=source) == (0, shown, "")


def test_the_program_can_come_from_standard_input(run: Run) -> None:
    assert run("run", "-", stdin="submit 5") == (0, "5\n", "")


def test_prints_go_to_standard_error(run: Run) -> None:
    assert run("run", "-", stdin='print "hi"\nprint [1]\nsubmit 2') == (0, "2\n", "hi\n[1]\n")


def test_an_error_of_the_program_is_shown_with_its_line(run: Run) -> None:
    done = run("run", "p.lash", p__lash='print "before"\nsubmit nope')
    assert done == (
        1,
        "",
        "before\n"
        "error[unknown_name]: name `nope` is not defined\n"
        "--> p.lash: line 2, column 8\n"
        "submit nope\n"
        "       ^~~~\n",
    )


def test_a_syntax_error_is_shown_the_same_way(run: Run) -> None:
    done = run("run", "-", stdin="x = ")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error[syntax_error]: ")
    assert "--> line 1, column 5\n" in done.err


def test_json_output_is_one_object(run: Run) -> None:
    done = run("run", "-", "--json", stdin='print "p"\nsubmit [1 / 0, "x"]')
    assert done.err == ""
    assert json.loads(done.out) == {
        "status": "submitted",
        "value": [None, "x"],
        "prints": ["p"],
        "error": None,
        "fuel": 2,
    }


def test_json_output_carries_the_error(run: Run) -> None:
    done = run("run", "-", "--json", stdin="x = [1]\nx[5] = 2")
    record = json.loads(done.out)
    assert (done.code, record["status"], record["value"]) == (1, "failed", None)
    assert (record["error"]["kind"], record["error"]["line"]) == ("value_error", 2)


def test_fuel_bounds_the_run(run: Run) -> None:
    done = run("run", "-", "--fuel", "50", stdin="while true { x = 1 }")
    assert done.code == 1
    assert "fuel" in done.err
    assert run("run", "-", "--fuel", "2", stdin="x = 1\nsubmit x") == (0, "1\n", "")


@pytest.mark.parametrize("fuel", ["x", "-1", "1.5", ""])
def test_fuel_that_is_no_amount_is_a_usage_error(run: Run, fuel: str) -> None:
    done = run("run", "-", f"--fuel={fuel}", stdin="submit 1")
    assert (done.code, done.out) == (2, "")
    assert "whole number" in done.err


def test_globals_come_from_a_json_file(run: Run) -> None:
    done = run(
        "run", "-", "--globals", "g.json", stdin="submit n + len(xs)", g__json='{"n": 9007199254740993, "xs": [1]}'
    )
    assert done == (0, "9007199254740994\n", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "one JSON object"),
        ('{"a b": 1}', "not a Lashlang name"),
        ('{"history": 1}', "name of the host"),
        (b"\xff", "not UTF-8 text (byte 0)"),
        ("[" * 100_000, "nested too deeply"),
        ('{"s": "\\ud800"}', "lone surrogate"),
    ],
)
def test_globals_that_cannot_be_are_a_usage_error(run: Run, text: str | bytes, told: str) -> None:
    done = run("run", "-", "--globals", "g.json", stdin="submit 1", g__json=text)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("lashlang: g.json: ")
    assert told in done.err


TOOLS = """
import asyncio
from os.path import join

def add(a, b):
    return a + b

async def later(x):
    await asyncio.sleep(0)
    return x

def _private():
    return 1

CONSTANT = 3
"""


def test_public_functions_of_the_tools_file_are_tools(run: Run) -> None:
    source = "submit [(call add { a: 1, b: 2 })?, (call later { x: 4 })?, (call _private {}).ok, (call join {}).ok]"
    assert run("run", "-", "--tools", "tools.py", stdin=source, tools__py=TOOLS) == (0, "[3, 4, false, false]\n", "")


def test_all_decides_what_is_a_tool(run: Run) -> None:
    text = TOOLS + "\n__all__ = ['join', '_private']\n"
    source = "submit [(call _private {})?, (call add { a: 1, b: 2 }).ok]"
    assert run("run", "-", "--tools", "tools.py", stdin=source, tools__py=text) == (0, "[1, false]\n", "")


def test_a_tools_file_may_import_its_neighbours(run: Run) -> None:
    done = run(
        "run",
        "-",
        "--tools",
        "tools.py",
        stdin="submit (call t {})?",
        tools__py="import neighbour_of_tools\ndef t(): return neighbour_of_tools.N",
        neighbour_of_tools__py="N = 8",
    )
    assert done == (0, "8\n", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 +", "SyntaxError at import"),
        ("raise ValueError('broken')", "ValueError at import: broken"),
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("raise SystemExit(0)", "SystemExit at import"),
        ("__all__ = ['gone']", "`gone` in __all__ is not a function"),
        ("def t(x, /): pass", "positional-only parameter `x`"),
    ],
)
def test_a_tools_file_that_does_not_work_is_a_usage_error(run: Run, text: str, told: str) -> None:
    done = run("run", "-", "--tools", "tools.py", stdin="submit 1", tools__py=text)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("lashlang: tools.py: ")
    assert told in done.err


def test_a_missing_tools_file_is_a_usage_error(run: Run) -> None:
    assert run("run", "-", "--tools", "gone.py", stdin="submit 1") == (2, "", "lashlang: gone.py: no such file\n")


def test_context_binds_a_text_that_stays_outside(run: Run) -> None:
    done = run("run", "-", "--context", "doc=d.txt", stdin='submit [len(doc), find(doc, "é")]', d__txt="one é\r\n")
    assert done == (0, "[7, 4]\n", "")


@pytest.mark.parametrize("argument", ["doc", "=d.txt", "doc=", "doc=missing.txt", "doc=.", "a b=d.txt", "for=d.txt"])
def test_context_that_cannot_be_is_a_usage_error(run: Run, argument: str) -> None:
    done = run("run", "-", "--context", argument, stdin="submit 1", d__txt="x")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_context_that_is_no_text_is_an_error_of_the_program(run: Run) -> None:
    done = run("run", "-", "--context", "doc=d.bin", stdin="submit len(doc)", d__bin=b"\xff\xfe")
    assert done.code == 1
    assert "projection_unavailable" in done.err
    assert "d.bin" in done.err


@pytest.mark.parametrize("command", ["run", "check", "disasm"])
def test_a_file_that_cannot_be_read_is_a_usage_error(run: Run, command: str) -> None:
    assert run(command, "gone.lash") == (2, "", "lashlang: gone.lash: No such file or directory\n")
    assert run(command, ".").code == 2
    done = run(command, "p.lash", p__lash=b"submit \xff")
    assert done == (2, "", "lashlang: p.lash: not UTF-8 text (byte 7)\n")


def test_no_command_is_a_usage_error(run: Run) -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: lashlang")


def test_version_is_told(run: Run) -> None:
    done = run("--version")
    assert done.code == 0
    assert done.out.startswith("lashlang ")


# --- check and disasm ----------------------------------------------------------------------------------


def test_check_is_silent_about_good_programs(run: Run) -> None:
    assert run("check", "a.lash", "b.lash", a__lash="x = 1", b__lash="submit y") == (0, "", "")


def test_check_reports_every_bad_file(run: Run) -> None:
    done = run("check", "a.lash", "b.lash", "c.lash", a__lash="x =", b__lash="x = 1", c__lash="y = nope(1)")
    assert (done.code, done.out) == (1, "")
    assert "--> a.lash: line 1" in done.err
    assert "--> c.lash: line 1, column 5" in done.err


def test_disasm_shows_code(run: Run) -> None:
    done = run("disasm", "-", stdin="submit 1")
    assert (done.code, done.err) == (0, "")
    assert "SUBMIT" in done.out


def test_disasm_of_a_bad_program_is_its_error(run: Run) -> None:
    done = run("disasm", "-", stdin="submit (")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error[syntax_error]")


# --- the process -----------------------------------------------------------------------------------------


def process(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    root = str(Path(lashlang.__path__[0]).parent)
    return subprocess.Popen(
        [sys.executable, "-m", "lashlang", *arguments],
        env={**os.environ, "PYTHONPATH": root, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_module_is_the_command() -> None:
    out, err = (running := process("run", "-")).communicate("submit 3")
    assert (running.returncode, out, err) == (0, "3\n", "")


def test_the_exit_code_of_the_process_tells_a_program_error() -> None:
    _, err = (running := process("run", "-")).communicate("submit x")
    assert running.returncode == 1
    assert err.startswith("error[unknown_name]")


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    out, err = (running := process("run", "-", PYTHONIOENCODING="ascii")).communicate('print "a"\nsubmit "\\u00e9"')
    assert (running.returncode, out, err) == (0, "\\xe9\n", "a\n")


def test_the_keyboard_interrupt_ends_a_run() -> None:
    running = process("run", "-")
    assert running.stdin is not None
    assert running.stderr is not None
    running.stdin.write('print "started"\ni = 0\nwhile true { i = floor_div(i, 1) }')
    running.stdin.close()
    assert running.stderr.readline() == "started\n"
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert running.stderr.read() == "lashlang: interrupted\n"
    for stream in (running.stdout, running.stderr):
        assert stream is not None
        stream.close()


def on_terminal(source: str, **environment: str) -> str:
    """What a terminal gets to see of a program run from standard input."""
    import pty

    root = str(Path(lashlang.__path__[0]).parent)
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "lashlang", "run", "-"],
        env={**os.environ, "PYTHONPATH": root, "TERM": "xterm", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    running.communicate(source.encode())
    shown = b""
    while True:
        try:
            more = os.read(leader, 4096)
        except OSError:  # how Linux tells that the other side has gone
            break
        if not more:
            break
        shown += more
    os.close(leader)
    return shown.decode()


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31merror[unknown_name]" in on_terminal("submit x")


def test_no_color_is_respected() -> None:
    shown = on_terminal("submit x", NO_COLOR="1")
    assert shown.startswith("error[unknown_name]")
    assert "\x1b" not in shown


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("wasmtime", "msgpack", "lark", "asyncio", "prompt_toolkit")
    code = f"import sys, lashlang; print([m for m in {heavy} if m in sys.modules])"
    root = str(Path(lashlang.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_public_name_exists() -> None:
    for name in lashlang.__all__:
        assert getattr(lashlang, name) is not None or name == "Value"
    assert set(lashlang.__all__) <= set(dir(lashlang))
    with pytest.raises(AttributeError, match="nope"):
        getattr(lashlang, "nope")  # noqa: B009 - the point is that the name is not there
