"""Every generated program gives one answer by all routes, in everything observable."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings

from tests.programs import Generated, programs
from tests.routes import by_kernel, by_oracle, differences

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS, print_blob=True)
@given(programs())
def test_a_generated_program_gives_one_answer_by_every_route(case: Generated) -> None:
    assert differences(case, random.Random(case.source)) == []


@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS, print_blob=True)
@given(programs())
def test_a_generated_program_gives_one_answer_on_kernel_and_oracle(case: Generated) -> None:
    straight = by_kernel(Generated(case.source, case.limits, case.before))
    assert straight == by_oracle(case)
