"""When a turn only waits for people, and when it seems to."""

from __future__ import annotations

import asyncio

from lash.runtime.tools.stillness import Stillness


def test_a_turn_is_still_when_all_its_calls_wait() -> None:
    turn = Stillness()
    assert not turn.is_still
    with turn.call(), turn.waiting("a"):
        assert turn.is_still
        assert turn.questions == ("a",)
        with turn.call():
            assert not turn.is_still
            with turn.waiting("b"):
                assert turn.is_still
        assert turn.is_still
    assert not turn.is_still


def test_a_program_is_still_when_it_waits_for_nothing_else() -> None:
    turn = Stillness()
    with turn.program(), turn.call(), turn.waiting("a"):
        assert not turn.is_still
        turn.program_waits(1)
        assert turn.is_still
        turn.program_waits(2)
        assert not turn.is_still
        with turn.behind():
            assert turn.is_still
        turn.program_waits(None)
        assert not turn.is_still


async def test_a_moment_of_stillness_is_not_enough() -> None:
    turn = Stillness()
    seen = asyncio.ensure_future(turn.until_still())
    with turn.call(), turn.waiting("a"):
        for _ in range(5):
            await asyncio.sleep(0)
        with turn.call():
            for _ in range(100):
                await asyncio.sleep(0)
            assert not seen.done()
        await asyncio.wait_for(seen, 10)


async def test_answers_are_kept_back_while_the_turn_is_held() -> None:
    turn = Stillness()
    await turn.may_go_on()
    turn.hold()
    going = asyncio.ensure_future(turn.may_go_on())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not going.done()
    turn.release()
    await asyncio.wait_for(going, 10)
