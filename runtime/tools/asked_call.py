"""A tool call that a person may have to allow: up to three atomic effects (runtime.md 2.5, providers.md 12.2).

    tool_ask    hooks, validation, the check       -> settled | free | ask, with the final arguments
    (event)     the answer                         -> where there is a question
    tool_call   the attempts, hooks, projection    -> the completed call

One answer pays for one run. Where a worker died in the middle of it, and the tool is not one that can be repeated, the
last two are done again as another round, with a new question.

What is shown of question and answer depends on how far an earlier run of the turn has come, which is known only when
the next effect is there. Until then it is kept in `_untold`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.approvals import Deny, Edit, Question, RecordedAnswer
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, CompletedToolCall
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import DurabilityTier, EffectInvocation
from lash.runtime.tools.approvals import INVALID_EDIT, Withdrawn, approval_id, await_answer, misfit
from lash.runtime.tools.attempts import ToolRun
from lash.runtime.tools.call_run import Asked, Called, CallRun, Interrupted
from lash.runtime.tools.context import close_context
from lash.runtime.tools.definition import OPEN_OBJECT, ToolContract
from lash.runtime.tools.result import failed

_log = logging.getLogger("lash.tools")

HOUR_S = 3600.0
WEEK_S = 7 * 24 * HOUR_S

MAY_HAVE_HAPPENED = "the process ended while this call ran, so it may already have happened; run it again?"


class AskedCallRun(CallRun):
    """One call of a tool that may need approval."""

    _untold: tuple[TurnEvent.ApprovalRequested | TurnEvent.ApprovalAnswered, ...] = ()
    _asked_before = False
    _run_before = False

    async def _drive(self) -> CompletedToolCall:
        """Ask where that is needed, and run; again where a run was interrupted and may have happened."""
        asked, edited = await self._ask_effect(1, self._ask), False
        while True:
            self._args = asked.args
            output = asked.output
            if output is None and asked.approval is not None:
                output, edited_now = self._answered(asked.approval, await self._answer(asked.approval))
                # Who is asked again is shown the arguments of an earlier edit, and may leave them so.
                edited = edited or edited_now
            self._asking.leave(self._place)
            round_number = 1 if asked.approval is None else asked.approval.round
            try:
                return (await self._call_effect(round_number, output, asked.control, edited)).call
            except Interrupted:
                self._run_before = True
                asked = await self._ask_effect(round_number + 1, self._ask_again(round_number + 1))

    # --- effects ---------------------------------------------------------------------------------

    async def _ask_effect(self, round_number: int, work: Callable[[], Awaitable[Asked]]) -> Asked:
        suffix = ("ask",) if round_number == 1 else ("ask", str(round_number))
        asked, outcome = await self._effect("tool_ask", suffix, self._args, work, Asked, question=self._question)
        self._asked_before, self._run_before = outcome.replayed, False
        return asked

    async def _call_effect(
        self, round_number: int, output: AnyToolOutput | None, control: AnyToolControl | None, edited: bool
    ) -> Called:
        assert self._entry is not None
        manifest = self._entry.manifest
        repeatable = output is not None or manifest.mutates is False or manifest.retry_policy.kind == "idempotent"

        async def work() -> Called:
            return await self._finish(self._by.clock.monotonic(), output, control, edited)

        suffix = () if round_number == 1 else (str(round_number),)
        called, _ = await self._effect("tool_call", suffix, self._args, work, Called, repeatable=repeatable)
        return called

    def _begun_before(self) -> bool:
        return self._asked_before

    async def _tell(self) -> None:
        untold, self._untold = self._untold, ()
        for event in untold:
            told_before = self._asked_before if isinstance(event, TurnEvent.ApprovalRequested) else self._run_before
            if told_before:
                self._by.repeats(event)
            await self._show(event)

    # --- the question ----------------------------------------------------------------------------

    async def _ask(self) -> Asked:
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
        return replace(asked, approval=self._approval(asked.args, None if reason is True else reason, 1))

    def _ask_again(self, round_number: int) -> Callable[[], Awaitable[Asked]]:
        async def work() -> Asked:
            return Asked(self._args, approval=self._approval(self._args, MAY_HAVE_HAPPENED, round_number))

        return work

    async def _needs_approval(self, args: JsonValue) -> bool | str:
        """Whether to ask, and the reason to show; raises what the check raises, and TimeoutError."""
        assert self._entry is not None
        check = self._entry.manifest.needs_approval
        if isinstance(check, bool):
            return check
        run = ToolRun(self._by.execution, self._frame, self._entry, ToolContract(), self._call.call_id, {})
        context = run.context()

        async def ask() -> bool | str:
            said = check(dict(args) if isinstance(args, dict) else {}, context)
            return await said if inspect.isawaitable(said) else said

        try:
            limit = self._by.limits.hook_timeout_s
            said = await self._stoppable(ask(), "approval check", context.cancel_token, limit)
        finally:
            close_context(context)
        return said if isinstance(said, str) and said.strip() else bool(said)

    def _approval(self, args: JsonValue, reason: str | None, round_number: int) -> PendingApproval:
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

    def _question(self, asked: Asked) -> Question | None:
        """The question with the schema that edited arguments have to fit."""
        if asked.approval is None:
            return None
        contract = self._contract()
        schema = OPEN_OBJECT if isinstance(contract, str) else contract.input_schema
        return Question(asked.approval, dict(schema))

    def _approval_timeout_s(self) -> float | None:
        limit = self._by.limits.approval_timeout_s
        if not isinstance(limit, str):
            return limit
        return WEEK_S if self._by.controller.durability is DurabilityTier.DURABLE else HOUR_S

    # --- the answer ------------------------------------------------------------------------------

    async def _answer(self, approval: PendingApproval) -> RecordedAnswer | None:
        """The answer to a question, None where nobody gave one in time; shown once it is clear what was shown before.

        Inline, questions are put in the order of the calls; a durable host has them all open at once.
        """
        by, question = self._by, self._question(Asked({}, approval=approval))
        assert question is not None
        if by.controller.durability is DurabilityTier.INLINE:
            await self._asking.wait(self._place)
        self._untold = (TurnEvent.ApprovalRequested(approval),)

        async def shown() -> None:
            self._replayed = False
            await self._start()
            await self._tell()

        waiting = asyncio.ensure_future(
            await_answer(
                by.controller,
                by.desk,
                by.stillness,
                by.token,
                question,
                asked_before=self._asked_before,
                shown=shown,
            )
        )
        # The question has its place in the queue once its task has run up to the desk's lock.
        await asyncio.sleep(0)
        self._asking.leave(self._place)
        try:
            recorded = await waiting
        except Withdrawn:
            self._untold += (TurnEvent.ApprovalAnswered(approval.approval_id, approval.call_id, "withdrawn"),)
            raise asyncio.CancelledError from None
        except asyncio.CancelledError:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            self._untold = ()
            raise
        self._untold += (_answer_event(approval, recorded),)
        return recorded

    def _answered(
        self, approval: PendingApproval, recorded: RecordedAnswer | None
    ) -> tuple[AnyToolOutput | None, bool]:
        """What an answer makes of the call: a denial, or None where the tool runs; whether arguments were edited."""
        if recorded is None:
            given_ms = (approval.expires_ms or approval.requested_ms) - approval.requested_ms
            message = f"nobody answered within {given_ms / 1000:g} s"
            return failed("permission_denied", "approval_timeout", message, "policy"), False
        match recorded.answer:
            case Deny(reason=reason):
                message = f"denied by the user: {reason}" if reason.strip() else "denied by the user"
                if recorded.code is not None:
                    message = reason
                return failed("permission_denied", recorded.code or "approval_denied", message, "policy"), False
            case Edit(args=args) as edit:
                self._args = dict(args)
                contract = self._contract()
                # The tool may be another one than it was when the answer was recorded.
                wrong = contract if isinstance(contract, str) else misfit(edit, contract.input_schema)
                if wrong is not None:
                    return failed("permission_denied", INVALID_EDIT, wrong, "policy"), True
                return None, True
            case _:
                return None, False


def _answer_event(approval: PendingApproval, recorded: RecordedAnswer | None) -> TurnEvent.ApprovalAnswered:
    """What is shown of an answer."""
    if recorded is None:
        return TurnEvent.ApprovalAnswered(approval.approval_id, approval.call_id, "timeout")
    answer = recorded.answer
    return TurnEvent.ApprovalAnswered(
        approval.approval_id,
        approval.call_id,
        answer.type,
        reason=answer.reason if isinstance(answer, Deny) else None,
        args=answer.args if isinstance(answer, Edit) else None,
        answered_by=recorded.by,
    )
