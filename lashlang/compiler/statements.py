"""How blocks and the plain statements become instructions (chapter 9), and what a statement charges (16.1).

A statement's charge blames the statement around it (at top level itself), everything after that the
statement; `Emitter.mark` says which.
"""

from __future__ import annotations

from lashlang.compiler.dispatch import ANY, EXPRESSION, STATEMENT
from lashlang.compiler.emit import TEMP, Emitter, Label
from lashlang.compiler.opcodes import NUMBER
from lashlang.compiler.operators import condition
from lashlang.syntax import tree

_CANCEL = NUMBER["CANCEL"]
_MOVE = NUMBER["MOVE"]
_PRINT = NUMBER["PRINT"]
_SUBMIT = NUMBER["SUBMIT"]

LEAVING = (tree.Break, tree.Continue, tree.Submit)
"""Statements that nothing in their block runs after."""


def block(
    emitter: Emitter, statements: tuple[tree.Statement, ...], around: tree.Node | None, charged: bool, wanted: bool
) -> int:
    """Compile statements that stand in the statement `around` (None: the program itself).

    `charged`: the first statement's charge has been made with that of the iteration. `wanted`: the value
    of the last one is needed (null if there is none); the result is its register.
    """
    last = len(statements) - 1
    register = ANY
    for number, statement in enumerate(statements):
        blamed = around or statement
        emitter.mark(blamed.start, blamed.end)
        if number or not charged:
            emitter.charge(1)
        emitter.mark(statement.start, statement.end)
        register = STATEMENT[type(statement)](emitter, statement, wanted and number == last)
    if wanted and not statements:
        return emitter.constant_operand(None)
    return register


def _place(emitter: Emitter, register: int, base: int) -> None:
    """Bring the value of an arm to temporary `base`."""
    if register != TEMP + base:
        pc = emitter.op(_MOVE, TEMP + base, register)
        start, end = emitter.marked()
        emitter.site(pc, 1, start, end)
    emitter.top = base


def _if(emitter: Emitter, node: tree.If, wanted: bool) -> int:
    base = emitter.top
    end = Label()
    known = -1
    learnt: list[set[int]] = []
    last = len(node.arms) - 1
    for number, arm in enumerate(node.arms):
        if number:
            emitter.charge(1)
            emitter.mark(arm.start, arm.end)
        otherwise = Label()
        condition(emitter, arm.condition, otherwise, sense=False)
        if known < 0:
            known = emitter.facts()
        before = emitter.facts()
        register = block(emitter, arm.body.statements, arm, charged=False, wanted=wanted)
        if wanted:
            _place(emitter, register, base)
        learnt.append(set(emitter.learnt[known:]))
        emitter.withdraw(before)
        falls_through = not arm.body.statements or not isinstance(arm.body.statements[-1], LEAVING)
        if falls_through and (number < last or node.otherwise is not None or wanted):
            emitter.jump(end)
        emitter.bind(otherwise)
        emitter.mark(arm.start, arm.end)
    if node.otherwise is not None:
        register = block(emitter, node.otherwise.statements, node.arms[-1], charged=False, wanted=wanted)
        if wanted:
            _place(emitter, register, base)
    elif wanted:
        _place(emitter, emitter.constant_operand(None), base)
    on_all_ways = set(emitter.learnt[known:]).intersection(*learnt)
    emitter.withdraw(known)
    for slot in on_all_ways:
        emitter.learn(slot)
    emitter.bind(end)
    if wanted:
        emitter.top = base
        return emitter.temp(heap=True)
    return ANY


def _submit(emitter: Emitter, node: tree.Submit, wanted: bool) -> int:
    base = emitter.top
    value = node.value
    register = emitter.constant_operand(None) if value is None else EXPRESSION[type(value)](emitter, value, ANY)
    pc = emitter.op(_SUBMIT, register)
    emitter.site(pc, 0, node.start, node.end)
    if value is not None and register < TEMP:
        emitter.read(pc, 1, register, value)
    emitter.top = base
    return ANY


def _print(emitter: Emitter, node: tree.Print, wanted: bool) -> int:
    base = emitter.top
    register = EXPRESSION[type(node.value)](emitter, node.value, ANY)
    pc = emitter.op(_PRINT, register)
    emitter.site(pc, 0, node.start, node.end)
    if register < TEMP:
        emitter.read(pc, 1, register, node.value)
    if wanted:
        return register
    emitter.release(base)
    return ANY


def _cancel(emitter: Emitter, node: tree.Cancel, wanted: bool) -> int:
    base = emitter.top
    operand = EXPRESSION[type(node.value)](emitter, node.value, ANY)
    pc = emitter.op(_CANCEL, TEMP + base, operand)
    emitter.site(pc, 0, node.start, node.end)
    if operand < TEMP:
        emitter.read(pc, 1, operand, node.value)
    register = emitter.settle(ANY, base, heap=True)
    if wanted:
        return register
    emitter.release(base)
    return ANY


def _expression(emitter: Emitter, node: tree.ExprStatement, wanted: bool) -> int:
    base = emitter.top
    register = EXPRESSION[type(node.expr)](emitter, node.expr, ANY)
    if register < TEMP:
        register = emitter.protect(register, node.expr, node.end, node.end)
    if wanted:
        return register
    emitter.release(base)
    return ANY


STATEMENT[tree.If] = _if
STATEMENT[tree.Submit] = _submit
STATEMENT[tree.Print] = _print
STATEMENT[tree.Cancel] = _cancel
STATEMENT[tree.ExprStatement] = _expression
