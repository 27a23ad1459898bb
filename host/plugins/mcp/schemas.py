"""Whether a stranger's schema can be used: shown to models, sent to providers, and checked against in bounded time.

A provider refuses a whole request for one schema that it cannot read, so a tool that would cause that is not taken.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final, cast

from lash.host.providers.schemas import Profile, adapt
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import Availability, ToolContract, ToolManifest
from lash.runtime.tools.signature import signature
from lash.runtime.tools.specs import tool_spec

Schema = Mapping[str, JsonValue]

MOST_STEPS: Final = 1000
"""How many schemas one value may have to be held against: a few lines can double them with every reference."""

MOST_KNOWN: Final = 4096

PROFILES: Final[tuple[Profile, ...]] = ("anthropic", "openai_lax", "gemini")
"""Those that the tools of a request are fitted to."""

_LISTS: Final = ("allOf", "anyOf", "oneOf")
_ONES: Final = ("not", "if", "then", "else")
_REFERENCES: Final = ("$ref", "$dynamicRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_DATA: Final = ("enum", "const", "default", "examples")
"""Keywords whose values are no schemas, whatever they look like."""


class Verdicts:
    """Why tools cannot be taken for their schemas; None where they can.

    A verdict takes milliseconds and is remembered, because servers list the same tools again and again.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, str | None] = {}

    async def on(self, manifest: ToolManifest, contract: ToolContract) -> str | None:
        """The verdict on one tool; others run before it is made."""
        schemas = json.dumps([contract.input_schema, contract.output_schema])
        key = sha256(schemas.encode()).digest()
        if key not in self._known:
            await asyncio.sleep(0)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = _unusable(manifest, contract)
        return self._known[key]


def _unusable(manifest: ToolManifest, contract: ToolContract) -> str | None:
    schema = contract.input_schema
    if schema.get("type") != "object":
        return "its input schema describes no object"
    try:
        problem = _References(schema).problem()
        if problem is not None:
            return f"its input schema {problem}"
        for profile in PROFILES:
            adapt(dict(schema), profile)
        signature(tool_spec(manifest, contract, Availability.SHOWCASED))
    except ProviderFailure as error:
        return f"{error.message[:200]}"
    except Exception as error:  # whatever a stranger's schema breaks, it breaks here and not in a turn
        return f"its schemas cannot be shown: {type(error).__name__}"
    return None


class _References:
    """Where the references of a schema lead, and how much work they make."""

    def __init__(self, schema: Schema) -> None:
        self._root = schema
        self._nodes = list(_nodes(schema))
        self._anchors = {
            f"#{node[name]}": node for node in self._nodes for name in _ANCHORS if isinstance(node.get(name), str)
        }
        self._steps: dict[int, int] = {}

    def problem(self) -> str | None:
        """What is wrong with them; None where they can be followed."""
        references = [node[name] for node in self._nodes for name in _REFERENCES if name in node]
        for reference in references:
            if not isinstance(reference, str) or not reference.startswith("#"):
                return f"refers to {str(reference)[:64]!r}, which is not in it, and nothing is fetched"
        if references and any("$id" in node for node in self._nodes if node is not self._root):
            return "has parts with ids of their own"
        try:
            most = max(self._count(node) for node in self._nodes)
        except RecursionError:
            return "refers to itself without end"
        return None if most <= MOST_STEPS else f"makes more than {MOST_STEPS} steps for one value"

    def _count(self, node: Schema) -> int:
        """How many schemas a value is held against for this one; RecursionError where that has no end."""
        known = self._steps.get(id(node))
        if known == 0:
            raise RecursionError
        if known is None:
            self._steps[id(node)] = 0
            known = self._steps[id(node)] = 1 + sum(map(self._count, self._together(node)))
        return known

    def _together(self, node: Schema) -> Iterator[Schema]:
        """The schemas that are about the same value as this one."""
        for name in _LISTS:
            if isinstance(several := node.get(name), list):
                yield from (one for one in several if isinstance(one, dict))
        for name in _ONES:
            if isinstance(one := node.get(name), dict):
                yield one
        if isinstance(named := node.get("dependentSchemas"), dict):
            yield from (one for one in named.values() if isinstance(one, dict))
        for name in _REFERENCES:
            if isinstance(reference := node.get(name), str) and (target := self._target(reference)) is not None:
                yield target

    def _target(self, reference: str) -> Schema | None:
        if reference in self._anchors:
            return self._anchors[reference]
        found: JsonValue = cast("dict[str, JsonValue]", self._root)
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found if isinstance(found, dict) else None


def _nodes(value: JsonValue | Schema) -> Iterator[Schema]:
    """All records of a schema, which the schemas in it are among."""
    if isinstance(value, list):
        for one in value:
            yield from _nodes(one)
    elif isinstance(value, Mapping):
        yield value
        for name, below in value.items():
            if name not in _DATA:
                yield from _nodes(below)
