"""What a failed call was probably meant to be: the nearest tool, the nearest arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

from lash.runtime.sansio.tools import ToolFailure, ToolSpec


def call_hint(failure: ToolFailure, name: str, args: Mapping[str, object], specs: Sequence[ToolSpec]) -> str:
    """What to say after the text of a failure, empty where nothing is near; `specs` are the tools that can be called.

    Only calls of tools that there are not, and calls with arguments that the tool does not take, get one.
    """
    if failure.code == "tool_unavailable":
        near = _nearest(name, (spec.name for spec in specs))
        return "" if near is None else f"; did you mean `{near}`?"
    if failure.code != "invalid_tool_args":
        return ""
    spec = next((spec for spec in specs if spec.name == name), None)
    declared = cast("object", spec.input_schema.get("properties")) if spec is not None else None
    if not isinstance(declared, dict):
        return ""
    free = [one for one in cast("dict[str, object]", declared) if one not in args]
    meant = [(given, _nearest(given, free)) for given in args if given not in declared]
    told = [f"`{near}` for `{given}`" for given, near in meant if near is not None]
    return f"; did you mean {' and '.join(told)}?" if told else ""


def _nearest(name: str, names: Iterable[str]) -> str | None:
    found = get_close_matches(name, list(names), n=1)
    return found[0] if found else None
