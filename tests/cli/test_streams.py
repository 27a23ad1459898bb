"""Standard streams that are closed or not read, and signals that end a run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lash.cli import main
from tests.cli.conftest import Lash, Ran
from tests.cli.test_sessions_command import running


def in_shell(lash: Lash, redirections: str, *arguments: str) -> Ran:
    """Run with the redirections of a shell."""
    line = f"{shlex.join(lash.argv(*arguments))} {redirections}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_turn_does_not_need_its_standard_streams(lash: Lash, closed: str) -> None:
    ran = in_shell(lash, closed, "-p", "Hello?", "--provider", lash.script("Hi."))
    assert ran.code == 0
    assert "Traceback" not in ran.err
    assert ran.out == ("" if ">&-" in closed.split() else "Hi.\n")
    assert lash("sessions", "list", "--json").json[0]["turns"] == 1


def test_a_table_is_listed_to_a_closed_output(lash: Lash) -> None:
    ran = in_shell(lash, ">&-", "models", "sonnet")
    assert (ran.code, ran.err) == (0, "")


def test_a_prompt_from_a_closed_input_is_empty(lash: Lash) -> None:
    ran = in_shell(lash, "<&-", "-p", "-", "--provider", lash.script("Hi."))
    assert ran.code == 2
    assert "the prompt is empty" in ran.err


@pytest.mark.parametrize("arguments", [("models", "--json"), ("--help",)])
def test_a_reader_that_goes_before_the_end_is_no_failure(lash: Lash, arguments: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(lash.argv(*arguments), stdout=theirs, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("number", "why"), [(signal.SIGTERM, "terminated"), (signal.SIGHUP, "the terminal was closed")]
)
def test_a_turn_that_cannot_be_resumed_is_committed_before_a_signal_ends_it(
    lash: Lash, number: signal.Signals, why: str
) -> None:
    here = lash.folder / "here"
    script = lash.script({"hang": True, "touch": str(here)})
    with running(lash, "-p", "Go.", "--provider", script, until=here) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"lash: cancelled ({why})" in err.decode()
    assert lash("sessions", "list", "--json").json[0]["turns"] == 1


def test_a_signal_leaves_a_durable_turn_to_be_resumed(lash: Lash) -> None:
    here = lash.folder / "here"
    script = lash.script({"hang": True, "touch": str(here)})
    with running(lash, "-p", "Go.", "--provider", script, "--durable", until=here) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert lash("sessions", "list", "--json").json[0]["turns"] == 0


def test_an_ignored_hangup_stays_ignored(lash: Lash) -> None:
    here, go = lash.folder / "here", lash.folder / "go"
    lash.write("model.py", WAITING)
    argv = lash.argv("-p", "Go.", "--provider", f"command:{sys.executable} -S model.py {here} {go}")
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {shlex.join(argv)}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        while not here.exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGHUP)
        go.write_text("")
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (0, b"Went on.\n")


WAITING = """
import json, pathlib, sys, time

for line in sys.stdin:
    pathlib.Path(sys.argv[1]).write_text("")
    while not pathlib.Path(sys.argv[2]).exists():
        time.sleep(0.01)
    print(json.dumps({"id": json.loads(line)["id"], "text": "Went on."}), flush=True)
"""


def test_ctrl_c_while_the_command_is_loaded_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ModuleType):
        @property
        def run(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "lash.cli.command", Interrupted("lash.cli.command"))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130


def test_a_home_that_is_nowhere_is_told(lash: Lash) -> None:
    ran = lash.process("config", "path", LASH_HOME="~nobody-of-this-name/x")
    assert ran.code == 2
    assert ran.err == "lash: it is not known where ~nobody-of-this-name/x is; set LASH_HOME to a folder\n"


def test_a_relative_home_stays_where_it_is_when_a_turn_is_driven_on_elsewhere(lash: Lash) -> None:
    (lash.folder / "there").mkdir()
    here = lash.folder / "here"
    script = lash.script({"hang": True, "touch": str(here)})
    with running(lash, "-C", "there", "-p", "Go.", "--provider", script, "--durable", "--name", "it", until=here):
        pass
    relative = os.path.relpath(lash.home)
    ran = lash.process("sessions", "resume", "it", LASH_HOME=relative)
    assert (ran.code, "is held by" in ran.err) == (7, True)


def test_what_is_kept_is_for_the_owner_alone_in_a_home_that_is_open(lash: Lash) -> None:
    lash.home.mkdir(mode=0o755)
    assert lash.ask("Hi.", also=("--durable",)).code == 0
    open_to_others = [path.name for path in Path(lash.home).iterdir() if path.stat().st_mode & 0o077]
    # These two are empty between runs, and made like the file beside which they stand.
    assert not {*open_to_others} - {"journal.db-wal", "journal.db-shm"}
