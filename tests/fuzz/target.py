"""What a fuzz target is, and where its seeds come from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed

from tests.fuzz.mutator import mutated
from tests.programs import Generated, programs

CORPUS = Path(__file__).parent / "corpus"
"""Special seeds and inputs that once failed, in a folder for each target."""

CASES = Path(__file__).parent.parent / "cases"

Mutate = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """Something to be given any bytes.

    `run` raises whatever is not declared, and AssertionError where something declared is wrong. `begin_with` gives
    seeds beyond those of the corpus; `words` are put into inputs now and then; `mutate` takes the place of the
    mutator that knows only bytes.
    """

    name: str
    run: Callable[[bytes], None]
    begin_with: Callable[[int], list[bytes]]
    words: tuple[bytes, ...] = ()
    mutate: Mutate | None = None
    modules: tuple[str, ...] = field(default=())
    """Modules that a fuzzer guided by coverage looks into."""

    def seeds(self, number: int) -> list[bytes]:
        """The inputs that are varied, in a fixed order; `number` decides about those that are generated."""
        kept = [file.read_bytes() for file in sorted((CORPUS / self.name).iterdir()) if file.name != "README.md"]
        return [*kept, *self.begin_with(number)]

    def vary(self, data: bytes, choices: random.Random, pool: Sequence[bytes]) -> bytes:
        """Another input, made of one and perhaps of a second."""
        if self.mutate is not None:
            return self.mutate(data, choices, pool)
        return mutated(data, choices, pool, self.words)


@cache
def case_sources() -> list[bytes]:
    """The sources of all conformance cases."""
    found = [case["source"] for file in sorted(CASES.glob("*.json")) for case in json.loads(file.read_text("utf-8"))]
    return [source.encode() for source in found]


def generated(count: int, number: int) -> list[Generated]:
    """Well-typed programs, the same for the same number."""
    found: list[Generated] = []

    @hypothesis_seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(programs())
    def collect(program: Generated) -> None:
        found.append(program)

    collect()
    return found
