"""Code of statements: assignments and their idioms, loops, branches."""

from __future__ import annotations

import pytest

from lashlang.compiler import compile as compile_block
from lashlang.compiler import disassemble

from .listing import listing

# --- assignment ---


def test_compound_assignment_works_in_the_variable() -> None:
    assert listing("x += 1\nx *= y.z") == ["ADD x, x, 1", 'FIELD t0, y, "z"', "MUL x, x, t0", "DROP t0, 1"]


def test_a_compound_assignment_checks_its_root_before_an_operand_that_can_fail() -> None:
    assert listing("x += len(y)") == ["CHECK x", "LEN t0, y", "ADD x, x, t0"]


def test_a_compound_assignment_keeps_the_old_value_from_a_parallel_that_rebinds_it() -> None:
    assert listing("x += len(parallel { x = 1 })")[:4] == [
        "MOVE t0, x",
        "PARALLEL t1, {L1}",
        "LEN t1, t1",
        "ADD x, t0, t1",
    ]


def test_a_path_is_stored_with_its_indexes_in_place() -> None:
    assert listing('x.a[i]["k"] = 1') == ['SET_PATH x, 1, 3, .a[i]["k"]']


def test_an_index_is_checked_before_a_right_hand_side_that_can_fail() -> None:
    assert listing("x[i] = y.z")[:2] == ["CHECK i", 'FIELD t0, y, "z"']


def test_a_root_stored_below_itself_is_a_second_reference() -> None:
    assert listing("x.a = x") == ["MOVE t0, x", "SET_PATH x, t0, 1, .a", "DROP t0, 1"]


def test_an_index_that_the_right_hand_side_rebinds_is_read_before() -> None:
    assert listing("i = 0\nx[i] = len(parallel { i = 1 })")[1] == "MOVE t0, i"


def test_compound_assignment_below_a_variable_updates_in_place() -> None:
    assert listing("x[k] += 1") == ["UPDATE x, 1, +, [k]"]


def test_the_old_value_is_read_before_an_operand_that_can_fail() -> None:
    assert listing("x.n -= y.z") == [
        'FIELD t0, x, "n"',
        "DROP t0, 1",
        'FIELD t0, y, "z"',
        "UPDATE x, t0, -, .n",
        "DROP t0, 1",
    ]


def test_an_update_whose_operand_rebinds_the_root_reads_operates_and_stores() -> None:
    code = listing("x.n += len(parallel { x = 1 })")[:5]
    assert code == ['FIELD t0, x, "n"', "PARALLEL t1, {L1}", "LEN t1, t1", "ADD t0, t0, t1", "SET_PATH x, t0, 1, .n"]


@pytest.mark.parametrize(
    ("source", "update"),
    [
        ("n[k] = n[k] + 1", "UPDATE n, 1, +, [k]"),
        ("n[k] = push(n[k], 1)", "UPDATE n, 1, push, [k]"),
        ('n["a"].b = n["a"].b * 2', 'UPDATE n, 2, *, ["a"].b'),
    ],
)
def test_an_operation_on_the_place_assigned_to_happens_in_place(source: str, update: str) -> None:
    assert listing(source)[-1] == update


def test_a_place_below_a_bound_variable_needs_no_reading_before_a_constant_operand() -> None:
    assert listing("n = {}\nk = 1\nn[k] = n[k] + 1")[2:] == ["UPDATE n, 1, +, [k]"]


@pytest.mark.parametrize(
    "source",
    [
        "n[k] = n[j] + 1",
        "n[k] = m[k] + 1",
        "n[k] = 1 + n[k]",
        "n[k] = n[k] + 1 + 2",
        "n[k + 1] = n[k + 1] + 1",
        "n[1] = n[1.5] + 1",
        "n.a.b = n.a + 1",
        "n[k] = n[k] + parallel { n = 1 }",
        "n[k] = n[k] + parallel { k = 1 }",
        "n[k] = push(n[k], 1)[0]",
    ],
)
def test_what_only_resembles_the_idiom_is_stored_afterwards(source: str) -> None:
    code = listing(source)
    assert not [line for line in code if line.startswith("UPDATE")]
    assert [line for line in code if line.startswith("SET_PATH")]


# --- loops ---


def test_a_loop_over_a_list() -> None:
    assert listing("for x in xs { y = x }") == [
        "FOR_LIST t0, xs", "SAVE t3, x", "L1:", "LIST_NEXT t0, x, 2, -> L2", "MOVE y, x", "JUMP -> L1",
        "L2:", "RESTORE t3, x", "DROP t0, 3", "unwind 3..7: x from t3",
    ]  # fmt: skip


def test_a_loop_over_a_range_makes_no_list() -> None:
    assert listing("for i in range(2, n) { y = i }")[:5] == [
        "LOAD t3, 2", "MOVE t4, n", "RANGE t0, t3, 2", "DROP t4, 1", "SAVE t3, i",
    ]  # fmt: skip


def test_a_loop_over_two_names_takes_the_list_of_a_range() -> None:
    assert "CALL_BUILTIN t3, range, 1, 3" in listing("for a, b in range(3) { c }")


def test_an_empty_body_charges_the_iteration_only() -> None:
    assert "LIST_NEXT t0, x, 1, -> L2" in listing("for x in xs { }")


def test_a_loop_over_two_names_charges_its_first_statement_apart() -> None:
    text = disassemble(compile_block("for a, b in xs { c = a }"))
    assert text.count("CHARGE        1") == 2


def test_two_names_are_put_back_in_reverse_order() -> None:
    code = listing("for a, b in xs { c = a }")
    assert code[-5:] == [
        "RESTORE t4, b",
        "RESTORE t3, a",
        "DROP t0, 3",
        "unwind 4..9: b from t4",
        "unwind 4..9: a from t3",
    ]


def test_unwinds_of_inner_loops_stand_first() -> None:
    code = [line for line in listing("for x in xs { for y in x { z = y } }") if line.startswith("unwind")]
    assert [line.split(": ")[1] for line in code] == ["y from t7", "x from t3"]


def test_break_goes_to_the_restoring_end_and_continue_to_the_next_element() -> None:
    code = listing("for x in xs { if x { break } if y { continue } z = 1 }")
    assert code == [
        "FOR_LIST t0, xs", "SAVE t3, x", "L1:", "LIST_NEXT t0, x, 2, -> L4", "JUMP_FALSE x, -> L2", "JUMP -> L4", "L2:",
        "JUMP_FALSE y, -> L3", "JUMP -> L1", "L3:", "LOAD z, 1", "JUMP -> L1", "L4:", "RESTORE t3, x", "DROP t0, 3",
        "unwind 3..15: x from t3",
    ]  # fmt: skip


def test_the_test_of_a_while_stands_below_its_body() -> None:
    assert listing("while a < 3 { a = b }") == [
        "JUMP -> L2", "L1:", "CHARGE 2", "MOVE a, b", "L2:", "JUMP_LT a, 3, 1, -> L1",
    ]  # fmt: skip


def test_continue_in_a_while_goes_to_its_test() -> None:
    assert listing("while a { if b { continue } c = 1 }")[3:] == [
        "JUMP_FALSE b, -> L2", "JUMP -> L3", "L2:", "LOAD c, 1", "L3:", "JUMP_TRUE a, -> L1",
    ]  # fmt: skip


def test_a_comprehension_collects_into_a_temporary() -> None:
    assert listing("x = [y for y in x if y > 1]") == [
        "NEW_LIST t0, 0", "FOR_LIST t1, x", "SAVE t4, y", "L1:", "LIST_NEXT t1, y, 1, -> L2", "JUMP_GT y, 1, 0, -> L1",
        "MOVE t5, y", "COLLECT t0, t5", "JUMP -> L1", "L2:", "RESTORE t4, y", "DROP t1, 3", "TAKE x, t0",
        "unwind 4..11: y from t4",
    ]  # fmt: skip


def test_an_inner_clause_is_begun_anew_for_each_outer_element() -> None:
    code = listing("x = [b for a in c for b in a]")
    assert code.index("FOR_LIST t5, a") > code.index("LIST_NEXT t1, a, 1, -> L4")
    assert code[code.index("RESTORE t8, b") + 2] == "JUMP -> L1"


def test_a_jump_to_a_jump_goes_straight_to_its_target() -> None:
    code = listing("for x in xs { if a { b = 1 } else { b = 2 } }")
    assert code[4:9] == ["JUMP_FALSE a, -> L2", "LOAD b, 1", "JUMP -> L1", "L2:", "LOAD b, 2"]


# --- branches ---


def test_branches_stand_after_the_code_around_them() -> None:
    assert listing("x = parallel { a: y, b: 1 }\nsubmit x") == [
        "PARALLEL x, {a: L1, b: L2}", "SUBMIT x", "L1:", "CHECK y", "BRANCH_END y", "L2:", "BRANCH_END 1",
    ]  # fmt: skip


def test_a_branch_marks_what_it_assigns() -> None:
    assert listing("parallel { x = 1 y.a = 2 }")[2:] == [
        "L1:", "LOAD x, 1", "MARK x", "BRANCH_END x", "L2:", "LOAD t0, 2", "SET_PATH y, t0, 1, .a", "MARK y",
        "BRANCH_END t0",
    ]  # fmt: skip


def test_a_loop_variable_is_not_marked_inside_its_loop() -> None:
    code = listing("parallel { for x in xs { x = 1 y = 2 } }")
    assert "MARK y" in code
    assert "MARK x" not in code


def test_a_nested_parallel_does_not_mark_the_loop_variables_around_it() -> None:
    assert "PARALLEL t4, {L4} unmarked x" in listing("parallel { for x in xs { parallel { x = 1 } } }")


def test_the_loops_around_a_parallel_of_the_block_itself_do_not_matter() -> None:
    assert "PARALLEL t4, {L3}" in listing("for x in xs { parallel { x = 1 } }")


def test_two_branches_that_assign_one_name_fail_before_any_starts() -> None:
    assert listing("r = parallel { x = call t {} x.y += 1 }") == ['FAULT parallel_conflict, "x"']


@pytest.mark.parametrize(
    ("statement", "last"),
    [
        ("for a in b { c }", "BRANCH_END null"),
        ("print y.z", "BRANCH_END t0"),
        ("cancel y", "BRANCH_END t0"),
        ("x += 1", "BRANCH_END x"),
        ("x.n += 1", "BRANCH_END t0"),
        ("x.n = y", "BRANCH_END t0"),
    ],
)
def test_a_branch_ends_with_the_value_of_its_statement(statement: str, last: str) -> None:
    code = listing(f"parallel {{ {statement} }}")
    assert [line for line in code if line.startswith("BRANCH_END")] == [last]


def test_the_value_of_an_updated_place_is_read_back() -> None:
    assert listing("parallel { x.n += 1 }")[-4:] == [
        "UPDATE x, 1, +, .n",
        "MARK x",
        'FIELD t0, x, "n"',
        "BRANCH_END t0",
    ]


def test_the_value_of_an_if_is_that_of_the_last_statement_run() -> None:
    assert listing("parallel { if c { 1 2 } else { x = 3 } }")[3:] == [
        "JUMP_FALSE c, -> L2", "MOVE t0, 2", "JUMP -> L3", "L2:", "LOAD x, 3", "MARK x", "MOVE t0, x", "L3:",
        "BRANCH_END t0",
    ]  # fmt: skip


def test_the_value_of_an_if_without_a_branch_taken_is_null() -> None:
    assert "MOVE t0, null" in listing("parallel { if c { 1 } }")
