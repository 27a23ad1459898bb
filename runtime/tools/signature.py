"""How a tool reads in a Lashlang program: `call search { query: str, limit?: int <= 20 = 10 } -> list[str]`.

JSON Schema becomes the labels that programs use for types (lashlang.md 11): `str`, `int`, `list[T]`, `enum["a"]`,
`A | B`; an object is written out, `{ id: str, tag?: str }`. What has no label of its own (a pattern, a bound) follows
the label as a constraint. The form is that of rlm.md 6.3 and is meant to be read, by a model first of all: schemas
that are very large or refer to themselves end in `dict`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.values import JsonValue

Schema = Mapping[str, JsonValue]

MOST_OBJECTS = 60
"""Objects that are written out in one label; a schema whose parts refer to each other can describe millions."""

DEEPEST = 5
"""Levels of objects that are written out."""

NEEDS_APPROVAL = "needs approval: a person may be asked first, and may refuse"
"""What prompts say of a tool of which all or some calls need one."""

LONGEST_LITERAL = 120
"""Characters of a default or pattern that are shown."""

_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "null"}
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BOUNDS = (
    ("minimum", ">= {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "<= {}"),
    ("exclusiveMaximum", "< {}"),
    ("multipleOf", "multiple of {}"),
    ("minLength", "len >= {}"),
    ("maxLength", "len <= {}"),
    ("minItems", "len >= {}"),
    ("maxItems", "len <= {}"),
    ("pattern", "matches {}"),
)


def call_name(tool_name: str) -> str:
    """The name under which a program calls a tool: `-` is no letter of an identifier and becomes `_`."""
    return tool_name.replace("-", "_")


def signature(spec: ToolSpec) -> str:
    """The tool as a call that a program could write, with types in the places of values."""
    generic, fields, returned = _parts(spec)
    arguments = f"{{ {', '.join(fields)} }}" if fields else "{}"
    return f"call {call_name(spec.name)}{generic} {arguments} -> {returned}"


def compact_contract(spec: ToolSpec) -> str:
    """The tool as a function under its own name, for models that call it natively."""
    generic, fields, returned = _parts(spec)
    return f"{spec.name}{generic}({', '.join(fields)}) -> {returned}"


def _parts(spec: ToolSpec) -> tuple[str, list[str], str]:
    """What a tool's name is followed by where its result has the type that is asked for, its parameters, its result."""
    inputs = _Labels(spec.input_schema)
    outputs = _Labels(spec.output_schema)
    generic, returned = "", outputs.label(outputs.root)
    if spec.result_type_field is not None:
        generic, returned = f"<T = {returned}>", "T"
    fields = [inputs.field(*found, typed_by=spec.result_type_field) for found in inputs.fields(inputs.root)]
    if _is_open(inputs.root):
        fields.append("...")
    return generic, fields, returned


def label(schema: JsonValue) -> str:
    """The Lashlang label of a schema; `any` for None, True and whatever promises nothing."""
    labels = _Labels(schema)
    return labels.label(labels.root)


def parameter_lines(spec: ToolSpec) -> list[str]:
    """One line per parameter, ``- `a: str` — description``, nested ones by their path where they are described."""
    labels = _Labels(spec.input_schema)
    return list(labels.lines(labels.root, "", spec.result_type_field))


def return_lines(spec: ToolSpec) -> list[str]:
    """One line per field of what the tool returns, in the form of `parameter_lines`.

    A result without fields has a line of its own where it is described; a tool whose result type is an argument has
    none, because its caller says what comes back.
    """
    if spec.output_schema is None or spec.result_type_field is not None:
        return []
    labels = _Labels(spec.output_schema)
    lines = list(labels.lines(labels.root, ""))
    if not lines and (description := _description(labels.root)):
        return [f"- `{labels.label(labels.root)}` — {description}"]
    return lines


class _Labels:
    """One schema with its definitions, and how many objects may still be written out."""

    def __init__(self, schema: JsonValue) -> None:
        self._document = schema if isinstance(schema, dict) else {}
        self._left = MOST_OBJECTS
        self.root: Schema = self.resolved(self._document)

    def resolved(self, schema: JsonValue | Schema) -> Schema:
        """A schema with references followed and `allOf` merged; empty for a boolean one."""
        if not isinstance(schema, Mapping):
            return {}
        seen: set[str] = set()
        while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            seen.add(reference)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._target(reference), **beside}
        parts = schema.get("allOf")
        if isinstance(parts, list):
            schema = self._merged(schema, parts)
        return schema

    def _target(self, reference: str) -> Schema:
        """What a reference inside the document names; empty for one that leads nowhere."""
        found: JsonValue = self._document
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) and reference.startswith("#") else {}

    def _merged(self, schema: Schema, parts: Sequence[JsonValue]) -> Schema:
        merged: dict[str, JsonValue] = {}
        properties: dict[str, JsonValue] = {}
        required: list[JsonValue] = []
        own = {key: value for key, value in schema.items() if key != "allOf"}
        for part in (*map(self._flat, parts), own):
            properties.update(_record(part.get("properties")))
            required.extend(_items(part.get("required")))
            merged.update(part)
        if properties:
            merged.update(properties=properties, required=required)
        return merged

    def _flat(self, part: JsonValue) -> Schema:
        """A part of an `allOf`, its reference followed once; parts inside parts are left as they are."""
        if isinstance(part, dict) and isinstance(reference := part.get("$ref"), str):
            return self._target(reference)
        return part if isinstance(part, dict) else {}

    def fields(self, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
        """The properties of an object: name, schema, whether it is required."""
        required = _items(schema.get("required"))
        for name, below in _record(schema.get("properties")).items():
            yield name, self.resolved(below), name in required

    def field(
        self, name: str, schema: Schema, required: bool, typed_by: str | None = None, within: tuple[int, ...] = ()
    ) -> str:
        """`name: type`, with `?` where it may be left out, then constraints, then the default."""
        parts = [_named(name, required), self._type(name, schema, typed_by, within), *self._constraints(schema)]
        if "default" in schema:
            parts.append(f"= {_literal(schema['default'])}")
        return " ".join(parts)

    def _type(self, name: str, schema: Schema, typed_by: str | None, within: tuple[int, ...] = ()) -> str:
        return "TypeSpec<T>" if name == typed_by else self.label(schema, within)

    def label(self, schema: Schema, within: tuple[int, ...] = ()) -> str:
        """The label of a resolved schema; `within` are the objects it stands in, to stop at one that holds itself."""
        variants = [*_items(schema.get("anyOf")), *_items(schema.get("oneOf"))]
        if variants:
            return _union(self.label(self.resolved(variant), within) for variant in variants)
        if "const" in schema:
            return _choice([schema["const"]])
        if isinstance(choices := schema.get("enum"), list) and choices:
            return _choice(choices)
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union(self.label({**schema, "type": one}, within) for one in kind)
        if isinstance(kind, str) and kind in _SCALARS:
            return _SCALARS[kind]
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return f"list[{self._element(schema, within)}]"
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, within)
        return "any"

    def _element(self, schema: Schema, within: tuple[int, ...]) -> str:
        below = [*_items(schema.get("prefixItems"))]
        if "items" in schema and schema["items"] is not False:
            below.append(schema["items"])
        return _union(self.label(self.resolved(one), within) for one in below) if below else "any"

    def _object(self, schema: Schema, within: tuple[int, ...]) -> str:
        properties = _record(schema.get("properties"))
        if not properties or id(properties) in within or len(within) >= DEEPEST or self._left <= 0:
            return "dict"
        self._left -= 1
        inside = (*within, id(properties))
        fields = [self.field(*found, within=inside) for found in self.fields(schema)]
        return f"{{ {', '.join(fields)} }}"

    def _constraints(self, schema: Schema) -> Iterator[str]:
        """Bounds of a value, those of `T | null` included."""
        told = [
            variant
            for variant in map(self.resolved, [*_items(schema.get("anyOf")), *_items(schema.get("oneOf"))])
            if variant.get("type") != "null"
        ]
        bounded = told[0] if len(told) == 1 else schema
        for key, form in _BOUNDS:
            if key in bounded:
                yield form.format(_literal(bounded[key]))
        if isinstance(form := bounded.get("format"), str):
            yield f"({form})"

    def lines(
        self, schema: Schema, path: str, typed_by: str | None = None, within: tuple[int, ...] = ()
    ) -> Iterator[str]:
        """Lines of the fields below a schema, those at the top all, deeper ones where they are described."""
        variants = [self.resolved(one) for one in (*_items(schema.get("anyOf")), *_items(schema.get("oneOf")))]
        for variant in variants:
            yield from self.lines(variant, path, typed_by, within)
        if isinstance(items := schema.get("items"), dict):
            yield from self.lines(self.resolved(items), f"{path}[]", typed_by, within)
        properties = _record(schema.get("properties"))
        if not properties or id(properties) in within or len(within) >= DEEPEST or self._left <= 0:
            return
        self._left -= 1
        for name, below, required in self.fields(schema):
            described = _description(below)
            shown = f"{path}.{_named(name, required)}" if path else _named(name, required)
            if described or not within:
                told = f"- `{shown} {self._type(name, below, typed_by)}`"
                yield f"{told} — {described}" if described else told
            inner = f"{path}.{name}" if path else name
            yield from self.lines(below, inner, None, (*within, id(properties)))


def _named(name: str, required: bool) -> str:
    key = name if _PLAIN_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{key}:" if required else f"{key}?:"


def _choice(choices: Sequence[JsonValue]) -> str:
    """The label of a set of literals: texts as an enum, other kinds by their types."""
    texts = [_literal(choice) for choice in choices if isinstance(choice, str)]
    labels = [f"enum[{', '.join(texts)}]"] if texts else []
    labels += [_kind(choice) for choice in choices if not isinstance(choice, str)]
    return _union(labels)


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "bool", int: "int", float: "float", list: "list[any]"}
    return names.get(type(value), "dict")


def _union(labels: Iterable[str]) -> str:
    """Labels as a union: each once, `null` last, nothing but `any` beside `any`."""
    unique = list(dict.fromkeys(labels))
    if "any" in unique:
        return "any"
    return " | ".join(sorted(unique, key=lambda one: one == "null"))


def _is_open(schema: Schema) -> bool:
    """Whether arguments that are not listed may be given (providers.md 13: only where nothing is, or it is said)."""
    more = schema.get("additionalProperties")
    return more is True or isinstance(more, dict) or (more is None and not _record(schema.get("properties")))


def _description(schema: Schema) -> str:
    told = schema.get("description")
    return " ".join(told.split()) if isinstance(told, str) else ""


def _literal(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return text if len(text) <= LONGEST_LITERAL else f"{text[:LONGEST_LITERAL]}…"


def _record(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
