"""The emitter: where instructions, constants, temporaries, spans and known bindings are kept while compiling.

Registers are symbolic until the end, because the numbers of preloaded constants and temporaries are
known only then: a field below `TEMP` is final (a variable's slot or plain number), `TEMP + i` is
temporary i, `CONSTANT_REGISTER + i` and `CONSTANT_INDEX + i` stand for constant i as a register and as
an index. Code is one flat list of 16-bit fields, four to a word.

Temporaries are a stack. An expression handler notes the height (`base`), compiles its operands, emits
its instruction into the wanted variable or into temporary `base`, and calls `settle`, which drops what
the operands left above. Only temporaries that may hold heap values need a DROP; `heap` says which.

`bound` holds the variables that are certainly bound here. Facts learnt on a path that may not be taken
are withdrawn at its end (`facts`, `withdraw`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

from lashlang.compiler.checks import Survey
from lashlang.compiler.dispatch import bare
from lashlang.compiler.faults import KINDS
from lashlang.compiler.opcodes import NUMBER
from lashlang.compiler.values import Scalar, Unknown, Value
from lashlang.syntax import tree

TEMP = 1 << 20
CONSTANT_REGISTER = 1 << 21
CONSTANT_INDEX = 1 << 22

MOST_PRELOADED = 256
MOST_REGISTERS = 0xFFFF - 3
MOST_IN_FIELD = 0xFFFF
MOST_FACTS_COPIED = 1000
MOST_THREADED = 8

_CHARGE = NUMBER["CHARGE"]
_CHECK = NUMBER["CHECK"]
_DROP = NUMBER["DROP"]
_FAULT = NUMBER["FAULT"]
_JUMP = NUMBER["JUMP"]
_LOAD = NUMBER["LOAD"]
_LOAD_TREE = NUMBER["LOAD_TREE"]
_MARK = NUMBER["MARK"]
_MOVE = NUMBER["MOVE"]


class ProgramTooLarge(Exception):
    """The block needs more registers, constants or operands than an instruction can name."""


class Fact(IntFlag):
    """What the host must know of an instruction's operand to choose a hint (chapter 17)."""

    NONE = 0
    FOLLOWED = 1
    """The `?` is directly followed by `.` or `[`."""
    ROOT = 2
    """The variable read is the root of a compound assignment."""


class Label:
    """A place in the code that jumps can name before it is known."""

    __slots__ = ("_places", "pc")

    def __init__(self) -> None:
        self.pc = -1
        self._places: list[int] = []

    def put(self, code: list[int], at: int) -> None:
        """Write the label's address into the two fields at `at`, now or when it is bound."""
        if self.pc >= 0:
            code[at] = self.pc & 0xFFFF
            code[at + 1] = self.pc >> 16
        else:
            self._places.append(at)

    def bind(self, code: list[int]) -> None:
        """The label is here."""
        self.pc = pc = len(code) >> 2
        for at in self._places:
            code[at] = pc & 0xFFFF
            code[at + 1] = pc >> 16


@dataclass(slots=True)
class ParallelEntry:
    """One entry of the parallel table."""

    keys: list[str | None]
    entries: list[int]
    excluded: list[int]
    named: bool


@dataclass(slots=True)
class WaitingBranch:
    """A branch whose code is still to be written, after that of the code around it."""

    entry: ParallelEntry
    index: int
    branch: tree.Branch
    span: tuple[int, int]
    bound: frozenset[int]


@dataclass(slots=True)
class Emitter:
    """All that is known of the program being compiled; see the module's text."""

    survey: Survey
    readonly: frozenset[str]
    code: list[int] = field(default_factory=list[int])
    spans: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    facts_at: dict[int, Fact] = field(default_factory=dict[int, Fact])
    marks: list[tuple[int, tuple[int, int]]] = field(default_factory=list[tuple[int, tuple[int, int]]])
    unwinds: list[tuple[int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int]])
    parallels: list[ParallelEntry] = field(default_factory=list[ParallelEntry])
    waiting: list[WaitingBranch] = field(default_factory=list[WaitingBranch])
    # the code being written: the block itself or one branch
    top: int = 0
    heap: list[bool] = field(default_factory=list[bool])
    bound: set[int] = field(default_factory=set[int])
    learnt: list[int] = field(default_factory=list[int])
    in_branch: bool = False
    loop_slots: list[int] = field(default_factory=list[int])
    loops: list[tuple[Label, Label]] = field(default_factory=list[tuple[Label, Label]])
    # constants
    constants: list[Value] = field(default_factory=list[Value])
    preloaded: list[int] = field(default_factory=list[int])
    folded: dict[int, Value | Unknown] = field(default_factory=dict[int, Value | Unknown])
    _numbers: dict[tuple[type, object], int] = field(default_factory=dict[tuple[type, object], int])
    _is_preloaded: set[int] = field(default_factory=set[int])
    _loads: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    _jumps: list[int] = field(default_factory=list[int])

    # --- instructions -------------------------------------------------------------------------

    def op(self, number: int, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Append an instruction; its address."""
        code = self.code
        pc = len(code) >> 2
        code += (number, a, b, c)
        return pc

    def words(self, fields: list[int]) -> None:
        """Append extra words of four fields each, filled up with zeros."""
        self.code += fields
        self.code += (0,) * (-len(fields) % 4)

    def pc(self) -> int:
        """Address of the next instruction."""
        return len(self.code) >> 2

    def jump(self, label: Label, number: int = _JUMP, register: int = 0) -> int:
        """Append a jump to a label, conditional on a register where `number` is such a jump."""
        pc = self.op(number, register)
        label.put(self.code, pc * 4 + 2)
        self._jumps.append(pc * 4 + 2)
        return pc

    def target(self, label: Label) -> None:
        """Append the extra word that holds a jump target."""
        self.code += (0, 0, 0, 0)
        label.put(self.code, len(self.code) - 4)
        self._jumps.append(len(self.code) - 4)

    def bind(self, label: Label) -> None:
        """Bind a label to the next instruction."""
        label.bind(self.code)

    def charge(self, amount: int) -> None:
        """Charge fuel, on the statement marked now."""
        self.op(_CHARGE, amount)

    def fault(self, kind: str, name: str, span: tuple[int, int]) -> None:
        """Stop the block here with an error about a name."""
        pc = self.op(_FAULT, KINDS.index(kind), self.constant_index(name))
        self.spans[pc << 16] = span

    # --- places in the source -----------------------------------------------------------------

    def mark(self, start: int, end: int) -> None:
        """Instructions from here on belong to this statement, which limits blame."""
        marks = self.marks
        pc = len(self.code) >> 2
        if marks:
            last_pc, last_span = marks[-1]
            if last_span == (start, end):
                return
            if last_pc == pc:
                marks.pop()
        marks.append((pc, (start, end)))

    def marked(self) -> tuple[int, int]:
        """The span of the statement marked now."""
        return self.marks[-1][1]

    def site(self, pc: int, site: int, start: int, end: int) -> None:
        """Faults of an instruction at a site are shown at this span."""
        self.spans[pc << 16 | site] = (start, end)

    def read(self, pc: int, site: int, slot: int, node: tree.Expr) -> None:
        """The instruction reads a variable at a site: an unbound one is shown there, and now it is bound."""
        node = bare(node)
        self.spans[pc << 16 | site] = (node.start, node.end)
        self.learn(slot)

    def read_at(self, pc: int, site: int, slot: int, start: int, end: int) -> None:
        """As `read`, for the root of a compound assignment, whose faults are shown at the statement."""
        self.spans[pc << 16 | site] = (start, end)
        self.facts_at[pc << 16 | site] = Fact.ROOT
        self.learn(slot)

    # --- variables ----------------------------------------------------------------------------

    def learn(self, slot: int) -> None:
        """The variable is certainly bound from here on."""
        if slot not in self.bound:
            self.bound.add(slot)
            self.learnt.append(slot)

    def facts(self) -> int:
        """A mark for `withdraw`."""
        return len(self.learnt)

    def withdraw(self, mark: int) -> None:
        """Forget what was learnt since the mark: that code may not have run."""
        learnt = self.learnt
        while len(learnt) > mark:
            self.bound.discard(learnt.pop())

    def facts_for_branch(self) -> frozenset[int]:
        """The facts a branch may start from: all, or none where copying them often would cost too much."""
        return frozenset(self.bound) if len(self.bound) <= MOST_FACTS_COPIED else frozenset()

    def check(self, slot: int, start: int, end: int) -> int:
        """Fault here if the variable is unbound; the instruction's address, or -1 if none is needed."""
        if slot in self.bound:
            return -1
        pc = self.op(_CHECK, slot)
        self.spans[pc << 16 | 1] = (start, end)
        self.learn(slot)
        return pc

    def protect(self, register: int, node: tree.Expr, start: int, end: int) -> int:
        """Make a borrowed operand safe against what is evaluated after it, at [start, end) of the source.

        An unbound variable must fault before that, and one that is rebound there must be read before:
        the register to use instead.
        """
        if register >= TEMP:
            return register
        name = bare(node)
        assert isinstance(name, tree.Name)
        if self.survey.rebinds(name.name, start, end):
            temp = self.temp(heap=True)
            self.read(self.op(_MOVE, temp, register), 1, register, name)
            return temp
        self.check(register, name.start, name.end)
        return register

    def stored(self, slot: int) -> None:
        """A variable has been assigned: in a branch it must be merged, unless it is a loop variable there."""
        if self.in_branch and slot not in self.loop_slots:
            self.op(_MARK, slot)
        self.learn(slot)

    # --- temporaries --------------------------------------------------------------------------

    def temp(self, heap: bool) -> int:
        """The next free temporary."""
        top = self.top
        if top == len(self.heap):
            self.heap.append(heap)
        else:
            self.heap[top] = heap
        self.top = top + 1
        return TEMP + top

    def is_heap(self, register: int) -> bool:
        """Whether a register may hold text, a list or a record."""
        if register < TEMP:
            return True
        if register < CONSTANT_REGISTER:
            return self.heap[register - TEMP]
        return isinstance(self.constants[register - CONSTANT_REGISTER], str)

    def release(self, keep: int) -> None:
        """Drop the temporaries from number `keep` on."""
        top = self.top
        heap = self.heap
        while top > keep and not heap[top - 1]:
            top -= 1
        low = keep
        while low < top and not heap[low]:
            low += 1
        while low < top:
            count = min(top - low, MOST_IN_FIELD)
            self.op(_DROP, TEMP + low, count)
            low += count
        self.top = keep

    def settle(self, want: int, base: int, heap: bool) -> int:
        """After the instruction that made a value: drop the operands, keep the value; its register."""
        if want >= 0:
            if self.top > base:
                self.release(base)
            return want
        if self.top > base + 1:
            self.release(base + 1)
        elif self.top == base:
            return self.temp(heap)
        self.heap[base] = heap
        return TEMP + base

    # --- constants ----------------------------------------------------------------------------

    def constant(self, value: Scalar) -> int:
        """Number of a scalar or text constant."""
        key = (type(value), value)
        number = self._numbers.get(key)
        if number is None:
            self._numbers[key] = number = len(self.constants)
            self.constants.append(value)
        return number

    def constant_index(self, text: str) -> int:
        """A text as a constant index, for a key or a name."""
        return CONSTANT_INDEX + self.constant(text)

    def constant_operand(self, value: Scalar) -> int:
        """A register that holds a constant: a preloaded one, or a temporary when those are used up."""
        number = self.constant(value)
        if number not in self._is_preloaded:
            if len(self.preloaded) == MOST_PRELOADED:
                temp = self.temp(isinstance(value, str))
                self.load(temp, value)
                return temp
            self._is_preloaded.add(number)
            self.preloaded.append(number)
        return CONSTANT_REGISTER + number

    def load(self, register: int, value: Value) -> None:
        """Load a constant of any kind into a register."""
        if isinstance(value, (list, dict)):
            number = len(self.constants)
            self.constants.append(value)
            pc = self.op(_LOAD_TREE, register)
        else:
            number = self.constant(value)
            pc = self.op(_LOAD, register)
        self._loads.append((pc * 4 + 2, number))

    # --- the end ------------------------------------------------------------------------------

    def resolve(self) -> tuple[list[Value], int]:
        """Make all symbolic fields final; the constants in their final order and the number of registers.

        Raises `ProgramTooLarge` when a number does not fit its field.
        """
        variables = len(self.survey.slots)
        temps = variables + len(self.preloaded)
        registers = temps + len(self.heap)
        if registers > MOST_REGISTERS:
            raise ProgramTooLarge(f"the block needs {registers} registers, more than {MOST_REGISTERS}")
        place = self._constant_places()
        final: dict[int, int] = {}
        code = self.code
        self._thread_jumps()
        for at, number in self._loads:
            index = place[number]
            code[at] = index & 0xFFFF
            code[at + 1] = index >> 16
        for index, value in enumerate(code):
            if value > MOST_IN_FIELD:
                code[index] = (
                    final[value] if value in final else final.setdefault(value, _final(value, place, variables, temps))
                )
        self.unwinds = [(start, end, temps + temp - TEMP, slot) for start, end, temp, slot in self.unwinds]
        ordered: list[Value] = [None] * len(place)
        for number, at in enumerate(place):
            ordered[at] = self.constants[number]
        return ordered, registers

    def _thread_jumps(self) -> None:
        """Send jumps that lead to a plain jump on to where that one leads."""
        code = self.code
        for at in self._jumps:
            target = code[at] | code[at + 1] << 16
            for _ in range(MOST_THREADED):
                if code[target * 4] != _JUMP:
                    break
                target = code[target * 4 + 2] | code[target * 4 + 3] << 16
            code[at] = target & 0xFFFF
            code[at + 1] = target >> 16

    def _constant_places(self) -> list[int]:
        """Final index of each constant: preloaded ones, then those named in 16-bit fields, then the rest."""
        named = {value - CONSTANT_INDEX for value in self.code if value >= CONSTANT_INDEX}
        order = list(self.preloaded)
        order += sorted(named - self._is_preloaded)
        if len(order) > MOST_IN_FIELD:
            raise ProgramTooLarge(f"the block uses more than {MOST_IN_FIELD} different keys")
        taken = self._is_preloaded | named
        order += (number for number in range(len(self.constants)) if number not in taken)
        place = [0] * len(order)
        for index, number in enumerate(order):
            place[number] = index
        return place


def _final(value: int, place: list[int], variables: int, temps: int) -> int:
    """The final number of a symbolic field."""
    if value >= CONSTANT_INDEX:
        return place[value - CONSTANT_INDEX]
    if value >= CONSTANT_REGISTER:
        return variables + place[value - CONSTANT_REGISTER]
    if value >= TEMP:
        return temps + value - TEMP
    raise ProgramTooLarge(f"an instruction of the block has {value} parts, more than {MOST_IN_FIELD}")
