"""Programs written to break the machine: each ends as its table says and leaves the machine well."""

from __future__ import annotations

import pytest

from lashlang.compiler.faults import LIMITS

from . import effects, projections, schemas, sources, texts, values
from .aftermath import endures
from .program import Hostile

TABLES: dict[str, dict[str, Hostile]] = {
    "leaving": values.LEAVING,
    "walks": values.WALKS,
    "depth": values.DEPTH,
    "size": values.SIZE,
    "slow": values.SLOW,
    "values that are fine": values.FINE,
    "growth": texts.GROWTH,
    "pieces": texts.PIECES,
    "json": texts.JSON,
    "texts that are fine": texts.FINE,
    "sources": sources.REFUSED,
    "sources that are fine": sources.FINE,
    "floods": effects.FLOODS,
    "answers": effects.ANSWERS,
    "branches": effects.BRANCHES,
    "effects that are fine": effects.FINE,
    "searched": projections.SEARCHED,
    "lying": projections.LYING,
    "nonsense": projections.NONSENSE,
    "schemas": schemas.SCHEMAS,
    "schemas that are fine": schemas.FINE,
}

PROGRAMS = [
    pytest.param(program, id=f"{table}: {name}")
    for table, programs in TABLES.items()
    for name, program in programs.items()
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hostile_program_ends_as_it_must_and_leaves_the_machine_well(program: Hostile) -> None:
    endures(program)


def test_every_limit_is_run_into() -> None:
    assert {program.end for programs in TABLES.values() for program in programs.values()} >= set(LIMITS)
