"""What a core says to turns wherever they run: answers to their questions, and the wish that they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.checks import TEXT, Shape, check, check_id
from lash.runtime.errors import ApprovalError, ConfigError
from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, Approve, Deny, Edit
from lash.runtime.seams.effects import (
    ApprovalJournal,
    CancelReceipt,
    CancelRequest,
    DurabilityTier,
    EffectHost,
    ExecutionScope,
    TurnJournal,
)
from lash.sync import BoundLoop

if TYPE_CHECKING:
    from lash.sessions import LashSession


class Answering:
    """The part of `LashCore` that reaches turns of other processes through the journal that they share."""

    loop: BoundLoop
    _effects: EffectHost
    _open_sessions: set[LashSession]

    async def pending_approvals(self, session_id: str | None = None) -> list[PendingApproval]:
        """The questions of turns to people that are open, of one session or of all, oldest first.

        Those of turns that run elsewhere or are suspended are among them. Without a journal there are none: questions
        go to `approve` and nowhere else.
        """
        self.loop.bind()
        check("core.pending_approvals", {"session_id": session_id}, {"session_id": TEXT}, ConfigError)
        return await self._effects.pending_approvals(session_id) if isinstance(self._effects, ApprovalJournal) else []

    async def answer_approval(self, approval_id: str, answer: Answer, *, by: str | None = None) -> ApprovalRecord:
        """Answer a question, whichever process asks it: Approve(), Deny(reason), or Edit(args). `by` says who does.

        The first answer that is recorded counts; the same one again changes nothing. A turn that waits in a process
        goes on within half a second, a suspended one with `session.resume_turn()`.

        Raises ApprovalError, whose `record` is what has become of the question: approval_not_found,
        approval_already_answered, approval_closed where its time is up or its turn is over, approval_invalid_edit for
        arguments that the tool does not take, after which the question is still open, and approvals_not_durable where
        there is no journal.
        """
        self.loop.bind()
        given = {"approval_id": approval_id, "answer": answer, "by": by}
        # None is for values that may be left out, and an answer may not.
        check("core.answer_approval", given | {"answer": answer or ()}, _ANSWER, ConfigError)
        if not isinstance(self._effects, ApprovalJournal):
            raise ApprovalError(
                "approvals_not_durable",
                "questions are kept by a journal only: LashCore(effect_host=JournalEffectHost(path), store=...)",
            )
        return await self._effects.answer_approval(approval_id, answer, by)

    def pending_approvals_sync(self, session_id: str | None = None) -> list[PendingApproval]:
        """The same as `pending_approvals`, blocking."""
        return self.loop.run(lambda: self.pending_approvals(session_id))

    def answer_approval_sync(self, approval_id: str, answer: Answer, *, by: str | None = None) -> ApprovalRecord:
        """The same as `answer_approval`, blocking."""
        return self.loop.run(lambda: self.answer_approval(approval_id, answer, by=by))

    async def request_cancel(
        self,
        session_id: str,
        turn_id: str,
        request_id: str,
        *,
        origin: str | None = None,
        reason: str | None = None,
    ) -> CancelReceipt:
        """Ask a turn to stop, wherever it runs; the receipt says what came of it.

        With a journal the wish is recorded before it is delivered: a turn of another process stops within half a
        second, and one that nobody runs, suspended or interrupted, when `session.resume_turn()` drives it next. Its
        open questions are withdrawn at once. `request_id` makes the wish idempotent, `origin` says whose it is.
        """
        self.loop.bind()
        check_id("the id of the session", session_id)
        given = {"turn_id": turn_id, "request_id": request_id, "origin": origin, "reason": reason}
        check("core.request_cancel", given, dict.fromkeys(given, TEXT), ConfigError)
        wish = CancelRequest(request_id, origin, reason)
        recorded = CancelReceipt("not_active", DurabilityTier.INLINE)
        if isinstance(self._effects, TurnJournal):
            scope = ExecutionScope("turn", session_id=session_id, turn_id=turn_id)
            recorded = await self._effects.request_cancel(scope, wish)
        if recorded.status in ("already_requested", "completion_won"):
            return recorded
        # Turns that run here hear of it at once, also those whose effects another host carries out.
        for session in self._open_sessions:
            reached = session.cancel_turn(turn_id, wish) if session.session_id == session_id else None
            if reached is not None and recorded.status == "not_active":
                recorded = CancelReceipt(reached, DurabilityTier.INLINE)
        return recorded


_ANSWER = {
    "approval_id": TEXT,
    "answer": Shape("Approve(), Deny(reason) or Edit(args)", lambda value: isinstance(value, (Approve, Deny, Edit))),
    "by": TEXT,
}
