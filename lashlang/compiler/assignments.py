"""How assignments become instructions (chapter 8).

A plain variable is computed straight into its slot. Below a variable, `SET_PATH` stores a value and
`UPDATE` changes the value there in place. `UPDATE` serves compound assignment, and also the idioms
`p = push(p, x)` and `p = p + x` (any operator), which would otherwise copy what stands at `p` each
time. Because it reads `p` only after `x` is known, an instruction before `x` reads `p` once for its
errors, unless `x` can neither fail nor have effects.
"""

from __future__ import annotations

from dataclasses import dataclass

from lashlang.compiler.dispatch import ANY, EXPRESSION, FRESH, SIMPLE, STATEMENT
from lashlang.compiler.emit import TEMP, Emitter, Fact
from lashlang.compiler.opcodes import NUMBER, SITE_UPDATE_OPERATION, SITE_UPDATE_STORE, UPDATE_OPS
from lashlang.compiler.operators import ARITHMETIC
from lashlang.syntax import tree

_DROP = NUMBER["DROP"]
_FIELD = NUMBER["FIELD"]
_INDEX = NUMBER["INDEX"]
_MOVE = NUMBER["MOVE"]
_SET_PATH = NUMBER["SET_PATH"]
_UPDATE = NUMBER["UPDATE"]

MOST_UPDATE_STEPS = 0xFFF

Span = tuple[int, int]


@dataclass(slots=True)
class _Path:
    """A path below a variable, its index expressions already evaluated.

    `keys` has, for each step, a constant index for a field or the register of an index; `indexes` the
    index expression, None for a field.
    """

    slot: int
    keys: list[int]
    indexes: list[tree.Expr | None]


@dataclass(slots=True)
class _Update:
    """`p = p op x` or `p = push(p, x)`: the operation, its `p` and `x`."""

    op: str
    place: tree.Postfix
    operand: tree.Expr


def _assign(emitter: Emitter, node: tree.Assign, wanted: bool) -> int:
    if node.steps:
        return _assign_path(emitter, node, wanted)
    slot = emitter.survey.slots[node.name]
    base = emitter.top
    value = node.value
    readonly = node.name in emitter.readonly
    target = FRESH if readonly else slot
    if node.op == "=":
        EXPRESSION[type(value)](emitter, value, target)
    else:
        left = slot
        if emitter.survey.rebinds(node.name, value.start, value.end):
            left = emitter.temp(heap=True)
            emitter.read_at(emitter.op(_MOVE, left, slot), 1, slot, node.start, node.end)
        elif type(value) not in SIMPLE:
            pc = emitter.check(slot, node.start, node.end)
            if pc >= 0:
                emitter.facts_at[pc << 16 | 1] = Fact.ROOT
        right = EXPRESSION[type(value)](emitter, value, ANY)
        pc = emitter.op(ARITHMETIC[node.op[0]], slot if not readonly else TEMP + base, left, right)
        emitter.site(pc, 0, node.start, node.end)
        if left < TEMP:
            emitter.read_at(pc, 1, left, node.start, node.end)
        if right < TEMP:
            emitter.read(pc, 2, right, value)
        emitter.settle(target, base, heap=True)
    if readonly:
        emitter.fault("read_only", node.name, (node.start, node.end))
        emitter.release(base)
    else:
        emitter.stored(slot)
    return slot


def _assign_path(emitter: Emitter, node: tree.Assign, wanted: bool) -> int:
    base = emitter.top
    survey = emitter.survey
    slot = survey.slots[node.name]
    value = node.value
    # Whether nothing stands between the indexes and the store, which checks them itself.
    simple = (
        node.name not in emitter.readonly
        and isinstance(value, tree.Literal)
        and all(isinstance(step, tree.FieldStep) or type(step.index) in SIMPLE for step in node.steps)
    )
    path = _Path(slot, [], [])
    for step in node.steps:
        if isinstance(step, tree.FieldStep):
            path.keys.append(emitter.constant_index(step.key))
            path.indexes.append(None)
        else:
            index = step.index
            key = EXPRESSION[type(index)](emitter, index, ANY)
            if key < TEMP and not simple:
                key = emitter.protect(key, index, step.end, value.end)
            path.keys.append(key)
            path.indexes.append(index)
    span = (node.start, node.end)
    if node.name in emitter.readonly:
        _refuse(emitter, node, path, base)
        return slot
    if node.op != "=":
        if len(path.keys) > MOST_UPDATE_STEPS or survey.rebinds(node.name, value.start, value.end):
            _compound_by_reading(emitter, node, path)
        else:
            if not (isinstance(value, tree.Literal) or _is_bound_name(emitter, value)):
                _read_path(emitter, path, span)
            _update(emitter, node, path, node.op[0], value, span, span)
    else:
        update = _update_idiom(emitter, node)
        if update is None:
            return _store(emitter, node, path, base, wanted)
        operand = update.operand
        harmless = isinstance(operand, tree.Literal) or _is_bound_name(emitter, operand)
        if harmless and len(path.keys) == 1 and slot in emitter.bound:
            reading = (update.place.start, update.place.end)
        else:
            _read_place(emitter, update.place, path)
            reading = span
        _update(emitter, node, path, update.op, operand, reading, (value.start, value.end))
    if not wanted:
        emitter.release(base)
        emitter.stored(slot)
        return ANY
    emitter.stored(slot)
    return _read_path(emitter, path, span, keep=True)


def _is_bound_name(emitter: Emitter, node: tree.Expr) -> bool:
    return isinstance(node, tree.Name) and emitter.survey.slots[node.name] in emitter.bound


def _store(emitter: Emitter, node: tree.Assign, path: _Path, base: int, wanted: bool) -> int:
    """Evaluate the right-hand side and store it at the path."""
    value = node.value
    # The value of the statement outlives the store, and a root stored below itself must be a second reference.
    fresh = wanted or (isinstance(value, tree.Name) and emitter.survey.slots[value.name] == path.slot)
    register = EXPRESSION[type(value)](emitter, value, FRESH if fresh else ANY)
    _set_path(emitter, node, path, register)
    if register < TEMP:
        emitter.read(_last_path_pc(emitter, path), 1, register, value)
    if wanted:
        emitter.stored(path.slot)
        return register
    emitter.release(base)
    emitter.stored(path.slot)
    return ANY


def _set_path(emitter: Emitter, node: tree.Assign, path: _Path, register: int) -> None:
    pc = emitter.op(_SET_PATH, path.slot, register, len(path.keys))
    emitter.site(pc, 0, node.start, node.end)
    _steps(emitter, pc, path)


def _last_path_pc(emitter: Emitter, path: _Path) -> int:
    """Address of the SET_PATH or UPDATE just emitted."""
    return emitter.pc() - 1 - (len(path.keys) + 1) // 2


def _update(
    emitter: Emitter, node: tree.Assign, path: _Path, op: str, operand: tree.Expr, reading: Span, operation: Span
) -> None:
    """Evaluate the operand and change what is at the path by it."""
    fresh = isinstance(operand, tree.Name) and emitter.survey.slots[operand.name] == path.slot
    register = EXPRESSION[type(operand)](emitter, operand, FRESH if fresh else ANY)
    pc = emitter.op(_UPDATE, path.slot, register, UPDATE_OPS[op] << 12 | len(path.keys))
    emitter.site(pc, 0, *reading)
    emitter.site(pc, SITE_UPDATE_OPERATION, *operation)
    emitter.site(pc, SITE_UPDATE_STORE, node.start, node.end)
    if register < TEMP:
        emitter.read(pc, 1, register, operand)
    _steps(emitter, pc, path)


def _steps(emitter: Emitter, pc: int, path: _Path) -> None:
    """The extra words of a path, and the sites of the variables among its indexes."""
    fields: list[int] = []
    site = 2
    for key, index in zip(path.keys, path.indexes, strict=True):
        if index is None:
            fields += (0, key)
        else:
            fields += (1, key)
            if key < TEMP:
                emitter.read(pc, site, key, index)
            site += 1
    emitter.words(fields)


def _read_path(emitter: Emitter, path: _Path, span: Span, keep: bool = False) -> int:
    """Read what is at the path, with all errors at the statement; the temporary, if it is to be kept."""
    base = emitter.top
    register = path.slot
    place = emitter.temp(heap=True)
    for key, index in zip(path.keys, path.indexes, strict=True):
        pc = emitter.op(_FIELD if index is None else _INDEX, place, register, key)
        emitter.site(pc, 0, *span)
        if register < TEMP:
            emitter.read_at(pc, 1, register, *span)
        if index is not None and key < TEMP:
            emitter.read(pc, 2, key, index)
        register = place
    if not keep:
        emitter.release(base)
    return place


def _read_place(emitter: Emitter, node: tree.Postfix, path: _Path) -> None:
    """Read, for its errors only, the path as it stands on the right-hand side."""
    base = emitter.top
    register = path.slot
    place = emitter.temp(heap=True)
    for key, step in zip(path.keys, node.steps, strict=True):
        pc = emitter.op(_FIELD if isinstance(step, tree.FieldStep) else _INDEX, place, register, key)
        emitter.site(pc, 0, node.start, step.end)
        if register < TEMP:
            emitter.read(pc, 1, register, node.base)
        if isinstance(step, tree.IndexStep) and key < TEMP:
            emitter.read(pc, 2, key, step.index)
        register = place
    emitter.release(base)


def _compound_by_reading(emitter: Emitter, node: tree.Assign, path: _Path) -> None:
    """Compound assignment whose operand may rebind the root: read, operate, store one after the other."""
    base = emitter.top
    span = (node.start, node.end)
    old = _read_path(emitter, path, span, keep=True)
    _operate(emitter, node, old)
    emitter.release(base + 1)
    _set_path(emitter, node, path, old)
    emitter.release(base)


def _operate(emitter: Emitter, node: tree.Assign, old: int) -> None:
    """`old op e` into `old`, a temporary."""
    value = node.value
    right = EXPRESSION[type(value)](emitter, value, ANY)
    pc = emitter.op(ARITHMETIC[node.op[0]], old, old, right)
    emitter.site(pc, 0, node.start, node.end)
    if right < TEMP:
        emitter.read(pc, 2, right, value)


def _refuse(emitter: Emitter, node: tree.Assign, path: _Path, base: int) -> None:
    """Assignment below a read-only name: everything is evaluated, then it fails."""
    span = (node.start, node.end)
    if node.op == "=":
        EXPRESSION[type(node.value)](emitter, node.value, FRESH)
    else:
        _operate(emitter, node, _read_path(emitter, path, span, keep=True))
    emitter.fault("read_only", node.name, span)
    emitter.release(base)


def _update_idiom(emitter: Emitter, node: tree.Assign) -> _Update | None:
    """The assignment as an update in place, if it is one of the idioms."""
    if len(node.steps) > MOST_UPDATE_STEPS:
        return None
    value = node.value
    if isinstance(value, tree.Binary) and len(value.rest) == 1:
        place = value.first
        op, operand = value.rest[0]
    elif isinstance(value, tree.BuiltinCall) and value.name == "push":
        place, operand = value.args
        op = "push"
    else:
        return None
    if not isinstance(place, tree.Postfix) or not _same_path(node, place):
        return None
    names = [node.name]
    names += (
        step.index.name for step in node.steps if isinstance(step, tree.IndexStep) and isinstance(step.index, tree.Name)
    )
    if any(emitter.survey.rebinds(name, operand.start, operand.end) for name in names):
        return None
    return _Update(op, place, operand)


def _same_path(node: tree.Assign, place: tree.Postfix) -> bool:
    """Whether the postfix chain reads exactly the path assigned to, by fields, literals and variables."""
    if not isinstance(place.base, tree.Name) or place.base.name != node.name or len(place.steps) != len(node.steps):
        return False
    for mine, other in zip(node.steps, place.steps, strict=True):
        if isinstance(mine, tree.FieldStep):
            if not isinstance(other, tree.FieldStep) or other.key != mine.key:
                return False
        elif not isinstance(other, tree.IndexStep) or not _same_key(mine.index, other.index):
            return False
    return True


def _same_key(mine: tree.Expr, other: tree.Expr) -> bool:
    if isinstance(mine, tree.Name):
        return isinstance(other, tree.Name) and mine.name == other.name
    if isinstance(mine, tree.Literal):
        return isinstance(other, tree.Literal) and type(mine.value) is type(other.value) and mine.value == other.value
    return False


STATEMENT[tree.Assign] = _assign
