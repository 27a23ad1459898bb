"""Snapshots that earlier versions wrote are read for ever (states), or as long as the bytecode is theirs (blocks)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lashlang
from lashlang.compiler.opcodes import BYTECODE_VERSION
from lashlang.vm.snapshot import FORMAT_VERSION
from tests.snapshots import golden

FOLDERS = sorted(golden.ROOT.glob("v*"))
FILES = [file for folder in FOLDERS for file in sorted(folder.glob("*.snapshot"))]


def expected(file: Path) -> tuple[int, dict[str, Any]]:
    """The bytecode that wrote a file, and what it has to give."""
    document = json.loads((file.parent / "expected.json").read_text("utf-8"))
    return document["bytecode"], document["files"][file.stem]


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name} {file.stem}" for file in FILES])
def test_a_golden_file_gives_what_it_gave_when_it_was_written(file: Path) -> None:
    bytecode, gives = expected(file)
    key = golden.key_of(file.stem)
    if "outcome" in gives and bytecode != BYTECODE_VERSION:
        with pytest.raises(
            lashlang.SnapshotError, match="run the block again from its start with the recorded answers"
        ):
            lashlang.Machine.restore(file.read_bytes(), key=key, projections=golden.find)
        return
    with lashlang.Machine.restore(file.read_bytes(), key=key, projections=golden.find) as machine:
        assert golden.given(machine) == gives


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name} {file.stem}" for file in FILES])
def test_what_a_golden_file_shares_is_still_shared_when_it_is_written_again(file: Path) -> None:
    bytecode, gives = expected(file)
    if "outcome" in gives and bytecode != BYTECODE_VERSION:
        pytest.skip("blocks are read by the bytecode that wrote them")
    key = golden.key_of(file.stem)
    with lashlang.Machine.restore(file.read_bytes(), key=key, projections=golden.find) as machine:
        assert len(machine.snapshot(key=key)) < 2 * file.stat().st_size


def test_a_sealed_golden_file_opens_with_its_key_only() -> None:
    data = (golden.ROOT / f"v{FORMAT_VERSION}" / "sealed state.snapshot").read_bytes()
    for key in (None, b"some other key of a host"):
        with pytest.raises(lashlang.SnapshotError, match="seal"):
            lashlang.Machine.restore(data, key=key)


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_every_format_has_golden_files_of_states_and_of_all_kinds_of_blocks(version: int) -> None:
    names = {file.stem for file in (golden.ROOT / f"v{version}").glob("*.snapshot")}
    assert names >= golden.STATES.keys() | golden.BLOCKS.keys() if version == FORMAT_VERSION else names >= {"state"}


def test_golden_files_are_as_they_were_written() -> None:
    assert golden.digests() == json.loads(golden.DIGESTS.read_text("utf-8"))


def test_golden_files_are_not_written_twice(capsys: pytest.CaptureFixture[str]) -> None:
    before = golden.digests()
    assert golden.main(["--write"]) == 1
    assert "never changed" in capsys.readouterr().err
    assert golden.digests() == before
