"""The turn machine alone: its steps, and its snapshots. Nothing here waits, so that processor time is measured."""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import median
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.driver import (
    AnyDriverAction,
    DriverAction,
    DriverContext,
    ProjectionInput,
    WaitingExec,
    WaitingLlm,
)
from lash.runtime.sansio.effects import AnyResponse, Effect, ExecFailure, ExecResponse, Response
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, LlmResponse
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, MessageSequence, Part, SessionEvent
from lash.runtime.sansio.outcome import TurnFinish, TurnOutcome
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.usage import TokenUsage

REQUEST = LlmRequest("model-1", (LlmMessage("user", (Block.Text("Go."),)),))
REPLY = LlmResponse("x += 1", (Block.Text("x += 1"),), TokenUsage(10, 5), "stop")
CODE = "x += 1"
MESSAGES = 200
LENGTH = 1200
"""Characters of a message: pieces of a real text, as compression is part of what is measured."""


class LoopingDriver:
    """Calls the model and runs a program by turns, `iterations` times, and keeps each as an event."""

    mode_id = "looping"
    version = 1
    handles_output_limit = False

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        """Call the model."""
        return [DriverAction.StartLlm(REQUEST, None)]

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        """Run the program."""
        return [DriverAction.StartExec(CODE, None)]

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        """There are none."""
        raise AssertionError("no tools were called")

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        """Keep what was done, and go on or end."""
        event = SessionEvent.Mode(self.mode_id, {"code": waiting.code})
        steps: list[AnyDriverAction] = [DriverAction.AppendEvents((event,)), DriverAction.AdvanceModeIteration()]
        if ctx.mode_iteration + 1 >= self._iterations:
            finish = TurnFinish.SubmittedValue(ctx.mode_iteration + 1)
            return [*steps, DriverAction.Finish(TurnOutcome.Finished(finish))]
        return [*steps, DriverAction.StartLlm(REQUEST, None)]


class PlainProjector:
    """Makes the same request of every conversation."""

    def project(self, ctx: ProjectionInput, use_tools: bool) -> LlmRequest:
        """That request."""
        return REQUEST


def config_of(iterations: int) -> TurnMachineConfig:
    """The surroundings of a turn of so many iterations."""
    return TurnMachineConfig(
        LoopingDriver(iterations), PlainProjector(), "model-1", "s", "t", system_prompt="Be brief."
    )


def machine_of(iterations: int, messages: Sequence[Message] = ()) -> TurnMachine:
    """A machine at the beginning of a turn."""
    events = [SessionEvent.Conversation(message) for message in messages]
    return TurnMachine(config_of(iterations), MessageSequence(messages), events)


def step(machine: TurnMachine) -> bool:
    """Poll to the effect that wants an answer, and answer it; False at the end of the turn."""
    while (effect := machine.poll_effect()) is not None:
        answer: AnyResponse
        match effect:
            case Effect.LlmCall(id=number):
                answer = Response.LlmComplete(number, REPLY, text_streamed=True)
            case Effect.ExecCode(id=number):
                answer = Response.ExecResult(number, ExecResponse())
            case _:
                continue
        if not machine.handle_response(answer):
            raise AssertionError("the machine refused the answer it waits for")
        return True
    return False


def generator_turn(iterations: int) -> Generator[Effect.LlmCall | Effect.ExecCode, object, int]:
    """The same turn as a Python generator, the cheapest thing that stops at each effect; it cannot be stored."""
    number = 0
    events: list[SessionEvent.Mode] = []
    for _ in range(iterations):
        number += 1
        reply = yield Effect.LlmCall(number, REQUEST, "turn")
        check(reply, REPLY)
        number += 1
        yield Effect.ExecCode(number, CODE, "lashlang")
        events.append(SessionEvent.Mode("looping", {"code": CODE}))
    return len(events)


async def steps(size: int, folder: Path) -> Figures:
    """One step of the machine, polling and answer, in a turn of so many; half of them are model calls."""
    machine = machine_of(size // 2)
    taken: list[float] = []
    while True:
        begin = time.thread_time()
        more = step(machine)
        taken.append(time.thread_time() - begin)
        if not more:
            break
    check(machine.outcome, TurnOutcome.Finished(TurnFinish.SubmittedValue(size // 2)))
    check(len(taken) - 1, size // 2 * 2)
    taken.pop()
    return {"step": median(taken), "step.peer": _generator_step(size)}


def _generator_step(size: int) -> float:
    turn = generator_turn(size // 2)
    effect = next(turn)
    taken: list[float] = []
    while True:
        begin = time.thread_time()
        try:
            effect = turn.send(REPLY if isinstance(effect, Effect.LlmCall) else None)
        except StopIteration as end:
            check(end.value, size // 2)
            return median(taken)
        taken.append(time.thread_time() - begin)


async def snapshots(size: int, folder: Path) -> Figures:
    """A snapshot of a turn with 200 messages and back, so many times; pickle is the peer."""
    source = Path(argparse.__file__).read_text(encoding="utf-8")
    texts = [source[place : place + LENGTH] for place in range(0, MESSAGES * LENGTH // 4, LENGTH // 4)]
    messages = [
        Message(f"m{number}", "user" if number % 2 == 0 else "assistant", (Part(f"m{number}.p0", "text", text),))
        for number, text in enumerate(texts)
    ]
    machine = machine_of(2, messages)
    check(step(machine), True)
    wanted = machine.checkpoint()
    dumped: list[float] = []
    loaded: list[float] = []
    pickled: list[float] = []
    unpickled: list[float] = []
    data = machine.snapshot()
    plain = pickle.dumps(wanted)
    for _ in range(size):
        begin = time.thread_time()
        data = machine.snapshot()
        dumped.append(time.thread_time() - begin)
        begin = time.thread_time()
        restored = TurnMachine.restore(config_of(2), data)
        loaded.append(time.thread_time() - begin)
        check(restored.checkpoint() == wanted, True)
        begin = time.thread_time()
        plain = pickle.dumps(wanted)
        pickled.append(time.thread_time() - begin)
        begin = time.thread_time()
        again = pickle.loads(plain)
        unpickled.append(time.thread_time() - begin)
        check(again == wanted, True)
    return {
        "snapshot": median(dumped),
        "snapshot.peer": median(pickled),
        "restore": median(loaded),
        "restore.peer": median(unpickled),
        "snapshot_size": len(data),
        "snapshot_size.peer": len(plain),
    }
