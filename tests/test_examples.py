"""The examples of the runtime, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run an example without any key in its environment."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env=environment,
    )


def counted() -> Counter[str]:
    """How often packages of the standard library raise NotImplementedError: counted here, without any of lash."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found: Counter[str] = Counter()
    for path in library.rglob("*.py"):
        parts = path.relative_to(library).parts
        if not {"site-packages", "test", "tests", "idle_test"} & set(parts):
            text = path.read_text(encoding="utf-8", errors="replace")
            found[parts[0]] += len(re.findall(r"^\s*raise NotImplementedError", text, re.MULTILINE))
    return found


def test_the_agent_finds_what_is_there(tmp_path: Path) -> None:
    done = run("agent.py", "--home", str(tmp_path))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    raised = next(topic for topic in answer["topics"] if topic["topic"] == "raised")
    assert [(one["name"], one["count"]) for one in raised["packages"]] == counted().most_common(3)
    assert "a recorded model answers" in done.stderr
    assert "(error" not in done.stderr


def test_an_agent_whose_process_is_killed_comes_to_the_same_answer(tmp_path: Path) -> None:
    whole = run("agent.py", "--home", str(tmp_path / "whole"))
    killed = run("agent.py", "--home", str(tmp_path / "killed"), "--kill-after", "2")
    assert killed.returncode == 0, killed.stderr
    assert json.loads(killed.stdout) == json.loads(whole.stdout)
    before, after = killed.stderr.split("--- That process is dead. A second one goes on. ---")
    assert "| found = parallel {" in before
    assert "[from the journal]" in after


def test_an_agent_that_cannot_be_is_refused(tmp_path: Path) -> None:
    assert run("agent.py", "--kill-after", "many").returncode == 2
    nowhere = run("agent.py", "--home", str(tmp_path), "--base-url", "not an address")
    assert nowhere.returncode == 1
    assert nowhere.stderr.splitlines()[-1].startswith("agent.py: ")
    assert "base_url" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_the_desk_answers_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    questions = run("desk.py", "--questions").stdout.splitlines()
    done = run("desk.py", "--folder", str(tmp_path), given="\n".join([*questions, "What is the weather?", "", ""]))
    assert done.returncode == 0, done.stderr
    assert "A-17 for Ito: 40.00\nA-19 for Ito: 55.50\nTogether 95.50." in done.stdout
    assert "2 orders are shipped now." in done.stdout
    assert "there is no order A-99" in done.stdout
    assert "I am a recording" in done.stdout
    again = run("desk.py", "--folder", str(tmp_path), given=f"{questions[0]}\n\n")
    assert "Session desk, 4 turns so far." in again.stdout
    assert "Together 0.00." in again.stdout


MODES = ["rlm", "standard"]


@pytest.mark.parametrize("mode", MODES)
def test_the_board_works_in_both_modes_and_stays_in_its_folder(mode: str, tmp_path: Path) -> None:
    done = run("board.py", "--mode", mode, "--folder", str(tmp_path), given="y\n")
    assert done.returncode == 0, done.stderr
    assert "a recorded model answers" in done.stdout
    assert "* list_tasks {'state': 'open'}" in done.stdout
    assert "task 3 would be gone for good. Allow it? [y/N]" in done.stdout
    assert "1 of 1 are deleted." in done.stdout
    assert ("    | tasks = (call list_tasks" in done.stdout) == (mode == "rlm")
    kept = [(task["id"], task["owner"], task["state"]) for task in json.loads((tmp_path / "board.json").read_text())]
    assert kept == [(1, "Ito", "open"), (2, "Okafor", "open"), (4, "Novak", "open")]
    again = run("board.py", "--mode", mode, "--folder", str(tmp_path), "Delete what is done.", "And now?")
    assert again.returncode == 0, again.stderr
    assert ("Nothing is done yet." if mode == "standard" else "0 of 0 are deleted.") in again.stdout
    assert "I am a recording" in again.stdout


@pytest.mark.parametrize(("given", "option"), [("n\n", "ask"), ("", "ask"), ("", "no")])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_deleted_from_the_board_without_a_yes(mode: str, given: str, option: str, tmp_path: Path) -> None:
    done = run("board.py", "--mode", mode, "--folder", str(tmp_path), "--approve", option, given=given)
    assert done.returncode == 0, done.stderr
    assert "denied by the user: the user said no" in done.stdout
    assert "0 of 1 are deleted." in done.stdout
    assert len(json.loads((tmp_path / "board.json").read_text())) == 4


def test_the_sessions_of_both_modes_share_a_board(tmp_path: Path) -> None:
    release = "The release notes are written. Let Novak announce the release."
    assert run("board.py", "--mode", "rlm", "--folder", str(tmp_path), release).returncode == 0
    both = run("board.py", "--mode", "standard", "--folder", str(tmp_path), "--approve", "yes", "Delete what is done.")
    assert "* delete_task {'id': 3}" in both.stdout
    assert "1 of 1 are deleted." in both.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--mode", "other"], 2, "invalid choice: 'other'"),
        (["--provider", "nobody"], 2, "invalid choice: 'nobody'"),
        (["--provider", "openai"], 1, "board.py: OPENAI_API_KEY is not set"),
        (["--folder", "taken"], 1, "board.py: "),
        (["--folder", "broken"], 1, "holds no board"),
    ],
)
def test_a_board_that_cannot_be_is_refused(
    arguments: list[str], status: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "board.json").write_text("{")
    done = run("board.py", *arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
