"""One tool call on its way, from the model's wish to the recorded result (providers.md 13).

`CallRun` is a call as one atomic effect; what becomes of one whose tool may need approval is in `asked_call.py`, which
is made of the same steps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.approvals import Question
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, CompletedToolCall, PendingToolCall, ToolOutput
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.effects import EffectEnvelope, EffectInvocation, EffectKind, EffectOutcome
from lash.runtime.tools.attempts import ToolRun, being_cancelled
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import show
from lash.runtime.tools.definition import ToolContract
from lash.runtime.tools.hooks import CallFrame, HookedCall
from lash.runtime.tools.provider import Path
from lash.runtime.tools.result import CANCELLED, ModelReturn, failed, model_return
from lash.runtime.tools.schedule import Turnstile
from lash.runtime.tools.surface import SurfaceEntry
from lash.runtime.tools.validation import SchemaUnusable, json_kind, problem
from lash.runtime.tools.waiting import run_bounded

if TYPE_CHECKING:
    from lash.runtime.tools.dispatch import ToolDispatcher

T = TypeVar("T")

_log = logging.getLogger("lash.tools")

EDITED_NOTE = "arguments were edited by the user"


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
class Asked:
    """The outcome of `tool_ask`: the final arguments, and a result already, a question, or neither."""

    args: JsonValue
    output: AnyToolOutput | None = None
    control: AnyToolControl | None = None
    messages: tuple[Message, ...] = ()
    approval: PendingApproval | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """The outcome of `tool_call`."""

    call: CompletedToolCall
    messages: tuple[Message, ...] = ()
    type: Literal["called"] = "called"


class Interrupted(Exception):
    """The tool was begun by a worker that died, and may have done its work."""


class _Local:
    """An effect's work as the effect host wants it."""

    def __init__(self, work: Callable[[], Awaitable[EffectOutcome]]) -> None:
        self._work = work

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        return await self._work()


class CallRun:
    """One call. `place` is its place in its batch; `starting` and `asking` keep the batch in order.

    The `gate`, where there is one, bounds how many calls do something at once: not those that wait for a person, and
    not those whose outcome is recorded.
    """

    def __init__(
        self,
        by: ToolDispatcher,
        request: ToolRequest,
        entry: SurfaceEntry | None,
        frame: CallFrame,
        starting: Turnstile,
        asking: Turnstile,
        place: int,
        gate: asyncio.Semaphore | None = None,
    ) -> None:
        self._by = by
        self._request = request
        self._call = request.call
        self._entry = entry
        self._name = request.call.tool_name if entry is None else entry.manifest.name
        self._frame = frame
        self._starting = starting
        self._asking = asking
        self._place = place
        self._gate = gate
        self._args: JsonValue = request.call.args
        self._started = False
        self._replayed = False
        self._tool: ToolRun | None = None

    # --- the whole -------------------------------------------------------------------------------

    async def run(self) -> CompletedToolCall:
        """Drive the call to its completion and show it."""
        with self._by.stillness.call():
            try:
                if self._by.token.cancelled:
                    raise asyncio.CancelledError
                completed = await self._drive()
            except asyncio.CancelledError:
                if being_cancelled():
                    raise
                output = self._tool and self._tool.stopped
                completed, self._replayed = self._completed(output or ToolOutput.Cancelled(CANCELLED), None, 0), False
            finally:
                self._starting.leave(self._place)
                self._asking.leave(self._place)
            if not self._replayed:
                await self._start()
            await self._tell()
            await self._end(completed)
        return completed

    async def _drive(self) -> CompletedToolCall:
        self._asking.leave(self._place)
        called, _ = await self._effect("tool_call", (), self._args, self._whole, Called)
        return called.call

    async def _end(self, completed: CompletedToolCall) -> None:
        parent = self._request.parent_call_id
        if self._by.observer is not None:
            self._by.observer.completed(
                self._frame,
                completed.call_id,
                completed.tool_name,
                completed.args,
                completed.output,
                completed.control,
                completed.duration_ms,
                parent,
                self._replayed,
            )
        shown = TurnEvent.ToolCallCompleted(
            completed.call_id, completed.tool_name, completed.args, completed.output, completed.duration_ms, parent
        )
        await self._show(shown)

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
        if self._by.observer is not None and not self._begun_before():
            self._by.observer.started(self._frame, call_id, self._name, self._call.args, parent)
        await self._show(TurnEvent.ToolCallStarted(call_id, self._name, self._call.args, parent))
        self._starting.leave(self._place)

    def _begun_before(self) -> bool:
        """Whether an earlier run of the turn has begun this call, so that its trace has the beginning already."""
        return False

    async def _tell(self) -> None:
        """Show what has to be seen of the call before its work begins, or before its end where that is recorded."""

    async def _show(self, event: Any) -> None:
        await show(self._by.emit, event, f"tool:{self._call.call_id}")

    # --- effects ---------------------------------------------------------------------------------

    async def _effect(
        self,
        kind: EffectKind,
        suffix: tuple[str, ...],
        args: JsonValue,
        work: Callable[[], Awaitable[T]],
        outcome_type: type[T],
        *,
        repeatable: bool = True,
        question: Callable[[T], Question | None] | None = None,
    ) -> tuple[T, EffectOutcome]:
        """Have an effect carried out, or its recorded outcome read, with what it did to state and messages.

        `question` finds what a person has to be asked in what the work gave. Raises `Interrupted` where the effect was
        begun by another worker and must not be run again.
        """
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
        made: list[T] = []

        async def local() -> EffectOutcome:
            # In the order of the calls also before the gate: a later call must not hold it while it waits for this one.
            await self._starting.wait(self._place)
            async with self._gate or nullcontext():
                mark = None if state is None else state.mark()
                await self._start()
                await self._tell()
                value = await work()
            made.append(value)
            services = self._by.execution.services
            return EffectOutcome(
                to_json(value),
                () if services is None else services.take_usage(self._call.call_id),
                {} if state is None else state.delta(mark),
                question=None if question is None else question(value),
            )

        command: dict[str, JsonValue] = {
            "kind": kind,
            "call": {"call_id": self._call.call_id, "tool": self._name, "args": args},
        }
        outcome = await self._by.controller.execute(EffectEnvelope(invocation, command, repeatable), _Local(local))
        self._replayed = outcome.replayed
        self._by.usage += outcome.usage
        self._starting.leave(self._place)
        if outcome.replayed and state is not None:
            state.apply(outcome.state_delta)
        if outcome.interrupted:
            raise Interrupted
        value = made[0] if made else from_json(outcome_type, outcome.value)
        messages = getattr(value, "messages", ())
        if self._by.hooks is not None and messages:
            self._by.hooks.enqueue(messages)
        return value, outcome

    async def _whole(self) -> Called:
        """Steps 3 to 8 of a call without approval."""
        began = self._by.clock.monotonic()
        asked = await self._prepare()
        self._args = asked.args
        called = await self._finish(began, asked.output, asked.control)
        return replace(called, messages=(*asked.messages, *called.messages))

    # --- before the tool -------------------------------------------------------------------------

    async def _prepare(self) -> Asked:
        """Resolve, hooks before, contract, validation; a settled result, or the final arguments."""
        if self._entry is None:
            return Asked(
                self._args, failed("unavailable", "tool_unavailable", f"there is no tool {self._name!r} to be called")
            )
        args = self._args
        if not isinstance(args, dict):
            return Asked(args, failed("invalid_request", "invalid_tool_args", _no_object(args)))
        messages: tuple[Message, ...] = ()
        if self._by.hooks is not None and self._by.hooks.has_before:
            hooked = HookedCall(self._frame, self._call.call_id, self._name, args)
            try:
                verdict = await self._stoppable(self._by.hooks.before_tool(hooked), "hooks before")
            except Exception as error:
                _log.exception("a hook before the tool %s raised", self._name)
                return Asked(args, failed("internal", "before_tool_call_failed", str(error), "plugin"))
            args, messages = verdict.args, verdict.messages
            if verdict.output is not None:
                return Asked(args, verdict.output, verdict.control, messages)
        contract = self._contract()
        if isinstance(contract, str):
            return Asked(args, failed("unavailable", "tool_contract_unavailable", contract), messages=messages)
        try:
            wrong = problem(args, contract.input_schema)
        except SchemaUnusable as error:
            message = f"the schema of {self._name} cannot be used: {error}"
            return Asked(args, failed("unavailable", "tool_contract_unavailable", message), messages=messages)
        settled = None if wrong is None else failed("invalid_request", "invalid_tool_args", wrong)
        return Asked(args, settled, messages=messages)

    def _contract(self) -> ToolContract | str:
        """The tool's contract, or why it cannot be had."""
        assert self._entry is not None
        try:
            found = self._entry.provider.resolve_contract(self._entry.manifest.name)
        except Exception as error:
            _log.exception("the contract of %s cannot be had", self._name)
            return f"the contract of {self._name} cannot be had: {error}"
        return f"{self._name} has no contract" if found is None else found

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

    # --- the tool and after ----------------------------------------------------------------------

    async def _finish(
        self, began: float, output: AnyToolOutput | None, control: AnyToolControl | None, edited: bool = False
    ) -> Called:
        """Steps 6 to 8: run the tool unless the call is settled, hooks after, what the model is told."""
        entry, messages = self._entry, ()
        if output is None:
            assert entry is not None
            contract = self._contract()
            if isinstance(contract, str) or not isinstance(self._args, dict):
                output = failed("unavailable", "tool_contract_unavailable", str(contract))
            else:
                projections = self._request.projections
                if edited:
                    projections = {path: one for path, one in projections.items() if _is_null(self._args, path)}
                self._tool = ToolRun(self._by.execution, self._frame, entry, contract, self._call.call_id, projections)
                output, control = await self._tool.run(self._args)
        hooks = self._by.hooks
        if hooks is not None and hooks.has_after and entry is not None and isinstance(self._args, dict):
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
        return Called(self._completed(output, control, duration_ms, told), messages)

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


def _is_null(args: JsonValue, path: Path) -> bool:
    """Whether there is a null at that place, for which a projected value stands."""
    found: Any = args
    try:
        for key in path:
            found = found[key]
    except (KeyError, IndexError, TypeError):
        return False
    return found is None
