"""Where schemas stand within a JSON Schema, and walks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from lash.host.providers.wire import JsonObject

SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value maps names to schemas."""

SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords whose value is a list of schemas."""

SCHEMA_VALUES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
"""Keywords whose value is a schema."""


def replace_children(schema: JsonObject, path: str, change: Callable[[JsonObject, str], JsonObject]) -> None:
    """Replace every schema directly within a schema. True, the schema of anything, becomes the empty one."""

    def changed(value: object, where: str) -> object:
        if value is True:
            return {}
        return change(cast("JsonObject", value), where) if isinstance(value, dict) else value

    for keyword in SCHEMA_MAPS:
        if isinstance(schema.get(keyword), dict):
            children = cast("JsonObject", schema[keyword])
            schema[keyword] = {name: changed(child, f"{path}.{keyword}.{name}") for name, child in children.items()}
    for keyword in (*SCHEMA_LISTS, "items"):
        if isinstance(schema.get(keyword), list):
            parts = cast("list[object]", schema[keyword])
            schema[keyword] = [changed(part, f"{path}.{keyword}[{index}]") for index, part in enumerate(parts)]
    for keyword in SCHEMA_VALUES:
        # Of these, additionalProperties alone says something by being true.
        if isinstance(schema.get(keyword), dict) or (keyword == "items" and schema.get(keyword) is True):
            schema[keyword] = changed(schema[keyword], f"{path}.{keyword}")


def nodes(schema: JsonObject, path: str) -> Iterator[tuple[JsonObject, str]]:
    """A schema and every schema within it."""
    found: list[tuple[JsonObject, str]] = []

    def note(node: JsonObject, where: str) -> JsonObject:
        found.append((node, where))
        replace_children(node, where, note)
        return node

    note(schema, path)
    yield from found
