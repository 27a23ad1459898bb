"""What of a session is in memory: all of its history, or the conversation as it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import Residency
from lash.persistence import SqliteSessionStoreFactory
from lash.plugins import HistoryRewrite, PreparedHistory
from lash.runtime.errors import UnsupportedReadScope
from lash.runtime.sansio.messages import Message, MessageSequence, Part, SessionEvent
from lash.runtime.seams.persistence import PersistedSessionRead
from tests.facade.crash_hosts import TappedStores
from tests.facade.plugins import static
from tests.facade.support import block, core_with, said, stored

FIRST = "n:first:0"
"""The first turn's message, which the second turn has left on another branch."""

BOTH = pytest.mark.parametrize("residency", list(Residency))


class Reads:
    """Notes what is read of a session; with `whole_only` its store cannot read a part of one."""

    def __init__(self, *, whole_only: bool = False) -> None:
        self.sessions: list[PersistedSessionRead] = []
        self.nodes = 0
        self.whole_only = whole_only

    async def tap(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        result = await call()
        self.nodes += name == "load_node"
        if isinstance(result, PersistedSessionRead):
            if self.whole_only and len(result.nodes) < result.node_count:
                raise UnsupportedReadScope("active_path")
            self.sessions.append(result)
        return result


def core_over(folder: Path, reads: Reads, *replies: str, **knobs: Any) -> lash.LashCore:
    stores = TappedStores(SqliteSessionStoreFactory(folder / "sessions"), reads.tap)
    return core_with(*replies, **stored(folder) | {"store": stores} | knobs)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A folder with a session whose second turn has rewritten what the first one said."""
    summary = Message("m:summary", "assistant", (Part("m:summary.p0", "prose", "Before: one."),))

    def rewrite(turn: Any, messages: MessageSequence) -> PreparedHistory | None:
        if turn.turn_index < 2:
            return None
        kept = MessageSequence([summary, *messages[-1:]])
        return PreparedHistory(kept, HistoryRewrite(tuple(kept), "too long"))

    plugins = [static("rewriter", prepare_turn={1: rewrite})]
    async with core_with(block("x = 1\nsubmit x"), block("submit 2"), plugins=plugins, **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.", turn_id="first")
            await session.turn("Two.")
    return tmp_path


@BOTH
async def test_opening_a_session_reads_it_once(folder: Path, residency: Residency) -> None:
    reads = Reads()
    async with core_over(folder, reads, residency=residency) as core, core.session("s") as session:
        assert said(session) == ["Before: one.", "Two."]
    (read,) = reads.sessions
    assert (len(read.nodes) < read.node_count) == (residency is Residency.ACTIVE_PATH_ONLY)


@BOTH
async def test_turns_go_on_from_the_conversation_whatever_is_in_memory(folder: Path, residency: Residency) -> None:
    async with core_over(folder, Reads(), block("submit x + 2"), residency=residency) as core:
        async with core.session("s") as session:
            result = await session.turn("Three.")
            assert (result.submitted_value(), result.turn_index) == (3, 3)
            assert said(session) == ["Before: one.", "Two.", "Three."]
    async with core_with(**stored(folder)) as core, core.session("s") as session:
        assert said(session) == ["Before: one.", "Two.", "Three."]
        assert await session.get_historic_node(FIRST) is not None


@BOTH
async def test_a_node_of_another_branch_can_be_had_whatever_is_in_memory(folder: Path, residency: Residency) -> None:
    reads = Reads()
    async with core_over(folder, reads, residency=residency) as core, core.session("s") as session:
        node = await session.get_historic_node(FIRST)
        assert node is not None
        assert isinstance(node.payload, SessionEvent.Conversation)
        assert node.payload.message.text() == "One."
        assert reads.nodes == (residency is Residency.ACTIVE_PATH_ONLY)
        assert await session.get_historic_node("n:nobody:0") is None


@BOTH
async def test_a_turn_on_another_branch_is_not_run_a_second_time(folder: Path, residency: Residency) -> None:
    async with core_over(folder, Reads(), block("submit 1"), residency=residency) as core:
        async with core.session("s") as session:
            with pytest.raises(lash.TurnError) as refused:
                await session.turn("One.", turn_id="first")
            assert refused.value.code == "turn_commit_conflict"


async def test_a_session_without_other_branches_is_not_asked_for_their_nodes(tmp_path: Path) -> None:
    reads = Reads()
    knobs: dict[str, Any] = {"residency": Residency.ACTIVE_PATH_ONLY}
    async with core_over(tmp_path, reads, block("submit 1"), block("submit 2"), **knobs) as core:
        async with core.session("s") as session:
            await session.turn("One.")
        async with core.session("s") as session:
            await session.turn("Two.")
            assert said(session) == ["One.", "Two."]
    assert reads.nodes == 0


async def test_a_store_that_cannot_read_the_conversation_alone_says_so(folder: Path) -> None:
    async with core_over(folder, Reads(whole_only=True), residency=Residency.ACTIVE_PATH_ONLY) as core:
        with pytest.raises(UnsupportedReadScope) as refused:
            await core.session("s")
        assert refused.value.code == "unsupported_read_scope"


async def test_a_store_that_cannot_read_the_conversation_alone_serves_whole_sessions(folder: Path) -> None:
    async with core_over(folder, Reads(whole_only=True)) as core, core.session("s") as session:
        assert said(session) == ["Before: one.", "Two."]
