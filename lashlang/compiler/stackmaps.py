"""What the temporaries of a suspended fiber hold: stack maps, as garbage collectors call them.

The kernel trusts compiled code, so some instructions take it for granted that a temporary holds, say, a loop's
position. A snapshot brings the contents of the registers from outside. Before a fiber is set to an instruction its
registers are compared with the map of that instruction, which is worked out here from the code alone, by following
every path from the fiber's first instruction (a forward data-flow analysis; Muchnick, "Advanced Compiler Design and
Implementation", 1997, chapter 8).

A map holds before its instruction: one that waits is executed again when its answers have come.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TypeAlias

from lashlang.compiler.disasm import Instruction, instructions
from lashlang.compiler.opcodes import Opcode
from lashlang.compiler.program import Parallel, Program


class Kind(IntEnum):
    """What a temporary must hold; the kernel has the same numbers (suspended.zig)."""

    VALUE = 0
    """Any value."""
    PARKED = 1
    """A variable's binding, or that there was none."""
    INTEGER = 2
    """A whole number: a loop's position, step or count."""
    LIST = 3
    """A list."""
    ITERABLE = 4
    """A list or a record."""
    OWN_LIST = 5
    """A list under construction, which is changed in place and so may be nobody else's."""
    OWN_RECORD = 6
    """A record under construction."""


Map: TypeAlias = dict[int, Kind]
"""Temporaries, by register number, that all paths to an instruction have filled."""

_ENDS = frozenset({"END", "SUBMIT", "JUMP", "FAULT", "BRANCH_END"})
"""Instructions that the next one is not reached from."""

_OWN = frozenset({Kind.OWN_LIST, Kind.OWN_RECORD})
_BUILDERS = frozenset({"EXTEND", "PUT", "COLLECT", "FINISH"})
"""Instructions that change, or look into, the container under construction in `a`."""

_MADE = {"NEW_LIST": Kind.OWN_LIST, "NEW_RECORD": Kind.OWN_RECORD}


class StackMaps:
    """The maps of one program, worked out for each fiber's code when first asked for."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._first = len(program.code.variables) + program.code.preloaded
        self._code = {instruction.pc: instruction for instruction in instructions(program)}
        following = list(self._code)[1:]
        self._next = dict(zip(self._code, following, strict=False))
        self._maps: dict[int, dict[int, Map]] = {}

    def opcode(self, pc: int) -> Opcode | None:
        """The opcode of the instruction at an address, None where no instruction begins."""
        instruction = self._code.get(pc)
        return None if instruction is None else instruction.opcode

    def parallel(self, pc: int) -> Parallel | None:
        """The entry of the table of `parallel`s that the instruction at an address runs, None for any other one."""
        instruction = self._code.get(pc)
        if instruction is None or instruction.opcode.name != "PARALLEL":
            return None
        return self._program.code.parallels[instruction.b | instruction.c << 16]

    def at(self, entry: int, pc: int) -> Map | None:
        """What the temporaries hold before the instruction at `pc` in the code of the fiber that begins at `entry`.

        None where no path leads from the one to the other.
        """
        maps = self._maps.get(entry)
        if maps is None:
            maps = self._maps[entry] = self._forward(entry)
            self._disown(maps)
        return maps.get(pc)

    def _forward(self, entry: int) -> dict[int, Map]:
        """The maps of all instructions that can be reached."""
        maps: dict[int, Map] = {entry: {}}
        work = [entry]
        while work:
            pc = work.pop()
            after = self._after(self._code[pc], maps[pc])
            for following in self._successors(pc):
                known = maps.get(following)
                joined = after if known is None else _join(known, after)
                if known is None or joined != known:
                    maps[following] = joined
                    work.append(following)
        return maps

    def _successors(self, pc: int) -> list[int]:
        instruction = self._code[pc]
        found = [] if instruction.opcode.name in _ENDS else [self._next[pc]]
        return found if instruction.target is None else [*found, instruction.target]

    def _after(self, i: Instruction, before: Map) -> Map:
        """The map after an instruction."""
        emptied, filled = self._effect(i)
        if not emptied and not filled:
            return before
        after = {register: kind for register, kind in before.items() if register not in emptied}
        after.update(filled)
        return after

    def _effect(self, i: Instruction) -> tuple[range | tuple[int, ...], Map]:
        """The temporaries that an instruction empties, and then those it fills."""
        name, a = i.opcode.name, i.a
        emptied: range | tuple[int, ...] = ()
        filled: Map = {}
        if i.opcode.a == "dst" and a >= self._first:
            filled[a] = _MADE.get(name, Kind.VALUE)
        if name in ("LIST", "RECORD", "EXTEND", "PUT"):
            emptied = range(i.b, i.b + i.c)
        elif name in ("COLLECT", "TAKE"):
            emptied = (i.b,)
        elif name == "DROP":
            emptied = range(a, a + i.b)
        elif name == "FINISH":
            filled[a] = Kind.VALUE
        elif name == "SAVE":
            filled[a] = Kind.PARKED
        elif name == "RESTORE":
            emptied = (a,)
        elif name in ("FOR_LIST", "FOR_PAIRS"):
            filled = {a: Kind.LIST if name == "FOR_LIST" else Kind.ITERABLE, a + 1: Kind.INTEGER}
        elif name == "RANGE":
            emptied = range(i.b, i.b + i.c)
            filled = {a: Kind.INTEGER, a + 1: Kind.INTEGER, a + 2: Kind.INTEGER}
        return emptied, filled

    def _disown(self, maps: dict[int, Map]) -> None:
        """Ask no more of a finished container than of any value: only one that is still built on has to be unshared."""
        owned = {pc for pc, known in maps.items() if not _OWN.isdisjoint(known.values())}
        if not owned:
            return
        needed: dict[int, frozenset[int]] = {pc: frozenset() for pc in owned}
        before: dict[int, list[int]] = {pc: [] for pc in owned}
        for pc in maps:
            for following in self._successors(pc):
                if following in owned and pc in owned:
                    before[following].append(pc)
        work = list(owned)
        while work:
            pc = work.pop()
            instruction = self._code[pc]
            emptied, filled = self._effect(instruction)
            later = frozenset[int]().union(*(needed.get(following, ()) for following in self._successors(pc)))
            now = frozenset(r for r in later if r not in emptied and r not in filled)
            if instruction.opcode.name in _BUILDERS:
                now |= {instruction.a}
            if now != needed[pc]:
                needed[pc] = now
                work.extend(before[pc])
        for pc in owned:
            maps[pc] = {
                register: Kind.VALUE if kind in _OWN and register not in needed[pc] else kind
                for register, kind in maps[pc].items()
            }


@lru_cache(maxsize=16)
def stack_maps(program: Program) -> StackMaps:
    """The maps of a program; those of the programs last asked for are kept."""
    return StackMaps(program)


def _join(one: Map, other: Map) -> Map:
    """What holds whichever of two paths was taken."""
    return {register: _common(kind, other[register]) for register, kind in one.items() if register in other}


def _common(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    return Kind.PARKED if Kind.PARKED in (one, other) else Kind.VALUE
