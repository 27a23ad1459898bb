"""How loops become instructions (chapter 9): `for`, `while`, comprehensions, `break` and `continue`.

A `for` keeps its state in three temporaries and parks what its variables held before in one more each.
The table of unwinds tells the kernel where such a loop is running, so that a fault or a `submit` puts
the parked bindings back; the ordinary ends of the loop do so with RESTORE.
"""

from __future__ import annotations

from dataclasses import dataclass

from lashlang.compiler.dispatch import ANY, EXPRESSION, FRESH, STATEMENT, bare
from lashlang.compiler.emit import TEMP, Emitter, Label
from lashlang.compiler.expressions import moved_into
from lashlang.compiler.opcodes import NUMBER
from lashlang.compiler.operators import condition
from lashlang.compiler.statements import block
from lashlang.syntax import tree

_COLLECT = NUMBER["COLLECT"]
_FOR_LIST = NUMBER["FOR_LIST"]
_FOR_PAIRS = NUMBER["FOR_PAIRS"]
_LIST_NEXT = NUMBER["LIST_NEXT"]
_NEW_LIST = NUMBER["NEW_LIST"]
_PAIRS_NEXT = NUMBER["PAIRS_NEXT"]
_RANGE = NUMBER["RANGE"]
_RANGE_NEXT = NUMBER["RANGE_NEXT"]
_RESTORE = NUMBER["RESTORE"]
_SAVE = NUMBER["SAVE"]

STATE_TEMPS = 3


@dataclass(slots=True)
class _Loop:
    """A `for` loop or clause whose body is being compiled."""

    base: int
    lazy: bool
    saves: list[tuple[int, int]]
    next: Label
    end: Label
    first_pc: int
    known: int
    dead: bool


def _range_call(names: tuple[str, ...], iterable: tree.Expr) -> tree.BuiltinCall | None:
    """The call of `range` that a loop over one name can run without making the list."""
    call = bare(iterable)
    return call if len(names) == 1 and isinstance(call, tree.BuiltinCall) and call.name == "range" else None


def _open(
    emitter: Emitter,
    node: tree.For | tree.CompFor,
    call: tree.BuiltinCall | None,
    base: int,
    iterable: int,
    charge: int,
) -> _Loop:
    """Begin the loop whose state is at temporary `base`, over the value in a register or the arguments of `range`.

    `charge` is what one iteration costs where that can be charged in one go with its first statement.
    """
    state = TEMP + base
    start, end = node.start, node.start + len("for")
    if call is not None:
        pc = emitter.op(_RANGE, state, state + STATE_TEMPS, len(call.args))
        emitter.site(pc, 0, call.start, call.end)
    else:
        pc = emitter.op(_FOR_LIST if len(node.names) == 1 else _FOR_PAIRS, state, iterable)
        emitter.site(pc, 0, start, end)
        if iterable < TEMP:
            emitter.read(pc, 1, iterable, node.iterable)
    emitter.release(base + STATE_TEMPS)
    slots = emitter.survey.slots
    saves: list[tuple[int, int]] = []
    targets: list[int] = []
    for name in node.names:
        temp = emitter.temp(heap=True)
        if name in emitter.readonly:
            targets.append(temp)
        else:
            emitter.op(_SAVE, temp, slots[name])
            saves.append((temp, slots[name]))
            targets.append(slots[name])
    loop = _Loop(base, call is not None, saves, Label(), Label(), emitter.pc(), emitter.facts(), dead=False)
    emitter.bind(loop.next)
    if len(targets) == 2:
        pc = emitter.op(_PAIRS_NEXT, state, targets[0], targets[1])
    else:
        loop.dead = targets[0] >= TEMP
        pc = emitter.op(_RANGE_NEXT if call is not None else _LIST_NEXT, state, targets[0], 1 if loop.dead else charge)
    emitter.target(loop.end)
    emitter.site(pc, 0, start, end)
    for name, target in zip(node.names, targets, strict=True):
        if target >= TEMP:
            emitter.fault("read_only", name, (start, end))
            loop.dead = True
            break
    for _, slot in saves:
        emitter.learn(slot)
        emitter.loop_slots.append(slot)
    return loop


def _close(emitter: Emitter, loop: _Loop) -> None:
    """End the loop: back to the next iteration, and what happens when there is none."""
    if not loop.dead:
        emitter.jump(loop.next)
    emitter.bind(loop.end)
    last_pc = emitter.pc()
    for temp, slot in reversed(loop.saves):
        emitter.unwinds.append((loop.first_pc, last_pc, temp, slot))
    for temp, slot in reversed(loop.saves):
        emitter.op(_RESTORE, temp, slot)
        emitter.loop_slots.pop()
    emitter.top = loop.base + STATE_TEMPS
    emitter.release(loop.base)
    emitter.withdraw(loop.known)


def _for(emitter: Emitter, node: tree.For, wanted: bool) -> int:
    base = emitter.top
    call = _range_call(node.names, node.iterable)
    for _ in range(STATE_TEMPS):
        emitter.temp(heap=call is None)
    iterable = -1
    for part in call.args if call is not None else (node.iterable,):
        iterable = EXPRESSION[type(part)](emitter, part, ANY if call is None else FRESH)
    body = node.body.statements
    loop = _open(emitter, node, call, base, iterable, 2 if body else 1)
    if not loop.dead:
        emitter.loops.append((loop.next, loop.end))
        block(emitter, body, node, charged=len(node.names) == 1, wanted=False)
        emitter.loops.pop()
    _close(emitter, loop)
    return emitter.constant_operand(None) if wanted else ANY


def _comprehension(emitter: Emitter, node: tree.Comprehension, want: int) -> int:
    base = emitter.top
    result = emitter.temp(heap=True)
    emitter.op(_NEW_LIST, result)
    loops: list[_Loop] = []
    for clause in node.clauses:
        if isinstance(clause, tree.CompIf):
            condition(emitter, clause.condition, loops[-1].next, sense=False)
            continue
        state = emitter.top
        call = _range_call(clause.names, clause.iterable)
        for _ in range(STATE_TEMPS):
            emitter.temp(heap=call is None)
        iterable = -1
        for part in call.args if call is not None else (clause.iterable,):
            iterable = EXPRESSION[type(part)](emitter, part, ANY if call is None else FRESH)
        loops.append(_open(emitter, clause, call, state, iterable, 1))
        if loops[-1].dead:
            break
    else:
        item = EXPRESSION[type(node.element)](emitter, node.element, FRESH)
        emitter.op(_COLLECT, result, item)
    for loop in reversed(loops):
        _close(emitter, loop)
    return moved_into(emitter, result, want, base)


def _while(emitter: Emitter, node: tree.While, wanted: bool) -> int:
    # The test stands below the body, so that an iteration takes one jump.
    test = Label()
    begin = Label()
    end = Label()
    emitter.jump(test)
    emitter.bind(begin)
    known = emitter.facts()
    body = node.body.statements
    emitter.charge(2 if body else 1)
    emitter.loops.append((test, end))
    block(emitter, body, node, charged=True, wanted=False)
    emitter.loops.pop()
    emitter.withdraw(known)
    emitter.mark(node.start, node.end)
    emitter.bind(test)
    condition(emitter, node.condition, begin, sense=True)
    emitter.bind(end)
    return emitter.constant_operand(None) if wanted else ANY


def _break(emitter: Emitter, node: tree.Break, wanted: bool) -> int:
    emitter.jump(emitter.loops[-1][1])
    return emitter.constant_operand(None) if wanted else ANY


def _continue(emitter: Emitter, node: tree.Continue, wanted: bool) -> int:
    emitter.jump(emitter.loops[-1][0])
    return emitter.constant_operand(None) if wanted else ANY


EXPRESSION[tree.Comprehension] = _comprehension
STATEMENT[tree.For] = _for
STATEMENT[tree.While] = _while
STATEMENT[tree.Break] = _break
STATEMENT[tree.Continue] = _continue
