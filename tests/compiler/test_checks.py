"""The checks of 2.3, items 3 to 5: which offence is reported, where, and with what words."""

from __future__ import annotations

import pytest

from lashlang.compiler import compile as compile_block
from lashlang.syntax import CompileError, Diagnostic


def refusal(source: str) -> Diagnostic:
    with pytest.raises(CompileError) as caught:
        compile_block(source)
    return caught.value.diagnostic


def place(source: str) -> tuple[str, int, int, int]:
    """Kind, line, column and width of the refusal."""
    found = refusal(source)
    assert found.line == found.end_line
    return found.kind, found.line, found.column, found.end_column - found.column


def test_break_outside_a_loop_is_refused_at_the_word() -> None:
    assert place("x = 1\nif x { break }") == ("loop_control", 2, 8, 5)


def test_continue_outside_a_loop_is_named() -> None:
    assert refusal("continue").message == "`continue` is only allowed inside a loop"


def test_a_branch_hides_the_loop_around_it() -> None:
    assert place("for x in xs { parallel { break } }")[0] == "loop_control"


def test_a_loop_inside_a_branch_may_be_left() -> None:
    compile_block("parallel { for x in xs { break } }")


def test_the_iterable_is_not_inside_its_loop() -> None:
    assert place("for x in [parallel { break }] { x }")[0] == "loop_control"


def test_submit_in_a_branch_is_refused_at_the_word() -> None:
    assert place("parallel {\n  if c { submit 1 + 2 }\n}") == ("submit_in_parallel", 2, 10, 6)


def test_an_unknown_builtin_is_refused_at_its_name() -> None:
    found = refusal("x = 1 + nope(2)")
    assert place("x = 1 + nope(2)") == ("unknown_builtin", 1, 9, 4)
    assert found.message == "there is no builtin `nope`"


def test_a_builtin_known_by_another_name_comes_with_a_hint() -> None:
    assert "to_string" in (refusal("x = str(1)").hint or "")


def test_a_tool_written_as_a_call_comes_with_a_hint() -> None:
    assert "call" in (refusal("x = get_user({ id: 1 })").hint or "")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("find(a)", "`find` takes 2 or 3 arguments, got 1"),
        ("range()", "`range` takes 1 to 3 arguments, got 0"),
        ("format()", "`format` takes at least 1 argument, got 0"),
        ("len(a, b)", "`len` takes 1 argument, got 2"),
        ("push(a)", "`push` takes 2 arguments, got 1"),
    ],
)
def test_a_wrong_number_of_arguments_is_counted(call: str, words: str) -> None:
    found = refusal(f"x = {call}")
    assert (found.kind, found.message, found.column) == ("arity_error", words, 5)


def test_a_variable_of_the_name_does_not_make_a_builtin() -> None:
    assert place("f = 1\nf(2)")[0] == "unknown_builtin"


def test_the_outer_call_is_refused_before_its_arguments() -> None:
    assert place("x = outer(inner(1))") == ("unknown_builtin", 1, 5, 5)


def test_calls_are_checked_in_source_order_whatever_is_wrong_with_them() -> None:
    assert place("x = len() + nope(1)")[0] == "arity_error"


def test_a_comprehension_is_checked_in_source_order() -> None:
    assert place("x = [nope(y) for y in also_not(1)]") == ("unknown_builtin", 1, 6, 4)


def test_loop_control_is_reported_before_an_earlier_submit_in_a_branch() -> None:
    assert place("parallel { submit 1 }\nbreak")[0] == "loop_control"


def test_submit_in_a_branch_is_reported_before_an_earlier_unknown_builtin() -> None:
    assert place("nope(1)\nparallel { submit 1 }")[0] == "submit_in_parallel"


@pytest.mark.parametrize(
    "source",
    [
        "x[nope(1)] = 2",
        "x = y[nope(1)]",
        "call t { a: nope(1) }",
        "while nope(1) { x }",
        "if a { b } else if nope(1) { c }",
        "cancel nope(1)",
        "print nope(1)",
        "submit -nope(1)",
        "x = c ? 1 : nope(1)",
        "x = [1 for a in b if nope(1)]",
        "x = await nope(1)",
        "parallel { a: nope(1) }",
    ],
)
def test_calls_are_found_wherever_they_stand(source: str) -> None:
    assert place(source)[0] == "unknown_builtin"


def test_positions_count_code_points() -> None:
    assert place('x = "😀" + nope(1)') == ("unknown_builtin", 1, 11, 4)
