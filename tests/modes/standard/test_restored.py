"""The driver keeps nothing to itself: a machine restored at any point of a turn goes on to the same history."""

from __future__ import annotations

import json
from typing import Any

from lash import StandardConfig, TurnFinish, TurnOutcome
from lash.modes.standard.driver import StandardDriver
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.effects import AnyEffect, AnyResponse, Effect, Response
from lash.runtime.sansio.llm import Block, LlmResponse
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, MessageSequence, Part
from lash.runtime.sansio.projector import ChatContextProjector
from lash.runtime.sansio.tools import CompletedToolCall, ToolOutput, ToolSpec

SPECS = tuple(ToolSpec(name, "", {"type": "object"}) for name in ("echo", "batch"))
INNER = {"tool_calls": [{"tool": "echo", "parameters": {"n": n}} for n in (2, 3)]}
REPLIES = [
    (Block.Text("So."), Block.ToolCall("a", "echo", '{"n": 1}'), Block.ToolCall("b", "batch", json.dumps(INNER))),
    (Block.Reasoning("Hm."), Block.ToolCall("a", "echo", "{")),
    (Block.Text("Done."),),
]


def answer(effect: AnyEffect, replies: list[Any]) -> AnyResponse | None:
    """What a host says to an effect."""
    match effect:
        case Effect.LlmCall(id=number):
            return Response.LlmComplete(number, LlmResponse("", replies.pop(0)), True)
        case Effect.ToolCalls(id=number, calls=calls):
            done = [
                CompletedToolCall(one.call_id, one.tool_name, one.args, ToolOutput.Success(one.args), None, "told")
                for one in calls
            ]
            return Response.ToolResults(number, tuple(done))
        case Effect.Checkpoint(id=number):
            return Response.CheckpointDone(number, (), ())
        case _:
            return None


def played(*, restored: bool) -> TurnMachine:
    """A whole turn; where wished with a machine made anew before every answer."""
    config = TurnMachineConfig(
        driver=StandardDriver(StandardConfig()),
        projector=ChatContextProjector(),
        model="m",
        session_id="s",
        turn_id="t",
        max_turns=5,
        tool_specs=SPECS,
    )
    machine = TurnMachine(config, MessageSequence([Message("u", "user", (Part("u.p0", "text", "Go."),))]))
    replies = list(REPLIES)
    while (effect := machine.poll_effect()) is not None:
        response = answer(effect, replies)
        if response is not None:
            if restored:
                machine = TurnMachine.restore(config, machine.snapshot())
            assert machine.handle_response(response)
    return machine


def test_a_turn_that_is_restored_before_every_answer_has_the_same_history() -> None:
    whole, pieced = played(restored=False), played(restored=True)
    assert whole.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage("Done."))
    assert pieced.outcome == whole.outcome
    assert list(pieced.events) == list(whole.events)
    results = [part.tool_call_id for message in whole.messages for part in message.parts if part.kind == "tool_result"]
    assert results == ["a", "b", "a#2"]
