"""Tools that come and go between turns, in both modes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore, ModePreset
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.testing.scripted import AnyStep, ScriptedProvider
from lash.tools import ListedTools, ToolCall, ToolContract, ToolManifest, ToolResult
from tests.modes.standard.playing import call, calls, completed, core_with, lookup, results_of, told

MODES = ("standard", "rlm")


class Catalog(ListedTools):
    """Tools that whoever holds it may change; a test may do something in the middle of a call."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.ran: list[str] = []
        self.inside: Any = None

    def tool_manifests(self) -> list[ToolManifest]:
        return [ToolManifest(name, f"Does {name}.") for name in self.names]

    def resolve_contract(self, name: str) -> ToolContract | None:
        return ToolContract()

    async def execute(self, call: ToolCall) -> ToolResult:
        self.ran.append(call.name)
        if self.inside is not None:
            self.inside()
        return ToolResult.success(call.name)


def core_of(mode: str, catalog: ListedTools, *steps: AnyStep, **knobs: Any) -> tuple[LashCore, ScriptedProvider]:
    """A core of one mode with the catalog, and its model."""
    model = ScriptedProvider(steps)
    preset = ModePreset.standard() if mode == "standard" else ModePreset.rlm()
    return core_with(provider=model, modes=[preset], tools=[catalog], **knobs), model


def asks(mode: str, *names: str) -> AnyStep:
    """A reply that calls tools without arguments, one after the other in a program."""
    if mode == "standard":
        return calls(*(call(name, f"c-{name}") for name in names))
    body = "\n".join(f"r = call {name} {{}}\nprint r.ok ? r.value : r.error" for name in names)
    return f"```lashlang\n{body}\n```"


def ends(mode: str) -> AnyStep:
    return "Done." if mode == "standard" else "```lashlang\nsubmit 1\n```"


def offered(request: LlmRequest) -> str:
    """What a request says of tools."""
    return str(request.tools) + str(request.messages[0])


@pytest.mark.parametrize("mode", MODES)
async def test_tools_that_came_and_went_between_turns_are_offered_and_missing_in_the_next_one(mode: str) -> None:
    catalog = Catalog("stays", "goes")
    core, model = core_of(mode, catalog, asks(mode, "goes"), ends(mode), asks(mode, "goes", "comes"), ends(mode))
    async with core, core.session("s") as session:
        await session.turn("Go.")
        catalog.names = ["stays", "comes"]
        output = await session.run("Again.")
    first, second = offered(model.requests[0]), offered(model.requests[2])
    assert ("Does goes." in first, "Does comes." in first) == (True, False)
    assert ("Does goes." in second, "Does comes." in second) == (False, True)
    gone, new = completed(output)
    assert gone.output.type == "failure"
    assert gone.output.failure.code == "tool_unavailable"
    assert new.output.type == "success"
    assert catalog.ran == ["goes", "comes"]
    # What was called when it was there is still told.
    assert "goes" in str(model.requests[2].messages[1:])


@pytest.mark.parametrize("mode", MODES)
async def test_a_running_turn_keeps_its_tools_and_cannot_call_one_that_went(mode: str) -> None:
    catalog = Catalog("first", "goes")
    catalog.inside = lambda: setattr(catalog, "names", ["first", "comes"])
    core, model = core_of(mode, catalog, asks(mode, "first"), asks(mode, "goes", "first"), ends(mode))
    async with core, core.session("s") as session:
        output = await session.run("Go.")
    assert "Does goes." in offered(model.requests[1])
    assert "Does comes." not in offered(model.requests[1])
    by_name = {one.name: one for one in completed(output)}
    assert by_name["first"].output.type == "success"
    failed = by_name["goes"].output
    assert failed.type == "failure"
    assert failed.failure.code == "tool_unavailable"
    assert catalog.ran == ["first", "first"]


async def test_calls_that_run_may_finish_when_their_tool_goes() -> None:
    begun, free = asyncio.Event(), asyncio.Event()

    class Slow(Catalog):
        async def execute(self, call: ToolCall) -> ToolResult:
            begun.set()
            await free.wait()
            return ToolResult.success("finished")

    catalog = Slow("slow")
    core, _ = core_of("standard", catalog, asks("standard", "slow"), "Done.")
    async with core, core.session("s") as session:
        turn = asyncio.ensure_future(session.turn("Go.").result())
        await begun.wait()
        catalog.names = []
        free.set()
        await turn
        assert results_of(session) == [("c-slow", "finished", False)]


@pytest.mark.parametrize("mode", MODES)
async def test_a_stored_session_whose_tool_is_gone_is_opened_and_goes_on(mode: str, tmp_path: Path) -> None:
    core, _ = core_of(mode, Catalog("goes"), asks(mode, "goes"), ends(mode), folder=tmp_path)
    async with core, core.session("s") as session:
        await session.turn("Go.")
    core, model = core_of(mode, Catalog("other"), asks(mode, "goes"), ends(mode), folder=tmp_path)
    async with core, core.session("s") as session:
        output = await session.run("Again.")
        assert [record.tool for record in session.read_view().tool_calls] == ["goes", "goes"]
    assert output.result.is_success()
    (failed,) = completed(output)
    assert failed.output.type == "failure"
    assert failed.output.failure.code == "tool_unavailable"
    if mode == "standard":
        assert [result.content for result in told(model.requests[0])] == ["goes"]


class Failing(Catalog):
    """Cannot list its tools when it is told not to."""

    broken = False

    def tool_manifests(self) -> list[ToolManifest]:
        if self.broken:
            raise ConnectionError("the catalog is down")
        return super().tool_manifests()


async def test_a_turn_whose_tools_cannot_be_listed_is_refused_and_the_session_goes_on_later() -> None:
    catalog = Failing("one")
    core, _ = core_of("standard", catalog, "Fine.", "Fine again.")
    async with core, core.session("s") as session:
        await session.turn("Go.")
        catalog.broken = True
        with pytest.raises(lash.TurnError, match="listed: ConnectionError: the catalog is down") as it:
            await session.turn("Again.")
        assert (it.value.code, it.value.retryable) == ("plugin_prepare_turn", True)
        assert session.read_view().turn_index == 1
        catalog.broken = False
        assert (await session.turn("Again.")).assistant_message() == "Fine again."


@pytest.mark.parametrize("taken", ["lookup", "batch"])
async def test_a_tool_that_takes_the_name_of_another_is_refused_and_the_session_goes_on_later(taken: str) -> None:
    catalog = Catalog("one")
    model = ScriptedProvider(["Fine."])
    async with core_with(provider=model, tools=[lookup, catalog]) as core, core.session("s") as session:
        catalog.names = ["one", taken]
        with pytest.raises(lash.LashError, match=f"the tool '{taken}'"):
            await session.turn("Go.")
        catalog.names = ["one"]
        assert (await session.turn("Go.")).assistant_message() == "Fine."
    assert [tool.name for tool in model.requests[0].tools] == ["lookup", "one", "batch"]


async def test_calls_of_tools_that_went_keep_their_place_in_the_history_of_a_later_request() -> None:
    catalog = Catalog("goes")
    core, model = core_of("standard", catalog, asks("standard", "goes"), "Done.", "And done.")
    async with core, core.session("s") as session:
        await session.turn("Go.")
        catalog.names = []
        await session.turn("Again.")
    sent = model.requests[2]
    assert [tool.name for tool in sent.tools] == ["batch"]
    made = [one for message in sent.messages for one in message.blocks if isinstance(one, Block.ToolCall)]
    assert [one.tool_name for one in made] == ["goes"]
    assert [one.call_id for one in made] == [one.call_id for one in told(sent)]
