"""How expressions become instructions (chapters 7, 10 and 12): literals, containers, access, calls.

All handlers follow the protocol of `dispatch` and the register discipline of `emit`. Operands are
evaluated from left to right; variables and constants among them are borrowed in place, guarded by
`Emitter.protect` where something that follows could fail first or rebind them.
"""

from __future__ import annotations

from lashlang.compiler.builtins import BY_NAME
from lashlang.compiler.constants import constant
from lashlang.compiler.dispatch import ANY, EXPRESSION, FRESH, SIMPLE, bare
from lashlang.compiler.emit import (
    MOST_IN_FIELD,
    TEMP,
    Emitter,
    Fact,
    ProgramTooLarge,
)
from lashlang.compiler.opcodes import NUMBER
from lashlang.compiler.values import Unknown
from lashlang.syntax import tree

_CALL_BUILTIN = NUMBER["CALL_BUILTIN"]
_CALL_TOOL = NUMBER["CALL_TOOL"]
_EXTEND = NUMBER["EXTEND"]
_FIELD = NUMBER["FIELD"]
_FINISH = NUMBER["FINISH"]
_INDEX = NUMBER["INDEX"]
_LEN = NUMBER["LEN"]
_LIST = NUMBER["LIST"]
_MOVE = NUMBER["MOVE"]
_NEW_LIST = NUMBER["NEW_LIST"]
_NEW_RECORD = NUMBER["NEW_RECORD"]
_PUSH = NUMBER["PUSH"]
_PUT = NUMBER["PUT"]
_RECORD = NUMBER["RECORD"]
_START_TOOL = NUMBER["START_TOOL"]
_TAKE = NUMBER["TAKE"]
_UNWRAP = NUMBER["UNWRAP"]

CHUNK = 64
"""Longer list and record literals are built in pieces of this many elements."""

_SCALAR_BUILTINS = frozenset(
    "len empty contains find starts_with ends_with to_int to_float ceil_div floor_div sum abs floor ceil round count "
    "any all sqrt log pow".split()
)


# --- leaves ---------------------------------------------------------------------------------------


def _literal(emitter: Emitter, node: tree.Literal, want: int) -> int:
    value = node.value
    if want == ANY:
        return emitter.constant_operand(value)
    register = want if want >= 0 else emitter.temp(isinstance(value, str))
    emitter.load(register, value)
    return register


def _name(emitter: Emitter, node: tree.Name, want: int) -> int:
    slot = emitter.survey.slots[node.name]
    if want == ANY:
        return slot
    register = want if want >= 0 else emitter.temp(heap=True)
    pc = emitter.op(_MOVE, register, slot)
    start, end = emitter.marked()
    emitter.site(pc, 0, start, end)
    emitter.read(pc, 1, slot, node)
    return register


def _paren(emitter: Emitter, node: tree.Paren, want: int) -> int:
    inner = bare(node)
    return EXPRESSION[type(inner)](emitter, inner, want)


def load_constant(emitter: Emitter, node: tree.Expr, want: int) -> int:
    """Put an expression's value into place if it is known at compile time; else -1."""
    value = constant(emitter, node)
    if isinstance(value, Unknown):
        return -1
    if want == ANY and not isinstance(value, (list, dict)):
        return emitter.constant_operand(value)
    register = want if want >= 0 else emitter.temp(isinstance(value, (str, list, dict)))
    if value == [] or value == {}:
        # Not a shared constant: it is mostly going to be filled in place.
        emitter.op(_NEW_LIST if isinstance(value, list) else _NEW_RECORD, register)
    else:
        emitter.load(register, value)
    return register


# --- containers -----------------------------------------------------------------------------------


def _list(emitter: Emitter, node: tree.ListLiteral, want: int) -> int:
    register = load_constant(emitter, node, want)
    if register >= 0:
        return register
    base = emitter.top
    items = node.items
    if len(items) <= CHUNK:
        for item in items:
            EXPRESSION[type(item)](emitter, item, FRESH)
        register = want if want >= 0 else TEMP + base
        emitter.op(_LIST, register, TEMP + base, len(items))
        emitter.top = base
        return emitter.settle(want, base, heap=True)
    whole = emitter.temp(heap=True)
    emitter.op(_NEW_LIST, whole, len(items) & 0xFFFF, len(items) >> 16)
    for at in range(0, len(items), CHUNK):
        chunk = items[at : at + CHUNK]
        for item in chunk:
            EXPRESSION[type(item)](emitter, item, FRESH)
        emitter.op(_EXTEND, whole, whole + 1, len(chunk))
        emitter.top = base + 1
    return _finished(emitter, whole, want, base)


def _record(emitter: Emitter, node: tree.RecordLiteral, want: int) -> int:
    register = load_constant(emitter, node, want)
    if register >= 0:
        return register
    base = emitter.top
    entries = node.entries
    if len(entries) <= CHUNK:
        for _, value in entries:
            EXPRESSION[type(value)](emitter, value, FRESH)
        return record_of_temps(emitter, [key for key, _ in entries], want, base)
    whole = emitter.temp(heap=True)
    emitter.op(_NEW_RECORD, whole, len(entries) & 0xFFFF, len(entries) >> 16)
    for at in range(0, len(entries), CHUNK):
        chunk = entries[at : at + CHUNK]
        for _, value in chunk:
            EXPRESSION[type(value)](emitter, value, FRESH)
        put_temps(emitter, [key for key, _ in chunk], whole)
    return _finished(emitter, whole, want, base)


def record_of_temps(emitter: Emitter, keys: list[str], want: int, base: int) -> int:
    """Make a record of these keys and the temporaries from `base` on."""
    register = want if want >= 0 else TEMP + base
    emitter.op(_RECORD, register, TEMP + base, len(keys))
    emitter.words([emitter.constant_index(key) for key in keys])
    emitter.top = base
    return emitter.settle(want, base, heap=True)


def put_temps(emitter: Emitter, keys: list[str], whole: int) -> None:
    """Put these keys with the temporaries above `whole` into the record there."""
    emitter.op(_PUT, whole, whole + 1, len(keys))
    emitter.words([emitter.constant_index(key) for key in keys])
    emitter.top = whole + 1 - TEMP


def _finished(emitter: Emitter, whole: int, want: int, base: int) -> int:
    """End the making of a container in pieces."""
    emitter.op(_FINISH, whole)
    return moved_into(emitter, whole, want, base)


def moved_into(emitter: Emitter, temp: int, want: int, base: int) -> int:
    """Move temporary `base` into the wanted variable, if one is wanted; the value's register."""
    if want < 0:
        return temp
    pc = emitter.op(_TAKE, want, temp)
    start, end = emitter.marked()
    emitter.site(pc, 0, start, end)
    emitter.top = base
    return want


# --- access ---------------------------------------------------------------------------------------


def _postfix(emitter: Emitter, node: tree.Postfix, want: int) -> int:
    base = emitter.top
    steps = node.steps
    last = len(steps) - 1
    place = TEMP + base
    below = node.base
    register = EXPRESSION[type(below)](emitter, below, ANY)
    awaited = isinstance(bare(below), tree.Await)
    for number, step in enumerate(steps):
        goal = want if number == last else ANY
        target = goal if goal >= 0 else place
        if isinstance(step, tree.FieldStep):
            pc = emitter.op(_FIELD, target, register, emitter.constant_index(step.key))
        elif isinstance(step, tree.IndexStep):
            index = step.index
            if register < TEMP and type(index) not in SIMPLE:
                register = emitter.protect(register, below, index.start, index.end)
            key = EXPRESSION[type(index)](emitter, index, ANY)
            pc = emitter.op(_INDEX, target, register, key)
            if key < TEMP:
                emitter.read(pc, 2, key, index)
        else:
            pc = emitter.op(_UNWRAP, target, register, int(awaited))
            if number < last and not isinstance(steps[number + 1], tree.UnwrapStep):
                emitter.facts_at[pc << 16] = Fact.FOLLOWED
        emitter.site(pc, 0, node.start, step.end)
        if register < TEMP:
            emitter.read(pc, 1, register, below)
        register = emitter.settle(goal, base, heap=True)
        awaited = False
    return register


# --- calls ----------------------------------------------------------------------------------------


def _builtin(emitter: Emitter, node: tree.BuiltinCall, want: int) -> int:
    base = emitter.top
    args = node.args
    count = len(args)
    if count > MOST_IN_FIELD:
        raise ProgramTooLarge(f"a call of the block has {count} arguments, more than {MOST_IN_FIELD}")
    last_complex = count - 1
    while last_complex > 0 and type(args[last_complex]) in SIMPLE:
        last_complex -= 1
    registers: list[int] = []
    for number, arg in enumerate(args):
        register = EXPRESSION[type(arg)](emitter, arg, ANY)
        if register < TEMP and number < last_complex:
            register = emitter.protect(register, arg, args[number + 1].start, args[last_complex].end)
        registers.append(register)
    target = want if want >= 0 else TEMP + base
    if node.name == "len":
        pc = emitter.op(_LEN, target, registers[0])
    elif node.name == "push":
        pc = emitter.op(_PUSH, target, registers[0], registers[1])
    else:
        pc = emitter.op(_CALL_BUILTIN, target, BY_NAME[node.name], count)
        emitter.words(registers)
    emitter.site(pc, 0, node.start, node.end)
    for number, register in enumerate(registers):
        if register < TEMP:
            emitter.read(pc, 1 + number, register, args[number])
    return emitter.settle(want, base, node.name not in _SCALAR_BUILTINS)


def _tool(emitter: Emitter, node: tree.ToolCall, want: int) -> int:
    base = emitter.top
    record = EXPRESSION[tree.RecordLiteral](emitter, node.args, FRESH)
    number = _START_TOOL if node.background else _CALL_TOOL
    pc = emitter.op(number, want if want >= 0 else TEMP + base, record, emitter.constant_index(node.tool))
    emitter.site(pc, 0, node.start, node.end)
    return emitter.settle(want, base, heap=True)


EXPRESSION[tree.Literal] = _literal
EXPRESSION[tree.Name] = _name
EXPRESSION[tree.Paren] = _paren
EXPRESSION[tree.ListLiteral] = _list
EXPRESSION[tree.RecordLiteral] = _record
EXPRESSION[tree.Postfix] = _postfix
EXPRESSION[tree.BuiltinCall] = _builtin
EXPRESSION[tree.ToolCall] = _tool
