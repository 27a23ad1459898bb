"""The sessions on the REPL's page, run through a pipe, give what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lashlang
from lashlang.repl.commands import COMMANDS

ROOT = Path(lashlang.__path__[0]).parent
PAGE = Path(__file__).resolve().parents[2] / "docs" / "repl.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def comparable(text: str) -> str:
    """Without the lines of errors, in a pipe those of the stream and not of the block, and the sizes of snapshots."""
    return re.sub(r"(--> line |saved to work.lash, )\d+", r"\1_", text)


SESSIONS = blocks("session")


@pytest.mark.parametrize("number", range(6))
def test_a_session_shows_what_the_page_says(number: int, tmp_path: Path) -> None:
    lines = SESSIONS[number].splitlines(keepends=True)
    entered: list[str] = []
    shown: list[str] = []
    for line in lines:
        # A page of `:help` has examples that nobody enters.
        if line[:2] in ("> ", ". ") and not (entered and entered[-1].startswith(":help")):
            entered.append(line[2:])
        else:
            shown.append(line)
    (tools,) = blocks("python")
    (tmp_path / "tools.py").write_text(tools, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "lashlang", "repl", "--tools", "tools.py"],
        input="".join(entered),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert comparable(done.stdout) == comparable("".join(shown))


def test_every_session_of_the_page_is_run() -> None:
    assert len(SESSIONS) == 6


def test_the_page_names_every_command() -> None:
    (table,) = re.findall(r"^## Commands\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`:(\w+)", table)) >= set(COMMANDS)
