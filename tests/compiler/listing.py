"""Listings of small programs, bare enough to be written down in a test."""

from __future__ import annotations

from lashlang.compiler import compile as compile_block
from lashlang.compiler import disassemble
from lashlang.compiler.program import Program


def program(source: str) -> Program:
    """The program of a source."""
    return compile_block(source)


def listing(source: str | Program) -> list[str]:
    """The instructions without addresses, charges of statements, labels' indentation and source lines."""
    compiled = program(source) if isinstance(source, str) else source
    lines: list[str] = []
    for line in disassemble(compiled).splitlines()[1:]:
        if line.startswith("    "):
            text = " ".join(line.split()[1:])
            if text not in ("CHARGE 1", "END"):
                lines.append(text)
        elif line.startswith("  L"):
            lines.append(line.strip())
        elif line.startswith("unwind"):
            lines.append(line)
    return lines


def span_text(compiled: Program, opcode: str, site: int) -> str:
    """The source text that a fault of the first such instruction is shown at."""
    from lashlang.compiler.disasm import instructions

    pc = next(i.pc for i in instructions(compiled) if i.opcode.name == opcode)
    start, end = compiled.span(pc, site)
    return compiled.source[start:end]
