"""The kernel and the oracle give the same answer to every generated program, in everything observable."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.programs import PROJECTED, TOOLS, programs
from tests.routes import by_kernel, by_oracle


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs())
def test_a_generated_program_gives_one_answer_on_both(case: tuple[str, dict[str, int]]) -> None:
    source, limits = case
    assert by_kernel(source, TOOLS, PROJECTED, limits) == by_oracle(source, TOOLS, PROJECTED, limits)
