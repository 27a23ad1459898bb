"""Asking a person before a tool runs (runtime.md 2.5, providers.md 12.2).

The question is part of an effect's outcome, the answer an awaited event, so a durable host keeps both and anybody may
answer. A callback, where there is one, is asked as well; the first answer that is recorded counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias, cast

from pydantic import Field

from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.effects import EffectController, Resolution, WaitIdentity
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import Emit, show
from lash.runtime.tools.waiting import discard

_log = logging.getLogger("lash.tools")


@dataclass(frozen=True, slots=True)
class Approve:
    """The tool may run as asked."""

    type: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True)
class Deny:
    """The tool must not run; the reason reaches the model."""

    reason: str = ""
    type: Literal["deny"] = "deny"


@dataclass(frozen=True, slots=True)
class Edit:
    """The tool may run with these arguments instead."""

    args: dict[str, JsonValue]
    type: Literal["edit"] = "edit"


Answer: TypeAlias = Annotated[Approve | Deny | Edit, Field(discriminator="type")]

ApproveCallback: TypeAlias = Callable[[PendingApproval], Awaitable[Approve | Deny | Edit]]
"""Asks somebody."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as the effect host keeps it; `code` is set where it is a denial that nobody spoke."""

    answer: Answer
    by: str | None = None
    code: str | None = None


@dataclass(slots=True)
class ApprovalDesk:
    """Where the questions of a turn tree are put, one at a time: children share their root's."""

    callback: ApproveCallback | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


def approval_id(replay_key: str, round_number: int) -> str:
    """The name of a question: the same whenever the call is driven again, another for each round."""
    return "ap:" + hashlib.sha256(f"{replay_key}:{round_number}".encode()).hexdigest()[:20]


async def await_answer(
    controller: EffectController, desk: ApprovalDesk, emit: Emit, token: CancelToken, pending: PendingApproval
) -> RecordedAnswer | None:
    """Put a question and wait for its answer; None where nobody answered in time.

    Raises asyncio.CancelledError where the token is set meanwhile, or the host withdrew the question.
    """
    if desk.callback is None:
        return await _wait(controller, None, emit, token, pending)
    async with desk.busy:
        if token.cancelled:
            raise asyncio.CancelledError
        return await _wait(controller, desk.callback, emit, token, pending)


async def _wait(
    controller: EffectController,
    callback: ApproveCallback | None,
    emit: Emit,
    token: CancelToken,
    pending: PendingApproval,
) -> RecordedAnswer | None:
    row = f"tool:{pending.call_id}"
    key = await controller.await_event_key(WaitIdentity(controller.scope, pending.approval_id))
    await show(emit, TurnEvent.ApprovalRequested(pending), row)

    async def put() -> None:
        if callback is not None:
            await controller.resolve_event(key, to_json(await _ask(callback, pending)))

    waiting = asyncio.ensure_future(controller.await_event(key, deadline_ms=pending.expires_ms))
    stopped = asyncio.ensure_future(token.wait())
    asking = asyncio.ensure_future(put())
    try:
        await asyncio.wait({waiting, stopped, asking}, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            asking.result()  # an answer that could not be recorded would be waited for in vain
            await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        # The turn's own end comes first: an answer that arrives together with it pays for nothing.
        withdrawn = stopped.done() or waiting.cancelled()
        resolution = Resolution("withdrawn") if withdrawn else waiting.result()
    finally:
        await discard(waiting, stopped, asking)
    if resolution.kind == "withdrawn":
        await show(emit, TurnEvent.ApprovalAnswered(pending.approval_id, pending.call_id, "withdrawn"), row)
        raise asyncio.CancelledError
    answer = None if resolution.kind == "timeout" else from_json(RecordedAnswer, resolution.value)
    await show(emit, _answered(pending, answer), row)
    return answer


def _answered(pending: PendingApproval, recorded: RecordedAnswer | None) -> TurnEvent.ApprovalAnswered:
    if recorded is None:
        return TurnEvent.ApprovalAnswered(pending.approval_id, pending.call_id, "timeout")
    answer = recorded.answer
    return TurnEvent.ApprovalAnswered(
        pending.approval_id,
        pending.call_id,
        answer.type,
        reason=answer.reason if isinstance(answer, Deny) else None,
        args=answer.args if isinstance(answer, Edit) else None,
        answered_by=recorded.by,
    )


async def _ask(callback: ApproveCallback, pending: PendingApproval) -> RecordedAnswer:
    """What the callback says; a denial where it fails."""
    try:
        answer = cast("object", await callback(pending))
    except Exception as error:
        _log.exception("the approval callback failed for %s", pending.tool)
        reason = f"the approval callback failed: {type(error).__name__}: {error}"
        return RecordedAnswer(Deny(reason), code="approval_callback_failed")
    if not isinstance(answer, (Approve, Deny, Edit)):
        reason = f"the approval callback gave {type(answer).__name__}, which is no answer"
        return RecordedAnswer(Deny(reason), code="approval_callback_failed")
    return RecordedAnswer(answer)
