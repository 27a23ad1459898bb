"""A check of finished code, written from the instruction table alone.

It follows every path through a program and complains when an instruction reads a temporary that some
path leaves empty, when a number does not fit what it names, when a jump goes astray, when code runs
into other code, or when a fault would have no place in the source.
"""

from __future__ import annotations

from collections.abc import Iterator

from lashlang.compiler.disasm import Instruction, instructions
from lashlang.compiler.opcodes import SITE_UPDATE_OPERATION, SITE_UPDATE_STORE
from lashlang.compiler.program import Program

ENDS = {"END", "SUBMIT", "JUMP", "FAULT", "BRANCH_END"}
"""Instructions that the next one is not reached from."""

SILENT = frozenset(
    "END CHARGE JUMP TAKE CHECK DROP LOAD LOAD_TREE LIST RECORD NEW_LIST EXTEND NEW_RECORD PUT FINISH COLLECT "
    "SAVE RESTORE BRANCH_END MARK".split()
)
"""Instructions that nothing but a limit or an unbound operand can stop (TAKE into a variable apart)."""

LOOP_STATE = 3


class Verifier:
    """Walks one program; `complaints` lists what is wrong with it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = program.code
        self.variables = len(self.code.variables)
        self.first_temp = self.variables + self.code.preloaded
        self.list = list(instructions(program))
        self.at = {i.pc: number for number, i in enumerate(self.list)}
        self.complaints: list[str] = []

    def complain(self, i: Instruction, text: str) -> None:
        self.complaints.append(f"{i.pc} {i.opcode.name}: {text}")

    def run(self) -> list[str]:
        for i in self.list:
            self.check_fields(i)
            self.check_sites(i)
        self.check_unwinds()
        self.flow(0)
        for entry in self.code.parallels:
            for pc in entry.entries:
                self.flow(pc)
        return self.complaints

    # --- fields ---

    def registers_read(self, i: Instruction) -> Iterator[tuple[int, int]]:
        """The borrowed operands of an instruction with their sites."""
        site = 1
        for role, value in zip(i.opcode[1:4], (i.a, i.b, i.c), strict=True):
            if role == "reg":
                yield site, value
                site += 1
        if i.opcode.words == "args":
            for value in i.extra[: i.c]:
                yield site, value
                site += 1
        elif i.opcode.words == "steps":
            count = i.c & 0xFFF if i.opcode.name == "UPDATE" else i.c
            for at in range(0, count * 2, 2):
                if i.extra[at]:
                    yield site, i.extra[at + 1]
                    site += 1

    def check_fields(self, i: Instruction) -> None:
        for role, value in zip(i.opcode[1:4], (i.a, i.b, i.c), strict=True):
            if role == "var" and value >= self.variables and not self.program.readonly:
                self.complain(i, f"{value} is no variable")
            elif role == "tmp" and not self.first_temp <= value < self.code.registers:
                self.complain(i, f"{value} is no temporary")
            elif role == "dst" and (self.variables <= value < self.first_temp or value >= self.code.registers):
                self.complain(i, f"{value} cannot be written")
            elif role == "const" and value >= len(self.code.constants):
                self.complain(i, f"{value} is no constant")
            elif role == "-" and value != 0:
                self.complain(i, "an unused field is not zero")
        for _, value in self.registers_read(i):
            if value >= self.code.registers:
                self.complain(i, f"{value} is no register")
        if i.target is not None and i.target not in self.at:
            self.complain(i, f"jumps into the middle of an instruction, {i.target}")

    # --- sites ---

    def check_sites(self, i: Instruction) -> None:
        def needs(site: int) -> None:
            if not self.program.has_span(i.pc, site):
                self.complain(i, f"site {site} has no span")

        name = i.opcode.name
        to_variable = name in ("MOVE", "TAKE") and i.a < self.variables
        if to_variable or (name not in SILENT and name != "MOVE"):
            needs(0)
        if name == "UPDATE":
            needs(SITE_UPDATE_OPERATION)
            needs(SITE_UPDATE_STORE)
        for site, register in self.registers_read(i):
            if register < self.variables and name != "BRANCH_END":
                needs(site)

    def check_unwinds(self) -> None:
        for start, end, temp, slot in self.code.unwinds:
            if not (start <= end and start in self.at and end in self.at):
                self.complaints.append(f"unwind {start}..{end} is not made of instructions")
            if slot >= self.variables or not self.first_temp <= temp < self.code.registers:
                self.complaints.append(f"unwind {start}..{end} restores the wrong thing")

    # --- temporaries ---

    def effects(self, i: Instruction) -> tuple[list[int], list[int], list[int]]:
        """The temporaries that an instruction needs, empties and fills."""
        name = i.opcode.name
        needs = [value for _, value in self.registers_read(i) if value >= self.first_temp]
        empties: list[int] = []
        fills = [i.a] if i.opcode.a == "dst" and i.a >= self.first_temp else []
        if name in ("LIST", "RECORD"):
            empties = list(range(i.b, i.b + i.c))
        elif name in ("EXTEND", "PUT"):
            needs.append(i.a)
            empties = list(range(i.b, i.b + i.c))
        elif name == "COLLECT":
            needs.append(i.a)
            empties = [i.b]
        elif name == "TAKE":
            empties = [i.b]
        elif name == "DROP":
            return [], list(range(i.a, i.a + i.b)), []
        elif name == "FINISH":
            needs.append(i.a)
        elif name == "SAVE":
            fills = [i.a]
        elif name == "RESTORE":
            empties = [i.a]
        elif name in ("FOR_LIST", "FOR_PAIRS"):
            fills = list(range(i.a, i.a + LOOP_STATE))
        elif name == "RANGE":
            needs += range(i.b, i.b + i.c)
            fills = list(range(i.a, i.a + LOOP_STATE))
        elif name.endswith("_NEXT"):
            needs += range(i.a, i.a + LOOP_STATE)
        return needs + empties, empties, fills

    def flow(self, entry: int) -> None:
        """Follow all paths from an address, with the temporaries that are certainly filled."""
        known: dict[int, frozenset[int]] = {entry: frozenset()}
        work = [entry]
        while work:
            pc = work.pop()
            number = self.at[pc]
            i = self.list[number]
            needs, empties, fills = self.effects(i)
            for temp in needs:
                if temp not in known[pc]:
                    self.complain(i, f"t{temp - self.first_temp} may be empty")
            after = (known[pc] - set(empties)) | set(fills)
            following = [] if i.opcode.name in ENDS else [self.list[number + 1].pc]
            if i.target is not None:
                following.append(i.target)
            for next_pc in following:
                joined = after & known[next_pc] if next_pc in known else after
                if next_pc not in known or joined != known[next_pc]:
                    known[next_pc] = joined
                    work.append(next_pc)


def complaints(program: Program) -> list[str]:
    """What is wrong with a program's code; nothing, if all is well."""
    return Verifier(program).run()
