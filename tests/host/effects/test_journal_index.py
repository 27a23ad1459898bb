"""A turn with many effects: none of them looks at all the others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from lash.host.effects.journal import JournalEffectHost


async def test_the_next_completion_number_is_found_without_reading_the_effects_of_the_turn(tmp_path: Path) -> None:
    host = JournalEffectHost(tmp_path / "journal.db")
    await host.unfinished_turn("s")
    await host.aclose()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file:
        plan = file.execute(
            "EXPLAIN QUERY PLAN SELECT coalesce(max(completion), 0) + 1 FROM effect_replay WHERE scope_id=?", ("t",)
        ).fetchall()
    assert "COVERING INDEX" in plan[0][3]
