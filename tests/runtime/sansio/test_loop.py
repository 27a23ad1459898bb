"""The loop of a turn: effects, answers, and the order in which they are polled."""

from __future__ import annotations

import pytest

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.driver import DriverAction, FinishWith, PrepareIteration
from lash.runtime.sansio.effects import Effect, ExecFailure, ExecResponse, Response
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import MessageSequence
from lash.runtime.sansio.outcome import TurnFinish, TurnOutcome
from lash.runtime.sansio.states import IllegalTransition, State
from tests.runtime.sansio.support import (
    CALL,
    CALLS,
    PROSE_END,
    ListDriver,
    Run,
    answered,
    config,
    machine_of,
    message,
    names,
    noted,
    reply,
    results_of,
    run,
    said,
    start_llm,
)


def test_a_turn_calls_the_model_and_ends_with_what_its_driver_says() -> None:
    turn = run([start_llm()], [DriverAction.Finish(PROSE_END)])
    assert names(turn.effects) == ["model_request_started", "llm_call"]
    assert names(turn.llm()) == ["usage", "done"]
    assert turn.machine.is_done
    assert turn.outcome == PROSE_END


def test_nothing_is_polled_while_an_answer_is_missing() -> None:
    turn = run([start_llm()])
    assert turn.machine.poll_effect() is None
    assert turn.machine.poll_effect() is None


def test_a_finished_turn_has_nothing_more_to_poll() -> None:
    turn = run([DriverAction.Finish(PROSE_END)])
    assert names(turn.effects) == ["done"]
    assert turn.machine.poll_effect() is None


def test_effects_that_expect_an_answer_are_numbered_without_gaps() -> None:
    turn = run(
        [start_llm()],
        [DriverAction.StartTools(CALLS)],
        [DriverAction.StartExec("submit 1", None)],
        [DriverAction.StartCheckpoint("after_work", FinishWith(PROSE_END))],
        sync_execution_surface=True,
    )
    turn.synced()
    turn.llm()
    turn.tools()
    turn.executed()
    turn.checked()
    asked = [effect for effect in turn.all if hasattr(effect, "id")]
    assert [(effect.type, getattr(effect, "id", 0)) for effect in asked] == [
        ("sync_execution_surface", 1),
        ("llm_call", 2),
        ("tool_calls", 3),
        ("exec_code", 4),
        ("checkpoint", 5),
    ]


def test_the_effects_carry_what_the_driver_asked_for() -> None:
    turn = run(
        [start_llm(usage_source="other")],
        [DriverAction.StartTools(CALLS)],
        [DriverAction.StartExec("submit 1", None, "python")],
        [DriverAction.StartCheckpoint("after_work", FinishWith(PROSE_END))],
    )
    assert turn.effects[-1] == Effect.LlmCall(1, CALL, "other")
    assert turn.llm()[-1] == Effect.ToolCalls(2, CALLS)
    assert turn.tools()[-1] == Effect.ExecCode(3, "submit 1", "python")
    assert turn.executed()[-1] == Effect.Checkpoint(4, "after_work")


def test_the_driver_gets_its_own_notes_back_with_the_answer() -> None:
    driver = ListDriver(
        [start_llm(driver_state={"n": [1]})],
        [DriverAction.StartExec("x", {"m": None})],
        [DriverAction.StartTools(CALLS)],
        [DriverAction.Finish(PROSE_END)],
    )
    turn = Run(machine_of(driver))
    turn.llm(reply("text"), streamed=True)
    turn.executed(ExecFailure("broken", "vm"))
    turn.tools()
    (_, _), (_, (llm, response, streamed)), (_, (executed, result)), (_, completed) = driver.asked
    assert (llm.id, llm.request, llm.driver_state, llm.usage_source) == (1, CALL, {"n": [1]}, "turn")
    assert (response, streamed) == (reply("text"), True)
    assert (executed.id, executed.code, executed.driver_state) == (2, "x", {"m": None})
    assert result == ExecFailure("broken", "vm")
    assert completed == results_of(3).results


def test_queued_effects_come_before_the_outstanding_one() -> None:
    turn = run(
        [start_llm(), DriverAction.Emit(TurnEvent.AssistantProseDelta("a")), DriverAction.AppendEvents((noted(),))]
    )
    assert names(turn.effects) == ["assistant_prose_delta", "progress", "model_request_started", "llm_call"]


def test_an_answer_may_come_before_its_effect_is_polled() -> None:
    machine = machine_of(ListDriver([start_llm()], [DriverAction.Finish(PROSE_END)]))
    assert isinstance(machine.poll_effect(), Effect.Emit)
    assert machine.handle_response(answered(1))
    turn = Run(machine)
    assert names(turn.effects) == ["usage", "done"]


@pytest.mark.parametrize(
    "late",
    [
        answered(1),
        answered(3),
        results_of(2),
        Response.ExecutionSurfaceSynced(2),
        Response.ExecResult(2, ExecResponse()),
        Response.CheckpointDone(2),
    ],
    ids=lambda r: f"{r.type}-{r.id}",
)
def test_an_answer_of_another_number_or_kind_is_refused_and_changes_nothing(late: Response.LlmComplete) -> None:
    turn = run([start_llm()], [start_llm()])
    turn.llm()
    before = turn.machine.snapshot()
    assert turn.machine.handle_response(late) is False
    assert turn.machine.snapshot() == before
    assert turn.machine.poll_effect() is None


def test_no_answer_counts_before_anything_was_asked() -> None:
    machine = machine_of(ListDriver([start_llm()]))
    assert machine.handle_response(answered(1)) is False
    assert isinstance(machine.state, State.PreparingMode)


def test_no_answer_counts_after_the_end() -> None:
    turn = run([start_llm()], [DriverAction.Finish(PROSE_END)])
    turn.llm()
    assert turn.machine.handle_response(answered(1)) is False


def test_results_that_are_not_those_of_the_batch_are_an_error_and_change_nothing() -> None:
    turn = run([DriverAction.StartTools(CALLS)], [DriverAction.Finish(PROSE_END)])
    before = turn.machine.snapshot()
    for wrong in (CALLS[:1], CALLS[::-1], (*CALLS, CALLS[0])):
        with pytest.raises(IllegalTransition, match="call-1"):
            turn.machine.handle_response(results_of(1, wrong))
    assert turn.machine.snapshot() == before
    assert names(turn.tools()) == ["done"]


def test_whatever_interrupts_a_driver_leaves_the_machine_as_it_was() -> None:
    def interrupted(ctx: object) -> list[object]:
        raise KeyboardInterrupt

    driver = ListDriver([start_llm()], interrupted, [DriverAction.Finish(PROSE_END)])  # pyright: ignore[reportArgumentType]
    turn = Run(machine_of(driver))
    before = turn.machine.snapshot()
    with pytest.raises(KeyboardInterrupt):
        turn.machine.handle_response(answered(1))
    assert turn.machine.snapshot() == before
    assert turn.machine.poll_effect() is None
    assert names(turn.llm()) == ["usage", "done"]


def test_a_progress_tells_each_event_once_and_done_tells_the_rest() -> None:
    turn = run(
        [DriverAction.AppendEvents((noted(1),)), DriverAction.AppendEvents((noted(2),)), start_llm()],
        [DriverAction.StartCheckpoint("after_work", FinishWith(PROSE_END))],
    )
    assert turn.effects[0] == Effect.Progress((noted(1), noted(2)), 0)
    turn.llm()
    assert turn.checked()[-1] == Effect.Done((), 0)


def test_done_tells_what_a_checkpoint_added_since_the_last_progress() -> None:
    turn = run([DriverAction.StartCheckpoint("after_work", PrepareIteration())], [start_llm()])
    turn.checked(messages=(message("more", name="m2"),))
    turn.machine.cancel()
    assert turn.drain()[-1] == Effect.Done((said("more", "m2"),), 0)


def test_an_answer_that_only_shows_something_makes_no_progress() -> None:
    turn = run([DriverAction.Emit(TurnEvent.AssistantProseDelta("a")), DriverAction.AppendEvents(()), start_llm()])
    assert "progress" not in names(turn.effects)


@pytest.mark.parametrize("action", [DriverAction.AdvanceModeIteration(), DriverAction.AppendEvents((noted(),))])
def test_history_or_counter_moving_makes_one_progress(
    action: DriverAction.AdvanceModeIteration | DriverAction.AppendEvents,
) -> None:
    turn = run([action, action, start_llm()])
    assert names(turn.effects).count("progress") == 1


def test_messages_of_the_driver_reach_model_and_history_but_transient_ones_only_the_model() -> None:
    kept, passing = said("kept", "m2"), said("passing", "m3", transient=True)
    turn = run([DriverAction.AppendEvents((kept, passing)), start_llm()])
    assert [entry.id for entry in turn.machine.messages] == ["m1", "m2", "m3"]
    assert turn.machine.events == (kept,)


def test_an_iteration_begins_at_the_runs_offset_and_advances_when_the_driver_says_so() -> None:
    driver = ListDriver([DriverAction.AdvanceModeIteration(), start_llm()], [start_llm()])
    turn = Run(TurnMachine(config(driver), MessageSequence(), mode_run_offset=7))
    assert driver.contexts[0].mode_iteration == driver.contexts[0].mode_run_offset == 7
    turn.llm()
    assert driver.contexts[1].mode_iteration == 8
    assert turn.machine.mode_iteration == 8


def test_ids_of_messages_are_made_of_turn_scope_and_a_counter() -> None:
    driver = ListDriver([start_llm()])
    turn = Run(machine_of(driver))
    ctx = driver.contexts[0]
    assert [ctx.new_message_id("a"), ctx.new_message_id("b")] == ["m:t:a:1", "m:t:b:2"]
    assert turn.machine.checkpoint().next_message_seq == 3


def test_a_submitted_value_and_a_tools_value_are_shown_last() -> None:
    submitted = TurnOutcome.Finished(TurnFinish.SubmittedValue([1]))
    turn = run([DriverAction.AppendEvents((noted(),)), DriverAction.Finish(submitted)])
    assert names(turn.effects) == ["progress", "submitted_value", "done"]
    tool = TurnOutcome.Finished(TurnFinish.ToolValue("stop", {"a": 1}))
    turn = run([DriverAction.StartCheckpoint("before_completion", FinishWith(tool))])
    effects = turn.checked()
    assert names(effects) == ["tool_value", "done"]
    assert effects[0] == Effect.Emit(TurnEvent.ToolValue("stop", {"a": 1}))


def test_a_configuration_without_ids_or_with_a_limit_of_nothing_is_refused() -> None:
    for wrong in ({"turn_id": ""}, {"session_id": ""}, {"max_turns": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            config(ListDriver(), **wrong)
