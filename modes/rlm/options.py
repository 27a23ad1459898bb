"""The options of RLM sessions and turns, as hosts give them, checked (rlm.md 9.1, 11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from lash.modes.rlm.config import RlmTermination
from lash.modes.rlm.refs import ProjectionRef, RefSource
from lash.modes.rlm.schema import Schema, check_schema
from lash.runtime.errors import TurnError
from lash.runtime.sansio.values import JsonValue, lone_surrogate
from lashlang import HostValueError, Image, Projection, Value
from lashlang.vm.machine import RESERVED, is_name
from lashlang.vm.wire import explain

HISTORY = "history"

SESSION_OPTIONS = frozenset({"projected", "globals", "require_submit", "allow_prose_or_submit"})
TURN_OPTIONS = frozenset({"turn_projected", "tool_result_projectors", "require_submit", "allow_prose_or_submit"})


def termination_of(options: Mapping[str, Any]) -> RlmTermination | None:
    """How a turn may end, None where nothing is said of it.

    Raises TurnError (mode_option) for options that contradict each other or a schema that is none.
    """
    required: object = options.get("require_submit")
    prose: object = options.get("allow_prose_or_submit", False)
    if prose and required not in (None, False):
        raise TurnError("mode_option", "`require_submit` and `allow_prose_or_submit` exclude each other: give one")
    if prose:
        return RlmTermination(kind="prose_or_submit")
    if required is None:
        return None
    if isinstance(required, bool):
        return RlmTermination()
    schema = _schema(required)
    try:
        check_schema(schema)
    except ValueError as error:
        raise TurnError("mode_option", str(error)) from error
    try:
        return RlmTermination(output_schema=schema)
    except ValidationError as error:
        raise TurnError("mode_option", "`require_submit` is no JSON Schema: it holds what JSON cannot hold") from error


def _schema(required: object) -> Schema:
    if isinstance(required, type) and issubclass(required, BaseModel):
        return required.model_json_schema()
    if isinstance(required, dict):
        return cast("Schema", required)
    kind = type(cast("object", required)).__name__
    raise TurnError("mode_option", f"`require_submit` is True, a pydantic model or a JSON Schema, not {kind}")


def check_globals(given: Mapping[str, JsonValue], projected: Mapping[str, object]) -> dict[str, JsonValue]:
    """Variables that a program can have; TurnError (mode_turn_extension) for the first that it cannot.

    `projected` are the values that are projected, whose names they must leave alone.
    """
    for name, value in given.items():
        if name in projected or name == HISTORY:
            raise TurnError("mode_turn_extension", f"variable `{name}`: a projected value has that name")
        if not is_usable_name(name):
            raise TurnError("mode_turn_extension", f"variable {name!r}: this is no name that a program could use")
        try:
            explain(value)
        except HostValueError as error:
            raise TurnError("mode_turn_extension", f"variable `{name}`: {error}") from error
    return dict(given)


def is_usable_name(name: str) -> bool:
    """Whether a program could use the name for a variable."""
    return is_name(name) and name not in RESERVED


def check_bindings(
    projected: Mapping[str, object], taken: Mapping[str, object], what: str
) -> dict[str, Value | Projection]:
    """Projected bindings that a program can have; TurnError (mode_turn_extension) for the first that it cannot.

    `taken` are those of the session, whose names a turn must leave alone.
    """
    checked: dict[str, Value | Projection] = {}
    for name, value in projected.items():
        if name == HISTORY:
            raise TurnError("mode_turn_extension", f"{what} `{name}`: the name is taken by the session's own history")
        if not is_usable_name(name):
            raise TurnError("mode_turn_extension", f"{what} `{name}`: this is no name that a program could use")
        if name in taken:
            raise TurnError("mode_turn_extension", f"{what} `{name}`: the session projects a value of that name")
        if not isinstance(value, (type(None), bool, int, float, str, list, dict, Image, Projection, ProjectionRef)):
            raise TurnError(
                "mode_turn_extension", f"{what} `{name}`: {type(value).__name__} is no JSON value and no projection"
            )
        for text in _texts_in(cast("object", value)):
            if (wrong := lone_surrogate(text)) is not None:
                raise TurnError("mode_turn_extension", f"{what} `{name}`: a text holds {wrong}, which is no character")
        checked[name] = RefSource(value) if isinstance(value, ProjectionRef) else value
    return checked


def _texts_in(value: object) -> Iterator[str]:
    """All texts of a value, keys included; what is held in several places is looked at once, so loops end."""
    seen: set[int] = set()
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list | dict) and id(cast("object", item)) not in seen:
            seen.add(id(cast("object", item)))
            left += cast("list[object]", item)
            if isinstance(item, dict):
                left += cast("dict[object, object]", item).values()
