"""The rules of a turn: surface, replies, usage, checkpoints, the turn limit, and what drivers may not do."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest

from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.driver import DriverAction, FinishWith, PrepareIteration
from lash.runtime.sansio.effects import Effect, SurfaceUpdate
from lash.runtime.sansio.llm import AttemptRecord, LlmAttachment, LlmCallError, LlmRequest
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.outcome import AnyTurnStop, TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.states import ANSWERED_BY, IllegalTransition
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.usage import TokenUsage
from tests.runtime.sansio.laws import every_answer
from tests.runtime.sansio.support import (
    CALLS,
    PROSE_END,
    Answer,
    ListDriver,
    Run,
    TextProjector,
    config,
    machine_of,
    message,
    names,
    noted,
    reply,
    results_of,
    run,
    said,
    shown,
    start_llm,
)

END: list[Any] = [DriverAction.Finish(PROSE_END)]
SURFACE = SurfaceUpdate("new prompt", (ToolSpec("search", "d", {}),), {"vars": 1})


def stop_of(turn: Run) -> AnyTurnStop:
    assert isinstance(turn.outcome, TurnOutcome.Stopped)
    return turn.outcome.stop


def project(ctx: Any) -> list[Any]:
    return [start_llm(ctx.project_llm_request(True))]


# --- surface ---------------------------------------------------------------------------------------


def test_without_sync_the_driver_is_asked_at_once() -> None:
    assert names(run([start_llm()]).effects) == ["model_request_started", "llm_call"]


def test_the_first_sync_prepares_the_host_only() -> None:
    turn = run([start_llm()], sync_execution_surface=True)
    assert turn.effects == [Effect.SyncExecutionSurface(1, False)]
    assert names(turn.synced()) == ["model_request_started", "llm_call"]


def test_an_update_in_the_answer_to_the_first_sync_is_not_used_and_that_is_logged() -> None:
    turn = run([start_llm()], sync_execution_surface=True)
    assert names(turn.synced(update=SURFACE))[0] == "log"
    assert turn.machine.surface == SurfaceUpdate("be brief", ())


def test_every_further_iteration_is_synced_once_and_may_replace_prompt_tools_and_view() -> None:
    projector = TextProjector()
    turn = run(
        project,
        [DriverAction.AdvanceModeIteration(), DriverAction.StartCheckpoint("after_work", PrepareIteration())],
        project,
        [DriverAction.StartCheckpoint("after_work", PrepareIteration())],
        project,
        sync_execution_surface=True,
        projector=projector,
        mode_view="first",
    )
    turn.synced()
    turn.llm()
    assert turn.checked() == [Effect.SyncExecutionSurface(4, True)]
    turn.synced(update=SURFACE)
    turn.llm()
    assert names(turn.checked()) == ["model_request_started", "llm_call"]
    views = [(view.system_prompt, view.tool_specs, view.mode_view) for view in projector.seen]
    assert views == [("be brief", (), "first"), *[(SURFACE.system_prompt, SURFACE.tool_specs, SURFACE.mode_view)] * 2]


def test_a_sync_without_update_keeps_what_there_is() -> None:
    turn = run(
        [DriverAction.AdvanceModeIteration(), DriverAction.StartCheckpoint("after_work", PrepareIteration())],
        [start_llm()],
        sync_execution_surface=True,
    )
    turn.synced()
    turn.checked()
    turn.synced()
    assert turn.machine.surface == SurfaceUpdate("be brief", ())


def test_a_sync_that_fails_ends_the_turn() -> None:
    turn = run(sync_execution_surface=True)
    assert names(turn.synced(error="no tools")) == ["error", "done"]
    assert stop_of(turn) == TurnStop.RuntimeError("no tools", "reconfigure_failed")


# --- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["stop", "tool_use", "unknown"])
def test_an_ordinary_reply_goes_to_the_driver(reason: Any) -> None:
    turn = run([start_llm()], END)
    turn.llm(reply(reason=reason))
    assert turn.outcome == PROSE_END


@pytest.mark.parametrize(
    ("result", "stop"),
    [
        (reply(reason="output_limit"), TurnStop.Incomplete()),
        (LlmCallError("cut", terminal_reason="output_limit"), TurnStop.Incomplete()),
        (reply(reason="cancelled", terminal_diagnostic="user"), TurnStop.Cancelled("user")),
        (LlmCallError("gone", terminal_reason="cancelled"), TurnStop.Cancelled("gone")),
        (
            reply(reason="content_filter"),
            TurnStop.ProviderError("the provider withheld the reply", "content_filter"),
        ),
        (reply(reason="provider_error", terminal_diagnostic="503"), TurnStop.ProviderError("503", "provider_error")),
        (
            reply(reason="context_overflow"),
            TurnStop.ProviderError("the conversation does not fit into the model's context", "context_overflow"),
        ),
        (LlmCallError("busy", True, "overloaded"), TurnStop.ProviderError("busy", "overloaded")),
        (LlmCallError("odd", terminal_reason="stop"), TurnStop.ProviderError("odd", "stop")),
    ],
)
def test_another_end_of_a_model_call_stops_the_turn(result: Any, stop: AnyTurnStop) -> None:
    turn = run([start_llm()])
    effects = turn.llm(result)
    assert stop_of(turn) == stop
    error = ["error"] if isinstance(stop, TurnStop.ProviderError) else []
    assert names(effects) == ["usage", *error, "done"]


def test_the_error_of_a_failed_call_is_shown_with_its_code() -> None:
    turn = run([start_llm()])
    assert TurnEvent.Error("busy", "llm_provider", "overloaded") in shown(
        turn.llm(LlmCallError("busy", True, "overloaded"))
    )


def test_a_driver_that_handles_cut_off_replies_gets_them() -> None:
    turn = run([start_llm()], END, handles_output_limit=True)
    turn.llm(reply(reason="output_limit"))
    assert turn.outcome == PROSE_END


def test_a_failed_call_never_goes_to_the_driver() -> None:
    turn = run([start_llm()], END, handles_output_limit=True)
    turn.llm(LlmCallError("cut", terminal_reason="output_limit"))
    assert stop_of(turn) == TurnStop.Incomplete()


# --- usage -----------------------------------------------------------------------------------------


def test_usage_comes_before_anything_the_driver_does_and_adds_up() -> None:
    turn = run([start_llm()], [DriverAction.Emit(TurnEvent.AssistantProseDelta("a")), start_llm()], END)
    first = turn.llm(reply(usage=TokenUsage(1, 2, 3, 4, 1)))
    assert names(first)[:2] == ["usage", "assistant_prose_delta"]
    second = turn.llm(reply(usage=TokenUsage(10, 20)))
    assert second[0] == Effect.Emit(TurnEvent.Usage(0, TokenUsage(10, 20), TokenUsage(11, 22, 3, 4, 1)))


@pytest.mark.parametrize(
    "result",
    [
        reply(usage=TokenUsage(1, 1), attempts=(AttemptRecord(1, TokenUsage(4, 0), "k", "m"),)),
        LlmCallError(
            "m",
            attempts=(AttemptRecord(1, TokenUsage(4, 0), "k", "m"), AttemptRecord(2, TokenUsage(1, 1), "k", "m")),
        ),
    ],
)
def test_the_tokens_of_failed_attempts_count(result: Any) -> None:
    turn = run([start_llm()], END)
    assert shown(turn.llm(result))[0] == TurnEvent.Usage(0, TokenUsage(5, 1), TokenUsage(5, 1))
    assert turn.machine.cumulative_usage == {"turn": TokenUsage(5, 1)}


def test_a_side_call_is_booked_apart_and_is_no_call_of_the_turn() -> None:
    driver = ListDriver([start_llm(usage_source="side")], [start_llm()], END)
    turn = Run(machine_of(driver, max_turns=1))
    assert names(turn.effects) == ["llm_call"]
    effects = turn.llm(reply(usage=TokenUsage(3, 1)))
    child = TurnEvent.ChildUsage("s", "side", "model-1", 0, TokenUsage(3, 1), TokenUsage(3, 1))
    assert effects[0] == Effect.Emit(child, "child:s")
    assert names(effects)[1:] == ["model_request_started", "llm_call"]
    assert driver.contexts[-1].model_calls == 0
    turn.llm(reply(usage=TokenUsage(10, 5)))
    assert turn.outcome == PROSE_END
    assert turn.machine.cumulative_usage == {"side": TokenUsage(3, 1), "turn": TokenUsage(10, 5)}


def test_model_calls_are_logged_where_that_is_wanted() -> None:
    turn = run([start_llm()], END, emit_llm_trace=True)
    turn.llm()
    assert [effect.message for effect in turn.all if isinstance(effect, Effect.Log)] == [
        "model call 1 (turn): 1 messages",
        "model call 1 (turn) ended: stop, 15 tokens",
    ]


# --- overflow --------------------------------------------------------------------------------------

OVERFLOW = LlmCallError("too long", terminal_reason="context_overflow", code="context_length")


def overflowing(*answers: Answer, **changes: Any) -> Run:
    return run([start_llm()], *answers, can_rewrite_on_overflow=True, **changes)


def test_the_first_overflow_asks_for_a_rewrite_and_repeats_the_call_in_the_same_iteration() -> None:
    turn = overflowing(project, END, max_turns=1)
    assert turn.llm(OVERFLOW)[-1] == Effect.Checkpoint(2, "overflow")
    short = (message("short", name="m9"),)
    effects = turn.checked(rewritten=short)
    assert names(effects) == ["model_request_started", "llm_call"]
    assert tuple(turn.machine.messages) == short
    assert turn.machine.mode_iteration == 0
    turn.llm()
    assert turn.outcome == PROSE_END


def test_an_overflow_with_nothing_rewritten_stops_the_turn() -> None:
    turn = overflowing()
    turn.llm(OVERFLOW)
    assert names(turn.checked(messages=(message("x", name="m2"),))) == ["error", "done"]
    assert stop_of(turn) == TurnStop.ProviderError("too long", "context_length")
    assert turn.machine.events == (said("x", "m2"),)


def test_a_second_overflow_stops_the_turn() -> None:
    turn = overflowing([start_llm()])
    turn.llm(OVERFLOW)
    turn.checked(rewritten=())
    assert names(turn.llm(OVERFLOW)) == ["usage", "error", "done"]


# --- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["after_work", "before_completion"])
@pytest.mark.parametrize(
    "spoken",
    [
        {"messages": (message("x", name="m2"),)},
        {"transient_messages": (message("x", name="m2", transient=True),)},
        {"rewritten": (message("x", name="m2"),)},
    ],
    ids=lambda what: next(iter(what)),
)
def test_words_at_a_checkpoint_drop_the_end_and_the_turn_goes_on(kind: Any, spoken: dict[str, Any]) -> None:
    turn = run([DriverAction.StartCheckpoint(kind, FinishWith(PROSE_END))], [start_llm()])
    assert names(turn.checked(**spoken)) == ["model_request_started", "llm_call"]
    assert turn.machine.mode_iteration == (1 if kind == "before_completion" else 0)
    assert turn.machine.messages[-1].id == "m2"


def test_only_messages_that_are_not_transient_are_remembered() -> None:
    turn = run([DriverAction.StartCheckpoint("after_work", PrepareIteration())], [start_llm()])
    turn.checked(
        messages=(message("kept", name="m2"), message("passing", name="m3", transient=True)),
        transient_messages=(message("for the model", name="m4"),),
    )
    assert turn.machine.events == (said("kept", "m2"),)
    assert [entry.id for entry in turn.machine.messages] == ["m1", "m2", "m3", "m4"]


def test_a_silent_checkpoint_does_what_the_driver_said() -> None:
    assert names(run([DriverAction.StartCheckpoint("after_work", PrepareIteration())], [start_llm()]).checked()) == [
        "model_request_started",
        "llm_call",
    ]
    turn = run([DriverAction.StartCheckpoint("before_completion", FinishWith(PROSE_END))])
    turn.checked()
    assert turn.outcome == PROSE_END


def test_a_plugin_that_aborts_at_a_checkpoint_stops_the_turn_and_nothing_said_is_lost() -> None:
    turn = run([DriverAction.StartCheckpoint("after_work", PrepareIteration())])
    effects = turn.checked(messages=(message("x", name="m2"),), abort=("policy", "not today"))
    assert names(effects) == ["error", "done"]
    assert effects[-1] == Effect.Done((said("x", "m2"),), 0)
    assert stop_of(turn) == TurnStop.PluginAbort("policy", "not today")


# --- turn limit ------------------------------------------------------------------------------------


def test_a_call_beyond_the_limit_stops_the_turn() -> None:
    turn = run([start_llm()], [start_llm()], [DriverAction.AppendEvents((noted(),)), start_llm()], max_turns=2)
    turn.llm()
    assert names(turn.llm()) == ["usage", "progress", "done"]
    assert stop_of(turn) == TurnStop.MaxTurns(2)


def test_a_scheduled_last_call_is_granted_once() -> None:
    last = message("the end is near", "system", name="m2")
    turn = run([start_llm()], [DriverAction.ScheduleTurnLimitFinal(last), start_llm()], [start_llm()], max_turns=1)
    assert names(turn.llm()) == ["usage", "progress", "model_request_started", "llm_call"]
    assert turn.machine.messages[-1] == last
    turn.llm()
    assert stop_of(turn) == TurnStop.MaxTurns(1)


def test_the_message_of_the_last_call_is_offered_until_it_is_scheduled() -> None:
    def schedule(ctx: Any) -> list[Any]:
        return [DriverAction.ScheduleTurnLimitFinal(ctx.turn_limit_final_to_schedule()), start_llm()]

    driver = ListDriver(schedule, END)
    turn = Run(machine_of(driver, max_turns=3))
    assert turn.machine.messages[-1].id == "m:t:turn_limit:1"
    assert "3 model calls" in turn.machine.messages[-1].text()
    turn.llm()
    assert driver.contexts[1].turn_limit_final_to_schedule() is None
    assert driver.contexts[1].grace_scheduled


def test_there_is_no_last_call_without_a_limit() -> None:
    driver = ListDriver(END)
    Run(machine_of(driver))
    assert driver.contexts[0].turn_limit_final_to_schedule() is None


def test_the_message_of_the_last_call_may_be_the_modes_own() -> None:
    driver = ListDriver(END)
    own = message("own", "system", name="m5")
    Run(machine_of(driver, max_turns=1, turn_limit_final_message=lambda name, limit: own))  # pyright: ignore[reportUnknownLambdaType]
    assert driver.contexts[0].turn_limit_final_to_schedule() is own


def test_the_driver_sees_how_many_calls_were_answered() -> None:
    driver = ListDriver([start_llm()], [start_llm()], END)
    turn = Run(machine_of(driver))
    turn.llm()
    turn.llm()
    assert [ctx.model_calls for ctx in driver.contexts] == [0, 1, 2]


# --- drivers that break the contract -----------------------------------------------------------------


def raising(ctx: Any) -> list[Any]:
    raise ValueError("boom")


WITH_BYTES = LlmRequest("m", (), (LlmAttachment("image/png", "ref", data=b"bytes"),))

BROKEN: list[tuple[Any, str]] = [
    (None, "NoneType, not with a list"),
    (["finish"], "str is no driver action"),
    ([start_llm(), DriverAction.StartTools(CALLS)], "StartTools is a second start after StartLlm"),
    ([DriverAction.Finish(PROSE_END), DriverAction.AdvanceModeIteration()], "AdvanceModeIteration comes after Finish"),
    ([start_llm(), DriverAction.Finish(PROSE_END)], "ends the turn although StartLlm is to be answered"),
    ([start_llm(driver_state=object())], "driver_state is no JSON value"),  # pyright: ignore[reportArgumentType]
    ([DriverAction.StartExec("x", {1: 2})], "driver_state is no JSON value"),  # pyright: ignore[reportArgumentType]
    ([start_llm(WITH_BYTES)], "carries bytes of attachments"),
    ([DriverAction.AppendEvents(("x",)), start_llm()], "appends str, which is no session event"),  # pyright: ignore[reportArgumentType]
    ([DriverAction.StartCheckpoint("after_work", PROSE_END)], "how the turn goes on"),  # pyright: ignore[reportArgumentType]
    ([DriverAction.ScheduleTurnLimitFinal(message("x")), start_llm()], "a turn that has no limit"),
    (raising, "raised ValueError: boom"),
]


@pytest.mark.parametrize(("answer", "complaint"), BROKEN, ids=[complaint for _, complaint in BROKEN])
def test_a_driver_that_breaks_its_contract_ends_the_turn_with_a_named_error(answer: Any, complaint: str) -> None:
    turn = run([start_llm()], answer)
    effects = turn.llm()
    stop = stop_of(turn)
    assert isinstance(stop, TurnStop.RuntimeError)
    assert stop.code == "driver_error"
    assert re.search(re.escape(complaint), stop.message)
    assert shown(effects)[-1] == TurnEvent.Error(stop.message, "runtime", "driver_error")


def test_nothing_of_a_broken_list_is_carried_out() -> None:
    turn = run([start_llm()], [DriverAction.AppendEvents((noted(),)), start_llm(), start_llm()])
    assert names(turn.llm()) == ["usage", "error", "done"]
    assert turn.machine.events == ()


def test_a_second_last_call_is_refused() -> None:
    final = DriverAction.ScheduleTurnLimitFinal(message("x"))
    turn = run([final, start_llm()], [final, start_llm()], max_turns=1)
    turn.llm()
    assert "a second time" in str(stop_of(turn))
    assert "a second time" in str(stop_of(run([final, final, start_llm()], max_turns=1)))


def test_where_a_driver_raises_the_traceback_is_logged() -> None:
    turn = run(raising)
    (log,) = (effect for effect in turn.all if isinstance(effect, Effect.Log))
    assert 'raise ValueError("boom")' in log.message


@pytest.mark.parametrize("answer", [[], [DriverAction.AppendEvents((noted(),))]])
def test_a_driver_that_neither_starts_nor_ends_anything_is_stalled_and_what_it_told_is_kept(answer: Any) -> None:
    turn = run(answer)
    stop = stop_of(turn)
    assert isinstance(stop, TurnStop.RuntimeError)
    assert stop.code == "driver_stalled"
    assert len(turn.machine.events) == len(answer)


def test_a_projector_that_raises_is_the_drivers_fault() -> None:
    class Failing:
        def project(self, ctx: Any, use_tools: bool) -> LlmRequest:
            raise LookupError("no prompt")

    stop = stop_of(Run(machine_of(ListDriver(project), projector=Failing())))
    assert isinstance(stop, TurnStop.RuntimeError)
    assert "no prompt" in stop.message


# --- ends from outside -------------------------------------------------------------------------------


def started(state: str) -> Run:
    """A turn that is in that state."""
    match state:
        case "waiting_execution_surface":
            return run(END, sync_execution_surface=True)
        case "waiting_llm":
            return run([start_llm()], END)
        case "waiting_tools":
            return run([DriverAction.StartTools(CALLS)], END)
        case "waiting_exec":
            return run([DriverAction.StartExec("x", None)], END)
        case _:
            return run([DriverAction.StartCheckpoint("after_work", FinishWith(PROSE_END))])


STATES = ["waiting_execution_surface", "waiting_llm", "waiting_tools", "waiting_exec", "waiting_checkpoint"]


@pytest.mark.parametrize("state", STATES)
def test_a_turn_can_be_cancelled_in_every_state_and_a_late_answer_changes_nothing(state: str) -> None:
    turn = started(state)
    assert turn.machine.state.type == state
    turn.machine.cancel("enough")
    effects = turn.drain()
    assert names(effects) == [*(["cancel_llm"] if state == "waiting_llm" else []), "done"]
    assert stop_of(turn) == TurnStop.Cancelled("enough")
    before = turn.machine.snapshot()
    for late in every_answer(1):
        assert turn.machine.handle_response(late) is False
    assert turn.machine.snapshot() == before


@pytest.mark.parametrize("state", STATES)
def test_each_waiting_state_is_left_by_the_answer_that_its_table_says(state: str) -> None:
    turn = started(state)
    accepted: set[type] = set()
    for answer in (*every_answer(1), results_of(1)):
        twin = TurnMachine.restore(config(ListDriver(END)), turn.machine.checkpoint())
        with suppress(IllegalTransition):
            accepted |= {type(answer)} if twin.handle_response(answer) else set()
    assert accepted == {next(answer for waiting, answer in ANSWERED_BY.items() if waiting is type(turn.machine.state))}


def test_a_turn_can_be_cancelled_before_it_begins() -> None:
    machine = machine_of(ListDriver())
    machine.cancel()
    assert names(Run(machine).effects) == ["done"]


def test_a_fault_outside_stops_the_turn_and_is_shown() -> None:
    turn = started("waiting_llm")
    turn.machine.fail_turn(TurnEvent.Error("disk full", "runtime", "io"))
    assert names(turn.drain()) == ["cancel_llm", "error", "done"]
    assert stop_of(turn) == TurnStop.RuntimeError("disk full", "io")


@pytest.mark.parametrize(
    "outcome",
    [
        TurnOutcome.Handoff("next"),
        TurnOutcome.Finished(TurnFinish.ToolValue("t", 1)),
        TurnOutcome.Stopped(TurnStop.InvalidInput("no text")),
        TurnOutcome.Stopped(TurnStop.LimitExceeded("tokens", 10, 11)),
        TurnOutcome.Stopped(TurnStop.ToolFailure("m")),
        TurnOutcome.Stopped(TurnStop.SubmittedError({"reason": "r"})),
        TurnOutcome.Stopped(TurnStop.ToolError("t", {})),
        TurnOutcome.Stopped(TurnStop.Cancelled("r", "request", "origin")),
    ],
)
def test_a_host_may_end_the_turn_as_it_likes(outcome: Any) -> None:
    turn = started("waiting_exec")
    turn.machine.finish_with_outcome(outcome)
    assert turn.outcome == outcome
    assert names(turn.drain())[-1] == "done"


def test_the_first_outcome_stays() -> None:
    turn = started("waiting_llm")
    turn.machine.cancel("first")
    turn.drain()
    before = turn.machine.snapshot()
    turn.machine.cancel("second")
    turn.machine.fail_turn(TurnEvent.Error("m", "k", "c"))
    turn.machine.finish_with_outcome(PROSE_END)
    assert turn.machine.snapshot() == before
    assert turn.drain() == []


def test_the_driver_sees_the_turn_as_it_is_configured() -> None:
    driver = ListDriver(END)
    Run(machine_of(driver, max_turns=5, autonomous=True, termination={"kind": "x"}))
    (ctx,) = driver.contexts
    assert (ctx.session_id, ctx.turn_id, ctx.max_turns, ctx.autonomous) == ("s", "t", 5, True)
    assert ctx.termination == {"kind": "x"}
    assert [entry.id for entry in ctx.messages] == ["m1"]
