"""Type values and `validate` (chapter 11)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lashlang.syntax import tree

from .failure import Failure, type_error
from .limits import Meter
from .numbers import is_whole
from .text import image_record
from .values import Image, ListValue, RecordValue, Value, is_number, type_name

TYPE_KEY = "$lash_type"

PRIMITIVES: Mapping[tree.PrimitiveType, str | None] = {
    "any": None,
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "null": "null",
    "dict": "object",
}
"""The `type` of each primitive's schema; `any` has none."""

KINDS = {"null": "null", "bool": "boolean", "number": "number", "string": "string", "list": "array"}
"""What a value is called in the messages of `validate`; records and images are objects."""

NAMES = ("string", "number", "integer", "boolean", "array", "object", "null")
"""The `type`s that mean something; any other accepts everything."""


def is_type_value(v: Value) -> bool:
    """Whether a value is a Type value: a record with the one key."""
    return isinstance(v, RecordValue) and list(v) == [TYPE_KEY]


def schema_of(v: Value) -> Value:
    """The schema inside a Type value."""
    assert isinstance(v, RecordValue)
    return v[TYPE_KEY]


def build_schema(meter: Meter, node: tree.TypeExpr, lookup: Callable[[tree.TypeRef], Value]) -> Value:
    """The schema a type stands for; `lookup` gives the schema a reference means, or fails."""

    def built(*entries: tuple[str, Value]) -> RecordValue:
        meter.check_entries(len(entries))
        return RecordValue(entries)

    match node:
        case tree.TypePrimitive():
            name = PRIMITIVES[node.kind]
            return built(("type", name)) if name else built()
        case tree.TypeRef():
            return lookup(node)
        case tree.TypeEnum():
            meter.check_entries(len(node.values))
            return built(("type", "string"), ("enum", ListValue(node.values)))
        case tree.TypeList():
            return built(("type", "array"), ("items", build_schema(meter, node.item, lookup)))
        case tree.TypeUnion():
            variants = ListValue([build_schema(meter, variant, lookup) for variant in node.variants])
            meter.check_entries(len(variants))
            return built(("anyOf", variants))
        case tree.TypeRecord():
            properties = RecordValue([(field.name, build_schema(meter, field.type, lookup)) for field in node.fields])
            meter.check_entries(len(properties))
            required = ListValue(field.name for field in node.fields if not field.optional)
            meter.check_entries(len(required))
            return built(
                ("type", "object"), ("properties", properties), ("required", required), ("additionalProperties", False)
            )


class Mismatch(Exception):
    """A value that a schema does not accept: where and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    @property
    def message(self) -> str:
        """The message of `validation_failed`."""
        return f"value does not match its type at {self.path}: {self.reason}"


class Validation:
    """One run of `validate` or `try_validate`.

    `checks` counts the values met with a schema, those inside union variants included. The run ends as
    soon as they cannot be paid (chapter 16, the exception to the order of errors).
    """

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.checks = 0
        self._accepted: dict[tuple[int, int], int] = {}

    def run(self, v: Value, type_value: Value, name: str) -> Mismatch | None:
        """The first mismatch of a value and a Type value, if any; `name` is the builtin's."""
        if not is_type_value(type_value):
            raise type_error(f"`{name}` needs a Type value, got {type_name(type_value)}")
        self.meter.check_leaving(type_value)
        try:
            self.check(v, schema_of(type_value), "$")
        except Mismatch as mismatch:
            return mismatch
        return None

    def check(self, v: Value, schema: Value, path: str) -> None:
        """Check one value against one schema; raises `Mismatch`. Shared parts are walked once but count each time."""
        pair = (id(v), id(schema))
        self.count(self._accepted.get(pair, 1))
        if pair in self._accepted:
            return
        before = self.checks - 1
        self.check_new(v, schema, path)
        if isinstance(v, ListValue | RecordValue):
            self._accepted[pair] = self.checks - before

    def count(self, checks: int) -> None:
        """Count checks made, and stop when they cannot be paid."""
        self.checks += checks
        if not self.meter.can_pay(self.checks):
            self.meter.bulk(self.checks)

    def check_new(self, v: Value, schema: Value, path: str) -> None:
        """Check a pair not met before."""
        match schema:
            case {"anyOf": ListValue() as variants}:
                self.check_union(v, variants, path)
            case {"enum": ListValue() as choices}:
                self.check_enum(v, choices, path)
            case {"type": str(wanted)} if wanted in NAMES:
                if not is_of(v, wanted):
                    raise Mismatch(path, f"wanted {wanted}, found {kind(v)}")
                if isinstance(v, ListValue):
                    # Without `items` the elements meet no schema, so none of them is a check.
                    for at, element in enumerate(v if "items" in schema else ()):
                        self.check(element, schema["items"], f"{path}[{at}]")
                elif wanted == "object":
                    self.check_fields(v, schema, path)
            case _:
                pass

    def check_union(self, v: Value, variants: ListValue, path: str) -> None:
        """A value that one of several schemas must accept; they are tried in order."""
        for variant in variants:
            try:
                return self.check(v, variant, path)
            except Mismatch:
                continue
        names = ", ".join(wanted_by(variant) for variant in variants)
        raise Mismatch(path, f"wanted one of [{names}], found {kind(v)}")

    def check_enum(self, v: Value, choices: ListValue, path: str) -> None:
        """A value that must be one of some strings."""
        if not isinstance(v, str):
            raise Mismatch(path, f"wanted string, found {kind(v)}")
        if v not in strings(choices):
            raise Mismatch(path, f"wanted one of [{', '.join(strings(choices))}], found {v}")

    def check_fields(self, v: Value, schema: Mapping[str, Value], path: str) -> None:
        """The fields of a record or image: those with a schema in order, then other required names."""
        record = image_record(v) if isinstance(v, Image) else v
        assert isinstance(record, RecordValue)
        properties = schema.get("properties")
        listed = properties if isinstance(properties, RecordValue) else RecordValue()
        required = strings(schema.get("required"))
        extra = {name: None for name in required if name not in listed}
        for name, expected in {**listed, **extra}.items():
            if name in record:
                self.check(record[name], expected, f"{path}.{name}")
            elif name in required:
                raise Mismatch(path, f"field `{name}` is missing")


def strings(v: Value) -> list[str]:
    """The strings in a list, nothing for any other value."""
    return [x for x in v if isinstance(x, str)] if isinstance(v, ListValue) else []


def kind(v: Value) -> str:
    """What a value is called where another was wanted."""
    return KINDS.get(type_name(v), "object")


def is_of(v: Value, wanted: str) -> bool:
    """Whether a value is of a schema's `type`, its parts aside."""
    if wanted == "integer":
        return is_number(v) and is_whole(v)
    if wanted == "number":
        return is_number(v) and math.isfinite(v)
    return kind(v) == wanted


def wanted_by(schema: Value) -> str:
    """What a schema wants, as the message about a union names it."""
    match schema:
        case {"anyOf": ListValue() as variants}:
            return " | ".join(wanted_by(variant) for variant in variants)
        case {"enum": ListValue() as choices}:
            return f"enum[{', '.join(strings(choices))}]"
        case {"type": str(wanted)}:
            return wanted
        case _:
            return "any"


def failure_of(mismatch: Mismatch) -> Failure:
    """The error `validate` raises."""
    return Failure("validation_failed", mismatch.message)
