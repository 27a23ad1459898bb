"""Schemas of tools and of replies for the vendors' wires, and arguments back from them (providers.md 9).

`schemas.py` fits one schema to what an API accepts; here stands which schema goes where. A tool may bring its own for a
profile, which is sent as it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from lash.host.providers.schemas import Profile, adapt, unfit
from lash.host.providers.wire import JsonObject, obj
from lash.runtime.sansio.llm import LlmToolSpec

log = logging.getLogger("lash.providers.schemas")


def tool_schema(tool: LlmToolSpec, profile: Profile) -> JsonObject:
    """The input schema of a tool for a profile: the tool's own projection as it is, else its schema adapted.

    Raises ProviderFailure (`validation`, code `schema_projection`) where the profile cannot express it.
    """
    given = tool.input_projections.get(profile)
    if isinstance(given, dict):
        return cast("JsonObject", given)
    return _logged(profile, False, _text(tool.input_schema, profile), f"tool {tool.name}")


def function_schema(tool: LlmToolSpec) -> tuple[JsonObject, bool]:
    """The parameters of a tool for OpenAI's wires, and whether the server is to enforce them.

    A tool chooses that by carrying a projection of its own for `openai_strict`.
    """
    strict = isinstance(tool.input_projections.get("openai_strict"), dict)
    return tool_schema(tool, "openai_strict" if strict else "openai_lax"), strict


def restorer(tools: Sequence[LlmToolSpec]) -> Callable[[str, str], str]:
    """A function of tool name and arguments that takes back what enforcing a schema does to arguments.

    Where everything is required, a model writes null for what it would have left out. Such a null goes, if the tool's
    own schema neither requires the property nor admits null for it. Arguments of other tools stay as they are.
    """
    enforced = {tool.name: tool.input_schema for tool in tools if function_schema(tool)[1]}

    def restore(name: str, arguments: str) -> str:
        if name not in enforced or "null" not in arguments:
            return arguments
        from lash.runtime.tools.bounded_validation import make_validator  # jsonschema comes only where it is used

        schema = enforced[name]
        try:
            value: object = json.loads(arguments)
            restored = _without_nulls(value, schema, make_validator(schema))
        except (ValueError, RecursionError):
            return arguments
        return arguments if restored == value else json.dumps(restored, ensure_ascii=False)

    return restore


def _without_nulls(value: object, schema: object, validator: Any) -> object:
    """The value without nulls that the schema does not know, along its properties and items."""
    if not isinstance(schema, dict):
        return value
    node = cast("JsonObject", schema)
    if isinstance(value, list):
        return [_without_nulls(item, node.get("items"), validator) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    known, required = obj(node.get("properties")), cast("list[str]", node.get("required", []))
    return {
        name: _without_nulls(item, known.get(name), validator)
        for name, item in cast("JsonObject", value).items()
        if item is not None
        or name in required
        or name not in known
        or _admits_null(validator.evolve(schema=known[name]))
    }


def _admits_null(validator: Any) -> bool:
    from lash.runtime.tools.bounded_validation import errors

    return next(errors(validator, None), None) is None


def output_schema(schema: JsonObject, profile: Profile, name: str = "output") -> JsonObject:
    """A schema for the reply itself; raises as `tool_schema` does."""
    return _logged(profile, True, _text(schema, profile), name)


def _text(schema: JsonObject, profile: Profile) -> str:
    try:
        return json.dumps(schema, ensure_ascii=False)
    except RecursionError:
        raise unfit(profile, "$", "it is nested too deeply") from None


@lru_cache(maxsize=512)
def _logged(profile: Profile, output: bool, text: str, name: str) -> JsonObject:
    """An adapted schema, made and reported once: the same tools go with every request."""
    adapted = adapt(json.loads(text), profile, output=output)
    for what in adapted.dropped:
        log.info("schema of %s for %s: %s is left out; it is still checked locally", name, profile, what)
    return adapted.schema
