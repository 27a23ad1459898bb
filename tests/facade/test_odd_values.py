"""Values that JSON knows and other formats do not pass through a turn, its journal and its store."""

from __future__ import annotations

import json
from pathlib import Path

import lash
from lash import LashCore
from lash.durability import JournalEffectHost
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.sansio.llm import Block
from lash.testing.scripted import ScriptedProvider, reply

HUGE = 10**30


async def test_integers_beyond_64_bits_pass_through_a_journal(tmp_path: Path) -> None:
    seen: list[int] = []

    @lash.tool
    async def note(number: int) -> int:
        """Note down."""
        seen.append(number)
        return number

    args = json.dumps({"number": HUGE})
    calls = [Block.ToolCall("c", "note", args)]
    provider = ScriptedProvider([reply(tool_calls=calls), "Noted.", "Still there."])
    core = LashCore.standard(
        provider=provider,
        model="m",
        max_context_tokens=100_000,
        tools=[note],
        store=SqliteSessionStoreFactory(tmp_path / "sessions"),
        attachments=FileAttachmentStore(tmp_path / "attachments"),
        effect_host=JournalEffectHost(tmp_path / "journal.db"),
    )
    async with core:
        async with core.session("s") as session:
            result = await session.turn("Go.")
        async with core.session("s") as session:
            again = await session.turn("And now?")
    assert result.assistant_message() == "Noted."
    assert again.assistant_message() == "Still there."
    assert seen == [HUGE]
    told = [b for m in provider.requests[2].messages for b in m.blocks if isinstance(b, Block.ToolResult)]
    assert str(HUGE) in told[0].content
