"""The laws of the machine: what holds for every turn, at every point where it can be polled (runtime.md 1.4, 16.1).

python -m tests.runtime.sansio.laws --scripts 2000 --seed 7
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, seed, settings

from lash.runtime.sansio.effects import AnyEffect, AnyResponse, Effect, ExecResponse, Response
from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.outcome import TurnOutcome, TurnStop
from lash.runtime.sansio.states import WAITING, State
from tests.runtime.sansio.scripts import SCRIPTS, Script
from tests.runtime.sansio.support import ASKING


@dataclass(frozen=True)
class Point:
    """A moment at which a host may poll: the machine's bytes, how many effects were polled, what is outstanding."""

    snapshot: bytes
    polled: int
    outstanding: AnyEffect | None


def points(script: Script) -> tuple[list[AnyEffect], list[Point]]:
    """A turn from beginning to end: its effects, and every point at which it was polled."""
    machine, effects, found = script.machine(), list[AnyEffect](), list[Point]()
    outstanding: AnyEffect | None = None
    while True:
        found.append(Point(machine.snapshot(), len(effects), outstanding))
        effect = machine.poll_effect()
        if effect is not None:
            effects.append(effect)
            outstanding = effect if isinstance(effect, ASKING) else outstanding
        elif machine.is_done:
            return effects, found
        else:
            assert outstanding is not None
            script.answer(machine, outstanding)
            outstanding = None


def goes_on_as_if_nothing_had_happened(script: Script) -> None:
    effects, found = points(script)
    for point in found:
        twin = TurnMachine.restore(script.config(), point.snapshot)
        again = [point.outstanding] if point.outstanding is not None else []
        assert script.finish(twin) == again + effects[point.polled :]


def has_the_bytes_it_was_restored_from(script: Script) -> None:
    _, found = points(script)
    for point in found:
        twin = TurnMachine.restore(script.config(), point.snapshot)
        assert twin.snapshot() == point.snapshot
        assert TurnMachine.restore(script.config(), twin.checkpoint()).snapshot() == point.snapshot


def numbers_effects_without_gaps(script: Script) -> None:
    asked = [effect.id for effect in script.finish(script.machine()) if isinstance(effect, ASKING)]
    assert asked == list(range(1, len(asked) + 1))


def tells_its_history_once_and_ends_with_done(script: Script) -> None:
    machine = script.machine()
    effects = script.finish(machine)
    telling = [effect for effect in effects if isinstance(effect, Effect.Progress | Effect.Done)]
    assert tuple(event for effect in telling for event in effect.event_delta) == machine.events
    assert [effect for effect in effects if isinstance(effect, Effect.Done)] == [effects[-1]]


def ignores_what_it_does_not_wait_for(script: Script) -> None:
    _, found = points(script)
    for point in found:
        machine = TurnMachine.restore(script.config(), point.snapshot)
        for stale in not_waited_for(machine):
            assert machine.handle_response(stale) is False
        assert machine.snapshot() == point.snapshot


def can_be_cancelled_at_any_point(script: Script) -> None:
    effects, found = points(script)
    for point in found:
        machine = TurnMachine.restore(script.config(), point.snapshot)
        before = machine.checkpoint()
        machine.cancel("enough")
        rest = script.finish(machine)
        if isinstance(before.state, State.Finished):
            assert rest == effects[point.polled :]
            assert machine.outcome == before.state.outcome
            continue
        assert machine.outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
        aborted = [Effect.CancelLlm(before.state.id)] if isinstance(before.state, State.WaitingLlm) else []
        untold = before.events[before.progress_cursor :]
        assert rest == [*before.pending_effects, *aborted, Effect.Done(untold, before.mode_iteration)]
        if isinstance(before.state, WAITING):
            for late in every_answer(before.state.id):
                assert machine.handle_response(late) is False


def every_answer(number: int) -> Iterator[AnyResponse]:
    """One answer of each kind."""
    yield Response.ExecutionSurfaceSynced(number)
    yield Response.LlmComplete(number, LlmResponse("late"))
    yield Response.ToolResults(number, ())
    yield Response.ExecResult(number, ExecResponse())
    yield Response.CheckpointDone(number)


def not_waited_for(machine: TurnMachine) -> Iterator[AnyResponse]:
    """Answers to effects that were answered, that nobody asked for, and of the wrong kind."""
    last = machine.checkpoint().next_effect_id - 1
    for number in {0, 1, last - 1, last, last + 1}:
        for answer in every_answer(number):
            fitting = {
                "waiting_execution_surface": "execution_surface_synced",
                "waiting_llm": "llm_complete",
                "waiting_tools": "tool_results",
                "waiting_exec": "exec_result",
                "waiting_checkpoint": "checkpoint_done",
            }.get(machine.state.type)
            if number != last or answer.type != fitting:
                yield answer


LAWS = (
    goes_on_as_if_nothing_had_happened,
    has_the_bytes_it_was_restored_from,
    numbers_effects_without_gaps,
    tells_its_history_once_and_ends_with_done,
    ignores_what_it_does_not_wait_for,
    can_be_cancelled_at_any_point,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold many generated turns against all laws."""
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.sansio.laws", description=main.__doc__)
    parser.add_argument("--scripts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)

    @seed(options.seed)
    @settings(
        max_examples=options.scripts,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(SCRIPTS)
    def hold(script: Script) -> None:
        for law in LAWS:
            law(script)

    hold()
    print(f"{options.scripts} scripts, {len(LAWS)} laws")
    return 0


if __name__ == "__main__":
    sys.exit(main())
