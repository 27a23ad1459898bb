"""References within a JSON Schema: put in place of themselves where an API does not follow them (providers.md 9).

What a reference names is found by the library that the validator itself uses, so anchors and ids count as they do
there. Nothing is ever fetched.
"""

from __future__ import annotations

import copy
from typing import Any, Final, cast

from lash.host.providers.schema_nodes import replace_children
from lash.host.providers.wire import JsonObject, obj

MOST_NODES: Final = 10_000
"""How many schemas an inlined one may consist of; a small one with shared parts can otherwise become exponential."""

KEYWORDS: Final = ("$ref", "$dynamicRef")
"""Keywords that refer to another schema."""

NAMES: Final = ("$schema", "$id", "$anchor", "$dynamicAnchor", "$defs", "definitions")
"""Keywords that say what a schema is called and what it may refer to: without references, they are of no use."""

ANNOTATIONS: Final = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
"""Keywords that bind nobody, so that one beside a reference takes the place of the one that it refers to."""


class BrokenReference(Exception):
    """A reference that leads nowhere, or only to itself, or an id that is none; `path` is where it stands."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path


class References:
    """The references of one schema, which is not changed. `dropped` is what could not be kept beside them."""

    def __init__(self, schema: JsonObject) -> None:
        from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

        self._schema = schema
        self._resource: Any = DRAFT202012.create_resource
        self._resolver: Any = EMPTY_REGISTRY.resolver_with_root(self._resource(schema))
        self._nodes = 0
        self.dropped: list[str] = []

    def inlined(self) -> JsonObject:
        """The schema with what they refer to in place of all references.

        A reference to what it is a part of becomes an open object, as does what would make the whole too large. Raises
        BrokenReference.
        """
        return self._inlined(self._schema, "$", self._resolver, frozenset())

    def expanded(self) -> JsonObject:
        """The schema with what it refers to in place of a reference at its root, the others left as they are.

        Raises BrokenReference.
        """
        schema, resolver, seen = self._schema, self._resolver, {id(self._schema)}
        while "$ref" in schema:
            target, resolver = self._lookup(schema["$ref"], "$.$ref", resolver)
            if id(target) in seen:
                raise BrokenReference("$.$ref", "the schema refers to nothing but itself")
            seen.add(id(target))
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            schema = {**copy.deepcopy(obj(target)), **beside}
        return schema

    def _inlined(self, node: JsonObject, path: str, resolver: Any, within: frozenset[int]) -> JsonObject:
        """A copy of a schema; `within` are the schemas that it is a part of, by identity."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self.dropped.append(path)
            return _open(node)
        if "$id" in node:
            try:
                resolver = resolver.in_subresource(self._resource(node))
            except ValueError as error:
                raise BrokenReference(f"{path}.$id", f"{node['$id']!r} is no id: {error}") from None
        within |= {id(node)}
        made = {name: value for name, value in node.items() if name not in (*NAMES, *KEYWORDS)}
        replace_children(made, path, lambda child, where: self._inlined(child, where, resolver, within))
        for keyword in KEYWORDS:
            if keyword in node:
                target, there = self._lookup(node[keyword], f"{path}.{keyword}", resolver)
                if target is False:
                    return {"not": {}}
                named = obj(target)
                known = id(target) in within
                made = self._beside(_open(named) if known else self._inlined(named, path, there, within), made, path)
        return made

    def _beside(self, target: JsonObject, beside: JsonObject, path: str) -> JsonObject:
        """What a reference stands for, together with what stands beside it."""
        whole = dict(target)
        for name, value in beside.items():
            mine: Any = whole.get(name, value)
            if name in ANNOTATIONS or mine == value:
                whole[name] = value
            elif name == "required":
                whole[name] = list(dict.fromkeys([*mine, *value]))
            elif name == "properties" and not any(mine[one] != value[one] for one in mine.keys() & value.keys()):
                whole[name] = {**mine, **value}
            else:
                self.dropped.append(f"{path}.{name}")
        return whole

    def _lookup(self, reference: object, path: str, resolver: Any) -> tuple[object, Any]:
        """What a reference names, and what resolves those within it."""
        from referencing.exceptions import Unresolvable

        try:
            found = resolver.lookup(reference)
        except (Unresolvable, ValueError):  # the latter for what is no address, or no number of a list's member
            raise BrokenReference(path, f"there is no {reference!r} in the schema") from None
        return cast("object", found.contents), found.resolver


def _open(schema: JsonObject) -> JsonObject:
    """What stands for a schema that cannot be written out: any object, or whatever else it says it is."""
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"type": schema.get("type", "object"), **described}
