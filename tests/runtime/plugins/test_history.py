"""Plugins that work on the history."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.errors import PluginError
from lash.runtime.plugins.contract import HistoryRewrite, PreparedHistory, TurnHookContext
from lash.runtime.sansio.messages import MessageSequence, SessionEvent, SessionEventRecord
from lash.runtime.turn.turn_plugins import with_conversation
from tests.runtime.plugins.support import CONTEXT, gives, message, opened, static

A, B, C, D = (message(name) for name in "abcd")


def turn(*messages: Any) -> TurnHookContext:
    """A turn with this conversation."""
    return TurnHookContext(CONTEXT, "t", 1, MessageSequence(messages))


def dropping(first: int) -> Any:
    """A transform that leaves messages out at the beginning."""

    def transform(context: TurnHookContext, messages: MessageSequence) -> MessageSequence:
        assert context.messages == messages
        return messages[first:]

    return transform


async def test_transforms_work_one_after_the_other_the_highest_priority_first() -> None:
    order: list[str] = []

    def noting(name: str) -> Any:
        def transform(context: TurnHookContext, messages: MessageSequence) -> None:
            order.append(name)

        return transform

    low = static("a", prepare_turn={1: noting("low"), 5: dropping(1)})
    high = static("b", prepare_turn={9: noting("high")})
    session = await opened(low, high)
    prepared = await session.prepare_history(turn(A, B, C), {})
    assert prepared == PreparedHistory(MessageSequence([B, C]))
    assert order == ["high", "low"]


async def test_a_rewrite_is_kept_while_later_transforms_go_on() -> None:
    rewrite = HistoryRewrite((C,), "shorter")
    first = static("a", prepare_turn={9: gives(PreparedHistory(MessageSequence([B, C]), rewrite))})
    session = await opened(first, static("b", prepare_turn={1: dropping(1)}))
    prepared = await session.prepare_history(turn(A, B, C), {})
    assert prepared == PreparedHistory(MessageSequence([C]), rewrite)


@pytest.mark.parametrize("given", [5, [A], PreparedHistory(MessageSequence(["text"]))])  # type: ignore[list-item]
async def test_what_is_no_history_is_named(given: object) -> None:
    session = await opened(static("a", prepare_turn={1: gives(given)}))
    with pytest.raises(PluginError, match=r"'a'.*history transform gave"):
        await session.prepare_history(turn(A), {})


async def test_rewrites_are_piped_and_none_is_none() -> None:
    def shorter(trigger: str, messages: MessageSequence) -> HistoryRewrite:
        return HistoryRewrite(tuple(messages[1:]), trigger)

    session = await opened(static("a", rewrite={2: shorter}), static("b", rewrite={1: shorter, 0: gives(None)}))
    rewrite = await session.rewrite_history("overflow", MessageSequence([A, B, C]))
    assert rewrite == HistoryRewrite((C,), "overflow")
    assert session.can_rewrite
    quiet = await opened(static("a", rewrite={1: gives(None)}))
    assert await quiet.rewrite_history("overflow", MessageSequence([A])) is None
    assert not (await opened(static("a"))).can_rewrite


def said(*messages: Any) -> list[SessionEventRecord]:
    return [SessionEvent.Conversation(one) for one in messages]


NOTE = SessionEvent.Mode("stub", {"n": 1})


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([A, B, C], [*said(A), NOTE, *said(B, C)]),
        ([C], [NOTE, *said(C)]),
        ([D, C], [NOTE, *said(D, C)]),
        ([A, D, C], [*said(A), NOTE, *said(D, C)]),
        ([], [NOTE]),
        ([C, A], [*said(C, A), NOTE]),
        ([message("a", "changed"), B], [NOTE, *said(message("a", "changed"), B)]),
    ],
)
def test_another_conversation_takes_the_place_of_the_first_and_the_rest_stays(messages: Any, expected: Any) -> None:
    assert with_conversation([*said(A), NOTE, *said(B, C)], messages) == expected
