"""Code of every case in `tests/cases` that compiles is well formed, as it is and with all its names read-only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lashlang.compiler import Program, disassemble
from lashlang.compiler import compile as compile_block
from lashlang.compiler.disasm import instructions
from lashlang.syntax import CompileError

from .verifier import complaints

CASES = [
    case
    for file in sorted((Path(__file__).parent.parent / "cases").glob("*.json"))
    for case in json.loads(file.read_text(encoding="utf-8"))
]


def programs() -> dict[str, Program]:
    compiled: dict[str, Program] = {}
    for case in CASES:
        try:
            compiled[case["name"]] = compile_block(case["source"])
        except CompileError:
            assert "error" in case["expect"], case["name"]
    return compiled


PROGRAMS = programs()


@pytest.mark.parametrize("name", PROGRAMS)
def test_code_is_well_formed(name: str) -> None:
    assert complaints(PROGRAMS[name]) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_code_is_well_formed_when_its_names_are_read_only(name: str) -> None:
    program = PROGRAMS[name]
    assert complaints(program.with_readonly(program.names_assigned)) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_listing_names_every_instruction(name: str) -> None:
    program = PROGRAMS[name]
    listed = [int(line.split()[0]) for line in disassemble(program).split("\n") if line.startswith("    ")]
    assert listed == [instruction.pc for instruction in instructions(program)]
