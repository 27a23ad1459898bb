"""How operators and conditions become instructions (chapter 6).

A condition is compiled to jumps: comparisons are fused with theirs, `and`, `or` and `not` need no value.
"""

from __future__ import annotations

from lashlang.compiler.dispatch import ANY, EXPRESSION, FRESH, SIMPLE
from lashlang.compiler.emit import CONSTANT_REGISTER, TEMP, Emitter, Label
from lashlang.compiler.expressions import load_constant, moved_into
from lashlang.compiler.opcodes import NUMBER
from lashlang.syntax import tree

ARITHMETIC = {"+": NUMBER["ADD"], "-": NUMBER["SUB"], "*": NUMBER["MUL"], "/": NUMBER["DIV"], "%": NUMBER["MOD"]}
"""Instruction of each arithmetic operator."""

_COMPARE = {
    "==": NUMBER["EQ"],
    "!=": NUMBER["NE"],
    "<": NUMBER["LT"],
    "<=": NUMBER["LE"],
    ">": NUMBER["GT"],
    ">=": NUMBER["GE"],
    "in": NUMBER["IN"],
    "not in": NUMBER["NOT_IN"],
}
_JUMP_COMPARE = {
    "==": NUMBER["JUMP_EQ"],
    "!=": NUMBER["JUMP_NE"],
    "<": NUMBER["JUMP_LT"],
    "<=": NUMBER["JUMP_LE"],
    ">": NUMBER["JUMP_GT"],
    ">=": NUMBER["JUMP_GE"],
}
_JUMP_LOGIC = {"and": NUMBER["JUMP_FALSE"], "or": NUMBER["JUMP_TRUE"], "??": NUMBER["JUMP_NOT_NULL"]}

_AWAIT = NUMBER["AWAIT"]
_JUMP_FALSE = NUMBER["JUMP_FALSE"]
_JUMP_TRUE = NUMBER["JUMP_TRUE"]
_NEG = NUMBER["NEG"]
_NOT = NUMBER["NOT"]


def _binary(emitter: Emitter, node: tree.Binary, want: int) -> int:
    if not isinstance(node.first, tree.Name):
        register = load_constant(emitter, node, want)
        if register >= 0:
            return register
    base = emitter.top
    left_node: tree.Expr = node.first
    left = EXPRESSION[type(left_node)](emitter, left_node, ANY)
    last = len(node.rest) - 1
    for number, (op, right_node) in enumerate(node.rest):
        if left < TEMP and type(right_node) not in SIMPLE:
            left = emitter.protect(left, left_node, right_node.start, right_node.end)
        right = EXPRESSION[type(right_node)](emitter, right_node, ANY)
        goal = want if number == last else ANY
        heap = op == "+" and (emitter.is_heap(left) or emitter.is_heap(right))
        pc = emitter.op(ARITHMETIC[op], goal if goal >= 0 else TEMP + base, left, right)
        emitter.site(pc, 0, node.start, right_node.end)
        if left < TEMP:
            emitter.read(pc, 1, left, left_node)
        if right < TEMP:
            emitter.read(pc, 2, right, right_node)
        left = emitter.settle(goal, base, heap)
    return left


def _unary(emitter: Emitter, node: tree.Unary, want: int) -> int:
    register = load_constant(emitter, node, want)
    if register >= 0:
        return register
    base = emitter.top
    operand = EXPRESSION[type(node.operand)](emitter, node.operand, ANY)
    pc = emitter.op(_NEG if node.op == "-" else _NOT, want if want >= 0 else TEMP + base, operand)
    emitter.site(pc, 0, node.start, node.end)
    if operand < TEMP:
        emitter.read(pc, 1, operand, node.operand)
    return emitter.settle(want, base, heap=False)


def _await(emitter: Emitter, node: tree.Await, want: int) -> int:
    base = emitter.top
    operand = EXPRESSION[type(node.operand)](emitter, node.operand, ANY)
    pc = emitter.op(_AWAIT, want if want >= 0 else TEMP + base, operand)
    emitter.site(pc, 0, node.start, node.end)
    if operand < TEMP:
        emitter.read(pc, 1, operand, node.operand)
    return emitter.settle(want, base, heap=True)


def _compare(emitter: Emitter, node: tree.Compare, want: int) -> int:
    base = emitter.top
    left = EXPRESSION[type(node.left)](emitter, node.left, ANY)
    if left < TEMP and type(node.right) not in SIMPLE:
        left = emitter.protect(left, node.left, node.right.start, node.right.end)
    right = EXPRESSION[type(node.right)](emitter, node.right, ANY)
    pc = emitter.op(_COMPARE[node.op], want if want >= 0 else TEMP + base, left, right)
    _compare_sites(emitter, node, pc, left, right)
    return emitter.settle(want, base, heap=False)


def _compare_sites(emitter: Emitter, node: tree.Compare, pc: int, left: int, right: int) -> None:
    emitter.site(pc, 0, node.start, node.end)
    if left < TEMP:
        emitter.read(pc, 1, left, node.left)
    if right < TEMP:
        emitter.read(pc, 2, right, node.right)


def _logic(emitter: Emitter, node: tree.Logic, want: int) -> int:
    base = emitter.top
    end = Label()
    jump = _JUMP_LOGIC[node.op]
    last = len(node.operands) - 1
    heap = False
    known = 0
    temp = TEMP + base
    for number, operand in enumerate(node.operands):
        emitter.top = base
        EXPRESSION[type(operand)](emitter, operand, FRESH)
        heap = heap or emitter.heap[base]
        if number < last:
            pc = emitter.jump(end, jump, temp)
            emitter.site(pc, 0, operand.start, operand.end)
        if number == 0:
            known = emitter.facts()
    emitter.withdraw(known)
    emitter.bind(end)
    emitter.heap[base] = heap
    return moved_into(emitter, temp, want, base)


def _ternary(emitter: Emitter, node: tree.Ternary, want: int) -> int:
    base = emitter.top
    otherwise = Label()
    end = Label()
    place = want if want >= 0 else FRESH
    condition(emitter, node.condition, otherwise, sense=False)
    known = emitter.facts()
    register = EXPRESSION[type(node.then)](emitter, node.then, place)
    heap = emitter.is_heap(register)
    emitter.jump(end)
    emitter.withdraw(known)
    emitter.top = base
    emitter.bind(otherwise)
    EXPRESSION[type(node.otherwise)](emitter, node.otherwise, place)
    emitter.withdraw(known)
    emitter.bind(end)
    if want < 0:
        emitter.heap[base] = heap or emitter.heap[base]
    return register


# --- conditions -----------------------------------------------------------------------------------


def condition(emitter: Emitter, node: tree.Expr, label: Label, sense: bool) -> None:
    """Go to the label if the expression is true (or false, if not `sense`); else go on. No value is kept."""
    while True:
        if isinstance(node, tree.Paren):
            node = node.inner
        elif isinstance(node, tree.Unary) and node.op == "not":
            node = node.operand
            sense = not sense
        else:
            break
    if isinstance(node, tree.Logic) and node.op != "??":
        # The operand that decides early jumps to the label if its outcome is the one asked for, else past the rest.
        early = label if (node.op == "or") == sense else Label()
        operands = node.operands
        known = 0
        for number, operand in enumerate(operands):
            if number == len(operands) - 1:
                condition(emitter, operand, label, sense)
            else:
                condition(emitter, operand, early, node.op == "or")
            if number == 0:
                known = emitter.facts()
        emitter.withdraw(known)
        if early is not label:
            emitter.bind(early)
        return
    if isinstance(node, tree.Literal):
        if bool(node.value) == sense:
            emitter.jump(label)
        return
    base = emitter.top
    if isinstance(node, tree.Compare) and node.op in _JUMP_COMPARE:
        left = EXPRESSION[type(node.left)](emitter, node.left, ANY)
        if left < TEMP and type(node.right) not in SIMPLE:
            left = emitter.protect(left, node.left, node.right.start, node.right.end)
        right = EXPRESSION[type(node.right)](emitter, node.right, ANY)
        if _is_heap_temp(emitter, left) or _is_heap_temp(emitter, right):
            # Comparing into a register of its own frees the operands on both ways out.
            pc = emitter.op(_COMPARE[node.op], TEMP + base, left, right)
            _compare_sites(emitter, node, pc, left, right)
            result = emitter.settle(FRESH, base, heap=False)
            pc = emitter.jump(label, _JUMP_TRUE if sense else _JUMP_FALSE, result)
            emitter.site(pc, 0, node.start, node.end)
        else:
            pc = emitter.op(_JUMP_COMPARE[node.op], left, right, int(sense))
            emitter.target(label)
            _compare_sites(emitter, node, pc, left, right)
        emitter.top = base
        return
    register = EXPRESSION[type(node)](emitter, node, ANY)
    if _is_heap_temp(emitter, register):
        emitter.site(emitter.op(_NOT, register, register), 0, node.start, node.end)
        sense = not sense
    pc = emitter.jump(label, _JUMP_TRUE if sense else _JUMP_FALSE, register)
    emitter.site(pc, 0, node.start, node.end)
    if register < TEMP:
        emitter.read(pc, 1, register, node)
    emitter.top = base


def _is_heap_temp(emitter: Emitter, register: int) -> bool:
    return TEMP <= register < CONSTANT_REGISTER and emitter.heap[register - TEMP]


EXPRESSION[tree.Binary] = _binary
EXPRESSION[tree.Unary] = _unary
EXPRESSION[tree.Await] = _await
EXPRESSION[tree.Compare] = _compare
EXPRESSION[tree.Logic] = _logic
EXPRESSION[tree.Ternary] = _ternary
