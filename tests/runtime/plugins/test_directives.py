"""Which directives a hook may give where, and what happens with the others."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.errors import PluginError
from lash.runtime.plugins.directives import ALLOWED, Directive, HookPoint, PluginMessage, RuntimeEvent, checked
from lash.runtime.tools.result import ToolResult

ALL: dict[str, object] = {
    "abort_turn": Directive.AbortTurn("code", "message"),
    "enqueue_messages": Directive.EnqueueMessages((PluginMessage("user", "text"),)),
    "replace_tool_args": Directive.ReplaceToolArgs({}),
    "short_circuit_tool": Directive.ShortCircuitTool(ToolResult.success()),
    "handoff_session": Directive.HandoffSession("other"),
    "emit_runtime_events": Directive.EmitRuntimeEvents((RuntimeEvent("name"),)),
    "emit_trace": Directive.EmitTrace("name"),
}

TABLE: dict[HookPoint, str] = {
    "before_turn": "abort_turn enqueue_messages emit_runtime_events emit_trace",
    "checkpoint": "abort_turn enqueue_messages emit_runtime_events emit_trace",
    "before_tool": "abort_turn replace_tool_args short_circuit_tool emit_runtime_events emit_trace",
    "after_tool": "abort_turn enqueue_messages short_circuit_tool handoff_session emit_runtime_events emit_trace",
    "after_turn": "enqueue_messages emit_runtime_events emit_trace",
}
"""The table of the contract, written down again."""

CELLS = [(point, name, name in names.split()) for point, names in TABLE.items() for name in ALL]


@pytest.mark.parametrize(("point", "name", "may"), CELLS)
def test_every_cell_of_the_table_holds(point: HookPoint, name: str, may: bool) -> None:
    directive = ALL[name]
    if may:
        assert checked("mine", point, directive) == (directive,)
        return
    with pytest.raises(PluginError, match=f"'mine'.*{point} may not give {type(directive).__name__}") as refused:
        checked("mine", point, directive)
    assert refused.value.kind == "invoke"


def test_the_table_knows_all_directives() -> None:
    assert {type(one) for one in ALL.values()} == set().union(*ALLOWED.values())


def test_nothing_one_and_several_directives_may_be_given() -> None:
    one = ALL["emit_trace"]
    assert checked("mine", "before_turn", None) == ()
    assert checked("mine", "before_turn", [one, one]) == (one, one)
    assert checked("mine", "before_turn", (one,)) == (one,)


@pytest.mark.parametrize("given", ["stop", True, {"abort": 1}, [None], Directive])
def test_what_is_no_directive_is_refused(given: Any) -> None:
    with pytest.raises(PluginError, match=r"'mine'.*no directive"):
        checked("mine", "before_turn", given)


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_a_plugin_speaks_as_user_or_system_only(role: Any) -> None:
    said = Directive.EnqueueMessages((PluginMessage("user", "a"), PluginMessage(role, "b")))
    with pytest.raises(PluginError, match=f"'mine'.*may not speak as {role}"):
        checked("mine", "checkpoint", said)


@pytest.mark.parametrize(
    ("point", "directive", "told"),
    [
        ("before_tool", Directive.ReplaceToolArgs([1]), "object, not list"),  # type: ignore[arg-type]
        ("before_tool", Directive.ReplaceToolArgs({"x": object()}), "no JSON"),  # type: ignore[dict-item]
        ("before_tool", Directive.ReplaceToolArgs({"x": float("nan")}), "no JSON"),
        ("after_tool", Directive.HandoffSession(5), "5 is no text"),  # type: ignore[arg-type]
        ("checkpoint", Directive.AbortTurn("code", None), "None is no text"),  # type: ignore[arg-type]
        ("checkpoint", Directive.EnqueueMessages((PluginMessage("user", b"x"),)), "no text"),  # type: ignore[arg-type]
    ],
)
def test_what_no_record_could_hold_is_refused(point: HookPoint, directive: object, told: str) -> None:
    with pytest.raises(PluginError, match=f"'mine'.*{point}.*{told}"):
        checked("mine", point, directive)
