"""Asking a person before a tool runs (runtime.md 2.5, providers.md 12.2).

The question is part of an effect's outcome, the answer an awaited event, so a durable host keeps both and anybody may
answer. A callback, where there is one, is asked as well; the first answer that is recorded counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, Approve, Deny, Edit, Question, RecordedAnswer
from lash.runtime.sansio.values import canonical, from_json, to_json, told, whole_texts
from lash.runtime.seams.effects import (
    AwaitEventKey,
    CancelRequest,
    DurabilityTier,
    EffectController,
    Resolution,
    WaitIdentity,
)
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.stillness import Stillness
from lash.runtime.tools.validation import Schema, SchemaUnusable, problem
from lash.runtime.tools.waiting import discard

__all__ = [
    "Answer",
    "ApprovalDesk",
    "ApprovalRecord",
    "Approve",
    "ApproveCallback",
    "Deny",
    "Edit",
    "RecordedAnswer",
    "Withdrawn",
    "approval_id",
    "await_answer",
    "misfit",
    "whole",
]

_log = logging.getLogger("lash.tools")

INVALID_EDIT = "approval_invalid_edit"

ApproveCallback: TypeAlias = Callable[[PendingApproval], Awaitable[Approve | Deny | Edit]]
"""Asks somebody."""


@dataclass(slots=True)
class ApprovalDesk:
    """Where the questions of a turn tree are put, one at a time: children share their root's."""

    callback: ApproveCallback | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class Withdrawn(Exception):
    """The turn that asked is over, so the question is not asked any more."""


def approval_id(replay_key: str, round_number: int) -> str:
    """The name of a question: the same whenever the call is driven again, another for each round."""
    return "ap:" + hashlib.sha256(f"{replay_key}:{round_number}".encode()).hexdigest()[:20]


def misfit(answer: Answer, schema: Schema) -> str | None:
    """What is wrong with the arguments of an edit; None where they fit, and for the other answers."""
    if not isinstance(answer, Edit):
        return None
    try:
        canonical(answer.args)
        wrong = problem(answer.args, schema)
    except (TypeError, ValueError, RecursionError) as error:
        wrong = f"they are no JSON: {error}"
    except SchemaUnusable as error:
        wrong = f"they cannot be checked: {error}"
    return None if wrong is None else f"the arguments that were given instead do not fit: {wrong}"


def whole(answer: Answer) -> Answer:
    """The answer with a reason that is Unicode, so that it can be stored and told to a model."""
    return Deny(cast("str", whole_texts(answer.reason))) if isinstance(answer, Deny) else answer


async def await_answer(
    controller: EffectController,
    desk: ApprovalDesk,
    stillness: Stillness,
    token: CancelToken,
    question: Question,
    *,
    asked_before: bool,
    shown: Callable[[], Awaitable[None]],
) -> RecordedAnswer | None:
    """Put a question and wait for its answer; None where nobody answered in time.

    `shown` is called when the question is put. One that was `asked_before`, by an earlier run of the turn, may have its
    answer already, and is then not put again.

    Raises `Withdrawn` where the turn ends meanwhile, asyncio.CancelledError where it does before the question is put.
    """
    pending = question.approval
    key = await controller.await_event_key(WaitIdentity(controller.scope, pending.approval_id))
    if asked_before:
        found = await controller.peek_event(key)
        if found is not None:
            return _taken(found, token)
    if desk.callback is None or controller.durability is DurabilityTier.DURABLE:
        return await _wait(controller, key, desk, stillness, token, question, shown)
    async with desk.busy:
        if token.cancelled:
            raise asyncio.CancelledError
        return await _wait(controller, key, desk, stillness, token, question, shown)


async def _wait(
    controller: EffectController,
    key: AwaitEventKey,
    desk: ApprovalDesk,
    stillness: Stillness,
    token: CancelToken,
    question: Question,
    shown: Callable[[], Awaitable[None]],
) -> RecordedAnswer | None:
    """Wait for an answer, whoever gives it."""
    callback, pending = desk.callback, question.approval
    # Inline the desk is held already; the questions of a durable host are open to others while they queue here.
    queue = nullcontext() if controller.durability is DurabilityTier.INLINE else desk.busy
    await shown()
    waiting = asyncio.ensure_future(controller.await_event(key, deadline_ms=pending.expires_ms))
    stopped = asyncio.ensure_future(token.wait())

    async def put(callback: ApproveCallback) -> None:
        async with queue:
            answer = await _ask(callback, question)
        await controller.resolve_event(key, to_json(answer))

    asking = None if callback is None else asyncio.ensure_future(put(callback))
    awaited = {waiting, stopped} if asking is None else {waiting, stopped, asking}
    try:
        if asking is None:
            with stillness.waiting(pending.approval_id):
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()  # an answer that could not be recorded would be waited for in vain
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        # The turn's own end comes first: an answer that arrives together with it pays for nothing.
        withdrawn = stopped.done() or waiting.cancelled()
        resolution = Resolution("withdrawn") if withdrawn else waiting.result()
    finally:
        await discard(waiting, stopped, asking)
    await stillness.may_go_on()
    return _taken(resolution, token)


def _taken(resolution: Resolution, token: CancelToken) -> RecordedAnswer | None:
    """The answer in how a wait has ended."""
    if resolution.kind == "withdrawn":
        # Whoever withdrew the question did so because the turn is to end; one that runs elsewhere hears of it here.
        if resolution.value is not None:
            wish = from_json(CancelRequest, resolution.value)
            token.cancel(wish.reason, request_id=wish.request_id, origin=wish.origin)
        token.cancel()
        raise Withdrawn
    return None if resolution.kind == "timeout" else from_json(RecordedAnswer, resolution.value)


async def _ask(callback: ApproveCallback, question: Question) -> RecordedAnswer:
    """What the callback says; a denial where it fails, or edits what cannot be."""
    try:
        answer = cast("object", await callback(question.approval))
    except Exception as error:
        _log.exception("the approval callback failed for %s", question.approval.tool)
        reason = f"the approval callback failed: {told(error)}"
        return RecordedAnswer(Deny(reason), code="approval_callback_failed")
    if not isinstance(answer, (Approve, Deny, Edit)):
        reason = f"the approval callback gave {type(answer).__name__}, which is no answer"
        return RecordedAnswer(Deny(reason), code="approval_callback_failed")
    wrong = misfit(answer, question.schema)
    return RecordedAnswer(whole(answer)) if wrong is None else RecordedAnswer(Deny(wrong), code=INVALID_EDIT)
