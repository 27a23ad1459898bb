"""The disassembler: a program's instructions as text, with the source between them.

Each line is an address, an opcode and its operands by name: variables as they are called, constants as
literals, temporaries as `t0`, `t1`, …; jump targets are labels `L1`, `L2`, … in order of address.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lashlang.compiler.builtins import BUILTINS
from lashlang.compiler.faults import KINDS
from lashlang.compiler.opcodes import OPCODES, UPDATE_OPS, Opcode
from lashlang.compiler.program import Program
from lashlang.syntax.source import Source

_UPDATE_NAMES: dict[int, str] = {number: name for name, number in UPDATE_OPS.items()}
_JUMPS = frozenset(opcode.name for opcode in OPCODES if opcode.name.startswith("JUMP"))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction: its address, opcode, fields, and the fields of its extra words."""

    pc: int
    opcode: Opcode
    a: int
    b: int
    c: int
    extra: tuple[int, ...]

    @property
    def target(self) -> int | None:
        """The address it may jump to, if it is a jump or the head of a loop."""
        if self.opcode.words == "target":
            return self.extra[0] | self.extra[1] << 16
        if self.opcode.name in _JUMPS:
            return self.b | self.c << 16
        return None


def extra_words(opcode: Opcode, c: int) -> int:
    """Number of extra words that follow an instruction whose field c is `c`."""
    if opcode.words == "target":
        return 1
    if opcode.words in ("args", "keys"):
        return (c + 3) // 4
    if opcode.words == "steps":
        count = c & 0xFFF if opcode.name == "UPDATE" else c
        return (count + 1) // 2
    return 0


def instructions(program: Program) -> Iterator[Instruction]:
    """The instructions of a program in order of address."""
    words = program.code.words
    fields: tuple[int, ...] = struct.unpack(f"<{len(words) // 2}H", words)
    pc = 0
    while pc * 4 < len(fields):
        number, a, b, c = fields[pc * 4 : pc * 4 + 4]
        opcode = OPCODES[number]
        extra = extra_words(opcode, c)
        yield Instruction(pc, opcode, a, b, c, fields[pc * 4 + 4 : (pc + 1 + extra) * 4])
        pc += 1 + extra


class _Writer:
    """Renders the instructions of one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = program.code
        self.decoded = list(instructions(program))
        targets = {i.target for i in self.decoded if i.target is not None}
        for entry in self.code.parallels:
            targets.update(entry.entries)
        self.labels = {pc: f"L{number}" for number, pc in enumerate(sorted(targets), 1)}

    def register(self, number: int) -> str:
        """A register by name."""
        variables = len(self.code.variables)
        if number < variables:
            return self.code.variables[number]
        if number < variables + self.code.preloaded:
            return self.constant(number - variables)
        return f"t{number - variables - self.code.preloaded}"

    def constant(self, index: int) -> str:
        """A constant as a literal."""
        return json.dumps(self.code.constants[index], ensure_ascii=False)

    def operands(self, i: Instruction) -> list[str]:
        """The operands of an instruction, by the roles of its fields."""
        name = i.opcode.name
        texts: list[str] = []
        for role, value in zip(i.opcode[1:4], (i.a, i.b, i.c), strict=True):
            if role == "const":
                texts.append(self.constant(value))
            elif role == "imm":
                texts.append(self._number(name, len(texts), value))
            elif role in ("dst", "reg", "tmp", "var"):
                texts.append(self.register(value))
        if i.opcode.b == "lo":
            texts.append(self._wide(i))
        if i.opcode.words == "target":
            texts.append("-> " + self.labels[i.extra[0] | i.extra[1] << 16])
        elif i.opcode.words == "args":
            texts += [self.register(value) for value in i.extra[: i.c]]
        elif i.opcode.words == "keys":
            texts += [self.constant(value) for value in i.extra[: i.c]]
        elif i.opcode.words == "steps":
            texts.append(self._path(i))
        return texts

    def _number(self, opcode: str, place: int, value: int) -> str:
        """A plain number, by what it counts."""
        if opcode == "FAULT":
            return KINDS[value]
        if opcode == "CALL_BUILTIN" and place == 1:
            return BUILTINS[value].name
        if opcode == "UPDATE":
            return _UPDATE_NAMES[value >> 12]
        return str(value)

    def _wide(self, i: Instruction) -> str:
        """The 32-bit operand in fields b and c."""
        value = i.b | i.c << 16
        if i.target is not None:
            return "-> " + self.labels[value]
        if i.opcode.name in ("LOAD", "LOAD_TREE"):
            return self.constant(value)
        if i.opcode.name == "PARALLEL":
            entry = self.code.parallels[value]
            branches = [
                f"{key}: {self.labels[pc]}" if key is not None else self.labels[pc]
                for key, pc in zip(entry.keys, entry.entries, strict=True)
            ]
            excluded = [self.code.variables[slot] for slot in entry.excluded]
            return "{" + ", ".join(branches) + "}" + (f" unmarked {', '.join(excluded)}" if excluded else "")
        return str(value)

    def _path(self, i: Instruction) -> str:
        """The steps of a path."""
        count = i.c & 0xFFF if i.opcode.name == "UPDATE" else i.c
        steps: list[str] = []
        for at in range(0, count * 2, 2):
            kind, operand = i.extra[at : at + 2]
            steps.append(f"[{self.register(operand)}]" if kind else f".{json.loads(self.constant(operand))}")
        return "".join(steps)

    def lines(self) -> Iterator[str]:
        """The listing, line by line."""
        code = self.code
        temporaries = code.registers - len(code.variables) - code.preloaded
        yield f"{len(code.variables)} variables, {code.preloaded} preloaded constants, {temporaries} temporaries"
        source = Source(self.program.source)
        shown = 0
        for i in self.decoded:
            line, _ = source.position(self.program.statement(i.pc)[0])
            if line != shown:
                yield f"{line} | {source.line(line)}"
                shown = line
            if i.pc in self.labels:
                yield f"  {self.labels[i.pc]}:"
            yield f"    {i.pc:>4}  {i.opcode.name:<13} {', '.join(self.operands(i))}".rstrip()
        for start, end, temp, slot in code.unwinds:
            yield f"unwind {start}..{end}: {code.variables[slot]} from {self.register(temp)}"


def disassemble(program: Program) -> str:
    """A readable listing of a program, ending in a line feed."""
    return "\n".join(_Writer(program).lines()) + "\n"
