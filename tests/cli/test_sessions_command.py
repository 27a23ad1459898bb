"""`lash sessions`: list, show, resume, fork."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lash.cli.naming import FIRST, SECOND, new_name
from lash.cli.screen import Screen, cells
from lash.cli.sessions import age
from lash.persistence import SqliteSessionStoreFactory
from tests.cli.conftest import Lash, block


def wait_for(path: Path) -> None:
    """Wait until a file is there; it is made by a process that the test has started."""
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} was never made"
        time.sleep(0.01)


# --- list --------------------------------------------------------------------------------------------


def test_without_sessions_the_list_is_empty(lash: Lash) -> None:
    assert lash("sessions", "list") == (0, "", "no sessions yet\n")
    assert lash("sessions", "list", "--json").json == []
    assert not lash.home.exists()


def test_the_list_shows_the_session_used_last_first(lash: Lash) -> None:
    lash.ask("One.", prompt="The first question?", also=("--name", "first"))
    lash.ask("Two.", prompt="The second question?", also=("--name", "second"))
    lash.ask("Three.", prompt="Again?", also=("--session", "first"))
    head, one, two = lash("sessions", "list").out.splitlines()
    assert head.split() == ["ID", "NAME", "AGE", "TURNS", "MODEL", "MODE", "STATE", "FIRST", "MESSAGE"]
    assert re.fullmatch(r"[0-9a-f]{8}  first +now +2 +command +rlm +idle +The first question\?", one)
    assert re.fullmatch(r"[0-9a-f]{8}  second +now +1 +command +rlm +idle +The second question\?", two)


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (100, "ID        NAME  AGE  TURNS  MODEL    MODE  STATE  FIRST MESSAGE"),
        (60, "ID        NAME  AGE  TURNS  MODEL    STATE  FIRST MESSAGE"),
        (40, "ID        NAME  AGE  STATE  FIRST MESSA…"),
        (20, "ID        NAME  FIR…"),
    ],
)
def test_a_narrow_list_leaves_columns_out(lash: Lash, monkeypatch: pytest.MonkeyPatch, width: int, head: str) -> None:
    lash.ask("One.", prompt="東京の価格は? " * 20, also=("--name", "it"))
    monkeypatch.setattr(Screen, "width", width)
    lines = lash("sessions", "list").out.splitlines()
    assert lines[0] == head
    assert all(cells(line) <= width for line in lines)


def test_the_list_as_json_has_everything(lash: Lash) -> None:
    lash.ask("One.", prompt="Why?")
    (row,) = lash("sessions", "list", "--json").json
    assert (row["turns"], row["model"], row["mode"], row["state"]) == (1, "command", "rlm", "idle")
    assert (row["cwd"], row["first_message"], row["forked_from"]) == (os.getcwd(), "Why?", None)


def test_a_session_that_never_ran_is_not_kept(lash: Lash) -> None:
    ran = lash.ask("x", also=("--var", "n=1", "--tools", str(lash.write("t.py", "x = 1"))))
    assert ran.code == 2
    assert lash("sessions", "list", "--json").json == []


@pytest.mark.parametrize(("seconds", "shown"), [(3, "now"), (61, "1 min"), (7300, "2 h"), (3 * 86400, "3 d")])
def test_ages_are_told_in_the_largest_unit(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


def test_a_generated_name_is_none_of_those_taken() -> None:
    words = iter([FIRST[0], SECOND[0], FIRST[0], SECOND[1]])
    assert new_name([f"{FIRST[0]}-{SECOND[0]}"], lambda _: next(words)) == f"{FIRST[0]}-{SECOND[1]}"


# --- naming a session ------------------------------------------------------------------------------


def test_a_session_is_found_by_id_prefix_name_and_last(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "first"))
    session = lash("sessions", "list", "--json").json[0]["id"]
    for text in (session, session[:4], "first", "last"):
        assert lash("sessions", "show", text, "--json").json["id"] == session


def test_last_is_the_newest_of_this_directory(lash: Lash) -> None:
    (lash.folder / "other").mkdir()
    lash.ask("One.", also=("--name", "here"))
    lash.ask("Two.", also=("--name", "there", "-C", "other"))
    os.chdir(lash.folder)
    assert lash("sessions", "show", "last", "--json").json["name"] == "here"


def test_an_unknown_session_is_told_with_the_nearest(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "amber-fox"))
    ran = lash("sessions", "show", "amber-fix")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no session 'amber-fix'; the nearest are amber-fox" in ran.err


def test_last_in_a_directory_without_sessions_is_told(lash: Lash) -> None:
    assert lash("sessions", "show", "last").err == "lash: no session was begun in this directory, nor anywhere else\n"


@pytest.mark.parametrize("name", ["last", " ", "two\nlines"])
def test_a_name_that_is_none_is_refused(lash: Lash, name: str) -> None:
    assert lash.ask("x", also=("--name", name)).code == 2


def test_a_name_that_is_taken_is_refused(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "mine"))
    ran = lash.ask("Two.", also=("--name", "mine"))
    assert ran.code == 2
    assert "--session" in ran.err


# --- show --------------------------------------------------------------------------------------------


def test_a_session_is_shown_turn_by_turn(lash: Lash) -> None:
    lash.ask(f"I count.\n{block('n = 41')}", block("submit { n: n + 1 }"), prompt="How many?", also=("--name", "it"))
    lash.ask("As I said.", prompt="Sure?", also=("--session", "it"))
    ran = lash("sessions", "show", "it")
    assert ran.code == 0
    assert ran.out.splitlines()[4:] == [
        "turn 1  submitted",
        "> How many?",
        "  2 programs, 0 calls",
        '= {"n": 42}',
        "",
        "turn 2  answered",
        "> Sure?",
        "= As I said.",
    ]
    assert ran.out.splitlines()[2] == "300 tokens in, 60 out"


def test_one_turn_is_shown_whole(lash: Lash) -> None:
    lash.ask(f"I count.\n{block('n = 41')}", block("print n\nsubmit n.x"), block("submit n"), also=("--name", "it"))
    lines = lash("sessions", "show", "it", "--turn", "1").out.splitlines()
    assert lines[:6] == ["turn 1  submitted", "> Go.", "  I count.", "│ n = 41", "│ print n", "│ submit n.x"]
    assert "· 41" in lines
    assert any(line.startswith("✗ error[type_error]") for line in lines)
    assert lines[-1] == "= 41"


def test_a_turn_that_is_not_there_is_told(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it"))
    ran = lash("sessions", "show", "it", "--turn", "2")
    assert (ran.code, ran.err) == (2, "lash: session it has 1 turn, so none is 2\n")


def test_control_characters_of_a_session_do_not_reach_the_screen(lash: Lash) -> None:
    lash.ask("\x1b[2Jgone", prompt="clear\x1b[2J it", also=("--name", "it"))
    ran = lash("sessions", "show", "it")
    assert "\x1b" not in ran.out
    assert "= gone" in ran.out


def test_a_turn_that_was_handed_on_is_shown_as_one_and_the_session_goes_on_behind_it(lash: Lash) -> None:
    on = block('n = 1\ncall continue_as { task: "Count on.", seed: { n: n } }')
    ran = lash.ask(on, block("submit n + 1"), prompt="Count.", also=("--name", "it"))
    assert (ran.code, ran.out) == (0, "2\n")
    assert "goes on in a new session" in ran.err
    assert lash.ask(block("submit n + 2"), prompt="More.", also=("--session", "it")).out == "3\n"
    shown = lash("sessions", "show", "it").out.splitlines()
    assert shown[2] == "300 tokens in, 60 out"
    assert shown[4:] == [
        *("turn 1  submitted", "> Count.", "  2 programs, 1 call", "= 2", ""),
        *("turn 2  submitted", "> More.", "  1 program, 0 calls", "= 3"),
    ]
    (row,) = lash("sessions", "list", "--json").json
    assert row["turns"] == 2


# --- resume ------------------------------------------------------------------------------------------


def test_variables_are_there_in_the_next_turn(lash: Lash) -> None:
    lash.ask(block("n = 41\nsubmit n"), also=("--name", "it"))
    ran = lash("sessions", "resume", "it", "One more?", "--provider", lash.script(block("submit n + 1")))
    assert (ran.code, ran.out) == (0, "42\n")


def test_a_model_that_is_a_program_has_to_be_named_again(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it"))
    ran = lash("sessions", "resume", "it", "Again?")
    assert (ran.code, ran.out) == (3, "")
    assert "--provider command:ARGV" in ran.err


def test_without_a_prompt_there_must_be_something_to_resume(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it"))
    ran = lash("sessions", "resume", "it", "--provider", lash.script("x"))
    assert ran.code == 2
    assert "no suspended or interrupted turn" in ran.err


TOOLS = '''
import pathlib
import lash

@lash.tool
async def note(text: str) -> int:
    """Write a line."""
    with open("notes.txt", "a") as file:
        file.write(text + "\\n")
    return len(pathlib.Path("notes.txt").read_text().split())
'''


@contextmanager
def running(lash: Lash, *arguments: str, until: Path) -> Generator[subprocess.Popen[bytes]]:
    """A `lash` of its own that has come to a point where it makes a file; killed at the end if it still runs."""
    process = subprocess.Popen(lash.argv(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(until)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_durable_turn_is_driven_on_without_repeating_anything(lash: Lash) -> None:
    lash.write("tools.py", TOOLS)
    here = lash.folder / "here"
    script = lash.script(block('a = (call note { text: "once" })?\nprint a'), {"hang": True, "touch": str(here)})
    also = ("--tools", "tools.py", "--durable", "--name", "it")
    with running(lash, "-p", "Note it.", "--provider", script, *also, until=here):
        pass
    (row,) = lash("sessions", "list", "--json").json
    assert row["state"] == "busy"
    free_lease(lash, row["id"])
    assert lash("sessions", "list", "--json").json[0]["state"] == "interrupted"
    refused = lash.ask("x", also=("--session", "it"))
    assert refused.code == 7
    assert "lash sessions resume" in refused.err
    ran = lash(
        *("sessions", "resume", "it", "And then?", "--tools", "tools.py"),
        *("--provider", lash.script(block("submit a"), block("submit a + 1"))),
    )
    assert (ran.code, ran.out) == (0, "1\n2\n")
    assert (lash.folder / "notes.txt").read_text() == "once\n"
    assert lash("sessions", "list", "--json").json[0]["state"] == "idle"


def test_a_killed_durable_turn_holds_its_session_however_often_it_is_looked_at(lash: Lash) -> None:
    here = lash.folder / "here"
    script = lash.script({"hang": True, "touch": str(here)})
    with running(lash, "-p", "Go.", "--provider", script, "--durable", until=here):
        pass
    states = [lash("sessions", "list", "--json").json[0]["state"] for _ in range(3)]
    assert states == ["busy"] * 3


def test_a_killed_durable_turn_needs_none_of_its_options_again(lash: Lash) -> None:
    lash.write("work/tools.py", TOOLS)
    here = lash.folder / "here"
    replies = (block('a = (call note { text: "once" })?\nsubmit [a, n]'), {"hang": True, "touch": str(here)})
    flags = ("-C", "work", "--tools", "tools.py", "--var", "n=7", "--durable", "--name", "it")
    with running(lash, "-p", "Note it.", "--provider", lash.script(replies[1]), *flags, until=here):
        pass
    (row,) = lash("sessions", "list", "--json").json
    free_lease(lash, row["id"])
    ran = lash("sessions", "resume", "it", "--provider", lash.script(replies[0]))
    assert (ran.code, ran.json) == (0, [1, 7]), ran.err
    assert (lash.folder / "work" / "notes.txt").read_text() == "once\n"


def free_lease(lash: Lash, session: str) -> None:
    """Let the leases of a killed process end, on the session and on its effects, which would take half a minute."""
    (file,) = (lash.home / "sessions").glob(f"{session}-*.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE session_leases SET expires_ms = 1")
    with closing(sqlite3.connect(lash.home / "journal.db")) as connection, connection:
        connection.execute("UPDATE effect_replay SET lease_expires_ms = 1 WHERE lease_expires_ms IS NOT NULL")


def test_a_session_that_is_busy_is_exit_7_and_can_be_waited_for(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it"))
    here = lash.folder / "here"
    script = lash.script({"hang": True, "touch": str(here)})
    with running(lash, "-p", "Wait.", "--provider", script, "--session", "it", until=here) as process:
        assert lash("sessions", "list", "--json").json[0]["state"] == "busy"
        ran = lash.ask("x", also=("--session", "it", "--json"))
        assert ran.code == 7
        assert ran.json["status"] == "failed"
        assert "--wait" in ran.err
        ran = lash.ask("x", also=("--session", "it", "--wait", "60", "--timeout", "0.05"))
        assert (ran.code, ran.err) == (5, "lash: cancelled before the turn began (timeout after 0.05 s)\n")
        process.send_signal(signal.SIGINT)
        waited = lash.ask("Free.", also=("--session", "it", "--wait", "60"))
        assert (waited.code, waited.out) == (0, "Free.\n"), waited.err
        out, err = process.communicate()
        assert (process.returncode, out) == (130, b"")
        assert err.decode().endswith("lash: cancelled (interrupted)\n")
    assert "turn 2  cancelled\n> Wait.\n" in lash("sessions", "show", "it").out


# --- fork --------------------------------------------------------------------------------------------


def test_a_fork_has_the_variables_of_its_turn_and_goes_on_by_itself(lash: Lash) -> None:
    lash.ask(block("n = 1\nsubmit n"), also=("--name", "it"))
    lash.ask(block("n = 2\nsubmit n"), also=("--session", "it"))
    ran = lash("sessions", "fork", "it", "--turn", "1", "--name", "twin")
    assert ran.code == 0
    assert re.fullmatch(r"\S+\n", ran.out)
    assert ran.err == f"session twin; go on in it with: lash sessions resume {ran.out[:8]} PROMPT\n"
    assert lash.ask(block("submit n * 10"), also=("--session", "twin")).out == "10\n"
    assert lash.ask(block("submit n * 10"), also=("--session", "it")).out == "20\n"
    shown = lash("sessions", "show", "twin", "--json").json
    assert [turn["turn"] for turn in shown["turns"]] == [1, 2]
    assert shown["forked_from"]["turn_index"] == 1


def test_a_fork_can_begin_from_a_turn_id_and_from_the_start(lash: Lash) -> None:
    lash.ask(block("n = 1\nsubmit n"), also=("--name", "it"))
    turn = lash("sessions", "show", "it", "--json").json["turns"][0]["turn_id"]
    by_id = lash("sessions", "fork", "it", "--turn", turn, "--json").json
    start = lash("sessions", "fork", "it", "--turn", "0", "--json").json
    assert (by_id["turns"], start["turns"], start["first_message"]) == (1, 0, None)


def test_a_fork_behind_a_handoff_begins_from_the_session_that_finished_the_turn(lash: Lash) -> None:
    on = block('n = n + 1\ncall continue_as { task: "Count on.", seed: { n: n } }')
    lash.ask(block("n = 0\nsubmit n"), also=("--name", "it"))
    lash.ask(on, block("n = n + 10\nsubmit n"), also=("--session", "it"))
    lash.ask(block("n = n + 100\nsubmit n"), also=("--session", "it"))
    for turn, value in (("1", "0\n"), ("2", "11\n"), ("3", "111\n")):
        fork = lash("sessions", "fork", "it", "--turn", turn).out.strip()
        assert lash.ask(block("submit n"), also=("--session", fork)).out == value


def test_a_fork_has_the_context(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it", "--context", str(lash.write("a.txt", "12345"))))
    fork = lash("sessions", "fork", "it").out.strip()
    assert lash.ask(block("submit len(context)"), also=("--session", fork)).out == "5\n"


@pytest.mark.parametrize("turn", ["7", "no-such-turn"])
def test_a_turn_that_cannot_be_forked_is_told(lash: Lash, turn: str) -> None:
    lash.ask("One.", also=("--name", "it"))
    ran = lash("sessions", "fork", "it", "--turn", turn)
    assert (ran.code, ran.out) == (2, "")
    assert turn in ran.err
    assert len(lash("sessions", "list", "--json").json) == 1


def test_a_checkpoint_that_is_gone_is_told_with_the_oldest_kept(lash: Lash) -> None:
    lash.ask("One.", also=("--name", "it"))
    for _ in range(2):
        lash.ask("More.", also=("--session", "it"))
    session = lash("sessions", "list", "--json").json[0]["id"]

    async def collect() -> None:
        stores = SqliteSessionStoreFactory(lash.home / "sessions")
        store = await stores.find_store(session)
        assert store is not None
        await store.gc_unreachable(keep_checkpoints=1)
        await stores.aclose()

    asyncio.run(collect())
    ran = lash("sessions", "fork", "it", "--turn", "1")
    assert ran.code == 2
    assert "the oldest that is kept is 3 [checkpoint_not_kept]" in ran.err
    assert "turns 3 to 3 can be forked" in lash("sessions", "show", "it").out


def test_json_of_a_session_is_whole(lash: Lash) -> None:
    lash.ask(block("print [1]\nsubmit 2"), also=("--name", "it"))
    shown = json.loads(lash("sessions", "show", "it", "--json").out)
    (turn,) = shown["turns"]
    assert (turn["asked"], turn["ended"], turn["answer"], turn["kept"]) == ("Go.", "submitted_value", 2, True)
    assert turn["steps"][0]["prints"] == ["[1]"]
    assert shown["tokens"]["input_tokens"] == 100


def test_help_lists_no_arguments_among_the_options(lash: Lash) -> None:
    text = lash("sessions", "resume", "--help").out
    options = text.partition("Options:")[2].partition("Model:")[0]
    assert [line.split()[0] for line in options.strip().splitlines()] == ["-h,"]
