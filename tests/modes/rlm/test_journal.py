"""RLM turns under the journal: what is refused leaves nothing behind, what is driven again shows the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import lash
from lash import LashCore
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import EffectError
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolResult
from lash.testing.scripted import AnyStep, ScriptExhausted
from tests.modes.rlm.playing import block, core_with


@asynccontextmanager
async def journaled(
    folder: Path, *steps: AnyStep, replay: Literal["extend", "strict"] = "extend", store: str = "one", **knobs: Any
) -> AsyncGenerator[LashCore]:
    host = JournalEffectHost(
        folder / "journal.db", clock=SystemClock(), ids=RandomIds(), replay=replay, order_timeout_s=0.5
    )
    async with core_with(*steps, folder=folder / store, effect_host=host, **knobs) as core:
        yield core
    await host.aclose()


async def test_a_turn_that_the_mode_refuses_is_not_unfinished_afterwards(tmp_path: Path) -> None:
    async with journaled(tmp_path, block("submit 1")) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError, match="history"):
            await session.turn("Go.", projected={"history": 1})
        assert (await session.turn("Go.")).submitted_value() == 1


async def test_what_the_journal_does_not_have_ends_the_turn_and_is_no_failure_of_a_tool(tmp_path: Path) -> None:
    @lash.tool
    async def note(text: str) -> str:
        """Write something down."""
        return text

    code = 'r = call note { text: "a" }\nsubmit r.ok'
    async with journaled(tmp_path, block(code), tools=[note]) as core, core.session("s") as session:
        await session.turn("Go.", turn_id="t")
    host = JournalEffectHost(tmp_path / "journal.db", clock=SystemClock(), ids=RandomIds())
    database = await host.database()
    await database.transact(
        lambda connection: connection.execute("DELETE FROM effect_replay WHERE replay_key LIKE '%tool_call%'")
    )
    await host.aclose()
    async with journaled(tmp_path, replay="strict", store="two", tools=[note]) as core, core.session("s") as session:
        with pytest.raises(EffectError) as missing:
            await session.turn("Go.", turn_id="t")
        assert missing.value.code == "effect_replay_mismatch"
        assert session.read_view().turn_index == 0


async def test_a_call_that_was_given_up_is_given_up_again(tmp_path: Path) -> None:
    class Control(ListedTools):
        def tool_manifests(self) -> list[ToolManifest]:
            return [ToolManifest("finish"), ToolManifest("slow")]

        def resolve_contract(self, name: str) -> ToolContract | None:
            return ToolContract()

        async def execute(self, call: ToolCall) -> ToolResult:
            if call.name == "slow":
                await asyncio.Event().wait()
            return ToolResult.finish(1)

    code = "parallel { call slow {}, call finish {} }"
    async with journaled(tmp_path, block(code), tools=[Control()]) as core, core.session("s") as session:
        first = await session.turn("Go.", turn_id="t")
        nodes = session.read_view().active_events
    knobs: dict[str, Any] = {"replay": "strict", "store": "two", "tools": [Control()]}
    async with journaled(tmp_path, **knobs) as core, core.session("s") as session:
        again = await session.turn("Go.", turn_id="t")
        assert again.tool_value() == first.tool_value() == 1
        assert [call.output for call in again.tool_calls] == [call.output for call in first.tool_calls]
        assert [event.type for event in session.read_view().active_events] == [event.type for event in nodes]


async def test_a_model_that_breaks_in_its_own_way_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(ScriptExhausted):
            await session.turn("Go.")
        await asyncio.sleep(0)
        assert {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before} == set()  # type: ignore[union-attr]
