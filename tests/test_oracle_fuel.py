"""Fuel worked out by hand from chapter 16.1, and the places limits report; the oracle must agree."""

from __future__ import annotations

import pytest

from tests.oracle import Outcome, ScriptedHost, run


def block(source: str, **limits: int) -> Outcome:
    return run(source, state={}, host=ScriptedHost(), limits=limits)


def span_text(source: str, outcome: Outcome) -> str:
    assert outcome.error is not None
    return source[outcome.error.start : outcome.error.end]


@pytest.mark.parametrize(
    ("source", "fuel"),
    [
        ("", 0),
        ("1 2 3", 3),
        ("if false { 1 } else if true { 2 }", 3),
        ("parallel { 1, 2 }", 3),
        ("x = [i for i in range(64)]", 1 + 1 + 1 + 64),
        ("x = 'a' in ['a']", 2),
        ("x = 0\nx += 1", 2),
        ("while false { 1 }", 1),
        ("x = call t {}", 1),
    ],
)
def test_fuel_is_the_sum_of_the_charges(source: str, fuel: int) -> None:
    assert block(source).fuel == fuel


def test_numbers_read_from_text_are_charged_one_operand_at_a_time() -> None:
    digits = "1" * 64
    assert block(f"x = '{digits}' * '{digits}'").fuel == 3
    assert block(f"x = '{digits}' * '{digits[1:]}'").fuel == 2


def test_the_left_number_stays_paid_when_the_right_one_fails() -> None:
    assert block(f"x = '{'1' * 64}' * []").fuel == 2


def test_a_failed_operation_pays_no_bulk_work() -> None:
    assert block(f"x = json_parse('{'[' * 640}')").fuel == 2


def test_validation_pays_for_the_variants_tried() -> None:
    source = "T = Type { a: list[str | int] }\nx = validate({ a: range(64) }, T)"
    assert block(source).fuel == 2 + 2 + 1 + (1 + 1 + 3 * 64) // 64


def test_a_statement_that_cannot_start_reports_the_one_around_it() -> None:
    source = "if true { if true { x = 1 } }"
    outcome = block(source, fuel=2)
    assert span_text(source, outcome) == "if true { x = 1 }"
    assert outcome.fuel == 2


def test_an_else_if_that_cannot_start_reports_the_if_before_it() -> None:
    source = "if false { 1 } else if false { 2 } else if true { 3 }"
    assert span_text(source, block(source, fuel=2)) == "if false { 2 } else if true { 3 }"


def test_the_first_statement_that_cannot_start_reports_itself() -> None:
    assert span_text("x = 1", block("x = 1", fuel=0)) == "x = 1"


def test_an_iteration_of_a_comprehension_reports_the_statement() -> None:
    source = "if true { x = [i for i in [1, 2, 3]] }"
    assert span_text(source, block(source, fuel=4)) == "x = [i for i in [1, 2, 3]]"


def test_a_limit_in_a_branch_ends_the_block_at_once() -> None:
    source = "parallel {\n  x = [1, 2]\n  print 1\n}\ny = 1"
    outcome = block(source, list_size=1)
    assert span_text(source, outcome) == "x = [1, 2]"
    assert outcome.prints == []


@pytest.mark.parametrize(
    "expression", ["x == y", "unique([x, x])", "count([x], y)", "x in [y]", "validate(x, T)", "try_validate(x, T)"]
)
def test_values_made_of_shared_parts_stop_at_the_fuel(expression: str) -> None:
    first = "x = [1] y = [1] S = { type: 'array' }\n"
    doubled = "for i in range(100) { x = [x, x] y = [y, y] S = { type: 'array', items: S } }\n"
    last = "if true { T = { '$lash_type': S } z = " + expression + " }"
    outcome = block(first + doubled + last, fuel=100_000)
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.code, outcome.error.line) == ("limit_exceeded", "fuel", 3)
    assert outcome.fuel == 100_000
