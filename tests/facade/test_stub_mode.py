"""Dispatch and approvals in a core with no mode but a stub: its driver calls tools, and no model is ever asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import lash
from lash import LashCore, ModeId, ModePreset, TurnFinish, TurnOutcome
from lash.runtime.sansio.driver import AnyDriverAction, DriverAction, DriverContext
from lash.runtime.sansio.projector import ChatContextProjector
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall
from lash.runtime.sansio.values import JsonValue
from lash.runtime.turn.mode import ModePrompt, SurfaceInput, TurnSetup
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptedProvider


class StubDriver:
    """Makes its calls at once and ends the turn with what they gave."""

    mode_id = "stub"
    version = 1
    handles_output_limit = False

    def __init__(self, calls: Sequence[PendingToolCall]) -> None:
        self._calls = tuple(calls)

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        return [DriverAction.StartTools(self._calls)]

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        told: list[JsonValue] = [call.model_return for call in completed]
        return [DriverAction.Finish(TurnOutcome.Finished(TurnFinish.ToolValue("stub", told)))]

    def handle_llm_success(self, *_: Any) -> list[AnyDriverAction]:
        raise AssertionError("no model is asked")

    handle_exec_result = handle_llm_success


class StubMode:
    """The mode and its half of a session in one; there is nothing to keep."""

    mode_id = "stub"
    default_max_turns = None
    sync_execution_surface = True
    native_tools = ()
    max_handoffs = 0
    projector = ChatContextProjector()

    def __init__(self, *calls: PendingToolCall) -> None:
        self._calls = calls

    def session(self, session_id: str, options: Mapping[str, Any]) -> Any:
        return self

    def driver(self, turn: TurnSetup) -> StubDriver:
        return StubDriver(self._calls)

    def prompt(self, surface: SurfaceInput) -> ModePrompt:
        return ModePrompt("")

    def nothing(self, *_: Any) -> None:
        """For all that a stub has no need of."""

    begin_turn = end_turn = turn_limit_message = successor = stream_hook = exec_code = nothing
    opened = state = committed = close = nothing


def core_of(*calls: PendingToolCall, **knobs: Any) -> LashCore:
    preset = ModePreset(ModeId("stub"), StubMode(*calls))
    return LashCore(modes=[preset], provider=ScriptedProvider([]), model="m", max_context_tokens=1000, **knobs)


@lash.tool
async def double(n: int) -> int:
    """Twice n."""
    return 2 * n


@lash.tool(needs_approval=lambda args, ctx: args["amount"] > 10)
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


async def test_calls_are_dispatched_without_any_mode() -> None:
    calls = [
        PendingToolCall("a", "double", {"n": 4}),
        PendingToolCall("b", "double", {"m": 4}),
        PendingToolCall("c", "nothing", {}),
    ]
    async with core_of(*calls, tools=[double]) as core, core.session("s") as session:
        output = await session.run("Go.")
    check_activities(output.activities)
    assert output.tool_value() == [
        "8",
        "[Tool execution failed]\nm: unexpected property",
        "[Tool execution failed]\nthere is no tool 'nothing' to be called",
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lash.Approve(), "paid 20"),
        (lash.Deny("no"), "[Tool execution failed]\ndenied by the user: no"),
        (lash.Edit({"amount": 15}), "paid 15\narguments were edited by the user"),
    ],
)
async def test_people_are_asked_without_any_mode(answer: Any, told: str) -> None:
    asked: list[Mapping[str, Any]] = []

    async def approve(question: lash.PendingApproval) -> Any:
        asked.append(question.args)
        return answer

    calls = [PendingToolCall("a", "pay", {"amount": 5}), PendingToolCall("b", "pay", {"amount": 20})]
    async with core_of(*calls, tools=[pay], approve=approve) as core, core.session("s") as session:
        output = await session.run("Go.")
    check_activities(output.activities)
    assert output.tool_value() == ["paid 5", told]
    assert asked == [{"amount": 20}]
