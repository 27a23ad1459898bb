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
from typing import NamedTuple, TypeAlias

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


class _Held(NamedTuple):
    """A map as the analysis keeps it: the filled temporary with the highest number, and the map of those below.

    Temporaries come and go as on a stack, so the maps of neighbouring instructions have almost everything in common.
    A source can be written that has thousands of temporaries in use at tens of thousands of instructions.
    """

    register: int
    kind: Kind
    below: _Held | None
    owns: bool
    """Whether a container under construction is among them."""


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
        self._analyses: dict[int, _Analysis] = {}

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
        analysis = self._analyses.get(entry)
        if analysis is None:
            analysis = self._analyses[entry] = _Analysis(self._code, self._next, self._first, entry)
        return analysis.at(pc)


class _Analysis:
    """The maps of one fiber's code."""

    def __init__(self, code: dict[int, Instruction], following: dict[int, int], first: int, entry: int) -> None:
        self._code = code
        self._next = following
        self._first = first
        self._held = self._forward(entry)
        self._needed = self._backward()

    def at(self, pc: int) -> Map | None:
        """The map of an instruction; None where the fiber cannot come there."""
        if pc not in self._held:
            return None
        needed = self._needed.get(pc, frozenset())
        found: list[tuple[int, Kind]] = []
        held = self._held[pc]
        while held is not None:
            # A finished container is a value like any other: only one that is still built on has to be unshared.
            finished = held.kind in _OWN and held.register not in needed
            found.append((held.register, Kind.VALUE if finished else held.kind))
            held = held.below
        return dict(reversed(found))

    def _forward(self, entry: int) -> dict[int, _Held | None]:
        """What is held before each instruction that can be reached."""
        found: dict[int, _Held | None] = {entry: None}
        work = [entry]
        while work:
            pc = work.pop()
            emptied, filled = self._effect(self._code[pc])
            after = _changed(found[pc], emptied, filled)
            for following in self._successors(pc):
                if following not in found:
                    found[following] = after
                    work.append(following)
                    continue
                known = found[following]
                joined = _join(known, after)
                if joined is not known:
                    found[following] = joined
                    work.append(following)
        return found

    def _successors(self, pc: int) -> list[int]:
        instruction = self._code[pc]
        found = [] if instruction.opcode.name in _ENDS else [self._next[pc]]
        return found if instruction.target is None else [*found, instruction.target]

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

    def _backward(self) -> dict[int, frozenset[int]]:
        """The containers under construction that are still built on after each instruction."""
        owned = {pc for pc, held in self._held.items() if held is not None and held.owns}
        nothing = frozenset[int]()
        needed: dict[int, frozenset[int]] = dict.fromkeys(owned, nothing)
        same: dict[frozenset[int], frozenset[int]] = {nothing: nothing}
        before: dict[int, list[int]] = {pc: [] for pc in owned}
        for pc in owned:
            for following in self._successors(pc):
                if following in owned:
                    before[following].append(pc)
        work = sorted(owned)
        while work:
            pc = work.pop()
            instruction = self._code[pc]
            emptied, filled = self._effect(instruction)
            later = nothing.union(*(needed.get(following, nothing) for following in self._successors(pc)))
            now = later.difference(emptied, filled)
            if instruction.opcode.name in _BUILDERS:
                now |= {instruction.a}
            if now != needed[pc]:
                needed[pc] = same.setdefault(now, now)
                work.extend(before[pc])
        return needed


@lru_cache(maxsize=16)
def stack_maps(program: Program) -> StackMaps:
    """The maps of a program; those of the programs last asked for are kept."""
    return StackMaps(program)


def _push(register: int, kind: Kind, below: _Held | None) -> _Held:
    return _Held(register, kind, below, kind in _OWN or (below is not None and below.owns))


def _changed(held: _Held | None, emptied: range | tuple[int, ...], filled: Map) -> _Held | None:
    """What is held after some temporaries have been emptied and others filled."""
    if not emptied and not filled:
        return held
    lowest = min([*emptied[:1], *filled])
    above: Map = {}
    while held is not None and held.register >= lowest:
        above[held.register] = held.kind
        held = held.below
    for register in emptied:
        above.pop(register, None)
    above |= filled
    for register in sorted(above):
        held = _push(register, above[register], held)
    return held


def _join(known: _Held | None, other: _Held | None) -> _Held | None:
    """What holds whichever of two paths was taken; `known` itself where the other path changes nothing."""
    one = known
    above: list[tuple[int, Kind]] = []
    changed = False
    while one is not other:
        if one is None or other is None:
            changed = changed or one is not None
            one = None
            break
        if one.register == other.register:
            kind = _common(one.kind, other.kind)
            changed = changed or kind != one.kind
            above.append((one.register, kind))
            one, other = one.below, other.below
        elif one.register > other.register:
            changed = True
            one = one.below
        else:
            other = other.below
    if not changed:
        return known
    for register, kind in reversed(above):
        one = _push(register, kind, one)
    return one


def _common(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    return Kind.PARKED if Kind.PARKED in (one, other) else Kind.VALUE
