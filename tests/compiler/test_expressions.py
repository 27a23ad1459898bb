"""Code of expressions: what is borrowed, what is guarded, where results go, what is dropped."""

from __future__ import annotations

import pytest

from .listing import listing


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("x = 5", ["LOAD x, 5"]),
        ("x = y", ["MOVE x, y"]),
        ("x = (y)", ["MOVE x, y"]),
        ("x = a + 1", ["ADD x, a, 1"]),
        ("x = a + b", ["ADD x, a, b"]),
        ("x = a + b * c", ["CHECK a", "MUL t0, b, c", "ADD x, a, t0"]),
        ("x = a * b + c", ["MUL t0, a, b", "ADD x, t0, c"]),
        ("x = a + b + c", ["ADD t0, a, b", "ADD x, t0, c", "DROP t0, 1"]),
        ("x = a.b + c.d", ["FIELD t0, a, \"b\"", "FIELD t1, c, \"d\"", "ADD x, t0, t1", "DROP t0, 2"]),
        ("x = -y", ["NEG x, y"]),
        ("x = not y", ["NOT x, y"]),
        ("x = a < b", ["LT x, a, b"]),
        ("x = a not in b", ["NOT_IN x, a, b"]),
    ],
)  # fmt: skip
def test_operators_work_on_borrowed_operands(source: str, code: list[str]) -> None:
    assert listing(source) == code


def test_a_variable_assigned_before_needs_no_check() -> None:
    assert listing("a = 1\nx = a + b * c")[1:] == ["MUL t0, b, c", "ADD x, a, t0"]


def test_a_variable_read_before_needs_no_check() -> None:
    assert listing("print a\nx = a + b * c")[1:] == ["MUL t0, b, c", "ADD x, a, t0"]


def test_what_one_arm_assigns_is_not_certain_after_it() -> None:
    assert "CHECK a" in listing("if c { a = 1 }\nx = a + b * c")


def test_what_all_arms_assign_is_certain_after_them() -> None:
    assert "CHECK a" not in listing("if c { a = 1 } else if d { a = 2 } else { a = 3 }\nx = a + b * c")


def test_what_a_loop_assigns_is_not_certain_after_it() -> None:
    assert "CHECK a" in listing("for i in xs { a = 1 }\nx = a + b * c")


def test_a_loop_variable_is_certain_in_the_body_only() -> None:
    code = listing("for i in xs { x = i + b * c }\ny = i + b * c")
    assert code.count("CHECK i") == 1
    assert code.index("CHECK i") > code.index("RESTORE t3, i")


def test_what_the_second_operand_of_and_reads_is_not_certain_after_it() -> None:
    assert "CHECK b" in listing("x = a and b\ny = b + c * d")


def test_an_operand_that_a_parallel_rebinds_is_read_before_it() -> None:
    code = listing("a = 1\nx = a + len(parallel { a = 2 })")
    assert code[1:4] == ["MOVE t0, a", "PARALLEL t1, {L1}", "LEN t1, t1"]
    assert code[4] == "ADD x, t0, t1"


def test_an_operand_that_a_parallel_leaves_alone_is_borrowed() -> None:
    assert "ADD x, a, t0" in listing("a = 1\nx = a + len(parallel { b = 2 })")


def test_a_logical_value_is_the_operand_that_decided() -> None:
    assert listing("x = a and b or c") == [
        "MOVE t0, a", "JUMP_FALSE t0, -> L1", "MOVE t0, b", "L1:", "JUMP_TRUE t0, -> L2", "MOVE t0, c", "L2:",
        "TAKE x, t0",
    ]  # fmt: skip


def test_the_default_of_null_is_evaluated_only_then() -> None:
    assert listing("x = a ?? f") == ["MOVE t0, a", "JUMP_NOT_NULL t0, -> L1", "MOVE t0, f", "L1:", "TAKE x, t0"]


def test_the_arms_of_a_ternary_go_straight_into_the_variable() -> None:
    assert listing("x = a < 1 ? b : x") == [
        "JUMP_LT a, 1, 0, -> L1",
        "MOVE x, b",
        "JUMP -> L2",
        "L1:",
        "MOVE x, x",
        "L2:",
    ]


# --- conditions ---


def test_a_comparison_of_variables_is_fused_with_its_jump() -> None:
    assert listing("if a < b { c }")[0] == "JUMP_LT a, b, 0, -> L1"


def test_a_comparison_of_fields_frees_them_before_the_jump() -> None:
    code = listing('if a.b == "k" { c }')
    assert code[:3] == ['FIELD t0, a, "b"', 'EQ t0, t0, "k"', "JUMP_FALSE t0, -> L1"]


def test_a_condition_that_may_be_on_the_heap_becomes_a_boolean_before_the_jump() -> None:
    assert listing("if a.b { c }")[:3] == ['FIELD t0, a, "b"', "NOT t0, t0", "JUMP_TRUE t0, -> L1"]


def test_not_in_a_condition_turns_the_jump_around() -> None:
    assert listing("if not a { c }")[0] == "JUMP_TRUE a, -> L1"


def test_and_in_a_condition_jumps_at_the_first_false_operand() -> None:
    assert listing("if a and b > 1 { c }")[:2] == ["JUMP_FALSE a, -> L1", "JUMP_GT b, 1, 0, -> L1"]


def test_or_in_a_condition_jumps_at_the_first_true_operand() -> None:
    assert listing("if a or b { c }")[:3] == ["JUMP_TRUE a, -> L1", "JUMP_FALSE b, -> L2", "L1:"]


def test_a_constant_condition_costs_nothing() -> None:
    assert listing("if true { x = 1 }") == ["LOAD x, 1"]


# --- constants ---


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ("x = -1", "-1"),
        ("x = 60 * 60 * 24", "86400"),
        ("x = 2 - -3", "5"),
        ("x = -1.5", "-1.5"),
        ("x = -9223372036854775807", "-9223372036854775807"),
    ],
)
def test_whole_number_arithmetic_is_folded(source: str, constant: str) -> None:
    assert listing(source) == [f"LOAD x, {constant}"]


@pytest.mark.parametrize(
    "source", ['x = "a" + "b"', "x = 7 / 2", "x = 9223372036854775807 + 1", "x = -true", 'x = -"1"']
)
def test_what_charges_or_is_not_exact_is_not_folded(source: str) -> None:
    assert not listing(source)[0].startswith("LOAD ")


def test_a_constant_container_is_loaded_whole() -> None:
    assert listing('x = [1, { a: [null, "b"] }]') == ['LOAD_TREE x, [1, {"a": [null, "b"]}]']


def test_a_repeated_key_keeps_its_place_and_takes_the_last_value() -> None:
    assert listing("x = { a: 1, b: 2, a: 3 }") == ['LOAD_TREE x, {"a": 3, "b": 2}']


def test_an_empty_container_is_new_each_time() -> None:
    assert listing("x = []\ny = {}") == ["NEW_LIST x, 0", "NEW_RECORD y, 0"]


def test_the_constant_parts_of_a_container_are_loaded() -> None:
    assert listing("x = [[1, 2], y]") == ["LOAD_TREE t0, [1, 2]", "MOVE t1, y", "LIST x, t0, 2"]


def test_a_record_literal_of_the_image_shape_stays_a_record() -> None:
    source = 'x = { type: "image", id: "a", label: "b", size: 1, width: null, height: null }'
    assert listing(source)[-1].startswith("RECORD x, t0, 6")


def test_constants_beyond_the_preloaded_ones_are_loaded_when_used() -> None:
    code = listing(" ".join(f"x = a + {number}" for number in range(300)))
    assert "ADD x, a, 5" in code
    assert code[-2:] == ["LOAD t0, 299", "ADD x, a, t0"]


# --- containers, access, calls ---


def test_a_long_list_is_built_in_pieces() -> None:
    code = listing("x = [" + ", ".join(["y"] * 130) + "]")
    assert code[0] == "NEW_LIST t0, 130"
    assert [line for line in code if line.startswith("EXTEND")] == [
        "EXTEND t0, t1, 64",
        "EXTEND t0, t1, 64",
        "EXTEND t0, t1, 2",
    ]
    assert code[-2:] == ["FINISH t0", "TAKE x, t0"]


def test_a_long_record_is_built_in_pieces() -> None:
    code = listing("x = {" + ", ".join(f"k{number}: y" for number in range(65)) + "}")
    assert code[-4:] == ["MOVE t1, y", 'PUT t0, t1, 1, "k64"', "FINISH t0", "TAKE x, t0"]


def test_a_chain_of_steps_uses_one_temporary() -> None:
    assert listing("x = a.b[c]?.d") == [
        'FIELD t0, a, "b"', "INDEX t0, t0, c", "UNWRAP t0, t0, 0", 'FIELD x, t0, "d"', "DROP t0, 1",
    ]  # fmt: skip


def test_an_indexed_variable_is_checked_before_an_index_that_can_fail() -> None:
    assert listing("x = a[b.c]")[:2] == ["CHECK a", 'FIELD t0, b, "c"']


def test_the_unwrap_of_an_await_is_marked() -> None:
    assert "UNWRAP x, t0, 1" in listing("x = await h?")
    assert "UNWRAP x, t0, 1" in listing("x = (await h)?")
    assert "UNWRAP x, t0, 0" in listing("x = (await h).a?")


def test_arguments_are_borrowed_and_the_result_takes_the_place_of_the_first_temporary() -> None:
    assert listing("submit find(a, trim(b), 2)") == [
        "CHECK a", "CALL_BUILTIN t0, trim, 1, b", "CALL_BUILTIN t0, find, 3, a, t0, 2", "SUBMIT t0",
    ]  # fmt: skip


def test_variables_after_the_last_argument_that_can_fail_need_no_check() -> None:
    assert not [line for line in listing("submit find(trim(a), b, c)") if line.startswith("CHECK")]


def test_length_and_push_have_instructions_of_their_own() -> None:
    assert listing("x = len(y)\nx = push(x, 1)") == ["LEN x, y", "PUSH x, x, 1"]


def test_a_tool_takes_its_arguments_as_a_record() -> None:
    assert listing("x = call t { a: y }") == [
        "MOVE t0, y",
        'RECORD t0, t0, 1, "a"',
        'CALL_TOOL x, t0, "t"',
        "DROP t0, 1",
    ]


def test_a_type_without_references_is_a_constant() -> None:
    assert listing("T = Type { a: int, b: list[str | null]? }") == [
        'LOAD_TREE T, {"$lash_type": {"type": "object", "properties": {"a": {"type": "integer"}, '
        '"b": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, '
        '"required": ["a"], "additionalProperties": false}}'
    ]


def test_a_type_with_references_is_built_around_them() -> None:
    assert listing("T = Type { a: list[U] }") == [
        'LOAD t0, "object"', "NEW_RECORD t1, 1", 'LOAD t2, "array"', "TYPE_REF t3, U",
        'RECORD t2, t2, 2, "type", "items"',
        'PUT t1, t2, 1, "a"', "FINISH t1", 'LOAD_TREE t2, ["a"]', "LOAD t3, false",
        'RECORD t0, t0, 4, "type", "properties", "required", "additionalProperties"', 'RECORD T, t0, 1, "$lash_type"',
    ]  # fmt: skip
