"""The REPL at a pipe: what goes where, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import lashlang

ROOT = str(Path(lashlang.__path__[0]).parent)


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]

TOOLS = '''
async def later(x):
    """Give x back."""
    return x

def ask(q):
    return "answer to " + q
'''


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command in a folder of its own with a stream as its input."""
    (tmp_path / "tools.py").write_text(TOOLS)

    def run(stream: str | bytes, *arguments: str, **environment: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "lashlang", "repl", *arguments],
            input=stream.encode() if isinstance(stream, str) else stream,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ROOT, **environment},
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_values_go_to_standard_output_and_the_rest_to_standard_error(run: Run) -> None:
    stream = 'x = [1, "a"]\nx\nprint "seen"\n:fuel\nsubmit x[1]'
    assert run(stream) == (
        0,
        '[1, "a"]\n"a"\n',
        "seen\nfuel: last block 1, session 3, limit for a block 100,000,000\n",
    )


def test_after_an_error_it_goes_on_and_the_exit_code_tells(run: Run) -> None:
    done = run("x = 1\n\ny = nope\nx + 1\n:vasr\n")
    assert (done.code, done.out) == (1, "2\n")
    assert "error[unknown_name]: name `nope` is not defined\n--> line 3, column 5\ny = nope\n" in done.err
    assert done.err.endswith("did you mean `:vars`?\n")


def test_blocks_go_over_lines(run: Run) -> None:
    stream = "n = 0\nfor i in range(3) {\n\n  n += i\n}\nif n > 5 { 1 }\n# no\nelse { n = 10 }\nn\n  + 1\n"
    assert run(stream) == (0, "11\n", "")


def test_an_unfinished_text_at_the_end_is_an_error(run: Run) -> None:
    done = run("x = [1,\n2")
    assert done.code == 1
    assert done.err.startswith("error[syntax_error]: ")


def test_quit_ends_the_stream(run: Run) -> None:
    assert run("1\n:quit\n2\n") == (0, "1\n", "")


def test_an_empty_stream_is_well(run: Run) -> None:
    assert run("") == (0, "", "")
    assert run("\n# nothing\n") == (0, "", "")


def test_the_surroundings_are_those_of_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text('{"n": 5}')
    (tmp_path / "d.txt").write_text("some text")
    stream = '(call ask { q: "b" })?\nh = start call later { x: n }\nawait h?\nlen(doc)\nwhile true {}\n'
    done = run(stream, "--tools", "tools.py", "--globals", "g.json", "--context", "doc=d.txt", "--fuel", "100")
    assert (done.code, done.out) == (1, '"answer to b"\n5\n9\n')
    assert "`fuel` of 100" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--tools", "gone.py"), "gone.py: no such file"),
        (("--globals", "gone.json"), "gone.json: No such file"),
        (("--context", "doc"), "--context takes NAME=FILE"),
        (("--snapshot", "tools.py"), "tools.py: this is no snapshot"),
    ],
)
def test_what_cannot_be_begun_with_is_a_usage_error(run: Run, arguments: tuple[str, ...], told: str) -> None:
    done = run("1", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"lashlang: {told}")


def test_a_snapshot_is_begun_with_and_written_on_leaving(run: Run, tmp_path: Path) -> None:
    first = run("x = 1\ny = nope", "--snapshot", "s")
    assert first.code == 1
    assert first.err.startswith("s does not exist yet; it is written on leaving\n")
    size = (tmp_path / "s").stat().st_size
    assert first.err.endswith(f"saved to s, {size} bytes\n")
    second = run("x += 1\nx", "--snapshot", "s")
    assert (second.code, second.out) == (0, "2\n")
    assert second.err == f"loaded s: 1 variable\nsaved to s, {size} bytes\n"


def test_a_file_that_is_no_snapshot_is_left_alone(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "tools.py").read_bytes()
    assert run("x = 1", "--snapshot", "tools.py").code == 2
    assert (tmp_path / "tools.py").read_bytes() == before


def test_a_snapshot_that_cannot_be_written_is_told(run: Run) -> None:
    done = run("x = 1", "--snapshot", "gone/s")
    assert done.code == 2
    assert done.err.endswith("lashlang: gone/s: No such file or directory\n")


def test_a_suspended_block_is_run_on_in_another_process(run: Run, tmp_path: Path) -> None:
    machine = lashlang.Machine()
    machine.start('x = len(doc)\nsubmit [x, (call ask { q: "?" })?]', projected={"doc": lashlang.TextSource("abc")})
    (tmp_path / "s").write_bytes(machine.snapshot())
    done = run(":resume\nx", "--snapshot", "s", "--tools", "tools.py")
    assert (done.code, done.out) == (0, '[3, "answer to ?"]\n3\n')
    (tmp_path / "s").write_bytes(machine.snapshot())
    (tmp_path / "g.json").write_text('{"n": 5}')
    done = run(":resume", "--snapshot", "s", "--globals", "g.json")
    assert done.code == 2
    assert "suspended in s" in done.err
    assert (tmp_path / "s").read_bytes() == machine.snapshot()


def test_a_context_is_found_again_in_a_snapshot(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("some text")
    assert run("xs = [doc]", "--snapshot", "s", "--context", "doc=d.txt").code == 0
    assert run("len(xs[0])", "--snapshot", "s", "--context", "doc=d.txt").out == "9\n"


def test_bytes_that_are_no_utf_8_are_an_error_where_they_stand(run: Run) -> None:
    done = run(b"1\nx = '\xff'\n2\n")
    assert (done.code, done.out) == (1, "1\n2\n")
    assert "--> line 2, column 6" in done.err


def test_the_keyboard_interrupt_ends_a_stream(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "lashlang", "repl", "--fuel", str(10**15), "--snapshot", "s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        text=True,
    )
    assert running.stdin is not None
    assert running.stderr is not None
    assert running.stdout is not None
    running.stdin.write('print "started"  while true { }\nx = 1\nx\n')
    running.stdin.close()
    while running.stderr.readline() != "started\n":
        pass
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert running.stdout.read() == ""
    assert running.stderr.read().endswith("lashlang: interrupted\n")
    running.stdout.close()
    running.stderr.close()
    assert not (tmp_path / "s").exists()


def test_nothing_but_text_goes_into_a_pipe(run: Run) -> None:
    done = run("nope\n:help\n:vars\n1", TERM="xterm-256color", FORCE_COLOR="1")
    assert "\x1b" not in done.out + done.err


def test_a_pipe_does_not_load_the_editor() -> None:
    code = "import sys; from lashlang.cli import main; main(['repl']); print('prompt_toolkit' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="1",
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\nFalse\n", "")


def test_a_long_stream_is_read_in_linear_time(run: Run) -> None:
    body = "\n".join(f"  x{n} = {n}" for n in range(3000))
    done = run(f"for i in [1] {{\n{body}\n}}\nx2999\n")
    assert (done.code, done.out) == (0, "2999\n")
