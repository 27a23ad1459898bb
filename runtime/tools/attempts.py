"""Running one tool: attempts with retries, under one deadline, and what comes of each way to end (providers.md 13)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, RetryAdvice, ToolOutput
from lash.runtime.sansio.values import JsonValue, from_json, to_json, told, whole_texts
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import (
    Emit,
    ToolContext,
    ToolProgress,
    ToolServices,
    ToolSurfaceAccess,
    TurnContext,
    close_context,
    close_progress,
    open_context,
    open_progress,
)
from lash.runtime.tools.definition import ToolContract, Unset
from lash.runtime.tools.hooks import CallFrame, ToolObserver
from lash.runtime.tools.provider import Path, ToolCall
from lash.runtime.tools.result import CANCELLED, ResultInvalid, ToolError, ToolResult, failed, json_bytes, output_of
from lash.runtime.tools.surface import SurfaceEntry
from lash.runtime.tools.threads import ToolThreads, ToolThreadsExhausted
from lash.runtime.tools.validation import SchemaUnusable, problem
from lash.runtime.tools.waiting import discard, run_bounded

_log = logging.getLogger("lash.tools")

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """The bounds of calls, as `RuntimeConfig` gives them; None switches a time limit off.

    `cancel_ms` after a request to stop the task is cancelled, `cancel_grace_s` after it abandoned.
    `approval_timeout_s` "default" is one hour, and seven days where the effect host is durable.
    """

    tool_timeout_s: float | None = 600.0
    max_result_bytes: int = 16 * MIB
    cancel_ms: int = 500
    cancel_grace_s: float = 5.0
    hook_timeout_s: float | None = 30.0
    approval_timeout_s: float | None | str = "default"
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """What an attempt to run a tool needs besides its arguments; one for all calls of a turn."""

    clock: Clock
    limits: ToolLimits
    threads: ToolThreads
    services: ToolServices | None
    access: ToolSurfaceAccess
    emit: Emit
    turn_token: CancelToken
    observer: ToolObserver | None = None


class ToolRun:
    """One call of one tool, its attempts included. `stopped` is what a tool that was stopped said of it in time."""

    def __init__(
        self,
        execution: Execution,
        frame: CallFrame,
        entry: SurfaceEntry,
        contract: ToolContract,
        call_id: str,
        projections: Mapping[Path, Any],
    ) -> None:
        self._on = execution
        self._frame = frame
        self._entry = entry
        self._contract = contract
        self._call_id = call_id
        self._projections = projections
        self._token = CancelToken()
        self.stopped: ToolOutput.Cancelled | None = None

    async def run(self, args: dict[str, JsonValue]) -> tuple[AnyToolOutput, AnyToolControl | None]:
        """Run the tool to its end. Raises asyncio.CancelledError where the turn is cancelled."""
        turn = self._on.turn_token
        if turn.cancelled:
            raise asyncio.CancelledError
        limits, name = self._on.limits, self._entry.manifest.name
        deadline_s = self._deadline_s()
        progress = ToolProgress(self._call_id)
        open_progress(progress, self._on.emit)
        forget = turn.on_cancel(lambda: self._token.cancel(turn.reason))
        try:
            ended = await run_bounded(
                self._on.clock,
                self._attempts(args, progress),
                token=self._token,
                deadline_s=deadline_s,
                cancel_s=limits.cancel_ms / 1000,
                grace_s=limits.cancel_grace_s,
                give_up=lambda: self._on.threads.abandon(self._token),
                name=f"tool {name} {self._call_id}",
            )
        finally:
            forget()
            close_progress(progress)
        if ended.how == "cancelled":
            self.stopped = _said_when_stopped(ended.task)
            raise asyncio.CancelledError
        if ended.how == "timeout":
            return self._timed_out(deadline_s or 0.0, ended.abandoned), None
        return ended.task.result()

    def _deadline_s(self) -> float | None:
        own = self._entry.manifest.timeout_ms
        if isinstance(own, Unset):
            return self._on.limits.tool_timeout_s
        return None if own is None else own / 1000

    def _timed_out(self, deadline_s: float, abandoned: bool) -> ToolOutput.Failure:
        message = f"{self._entry.manifest.name} did not end within {deadline_s:g} s"
        if abandoned:
            number = self._on.threads.abandoned_total
            message += (
                f"; its thread could not be stopped and was abandoned ({number} so far), it may still act"
                if number
                else "; it could not be stopped and was abandoned, it may still act"
            )
        return failed("timeout", "tool_timeout", message)

    async def _attempts(
        self, args: dict[str, JsonValue], progress: ToolProgress
    ) -> tuple[AnyToolOutput, AnyToolControl | None]:
        policy = self._entry.manifest.retry_policy
        most = 1 if policy.kind == "never" or (policy.kind == "idempotent" and not self._call_id) else policy.attempts
        attempt = 1
        while True:
            output, control = await self._attempt(args, progress, attempt, most)
            if not isinstance(output, ToolOutput.Success):
                # Texts of errors name files and devices, whose names may be no Unicode.
                output = from_json(type(output), whole_texts(to_json(output)))
            if not isinstance(output, ToolOutput.Failure) or output.failure.retry.kind != "safe" or most == 1:
                return output, control
            if attempt == most or self._token.cancelled:
                spent = replace(output.failure, retry=RetryAdvice("exhausted", attempts=attempt))
                return ToolOutput.Failure(spent), control
            await self._sleep(policy.delay_ms(attempt, output.failure.retry.after_ms) / 1000)
            attempt += 1

    async def _sleep(self, seconds: float) -> None:
        """Wait before the next attempt; asyncio.CancelledError at once where the call is to stop."""
        asked = asyncio.ensure_future(self._token.wait())
        timer = asyncio.ensure_future(self._on.clock.sleep(seconds))
        try:
            await asyncio.wait({asked, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await discard(asked, timer)
        if self._token.cancelled:
            raise asyncio.CancelledError

    async def _attempt(
        self, args: dict[str, JsonValue], progress: ToolProgress, attempt: int, most: int
    ) -> tuple[AnyToolOutput, AnyToolControl | None]:
        name = self._entry.manifest.name
        context = self.context(attempt, most)
        try:
            result = await self._entry.provider.execute(
                ToolCall(name, dict(args), context, progress, self._projections)
            )
            # A provider may be anybody's: what it gives back is not taken on trust.
            if not isinstance(result, ToolResult):  # pyright: ignore[reportUnnecessaryIsInstance]
                return failed("internal", "invalid_tool_result", f"{name} gave no ToolResult", "tool"), None
            return self._checked(name, result)
        except asyncio.CancelledError:
            if self._token.cancelled or being_cancelled():
                raise
            return ToolOutput.Cancelled(CANCELLED), None
        except ToolError as error:
            return ToolOutput.Failure(error.failure), None
        except ToolThreadsExhausted as error:
            return failed("unavailable", error.code, error.message), None
        except ResultInvalid as error:
            return failed("internal", error.code, f"{name} gave what is no JSON: {error.message}", "tool"), None
        except (Exception, SystemExit) as error:  # a tool that calls `sys.exit` ends its call, not the process
            _log.exception("the tool %s raised", name)
            if self._on.observer is not None:
                self._on.observer.raised(self._call_id, name, error)
            return failed("internal", "tool_exception", told(error), "tool"), None
        finally:
            close_context(context)

    def context(self, attempt: int = 1, most: int = 1) -> ToolContext:
        """An open context of this call; the caller closes it."""
        frame = self._frame
        context = ToolContext(
            session_id=frame.session_id,
            turn_id=frame.turn_id,
            turn_context=TurnContext(frame.turn_index, frame.mode_iteration, frame.execution_mode),
            tool_call_id=self._call_id,
            tool_name=self._entry.manifest.name,
            attempt_number=attempt,
            max_attempts=most,
            cancel_token=self._token,
        )
        open_context(context, self._on.services, self._on.access, self._on.threads)
        return context

    def _checked(self, name: str, result: ToolResult) -> tuple[AnyToolOutput, AnyToolControl | None]:
        """A result in the runtime's form, within the size limit and, where that is asked for, its schema."""
        output = output_of(result)
        if not isinstance(output, ToolOutput.Success):
            return output, None
        size, limit = json_bytes(output.value), self._on.limits.max_result_bytes
        if size > limit:
            message = (
                f"{name} returned {_size(size)} of JSON, the limit is {_size(limit)}: "
                "return less, a page, or an attachment"
            )
            return failed("resource_limit", "tool_result_too_large", message), None
        schema = self._contract.output_schema
        if self._contract.validate_output and schema is not None:
            try:
                wrong = problem(output.value, schema, "result")
            except SchemaUnusable as error:
                wrong = str(error)
            if wrong is not None:
                return failed("internal", "invalid_tool_output", f"{name}: {wrong}", "tool"), None
        return output, result.control


def _said_when_stopped(task: asyncio.Task[tuple[AnyToolOutput, AnyToolControl | None]]) -> ToolOutput.Cancelled | None:
    """A tool's own result that says it was cancelled; a result of any other kind has come too late to count."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    output = task.result()[0]
    return output if isinstance(output, ToolOutput.Cancelled) else None


def being_cancelled() -> bool:
    """Whether somebody cancels the task that runs this."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _size(count: int) -> str:
    if count >= MIB:
        return f"{count / MIB:.1f}".removesuffix(".0") + " MiB"
    return f"{count / 1024:.1f}".removesuffix(".0") + " KiB" if count >= 1024 else f"{count} bytes"
