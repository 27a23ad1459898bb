"""Every fuzz target for a moment, and the machinery that reports what it finds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz import running
from tests.fuzz.__main__ import main
from tests.fuzz.mutator import LONGEST, mutated
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

COUNTS = {"source": 300, "compiler": 200, "execution": 300, "snapshots": 500, "values": 300}
SEED = 2026


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_finds_nothing_in_a_short_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.fuzz(few_seeds(TARGETS[name]), SEED, count=COUNTS[name]) == 0, capsys.readouterr().out


def few_seeds(target: Target) -> Target:
    """The target with some of its seeds as they are; the cases run elsewhere."""

    def begin_with(number: int) -> list[bytes]:
        seeds = target.begin_with(number)
        return random.Random(number).sample(seeds, min(len(seeds), 150))

    return Target(target.name, target.run, begin_with, target.words, target.mutate)


CORPUS_FILES = [file for file in sorted(CORPUS.glob("*/*")) if file.name != "README.md"]


@pytest.mark.parametrize("file", CORPUS_FILES, ids=[f"{file.parent.name} {file.name}" for file in CORPUS_FILES])
def test_what_was_found_once_is_not_found_again(file: Path) -> None:
    TARGETS[file.parent.name].run(file.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == TARGETS.keys()


def fails_at_x(data: bytes) -> None:
    if b"X" in data:
        raise KeyError("found")


FAULTY = Target("faulty", fails_at_x, lambda _: [b"some words", b"and some more"], (b"X",))


@pytest.fixture
def failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where failing inputs go; the faulty target has its own corpus."""
    monkeypatch.setattr(running, "FOLDER", tmp_path / "found")
    (tmp_path / "corpus" / "faulty").mkdir(parents=True)
    monkeypatch.setattr("tests.fuzz.target.CORPUS", tmp_path / "corpus")
    return tmp_path / "found"


def test_a_failing_input_is_made_small_and_written_with_the_command_that_repeats_it(
    failures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running.fuzz(FAULTY, 1, count=10_000) == 1
    [file] = failures.iterdir()
    assert file.read_bytes() == b"X"
    printed = capsys.readouterr().out
    assert "KeyError: 'found'" in printed
    assert "seed 1" in printed
    assert f"again: python -m tests.fuzz faulty --input {file}" in printed


def test_the_same_seed_gives_the_same_inputs(failures: Path) -> None:
    def first(seed: int) -> list[bytes]:
        made = running.inputs(FAULTY, seed)
        return [next(made) for _ in range(200)]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_an_input_of_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"submit 1")
    assert main(["execution", "--input", str(file)]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_the_mutator_changes_inputs_and_keeps_them_short() -> None:
    data, pool = b"some input", [b"another", b"x" * 30_000]
    made = {mutated(data, random.Random(number), pool, (b"word",)) for number in range(300)}
    assert len(made) > 200
    assert max(map(len, made)) <= LONGEST
    assert any(b"word" in each for each in made)
    assert mutated(b"", random.Random(1), []) is not None
