"""Tool calls from the model's wish to the recorded result (providers.md 13), for any mode or none.

A call is one atomic effect, `tool_call`: resolve, hooks, contract, validation, the attempts, hooks, and what the model
is told. A tool that may need approval is up to three (runtime.md 2.5):

    tool_ask    hooks, validation, the check       -> settled | free | ask, with the final arguments
    (event)     the answer                         -> where there is a question
    tool_call   the attempts, hooks, projection    -> the completed call

Whatever fails inside is the call's result and stops nothing else. Two things pass through: cancellation, and the errors
of the effect host. A call that the turn's cancellation stopped is completed here as cancelled and not recorded.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import (
    AnyToolControl,
    AnyToolOutput,
    CompletedToolCall,
    PendingToolCall,
    ToolOutput,
)
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import (
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectInvocation,
    EffectKind,
    EffectOutcome,
)
from lash.runtime.tools.approvals import (
    ApprovalDesk,
    Deny,
    Edit,
    RecordedAnswer,
    approval_id,
    await_answer,
)
from lash.runtime.tools.attempts import Execution, ToolLimits, ToolRun, being_cancelled
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import Emit, ToolServices, close_context, show
from lash.runtime.tools.definition import Availability, ToolContract
from lash.runtime.tools.hooks import CallFrame, EffectState, HookedCall, ToolHooks, ToolObserver
from lash.runtime.tools.provider import Path
from lash.runtime.tools.registry import MODE, ToolRegistry
from lash.runtime.tools.result import CANCELLED, ModelReturn, failed, model_return
from lash.runtime.tools.schedule import Turnstile, run_batch
from lash.runtime.tools.surface import CatalogEntry, SurfaceEntry, ToolSurface
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.tools.validation import SchemaUnusable, json_kind, problem
from lash.runtime.tools.waiting import run_bounded

T = TypeVar("T")

_log = logging.getLogger("lash.tools")

HOUR_S = 3600.0
WEEK_S = 7 * 24 * HOUR_S

EDITED_NOTE = "arguments were edited by the user"
MAY_HAVE_HAPPENED = "the process ended while this call ran, so it may already have happened; run it again?"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call to be dispatched.

    `position` is its line and column in a program, `projections` what stands for the nulls in its arguments
    (`ToolCall.projections`), `internal` that a part of the runtime makes it and not a model.
    """

    call: PendingToolCall
    position: tuple[int, int] | None = None
    projections: Mapping[Path, Any] = field(default_factory=dict[Path, Any])
    parent_call_id: str | None = None
    internal: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """The outcome of `tool_ask`: the final arguments, and a result already, a question, or neither."""

    args: JsonValue
    output: AnyToolOutput | None = None
    control: AnyToolControl | None = None
    messages: tuple[Message, ...] = ()
    approval: PendingApproval | None = None


@dataclass(frozen=True, slots=True)
class _Called:
    """The outcome of `tool_call`."""

    call: CompletedToolCall
    messages: tuple[Message, ...] = ()
    type: Literal["called"] = "called"


class ToolDispatcher:
    """Runs the tool calls of one turn.

    `surface` is what the turn sees and may be replaced between iterations. `emit` shows activities, `desk` knows whom
    to ask for approvals, `services` stands behind the contexts of tools; hooks, state and observer are optional.
    `usage` is what tools have used of the model, recorded calls included.
    """

    def __init__(
        self,
        *,
        surface: ToolSurface,
        registry: ToolRegistry,
        controller: EffectController,
        clock: Clock,
        threads: ToolThreads,
        token: CancelToken,
        emit: Emit,
        limits: ToolLimits | None = None,
        desk: ApprovalDesk | None = None,
        services: ToolServices | None = None,
        hooks: ToolHooks | None = None,
        state: EffectState | None = None,
        observer: ToolObserver | None = None,
    ) -> None:
        self.surface = surface
        self.registry = registry
        self.controller = controller
        self.limits = limits or ToolLimits()
        self.desk = desk or ApprovalDesk()
        self.hooks = hooks
        self.state = state
        self.observer = observer
        self.usage: list[TokenLedgerEntry] = []
        self.token = token
        self.emit = emit
        self.clock = clock
        self.execution = Execution(clock, self.limits, threads, services, _Access(self), emit, token, observer)

    async def dispatch(self, request: ToolRequest, frame: CallFrame) -> CompletedToolCall:
        """Run one call."""
        return (await self.batch([request], frame))[0]

    async def batch(self, requests: Sequence[ToolRequest], frame: CallFrame) -> tuple[CompletedToolCall, ...]:
        """Run calls: the parallel ones together, then the serial ones one by one; results in the order of the calls.

        Raises what the effect host raises, after the other calls were stopped.
        """
        entries = [self.resolve(one.call.tool_name, internal=one.internal) for one in requests]
        starting, asking = Turnstile(), Turnstile()

        def drive(at: int) -> Awaitable[CompletedToolCall]:
            return _Drive(self, requests[at], entries[at], frame, starting, asking, at).run()

        serial = [entry is not None and entry.manifest.execution_mode == "serial" for entry in entries]
        return await run_batch(drive, serial, (starting, asking), self.limits.max_parallel)

    def resolve(self, name: str, *, internal: bool = False) -> SurfaceEntry | None:
        """The tool that a call of that name reaches now; None where it reaches none."""
        entry = self.surface.entry(name)
        if entry is None:
            if name in self.surface.hidden:
                return None
            entry = self.registry.lazy_entry(name, self.surface.mode)
        elif entry.source_id != MODE and not self.registry.is_live(entry.source_id, entry.manifest.name):
            return None
        if entry is None:
            return None
        reachable = entry.availability >= Availability.CALLABLE if internal else entry.callable
        return entry if reachable else None


class _Access:
    """What tools may do to the surface of their turn."""

    def __init__(self, dispatcher: ToolDispatcher) -> None:
        self._dispatcher = dispatcher

    def catalog(self) -> Sequence[CatalogEntry]:
        return self._dispatcher.surface.catalog()

    def set_availability(self, names: Sequence[str], level: Availability | None) -> None:
        self._dispatcher.registry.set_availability(names, level)


class _Local:
    """An effect's work as the effect host wants it."""

    def __init__(self, work: Callable[[], Awaitable[EffectOutcome]]) -> None:
        self._work = work

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        return await self._work()


class _Drive:
    """One call on its way."""

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        request: ToolRequest,
        entry: SurfaceEntry | None,
        frame: CallFrame,
        starting: Turnstile,
        asking: Turnstile,
        place: int,
    ) -> None:
        self._by = dispatcher
        self._request = request
        self._call = request.call
        self._entry = entry
        self._name = request.call.tool_name if entry is None else entry.manifest.name
        self._frame = frame
        self._starting = starting
        self._asking = asking
        self._place = place
        self._args: JsonValue = request.call.args
        self._started = False
        self._replayed = False

    # --- the whole -------------------------------------------------------------------------------

    async def run(self) -> CompletedToolCall:
        """Drive the call to its completion and show it."""
        try:
            completed = await self._drive()
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            completed = self._completed(ToolOutput.Cancelled(CANCELLED), None, 0)
        finally:
            self._starting.leave(self._place)
            self._asking.leave(self._place)
        if not self._replayed:
            await self._start()
        if self._by.observer is not None:
            self._by.observer.completed(
                self._frame,
                completed.call_id,
                completed.tool_name,
                completed.args,
                completed.output,
                completed.control,
                completed.duration_ms,
                self._request.parent_call_id,
                self._replayed,
            )
        shown = TurnEvent.ToolCallCompleted(
            completed.call_id,
            completed.tool_name,
            completed.args,
            completed.output,
            completed.duration_ms,
            self._request.parent_call_id,
        )
        await show(self._by.emit, shown, f"tool:{completed.call_id}")
        return completed

    async def _drive(self) -> CompletedToolCall:
        if self._by.token.cancelled:
            raise asyncio.CancelledError
        entry = self._entry
        if entry is None or entry.manifest.needs_approval is False:
            self._asking.leave(self._place)
            called = await self._effect("tool_call", (), self._call_command(self._args), self._whole, _Called)
            return called.call
        return await self._with_approval(entry)

    def _completed(
        self, output: AnyToolOutput, control: AnyToolControl | None, duration_ms: int, told: ModelReturn | None = None
    ) -> CompletedToolCall:
        told = told or model_return(output)
        return CompletedToolCall(
            self._call.call_id,
            self._name,
            self._args,
            output,
            control,
            told.text,
            told.attachments,
            duration_ms,
            self._call.replay,
        )

    async def _start(self) -> None:
        """Show that the call begins, once, in the order of the calls."""
        if self._started:
            return
        await self._starting.wait(self._place)
        self._started = True
        call_id, parent = self._call.call_id, self._request.parent_call_id
        if self._by.observer is not None:
            self._by.observer.started(self._frame, call_id, self._name, self._call.args, parent)
        started = TurnEvent.ToolCallStarted(call_id, self._name, self._call.args, parent)
        await show(self._by.emit, started, f"tool:{call_id}")
        self._starting.leave(self._place)

    # --- effects ---------------------------------------------------------------------------------

    def _call_command(self, args: JsonValue, **more: JsonValue) -> dict[str, JsonValue]:
        call: dict[str, JsonValue] = {"call_id": self._call.call_id, "tool": self._name, "args": args}
        return {"call": call, **more}

    async def _effect(
        self,
        kind: EffectKind,
        suffix: tuple[str, ...],
        command: dict[str, JsonValue],
        work: Callable[[], Awaitable[Any]],
        outcome_type: type[Any],
    ) -> Any:
        """Have an effect carried out, or its recorded outcome read, with what it did to state and messages."""
        frame, state = self._frame, self._by.state
        invocation = EffectInvocation(
            frame.session_id,
            frame.turn_id,
            frame.turn_index,
            frame.mode_iteration,
            frame.effect_id,
            kind,
            (self._call.call_id, *suffix),
            frame.caused_by,
        )

        made: Any = None

        async def local() -> EffectOutcome:
            nonlocal made
            mark = None if state is None else state.mark()
            await self._start()
            value = made = await work()
            services = self._by.execution.services
            return EffectOutcome(
                to_json(value),
                () if services is None else services.take_usage(self._call.call_id),
                {} if state is None else state.delta(mark),
            )

        envelope = EffectEnvelope(invocation, {"kind": kind, **command})
        outcome = await self._by.controller.execute(envelope, _Local(local))
        self._replayed = outcome.replayed
        self._by.usage += outcome.usage
        self._starting.leave(self._place)
        if outcome.replayed and state is not None:
            state.apply(outcome.state_delta)
        if isinstance(outcome.value, dict) and outcome.value.get("interrupted") is True:
            return None
        if made is None:
            made = from_json(outcome_type, outcome.value)
        if self._by.hooks is not None and made.messages:
            self._by.hooks.enqueue(made.messages)
        return made

    async def _whole(self) -> _Called:
        """Steps 3 to 8 of a call without approval."""
        began = self._by.clock.monotonic()
        asked = await self._prepare()
        self._args = asked.args
        called = await self._finish(began, asked.output, asked.control)
        return replace(called, messages=(*asked.messages, *called.messages))

    # --- before the tool -------------------------------------------------------------------------

    async def _prepare(self) -> _Asked:
        """Resolve, hooks before, contract, validation; a settled result, or the final arguments."""
        if self._entry is None:
            return _Asked(
                self._args, failed("unavailable", "tool_unavailable", f"there is no tool {self._name!r} to be called")
            )
        args = self._args
        if not isinstance(args, dict):
            return _Asked(args, failed("invalid_request", "invalid_tool_args", _no_object(args)))
        messages: tuple[Message, ...] = ()
        if self._by.hooks is not None:
            hooked = HookedCall(self._frame, self._call.call_id, self._name, args)
            try:
                verdict = await self._stoppable(self._by.hooks.before_tool(hooked), "hooks before")
            except Exception as error:
                _log.exception("a hook before the tool %s raised", self._name)
                return _Asked(args, failed("internal", "before_tool_call_failed", str(error), "plugin"))
            args, messages = verdict.args, verdict.messages
            if verdict.output is not None:
                return _Asked(args, verdict.output, verdict.control, messages)
        contract = self._contract()
        if isinstance(contract, str):
            return _Asked(args, failed("unavailable", "tool_contract_unavailable", contract), messages=messages)
        try:
            wrong = problem(args, contract.input_schema)
        except SchemaUnusable as error:
            message = f"the schema of {self._name} cannot be used: {error}"
            return _Asked(args, failed("unavailable", "tool_contract_unavailable", message), messages=messages)
        settled = None if wrong is None else failed("invalid_request", "invalid_tool_args", wrong)
        return _Asked(args, settled, messages=messages)

    def _contract(self) -> ToolContract | str:
        """The tool's contract, or why it cannot be had."""
        assert self._entry is not None
        try:
            found = self._entry.provider.resolve_contract(self._entry.manifest.name)
        except Exception as error:
            _log.exception("the contract of %s cannot be had", self._name)
            return f"the contract of {self._name} cannot be had: {error}"
        return f"{self._name} has no contract" if found is None else found

    # --- approval --------------------------------------------------------------------------------

    async def _with_approval(self, entry: SurfaceEntry) -> CompletedToolCall:
        """Ask where that is needed, and run; again where a run was interrupted and may have happened."""
        first = await self._effect("tool_ask", ("ask",), self._call_command(self._args), self._ask, _Asked)
        asked: _Asked = first
        while True:
            self._args = asked.args
            output, control, edited = asked.output, asked.control, False
            if output is None and asked.approval is not None:
                answer = await self._answer(asked.approval)
                output, edited = self._answered(entry, answer)
            else:
                self._asking.leave(self._place)
            round_number = 1 if asked.approval is None else asked.approval.round
            manifest = entry.manifest
            repeatable = output is not None or manifest.mutates is False or manifest.retry_policy.kind == "idempotent"
            suffix = () if round_number == 1 else (str(round_number),)
            command = self._call_command(self._args, repeatable=repeatable)

            async def work(
                output: AnyToolOutput | None = output, control: AnyToolControl | None = control, edited: bool = edited
            ) -> _Called:
                return await self._finish(self._by.clock.monotonic(), output, control, edited)

            called: _Called | None = await self._effect("tool_call", suffix, command, work, _Called)
            if called is not None:
                return called.call
            again = round_number + 1
            asked = await self._effect(
                "tool_ask", ("ask", str(again)), self._call_command(self._args), self._ask_again(again), _Asked
            )

    async def _ask(self) -> _Asked:
        """The work of `tool_ask`: everything before the tool, and whether a person has to be asked."""
        asked = await self._prepare()
        if asked.output is not None:
            return asked
        try:
            reason = await self._needs_approval(asked.args)
        except Exception as error:
            _log.exception("the approval check of %s raised", self._name)
            message = f"the approval check of {self._name} failed: {type(error).__name__}: {error}"
            return replace(asked, output=failed("internal", "approval_check_failed", message, "policy"))
        if reason is False:
            return asked
        if self._by.desk.callback is None and self._by.controller.durability is DurabilityTier.INLINE:
            message = (
                f"{self._name} needs approval and nobody can be asked: "
                "pass approve=... to LashCore, core.session or session.turn"
            )
            return replace(asked, output=failed("permission_denied", "approval_unavailable", message, "policy"))
        return replace(asked, approval=self._question(asked.args, None if reason is True else reason, 1))

    def _ask_again(self, round_number: int) -> Callable[[], Awaitable[_Asked]]:
        async def work() -> _Asked:
            return _Asked(self._args, approval=self._question(self._args, MAY_HAVE_HAPPENED, round_number))

        return work

    async def _needs_approval(self, args: JsonValue) -> bool | str:
        """Whether to ask, and the reason to show; raises what the check raises, and TimeoutError."""
        assert self._entry is not None
        check = self._entry.manifest.needs_approval
        if isinstance(check, bool):
            return check
        limit = self._by.limits.hook_timeout_s
        run = ToolRun(self._by.execution, self._frame, self._entry, ToolContract(), self._call.call_id, {})
        context = run.context()

        async def ask() -> bool | str:
            said = check(dict(args) if isinstance(args, dict) else {}, context)
            return await said if inspect.isawaitable(said) else said

        try:
            said = await self._stoppable(ask(), "approval check", context.cancel_token, limit)
        finally:
            close_context(context)
        return said if isinstance(said, str) and said.strip() else bool(said)

    async def _stoppable(
        self, work: Coroutine[Any, Any, T], what: str, token: CancelToken | None = None, deadline_s: float | None = None
    ) -> T:
        """Do work that the turn's cancellation stops (asyncio.CancelledError), like its deadline (TimeoutError)."""
        turn, limits, token = self._by.token, self._by.limits, token or CancelToken()
        forget = turn.on_cancel(lambda: token.cancel(turn.reason))
        try:
            ended = await run_bounded(
                self._by.clock,
                work,
                token=token,
                deadline_s=deadline_s,
                cancel_s=limits.cancel_ms / 1000,
                grace_s=limits.cancel_grace_s,
                name=f"{what} of {self._name}",
            )
        finally:
            forget()
        if ended.how == "cancelled":
            raise asyncio.CancelledError
        if ended.how == "timeout":
            raise TimeoutError(f"it did not end within {deadline_s:g} s")
        return ended.task.result()

    def _question(self, args: JsonValue, reason: str | None, round_number: int) -> PendingApproval:
        assert self._entry is not None
        frame, now = self._frame, self._by.clock.now_ms()
        limit = self._approval_timeout_s()
        key = EffectInvocation(
            frame.session_id,
            frame.turn_id,
            frame.turn_index,
            frame.mode_iteration,
            frame.effect_id,
            "tool_call",
            (self._call.call_id,),
        ).replay_key
        return PendingApproval(
            approval_id(key, round_number),
            frame.session_id,
            frame.parent_session_id,
            frame.turn_id,
            self._call.call_id,
            self._name,
            args if isinstance(args, dict) else {},
            reason,
            self._entry.manifest.mutates,
            self._request.position,
            round_number,
            now,
            None if limit is None else now + round(limit * 1000),
        )

    def _approval_timeout_s(self) -> float | None:
        limit = self._by.limits.approval_timeout_s
        if not isinstance(limit, str):
            return limit
        return WEEK_S if self._by.controller.durability is DurabilityTier.DURABLE else HOUR_S

    async def _answer(self, approval: PendingApproval) -> RecordedAnswer | None:
        """The answer; questions are put in the order of the calls."""
        await self._asking.wait(self._place)
        waiting = asyncio.ensure_future(
            await_answer(self._by.controller, self._by.desk, self._by.emit, self._by.token, approval)
        )
        # The question has its place in the queue once its task has run up to the desk's lock.
        await asyncio.sleep(0)
        self._asking.leave(self._place)
        try:
            return await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            raise

    def _answered(self, entry: SurfaceEntry, recorded: RecordedAnswer | None) -> tuple[AnyToolOutput | None, bool]:
        """What an answer makes of the call: a denial, or None where the tool runs; whether arguments were edited."""
        if recorded is None:
            limit = self._approval_timeout_s() or 0.0
            return failed(
                "permission_denied", "approval_timeout", f"nobody answered within {limit:g} s", "policy"
            ), False
        match recorded.answer:
            case Deny(reason=reason):
                message = f"denied by the user: {reason}" if reason.strip() else "denied by the user"
                if recorded.code is not None:
                    message = reason
                return failed("permission_denied", recorded.code or "approval_denied", message, "policy"), False
            case Edit(args=args):
                self._args = dict(args)
                contract = self._contract()
                wrong = contract if isinstance(contract, str) else problem(self._args, contract.input_schema)
                if wrong is not None:
                    message = f"the arguments that the user gave do not fit: {wrong}"
                    return failed("permission_denied", "approval_invalid_edit", message, "policy"), True
                return None, True
            case _:
                return None, False

    # --- the tool and after ----------------------------------------------------------------------

    async def _finish(
        self, began: float, output: AnyToolOutput | None, control: AnyToolControl | None, edited: bool = False
    ) -> _Called:
        """Steps 6 to 8: run the tool unless the call is settled, hooks after, what the model is told."""
        entry, messages = self._entry, ()
        if output is None:
            assert entry is not None
            contract = self._contract()
            if isinstance(contract, str) or not isinstance(self._args, dict):
                output = failed("unavailable", "tool_contract_unavailable", str(contract))
            else:
                run = ToolRun(
                    self._by.execution, self._frame, entry, contract, self._call.call_id, self._request.projections
                )
                output, control = await run.run(self._args)
        hooks = self._by.hooks
        if hooks is not None and entry is not None and isinstance(self._args, dict):
            hooked = HookedCall(self._frame, self._call.call_id, self._name, self._args)
            try:
                verdict = await self._stoppable(hooks.after_tool(hooked, output, control), "hooks after")
            except Exception as error:
                _log.exception("a hook after the tool %s raised", self._name)
                output, control = failed("internal", "after_tool_call_failed", str(error), "plugin"), None
            else:
                output, control, messages = verdict.output or output, verdict.control, verdict.messages
        if not isinstance(output, ToolOutput.Success):
            control = None
        told = await self._told(output)
        if edited and isinstance(output, ToolOutput.Success):
            told = replace(told, text=f"{told.text}\n{EDITED_NOTE}")
        duration_ms = round((self._by.clock.monotonic() - began) * 1000)
        return _Called(self._completed(output, control, duration_ms, told), messages)

    async def _told(self, output: AnyToolOutput) -> ModelReturn:
        """What the model is told: the projector's text, or all where there is none or it fails."""
        if self._by.hooks is not None:
            try:
                projecting = self._by.hooks.project_tool_result(self._name, self._args, output)
                told = await self._stoppable(projecting, "projection")
            except Exception:
                _log.exception("the result of %s could not be projected and is shown whole", self._name)
            else:
                if told is not None:
                    return told
        return model_return(output)


def _no_object(args: JsonValue) -> str:
    if isinstance(args, str):
        return "arguments: the JSON did not parse; write one JSON object"
    return f"arguments: expected an object, got {json_kind(args)}"
