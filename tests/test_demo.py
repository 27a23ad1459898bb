"""`make demo` does what it says: two processes share one program, and the result is that of one."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import lashlang

DEMO = Path(__file__).parent.parent / "examples" / "demo.py"
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "__pycache__"}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "kept.snapshot"


@pytest.fixture(scope="module")
def shown(snapshot: Path) -> str:
    """What the demonstration prints; it must succeed and complain of nothing."""
    done = subprocess.run(
        [sys.executable, DEMO, "--snapshot", snapshot], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_second_process_finishes_what_the_first_began(shown: str) -> None:
    first, second = re.findall(r"^Process (\d+) ", shown, re.MULTILINE)
    assert first != second
    assert "The result is the same." in shown
    fuel = re.findall(r"([\d,]+) units of fuel", shown)
    assert len(fuel) == 2
    assert len(set(fuel)) == 1


def test_the_snapshot_holds_the_requests_that_were_open(shown: str, snapshot: Path) -> None:
    machine = lashlang.Machine.restore(snapshot.read_bytes())
    assert len(machine.pending) > 10
    assert f"with {len(machine.pending)} requests open" in shown
    assert f"{snapshot.stat().st_size:,} bytes" in shown


def test_the_files_counted_are_those_of_the_library(shown: str) -> None:
    root = Path(sysconfig.get_paths()["stdlib"]).resolve()
    files = [path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts[:-1])]
    assert f"  {len(files):,} files, {sum(path.stat().st_size for path in files):,} bytes" in shown


def test_the_output_is_short_and_plain(shown: str) -> None:
    lines = shown.splitlines()
    assert len(lines) <= 40
    assert all(line == line.rstrip() and line.isprintable() and len(line) <= 100 for line in lines)
