"""Compiler: what parses becomes code that the verifier has nothing to say about, or a declared error."""

from __future__ import annotations

import lashlang
from lashlang.compiler.disasm import disassemble, instructions
from lashlang.compiler.stackmaps import StackMaps
from tests.compiler.verifier import complaints
from tests.fuzz.source import TEXTS
from tests.fuzz.target import Target, case_sources, generated

KINDS = {
    *("lex_error", "syntax_error", "duplicate_name", "nesting_too_deep", "source_too_large", "loop_control"),
    *("submit_in_parallel", "unknown_builtin", "arity_error"),
}
"""The errors that there are before a run (chapter 17)."""


def run(data: bytes) -> None:
    """Compile the bytes as text, and read the code in all the ways that there are."""
    source = data.decode("utf-8", "replace")
    try:
        program = lashlang.compile(source)
    except lashlang.CompileError as error:
        assert error.diagnostic.kind in KINDS  # noqa: PT017
        return
    assert complaints(program) == []
    assert disassemble(program)
    assert program.packed
    maps = StackMaps(program)
    entries = [0, *(entry for parallel in program.code.parallels for entry in parallel.entries)]
    for instruction in instructions(program):
        assert all(len(maps.at(entry, instruction.pc) or ()) <= program.code.registers for entry in entries[:50])
        start, end = program.statement(instruction.pc)
        assert 0 <= start <= end <= len(source)
    names = program.names_used & frozenset({"x", "y", "input"})
    assert complaints(program.with_readonly(names)) == []


def begin_with(number: int) -> list[bytes]:
    """Sources of cases, and programs generated for this run."""
    return [*case_sources(), *(program.source.encode() for program in generated(60, number))]


TARGET = Target("compiler", run, begin_with, TEXTS, modules=("lashlang.syntax", "lashlang.compiler"))
