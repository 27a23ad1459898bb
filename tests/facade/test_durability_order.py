"""Which effects a re-driven turn runs when: first what is recorded, in its order, then what is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lash.durability import JournalEffectHost
from lash.runtime.errors import EffectError, LashError
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectInvocation,
    EffectOutcome,
    ExecutionScope,
)

SCOPE = ExecutionScope("turn", session_id="s", turn_id="t")


class Work:
    """Notes that it ran, and gives its name or fails."""

    def __init__(self, name: str, ran: list[str], error: LashError | None = None) -> None:
        self._name = name
        self._ran = ran
        self._error = error

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        self._ran.append(self._name)
        if self._error is not None:
            raise self._error
        return EffectOutcome(self._name)


def envelope(name: str) -> EffectEnvelope:
    return EffectEnvelope(EffectInvocation("s", "t", 0, 0, name, "tool_call"), {"asked": name})


async def value(controller: EffectController, name: str, ran: list[str]) -> JsonValue:
    """An effect's value; it is noted when it is there."""
    outcome = await controller.execute(envelope(name), Work(name, ran))
    ran.append(f"{outcome.value} is there")
    return outcome.value


async def test_what_is_not_recorded_begins_after_all_that_is(tmp_path: Path) -> None:
    journal, ran = JournalEffectHost(tmp_path / "j.db"), list[str]()
    async with journal.scoped(SCOPE) as controller:
        for name in ("b", "c"):
            await controller.execute(envelope(name), Work(name, ran))
    ran.clear()
    async with journal.scoped(SCOPE) as controller:
        await asyncio.gather(*(value(controller, name, ran) for name in ("a", "c", "b")))
    await journal.aclose()
    assert ran == ["b is there", "c is there", "a", "a is there"]


async def test_a_recorded_error_is_raised_in_its_order_and_holds_nothing_up(tmp_path: Path) -> None:
    journal, ran = JournalEffectHost(tmp_path / "j.db", order_timeout_s=5), list[str]()
    async with journal.scoped(SCOPE) as controller:
        await controller.execute(envelope("a"), Work("a", ran))
        with pytest.raises(LashError):
            await controller.execute(envelope("b"), Work("b", ran, LashError("some_code", "no")))
        await controller.execute(envelope("c"), Work("c", ran))
    ran.clear()
    async with journal.scoped(SCOPE) as controller:

        async def fails() -> None:
            with pytest.raises(EffectError) as again:
                await controller.execute(envelope("b"), Work("b", ran))
            assert again.value.code == "some_code"
            ran.append("b has failed")

        await asyncio.gather(value(controller, "c", ran), fails(), value(controller, "a", ran))
    await journal.aclose()
    assert ran == ["a is there", "b has failed", "c is there"]


@pytest.mark.parametrize("steps", range(12))
async def test_an_effect_whose_task_is_cancelled_can_be_run_at_once(tmp_path: Path, steps: int) -> None:
    journal, ran = JournalEffectHost(tmp_path / "j.db"), list[str]()
    async with journal.scoped(SCOPE) as controller:
        task = asyncio.ensure_future(controller.execute(envelope("a"), Work("a", ran)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    async with journal.scoped(SCOPE) as controller:
        outcome = await asyncio.wait_for(controller.execute(envelope("a"), Work("a", ran)), 10)
        assert outcome.value == "a"
    await journal.aclose()
