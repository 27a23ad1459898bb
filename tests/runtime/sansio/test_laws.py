"""The laws of the machine, over as many generated turns as a short run allows; `laws.py` runs more."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.runtime.sansio import laws
from tests.runtime.sansio.scripts import SCRIPTS, Script

SHORT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SHORT
@given(SCRIPTS)
def test_a_turn_restored_at_any_point_goes_on_as_if_nothing_had_happened(script: Script) -> None:
    laws.goes_on_as_if_nothing_had_happened(script)


@SHORT
@given(SCRIPTS)
def test_a_restored_machine_has_the_bytes_it_was_restored_from(script: Script) -> None:
    laws.has_the_bytes_it_was_restored_from(script)


@SHORT
@given(SCRIPTS)
def test_effects_are_numbered_from_one_without_gaps(script: Script) -> None:
    laws.numbers_effects_without_gaps(script)


@SHORT
@given(SCRIPTS)
def test_the_deltas_of_a_turn_are_its_history_and_its_last_effect_is_done(script: Script) -> None:
    laws.tells_its_history_once_and_ends_with_done(script)


@SHORT
@given(SCRIPTS)
def test_an_answer_that_is_not_waited_for_changes_no_byte(script: Script) -> None:
    laws.ignores_what_it_does_not_wait_for(script)


@SHORT
@given(SCRIPTS)
def test_a_turn_can_be_cancelled_at_any_point_and_keeps_its_first_outcome(script: Script) -> None:
    laws.can_be_cancelled_at_any_point(script)
