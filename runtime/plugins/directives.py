"""What a hook may ask for, and the table of where it may (plugins.md 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from lash.runtime.errors import PluginError
from lash.runtime.sansio.llm import Role
from lash.runtime.sansio.values import JsonValue, canonical
from lash.runtime.tools.result import ToolResult

HookPoint = Literal["before_turn", "checkpoint", "before_tool", "after_tool", "after_turn"]


@dataclass(frozen=True, slots=True)
class PluginMessage:
    """A message that a plugin wants said; a transient one reaches the model and is not kept."""

    role: Role
    text: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """An event for the host's display: a status (the newest of a name counts) or one of the plugin's own."""

    name: str
    payload: JsonValue = None
    kind: Literal["status", "custom"] = "custom"


class Directive:
    """The directives."""

    @dataclass(frozen=True, slots=True)
    class AbortTurn:
        """Stop the turn; in a tool hook, fail the call."""

        code: str
        message: str

    @dataclass(frozen=True, slots=True)
    class EnqueueMessages:
        """Say something at the next checkpoint; user and system messages only."""

        messages: tuple[PluginMessage, ...]

    @dataclass(frozen=True, slots=True)
    class ReplaceToolArgs:
        """Call the tool with these arguments; they are checked afterwards."""

        args: dict[str, JsonValue]

    @dataclass(frozen=True, slots=True)
    class ShortCircuitTool:
        """This is the call's result; before the tool it is not run at all."""

        result: ToolResult

    @dataclass(frozen=True, slots=True)
    class HandoffSession:
        """Go on in another session, as if the tool had said so."""

        session_id: str

    @dataclass(frozen=True, slots=True)
    class EmitRuntimeEvents:
        """Show events."""

        events: tuple[RuntimeEvent, ...]

    @dataclass(frozen=True, slots=True)
    class EmitTrace:
        """Write a trace record `plugin.<id>.<name>`."""

        name: str
        payload: JsonValue = None


AnyDirective: TypeAlias = (
    Directive.AbortTurn
    | Directive.EnqueueMessages
    | Directive.ReplaceToolArgs
    | Directive.ShortCircuitTool
    | Directive.HandoffSession
    | Directive.EmitRuntimeEvents
    | Directive.EmitTrace
)

_EVERYWHERE: Final = frozenset({Directive.EmitRuntimeEvents, Directive.EmitTrace})

ALLOWED: Final[dict[HookPoint, frozenset[type]]] = {
    "before_turn": _EVERYWHERE | {Directive.AbortTurn, Directive.EnqueueMessages},
    "checkpoint": _EVERYWHERE | {Directive.AbortTurn, Directive.EnqueueMessages},
    "before_tool": _EVERYWHERE | {Directive.AbortTurn, Directive.ReplaceToolArgs, Directive.ShortCircuitTool},
    "after_tool": _EVERYWHERE
    | {Directive.AbortTurn, Directive.EnqueueMessages, Directive.ShortCircuitTool, Directive.HandoffSession},
    "after_turn": _EVERYWHERE | {Directive.EnqueueMessages},
}
"""Which directives a hook may give; any other is an error that names the plugin."""


def checked(plugin_id: str, point: HookPoint, given: object) -> tuple[AnyDirective, ...]:
    """What a hook returned as directives: None, one, or several.

    Raises PluginError (invoke) for what is no directive, may not be given there, or speaks with another's voice.
    """
    if given is None:
        return ()
    several = cast("Iterable[object]", given) if isinstance(given, (list, tuple)) else (given,)
    directives: list[AnyDirective] = []
    for one in several:
        if type(one) not in ALLOWED[point]:
            known = type(one) in frozenset[type]().union(*ALLOWED.values())
            what = f"may not give {type(one).__name__}" if known else f"gave {one!r}, which is no directive"
            raise PluginError("invoke", plugin_id, f"its hook at {point} {what}")
        directive = cast("AnyDirective", one)
        wrong = _problem(directive)
        if wrong is not None:
            raise PluginError("invoke", plugin_id, f"{type(one).__name__} of its hook at {point}: {wrong}")
        directives.append(directive)
    return tuple(directives)


def _problem(directive: AnyDirective) -> str | None:
    """What is wrong with a directive's contents: they go into records, which hold nothing but JSON."""
    fields: list[object] = []
    match directive:
        case Directive.AbortTurn(code=code, message=message):
            fields += [code, message]
        case Directive.HandoffSession(session_id=session_id):
            fields += [session_id]
        case Directive.EnqueueMessages(messages=messages):
            for said in messages:
                if said.role not in ("user", "system"):
                    return f"it may not speak as {said.role}, only as user or system"
            fields += [said.text for said in messages]
        case Directive.ReplaceToolArgs(args=args):
            return _no_json(args)
        case _:
            return None
    return next((f"{field!r} is no text" for field in fields if not isinstance(field, str)), None)


def _no_json(args: object) -> str | None:
    if not isinstance(args, dict):
        return f"arguments are an object, not {type(args).__name__}"
    try:
        canonical(cast("object", args))
    except (TypeError, ValueError, RecursionError) as error:
        return f"the arguments are no JSON: {error}"
    return None
