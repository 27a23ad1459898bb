"""The hash of a model request: the same for short and long ones, and no long one holds the event loop."""

from __future__ import annotations

import asyncio

import pytest

from lash.runtime.sansio.llm import Block, LlmAttachment, LlmMessage, LlmRequest, LlmToolSpec
from lash.runtime.sansio.values import stable_hash, to_json
from lash.runtime.turn.request_hash import BATCH, request_hash


def request_of(count: int) -> LlmRequest:
    messages = [LlmMessage("user", (Block.Text(f'Nr. {number} "größer", größte\n'),)) for number in range(count)]
    return LlmRequest(
        "m",
        tuple(messages),
        attachments=(LlmAttachment("image/png", "a1", "label", 3, 4),),
        tools=(LlmToolSpec("find", "Finds.", {"type": "object"}),),
        session_id="s",
    )


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 7])
async def test_the_hash_in_pieces_is_that_of_the_whole(count: int) -> None:
    request = request_of(count)
    assert await request_hash(request) == stable_hash(to_json(request))


async def test_requests_that_differ_in_one_late_message_have_different_hashes() -> None:
    request, other = request_of(2 * BATCH), request_of(2 * BATCH + 1)
    assert await request_hash(request) != await request_hash(other)


async def test_the_event_loop_goes_on_while_a_long_request_is_hashed() -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await request_hash(request_of(10 * BATCH))
    counting.cancel()
    assert rounds >= 9
