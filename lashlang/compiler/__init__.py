"""The compiler: from a parsed block to the program that the kernel runs.

`checks` finds what must be refused before anything runs; `expressions`, `operators`, `statements`, `loops`,
`assignments`, `parallel` and `type_literals` turn nodes into instructions of the table in `opcodes`, through
the `emit`ter; `program` is the result.
"""

from lashlang.compiler.compilation import clear_cache, compile  # noqa: A004 - the name users expect, as in `re.compile`
from lashlang.compiler.disasm import disassemble
from lashlang.compiler.emit import Fact
from lashlang.compiler.opcodes import BYTECODE_VERSION
from lashlang.compiler.program import LANGUAGE_VERSION, Program

__all__ = ["BYTECODE_VERSION", "LANGUAGE_VERSION", "Fact", "Program", "clear_cache", "compile", "disassemble"]
