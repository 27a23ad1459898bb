"""The checker of activities finds what breaks a law, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lash.runtime.sansio.activity import AnyTurnEvent, TurnActivity, TurnEvent
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.activities import ActivityLaws, check_activities

ONE = TokenUsage(10, 1)
ASKED = TurnEvent.ModelRequestStarted(0)
TEXT = TurnEvent.AssistantProseDelta("So.")
USED = TurnEvent.Usage(0, ONE, ONE)
BLOCK = TurnEvent.CodeBlockStarted("lashlang", "print 1")
PRINT = TurnEvent.CodeOutput("1", 0)
DONE = TurnEvent.CodeBlockCompleted("lashlang", "1", None, True, 3, ("c",))
CALL = TurnEvent.ToolCallStarted("c", "add", {})
CALLED = TurnEvent.ToolCallCompleted("c", "add", {}, ToolOutput.Success(1), 3)
VALUE = TurnEvent.SubmittedValue(1)

ROWS = {"code_block_started": "code:1", "code_output": "code:1", "code_block_completed": "code:1"}
WHOLE: list[AnyTurnEvent] = [ASKED, TEXT, USED, BLOCK, CALL, CALLED, PRINT, DONE, VALUE]


def row_of(event: AnyTurnEvent, number: int) -> str:
    if isinstance(event, TurnEvent.ToolCallStarted | TurnEvent.ToolCallCompleted):
        return f"tool:{event.call_id}"
    if isinstance(event, TurnEvent.AssistantProseDelta | TurnEvent.ReasoningDelta):
        return "prose:2.1.0"
    return ROWS.get(event.type, f"a:t:{number}")


def turn(events: Sequence[AnyTurnEvent], *, replayed: bool = False) -> list[TurnActivity]:
    """The activities of a turn with these events."""
    return [
        TurnActivity(f"a:t:{number}", row_of(event, number), number, "s", "t", replayed, event)
        for number, event in enumerate(events, 1)
    ]


def without(event: AnyTurnEvent) -> list[AnyTurnEvent]:
    return [one for one in WHOLE if one is not event]


def twice(event: AnyTurnEvent) -> list[AnyTurnEvent]:
    at = WHOLE.index(event)
    return [*WHOLE[: at + 1], event, *WHOLE[at + 1 :]]


def test_a_turn_as_it_should_be_breaks_no_law() -> None:
    check_activities(turn(WHOLE))
    check_activities(turn([]))


def test_a_replayed_call_may_lack_its_beginning() -> None:
    check_activities(turn(without(CALL), replayed=True))
    with pytest.raises(AssertionError, match="not started"):
        check_activities(turn(without(CALL)))


def test_what_is_open_when_a_turn_raises_may_stay_open() -> None:
    check_activities(turn(WHOLE[:5]), raised=True)
    with pytest.raises(AssertionError, match="not completed"):
        check_activities(turn(WHOLE[:5]))


@pytest.mark.parametrize(
    ("events", "law"),
    [
        (without(CALLED), "which has not completed"),
        (without(DONE), "not completed"),
        (without(PRINT), "another output"),
        (without(BLOCK), "no program that runs"),
        (without(ASKED), "outside of a model call"),
        (twice(CALL), "started already"),
        (twice(CALLED), "completed twice"),
        (twice(BLOCK), "started already"),
        (twice(DONE), "completed twice"),
        (twice(PRINT), "is print 0"),
        (twice(USED), "without a model call"),
        ([*WHOLE, TEXT], "after the terminal value"),
        ([ASKED, USED, TEXT], "outside of a model call"),
        ([ASKED, TurnEvent.Usage(0, ONE, ONE + ONE)], "adds up to"),
        ([ASKED, TEXT, TurnEvent.ReasoningDelta("Hm.")], "mixes"),
        ([ASKED, TurnEvent.ModelAttemptReset(("prose:2.1.0",), ())], "never shown"),
        ([ASKED, TEXT, TurnEvent.ModelAttemptReset(("prose:2.1.0",), ()), TEXT], "taken back"),
        ([TurnEvent.ApprovalAnswered("ap", "c", "approve")], "was not asked"),
        ([BLOCK, ASKED], "while a program runs"),
    ],
)
def test_what_breaks_a_law_is_found(events: Sequence[Any], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_activities(turn(events))


def test_numbers_and_ids_have_to_follow_one_another() -> None:
    first, second, *_ = turn(WHOLE)
    with pytest.raises(AssertionError, match="does not follow"):
        check_activities([first, TurnActivity("x", "x", 3, "s", "t", False, TEXT)])
    with pytest.raises(AssertionError, match="of another one"):
        check_activities([first, TurnActivity(first.id, "prose:2.1.0", 2, "s", "t", False, TEXT)])
    with pytest.raises(AssertionError, match="belongs to turn"):
        check_activities([first, TurnActivity(second.id, "prose:2.1.0", 2, "s", "other", False, TEXT)])


async def test_the_checker_gives_everything_on_to_the_sink_that_it_stands_before() -> None:
    class Sink:
        seen: list[TurnActivity] = []  # noqa: RUF012 - one sink, one list

        async def emit(self, activity: TurnActivity) -> None:
            self.seen.append(activity)

    laws = ActivityLaws(Sink())
    for activity in turn(WHOLE):
        await laws.emit(activity)
    laws.check()
    assert Sink.seen == laws.seen == turn(WHOLE)
