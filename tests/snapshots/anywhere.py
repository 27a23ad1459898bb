"""Blocks set to any instruction of any program, with registers that satisfy its stack map and no more.

The kernel runs on from there without looking: whatever else a compiled program could rely on shows as a fault.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import lashlang
from lashlang.compiler.disasm import instructions
from lashlang.compiler.stackmaps import Kind, StackMaps
from tests.snapshots.attack import LAZY, SUSPENDED, parts_of, with_other_program
from tests.snapshots.forge import NOTHING, Ext, Map, Parts, failure
from tests.snapshots.programs import FAN_OUT, STATE

CASES = Path(__file__).parent.parent / "cases"

_LAZY = Ext(2, b"\x93\x00\xa1d\x90")
_IMAGE = Ext(1, b"\x95\xa1i\xa1l\x01\x02\xc0")

_INTEGERS: list[Any] = [0, 1, -1, 3, 1 << 62, -(1 << 63)]
_LISTS: list[Any] = [[], [1, "a", [2]], [["a", 1], ["b", 2]], [_LAZY], [["a", _LAZY]]]
_RECORDS: list[Any] = [
    Map(),
    Map([["ok", True], ["value", 1]]),
    Map([["ok", False], ["error", _LAZY]]),
    Map([["ok", _LAZY], ["value", 1]]),
    Map([["a", 1], ["handle", 2]]),
    Map([["$lash_type", Map([["type", "object"]])]]),
]
_VALUES: list[Any] = [*_INTEGERS, *_LISTS, *_RECORDS, None, True, 0.5, "", "a", "é" * 700, _LAZY, _IMAGE]

_CHOICES: dict[Kind, list[Any]] = {
    Kind.VALUE: _VALUES,
    Kind.PARKED: [*_VALUES, NOTHING],
    Kind.INTEGER: _INTEGERS,
    Kind.LIST: _LISTS,
    Kind.ITERABLE: [*_LISTS, *_RECORDS],
    Kind.OWN_LIST: _LISTS,
    Kind.OWN_RECORD: _RECORDS,
}

_ASKING = frozenset({"CALL_TOOL", "START_TOOL", "AWAIT", "CANCEL", "PRINT"})


class Place(NamedTuple):
    """An instruction of a program's main fiber."""

    program: lashlang.Program
    maps: StackMaps
    pc: int


@cache
def programs() -> tuple[tuple[lashlang.Program, StackMaps], ...]:
    """The programs of all cases and of the snapshot tests, as far as they compile."""
    cases = [case["source"] for file in sorted(CASES.glob("*.json")) for case in json.loads(file.read_text("utf-8"))]
    found: list[tuple[lashlang.Program, StackMaps]] = []
    for source in [*cases, FAN_OUT, STATE, *SUSPENDED.values(), *LAZY.values()]:
        try:
            program = lashlang.compile(source)
        except lashlang.CompileError:
            continue
        found.append((program, StackMaps(program)))
    return tuple(found)


@cache
def all_places() -> tuple[Place, ...]:
    """Every instruction of their main fibers."""
    return tuple(
        Place(program, maps, instruction.pc)
        for program, maps in programs()
        for instruction in instructions(program)
        if maps.at(0, instruction.pc) is not None
    )


def standing_at(place: Place, choices: random.Random) -> Parts:
    """A snapshot of a block that can run, set to an instruction."""
    program, maps, pc = place
    parts = with_other_program(parts_of("call"), program.source)
    parts.header.set("sources", [None])
    opcode = maps.opcode(pc)
    held = maps.at(0, pc)
    assert opcode is not None
    assert held is not None
    variables = len(program.code.variables)
    temporaries = range(variables + program.code.preloaded, program.code.registers)
    values = [choices.choice([*_VALUES, NOTHING]) for _ in range(variables)]
    values += [choices.choice(_CHOICES[held[r]] if r in held else [NOTHING]) for r in temporaries]
    answers, reads = None, None
    if opcode.name in _ASKING and choices.random() < 0.5:
        answers = choices.choice([1, 2, 3]) if opcode.name == "AWAIT" else 1
        values += _some([*_VALUES, *(Ext(5, bytes((limit,))) for limit in range(8)), failure("no")], answers, choices)
    if choices.random() < 0.3:
        reads = 2 * choices.randint(1, 3)
        for _ in range(reads // 2):
            mark = choices.randint(1, 5)
            values += [mark, choices.randrange(8) if mark == 5 else choices.choice(_VALUES)]
    charged = choices.random() < 0.5
    fiber: list[Any] = [None, 0, pc, 0, charged, False, [], None, answers, False, reads]
    parts.account[:] = [choices.choice([0, 5, 19_999]), 0, 0, 1, 0, 1, [], [], [fiber], [], [], [0]]
    parts.body[:] = [[], Map(), values]
    return parts


def _some(choices_of: Sequence[Any], count: int, choices: random.Random) -> list[Any]:
    return [choices.choice(choices_of) for _ in range(count)]
