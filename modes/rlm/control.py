"""`continue_as`: a program hands the turn on to a fresh session (rlm.md 15).

The tool checks what it is given and names the successor; nothing is stored before the turn is committed. The seed is
all that the successor begins with: projected values at its root stay projected, everything else becomes variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from lash.modes.rlm.options import HISTORY, is_usable_name
from lash.modes.rlm.sources import seeded
from lash.modes.rlm.types import RlmSeed, as_event
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import ToolContract, ToolDefinition, ToolManifest
from lash.runtime.tools.provider import ListedTools, Path, ToolCall
from lash.runtime.tools.result import ToolError, ToolResult
from lash.runtime.turn.handoff import Successor, successor_id
from lashlang.projection import Projected, ProjectionUnavailable

NAME = "continue_as"
REASON = "continue_as"

DESCRIPTION = (
    "Go on in a fresh session: this one ends here, and the next begins with `task` as its instruction and the entries "
    "of `seed` as its variables. Nothing else is taken along, neither variables nor history, so put everything that is "
    "still needed into `seed`; projected values in it stay projected. Make it the last statement of the block."
)

_DEFINITION = ToolDefinition.raw(
    NAME,
    DESCRIPTION,
    {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "what the next session is to do, complete in itself"},
            "seed": {"type": ["object", "null"], "description": "the variables that it begins with, by name"},
        },
        "required": ["task"],
        "additionalProperties": False,
    },
    preserve_projected="seed",
    mutates=False,
)


class ContinueAs(ListedTools):
    """The tool."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        return (_DEFINITION.manifest,)

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        return _DEFINITION.contract if name == NAME else None

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`: hands the turn on, or says what is wrong with the arguments."""
        task = cast("str", call.args["task"])
        if not task.strip():
            raise ToolError("task: blank; say what the next session is to do", cls="invalid_request")
        seed = call.args.get("seed") or {}
        for handle in _handles(seed):
            raise ToolError(f"seed: {handle!r} is no live handle of this session", cls="invalid_request")
        seed_event(cast("dict[str, JsonValue]", seed), call.projections, None)
        session_id = successor_id(call.context.session_id, call.context.turn_id, call.context.tool_call_id)
        return ToolResult.handoff(session_id, {"session_id": session_id, "task": task})


def _handles(value: object) -> Iterator[str]:
    """The ids of all handles in a value."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _handles(item)
    elif isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        if "__handle__" in entries:
            yield str(entries.get("id"))
        for item in entries.values():
            yield from _handles(item)


def seed_event(
    seed: Mapping[str, JsonValue], projections: Mapping[Path, Any], termination: dict[str, JsonValue] | None
) -> RlmSeed:
    """The seed as a session stores it; `projections` stand for the nulls at its root.

    Raises ToolError for a name that no program can use and for a value that cannot be handed on.
    """
    variables, projected = dict(seed), list[tuple[str, dict[str, JsonValue]]]()
    for name in seed:
        check_seed_name(name)
        source = projections.get(("seed", name))
        if isinstance(source, Projected) and seed[name] is None:
            del variables[name]
            try:
                projected.append((name, seeded(source)))
            except ProjectionUnavailable as error:
                raise ToolError(f"seed.{name}: {error}", cls="invalid_request") from error
    return RlmSeed(globals=variables, projected=tuple(projected), termination=termination)


def check_seed_name(name: str) -> None:
    """Raise ToolError for what cannot be the name of a variable."""
    if name == HISTORY or not is_usable_name(name):
        raise ToolError(f"seed.{name}: this is no name that a program could use", cls="invalid_request")


def successor_of(
    call: CompletedToolCall, projections: Mapping[Path, Any], termination: dict[str, JsonValue]
) -> Successor:
    """The session that a call of the tool, which went well, hands the turn on to."""
    args = cast("dict[str, Any]", call.args)
    seed = seed_event(args.get("seed") or {}, projections, termination)
    return Successor(REASON, args["task"], (as_event(seed),))
