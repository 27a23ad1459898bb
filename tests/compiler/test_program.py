"""`Program`: what it tells, that it cannot be changed, and the cache of compiled sources."""

from __future__ import annotations

import inspect
import sys
import threading
from typing import Any, cast

import msgpack
import pytest

from lashlang.compiler import BYTECODE_VERSION, Fact, clear_cache, emit
from lashlang.compiler import compile as compile_block
from lashlang.compiler.compilation import MOST_CACHED
from lashlang.compiler.disasm import instructions
from lashlang.compiler.opcodes import LIMIT_SITE
from lashlang.compiler.program import Program
from lashlang.syntax import CompileError

from .listing import listing, span_text


def pcs(program: Program, opcode: str) -> list[int]:
    return [i.pc for i in instructions(program) if i.opcode.name == opcode]


def test_variables_are_numbered_in_order_of_first_appearance() -> None:
    program = compile_block("b = a\nfor c in d { e[f] = g }\nT = Type { x: U }")
    assert program.code.variables == ("b", "a", "c", "d", "e", "f", "g", "T", "U")


def test_names_assigned_are_those_stored_or_bound_by_loops() -> None:
    program = compile_block("a = b\nc.d = e\nfor f in g { h }\ni = [j for j, k in l]\nm += n")
    assert program.names_assigned == {"a", "c", "f", "i", "j", "k", "m"}


def test_names_used_are_all_names_mentioned() -> None:
    assert compile_block("a = len(b)").names_used == {"a", "b"}


def test_tools_called_are_listed() -> None:
    assert compile_block("call t {}\nh = start call u { a: [call v {}] }").tools == {"t", "u", "v"}


def test_the_hash_depends_on_the_source_alone() -> None:
    first = compile_block("x = 1")
    clear_cache()
    assert compile_block("x = 1").hash == first.hash
    assert compile_block("x = 2").hash != first.hash


def test_a_program_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        compile_block("x = 1").source = "x = 2"


def test_the_packed_form_holds_the_tables_in_order() -> None:
    program = compile_block('x = "a"\nparallel { a: x, b: 1.5 }')
    document: list[Any] = cast("list[Any]", msgpack.unpackb(program.packed))
    version, variables, constants, preloaded, registers, code, unwinds, parallels = document
    assert (version, variables) == (BYTECODE_VERSION, ["x"])
    assert (sorted(map(str, constants)), preloaded) == (["1.5", "a"], 1)
    assert registers == 1 + 1 + 1
    assert len(code) % 8 == 0
    assert unwinds == b""
    keys, entries, excluded, named = parallels[0]
    assert (keys, len(entries), excluded, named) == (["a", "b"], 2, [], True)


def test_a_byte_order_mark_is_no_part_of_the_source() -> None:
    assert compile_block("\ufeffsubmit nope").source == "submit nope"


# --- places ---


def test_a_limit_blames_the_innermost_statement() -> None:
    program = compile_block('if c { x = "a" + 1 }')
    start, end = program.span(pcs(program, "ADD")[0], LIMIT_SITE)
    assert program.source[start:end] == 'x = "a" + 1'


def test_the_charge_of_a_statement_blames_the_statement_around_it() -> None:
    program = compile_block("while c { x = 1\ny = 2 }\nz = 3")
    blamed = [program.source[slice(*program.span(pc, LIMIT_SITE))] for pc in pcs(program, "CHARGE")]
    loop = "while c { x = 1\ny = 2 }"
    assert blamed == [loop, loop, loop, "z = 3"]


def test_the_charge_of_an_else_if_blames_the_if_before_it() -> None:
    program = compile_block("if a { x } else if b { y } else if c { z }")
    blamed = [program.source[slice(*program.span(pc, LIMIT_SITE))] for pc in pcs(program, "CHARGE")]
    whole = "if a { x } else if b { y } else if c { z }"
    second = "if b { y } else if c { z }"
    third = "if c { z }"
    assert blamed == [whole, whole, whole, second, second, third]


def test_the_charge_of_a_branch_blames_the_statement_of_the_parallel() -> None:
    program = compile_block("x = parallel { y }")
    assert program.source[slice(*program.span(pcs(program, "CHARGE")[1], LIMIT_SITE))] == "x = parallel { y }"


@pytest.mark.parametrize(
    ("source", "opcode", "site", "text"),
    [
        ("x = 1 + a + b", "ADD", 0, "1 + a"),
        ("x = 1 + a + b", "ADD", 2, "a"),
        ("x = (1 + a).b", "FIELD", 0, "(1 + a).b"),
        ("x = r.a[0]?.b", "INDEX", 0, "r.a[0]"),
        ("x = r.a[0]?.b", "UNWRAP", 0, "r.a[0]?"),
        ("x = await h?", "AWAIT", 0, "await h"),
        ("x = await h?", "UNWRAP", 0, "await h?"),
        ("x = 1 + -(a)", "NEG", 0, "-(a)"),
        ("x = (a) < b", "LT", 0, "(a) < b"),
        ("x = (a) < b", "LT", 1, "a"),
        ("x = sort(a)", "CALL_BUILTIN", 0, "sort(a)"),
        ("x = find(a, b)", "CALL_BUILTIN", 2, "b"),
        ("x = start call t { a: 1 }", "START_TOOL", 0, "start call t { a: 1 }"),
        ("print x", "PRINT", 0, "print x"),
        ("cancel x.h", "CANCEL", 0, "cancel x.h"),
        ("x.a[i] = y", "SET_PATH", 0, "x.a[i] = y"),
        ("x.a[i] = 1", "SET_PATH", 2, "i"),
        ("x += y.a", "ADD", 0, "x += y.a"),
        ("x += y.a", "CHECK", 1, "x += y.a"),
        ("x.n += 1", "UPDATE", 65533, "x.n += 1"),
        ("x.n = x.n + y", "UPDATE", 65533, "x.n + y"),
        ("x.n = x.n + y", "UPDATE", 65534, "x.n = x.n + y"),
        ("x.n = x.n + y", "FIELD", 0, "x.n"),
        ("x = 1\nx.n = x.n + 1", "UPDATE", 0, "x.n"),
        ("for x in y { x }", "FOR_LIST", 0, "for"),
        ("for x in y { x }", "FOR_LIST", 1, "y"),
        ("for x in range(a) { x }", "RANGE", 0, "range(a)"),
        ("for a, b in y { a }", "PAIRS_NEXT", 0, "for"),
        ("x = [a for a in b]", "FOR_LIST", 0, "for"),
        ("x = 1 + parallel { a }", "PARALLEL", 0, "parallel"),
        ("T = Type { a: list[U] }", "TYPE_REF", 1, "U"),
    ],
)
def test_a_fault_is_shown_at_the_operation_or_operand_that_failed(
    source: str, opcode: str, site: int, text: str
) -> None:
    assert span_text(compile_block(source), opcode, site) == text


def test_an_unwrap_before_a_field_is_known_for_its_hint() -> None:
    program = compile_block("x = a?.b\ny = a?")
    followed, last = pcs(program, "UNWRAP")
    assert program.facts(followed, 0) == Fact.FOLLOWED
    assert program.facts(last, 0) == Fact.NONE


def test_the_root_of_a_compound_assignment_is_known_for_its_hint() -> None:
    program = compile_block("x += 1")
    assert program.facts(pcs(program, "ADD")[0], 1) == Fact.ROOT


# --- read-only variants ---


def test_names_that_are_not_assigned_need_no_variant() -> None:
    program = compile_block("x = y")
    assert program.with_readonly(frozenset({"y", "z"})) is program


def test_a_variant_is_made_once() -> None:
    program = compile_block("x = y")
    assert program.with_readonly(frozenset({"x"})) is program.with_readonly(frozenset({"x", "y"}))


def test_a_variant_of_a_variant_is_that_of_the_names_given() -> None:
    variant = compile_block("x = 1\ny = 2").with_readonly(frozenset({"x"}))
    assert variant.with_readonly(frozenset({"y"})).readonly == {"y"}
    assert variant.with_readonly(frozenset()).readonly == frozenset()


def test_assigning_a_read_only_name_fails_after_the_right_hand_side() -> None:
    variant = compile_block("x = len(y)").with_readonly(frozenset({"x"}))
    assert listing(variant) == ["LEN t0, y", 'FAULT read_only, "x"']


def test_a_loop_over_a_read_only_name_fails_at_its_first_binding() -> None:
    variant = compile_block("for x in y { z }").with_readonly(frozenset({"x"}))
    assert listing(variant)[:3] == ["FOR_LIST t0, y", "LIST_NEXT t0, t3, 1, -> L1", 'FAULT read_only, "x"']
    assert span_text(variant, "FAULT", 0) == "for"


def test_the_first_of_two_names_is_bound_before_a_read_only_second_one() -> None:
    variant = compile_block("for a, b in y { z }").with_readonly(frozenset({"b"}))
    assert "PAIRS_NEXT t0, a, t4, -> L1" in listing(variant)
    assert any(line.endswith("a from t3") for line in listing(variant) if line.startswith("unwind"))


# --- cache and recursion ---


def test_a_source_compiled_again_gives_the_same_program() -> None:
    assert compile_block("submit 42") is compile_block("submit 42")


def test_the_cache_lets_the_oldest_program_go() -> None:
    clear_cache()
    first = compile_block("x = 0")
    for number in range(1, MOST_CACHED + 1):
        compile_block(f"x = {number}")
    assert compile_block("x = 0") is not first


def test_a_source_that_is_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(CompileError):
            compile_block("x = (")


def test_threads_may_compile_the_same_source_at_once() -> None:
    clear_cache()
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(compile_block("submit [x for x in range(9)]").hash))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


DEEP = "x = " + "".join("(a ?? b or c and d == e + f * [" for _ in range(31)) + "1" + "][0])" * 31


def call_at_depth(depth: int, source: str) -> Program:
    return compile_block(source) if depth == 0 else call_at_depth(depth - 1, source)


def test_a_deep_tree_compiles_within_the_default_recursion_limit() -> None:
    clear_cache()
    assert compile_block(DEEP).names_assigned == {"x"}


def test_a_deep_tree_compiles_near_the_recursion_limit() -> None:
    clear_cache()
    used = len(inspect.stack(0))
    assert call_at_depth(sys.getrecursionlimit() - used - 60, DEEP).names_assigned == {"x"}


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "+".join(["a"] * 20000),
        "x = a" + ".b" * 20000,
        "x" + ".b" * 20000 + " = 1",
        "x = " + " and ".join(["a"] * 20000),
        "x = [1" + " for a in b" * 5000 + "]",
        "if a { b }" + " else if a { b }" * 250,
    ],
    ids=["operators", "steps", "path", "logic", "clauses", "else if"],
)
def test_long_chains_compile_without_recursion(source: str) -> None:
    assert compile_block(source).names_used


def test_a_block_that_needs_too_many_registers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_cache()
    monkeypatch.setattr(emit, "MOST_REGISTERS", 3)
    assert compile_block("a = b + 1").code.registers == 3
    with pytest.raises(CompileError) as caught:
        compile_block("a = b + c + 1")
    assert caught.value.diagnostic.kind == "source_too_large"


def test_a_path_longer_than_an_instruction_can_hold_is_refused() -> None:
    with pytest.raises(CompileError) as caught:
        compile_block("x" + ".a" * 65536 + " = 1")
    assert caught.value.diagnostic.kind == "source_too_large"
