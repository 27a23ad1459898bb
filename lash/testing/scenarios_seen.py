"""What a turn of a scenario came to, for the comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lash.modes.rlm.types import RlmTrajectoryEntry
from lash.runtime.sansio.activity import AnyTurnEvent, TurnActivity, TurnEvent
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import SessionNode
from lash.runtime.turn.result import TurnResult


@dataclass(frozen=True, slots=True)
class Seen:
    """A turn as it was seen from outside; `raised` is what it raised in the place of a result.

    `requests` are the main-chain model calls, counted from 1; `replies_left` are those that should have been asked for;
    `steps`, `variables` and `nodes` are what was committed, those of successor sessions included.
    """

    result: TurnResult[Any] | None = None
    raised: BaseException | None = None
    activities: tuple[TurnActivity, ...] = ()
    requests: Mapping[int, LlmRequest] = field(default_factory=dict[int, LlmRequest])
    replies_left: int = 0
    tool_calls: tuple[tuple[str, JsonValue], ...] = ()
    steps: tuple[RlmTrajectoryEntry, ...] = ()
    variables: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    nodes: tuple[SessionNode, ...] = ()

    @property
    def events(self) -> list[AnyTurnEvent]:
        """The events, in order."""
        return [activity.event for activity in self.activities]

    @property
    def event_names(self) -> list[str]:
        """Their names in scenarios."""
        return [event.type for event in self.events]

    def visible_prose(self) -> list[str]:
        """The prose that was shown of each reply, what was taken back left out."""
        replies: list[list[tuple[str, str]]] = []
        for activity in self.activities:
            match activity.event:
                case TurnEvent.ModelRequestStarted():
                    replies.append([])
                case TurnEvent.AssistantProseDelta(text=text):
                    replies[-1].append((activity.correlation_id, text))
                case TurnEvent.ModelAttemptReset(prose_ids=void):
                    replies[-1] = [(row, text) for row, text in replies[-1] if row not in void]
                case _:
                    continue
        return ["".join(text for _, text in rows).rstrip() for rows in replies]
