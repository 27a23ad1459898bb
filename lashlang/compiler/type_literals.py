"""How `Type { … }` becomes instructions (chapter 11).

A type without references is a constant. Otherwise its schema is built from constants and from the
schemas that the variables it refers to hold.
"""

from __future__ import annotations

from lashlang.compiler.constants import required, schema
from lashlang.compiler.dispatch import EXPRESSION, FRESH
from lashlang.compiler.emit import Emitter
from lashlang.compiler.expressions import CHUNK, put_temps, record_of_temps
from lashlang.compiler.opcodes import NUMBER
from lashlang.syntax import tree

_EXTEND = NUMBER["EXTEND"]
_FINISH = NUMBER["FINISH"]
_NEW_LIST = NUMBER["NEW_LIST"]
_NEW_RECORD = NUMBER["NEW_RECORD"]
_TYPE_REF = NUMBER["TYPE_REF"]

TYPE_KEY = "$lash_type"


def _literal(emitter: Emitter, node: tree.TypeLiteral, want: int) -> int:
    base = emitter.top
    known = schema(node.type)
    if known is not None:
        register = want if want >= 0 else emitter.temp(heap=True)
        emitter.load(register, {TYPE_KEY: known})
        return register
    _schema(emitter, node.type)
    return record_of_temps(emitter, [TYPE_KEY], want, base)


def _schema(emitter: Emitter, node: tree.TypeExpr) -> None:
    """Build the schema of a type in the next temporary."""
    known = schema(node)
    base = emitter.top
    if known is not None:
        emitter.load(emitter.temp(heap=True), known)
    elif isinstance(node, tree.TypeRef):
        slot = emitter.survey.slots[node.name]
        pc = emitter.op(_TYPE_REF, emitter.temp(heap=True), slot)
        emitter.site(pc, 0, node.start, node.end)
        emitter.site(pc, 1, node.start, node.end)
        emitter.learn(slot)
    elif isinstance(node, tree.TypeList):
        emitter.load(emitter.temp(heap=True), "array")
        _schema(emitter, node.item)
        record_of_temps(emitter, ["type", "items"], FRESH, base)
    elif isinstance(node, tree.TypeUnion):
        whole = emitter.temp(heap=True)
        emitter.op(_NEW_LIST, whole, len(node.variants) & 0xFFFF, len(node.variants) >> 16)
        for variant in node.variants:
            _schema(emitter, variant)
            emitter.op(_EXTEND, whole, whole + 1, 1)
            emitter.top = base + 1
        emitter.op(_FINISH, whole)
        record_of_temps(emitter, ["anyOf"], FRESH, base)
    elif isinstance(node, tree.TypeRecord):
        emitter.load(emitter.temp(heap=True), "object")
        _properties(emitter, node)
        emitter.load(emitter.temp(heap=True), required(node))
        emitter.load(emitter.temp(heap=False), False)
        record_of_temps(emitter, ["type", "properties", "required", "additionalProperties"], FRESH, base)


def _properties(emitter: Emitter, node: tree.TypeRecord) -> None:
    """Build the record of a type's fields in the next temporary."""
    whole = emitter.temp(heap=True)
    emitter.op(_NEW_RECORD, whole, len(node.fields) & 0xFFFF, len(node.fields) >> 16)
    for at in range(0, len(node.fields), CHUNK):
        chunk = node.fields[at : at + CHUNK]
        for part in chunk:
            _schema(emitter, part.type)
        put_temps(emitter, [part.name for part in chunk], whole)
    emitter.op(_FINISH, whole)


EXPRESSION[tree.TypeLiteral] = _literal
