"""Duties of a durable effect host that keeps questions to people (runtime.md 2.5), as cases for any of them.

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
    async def test_my_host(case, tmp_path):
        await case(lambda clock: MyEffectHost(tmp_path, clock=clock))

A case is given what opens the host under test. It is called more than once, which gives several workers on the same
journal; all tell the time by the same clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from lash.runtime.errors import ApprovalError
from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, Approve, Deny, Edit, Question, RecordedAnswer
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.seams.effects import (
    CancelRequest,
    EffectController,
    EffectEnvelope,
    EffectInvocation,
    EffectOutcome,
    ExecutionScope,
    TurnJournal,
    WaitIdentity,
)
from lash.testing.clock import FakeClock, settle


class QuestionHost(TurnJournal, Protocol):
    """What the cases need: an `EffectHost` that is a `TurnJournal` and an `ApprovalJournal`."""

    def scoped(self, scope: ExecutionScope) -> AbstractAsyncContextManager[EffectController]:
        """See `EffectHost`."""
        ...

    async def pending_approvals(self, session_id: str | None) -> list[PendingApproval]:
        """See `ApprovalJournal`."""
        ...

    async def answer_approval(self, approval_id: str, answer: Answer, by: str | None) -> ApprovalRecord:
        """See `ApprovalJournal`."""
        ...

    async def aclose(self) -> None:
        """See `EffectHost`."""
        ...


Open = Callable[[FakeClock], QuestionHost]

SCOPE = ExecutionScope("turn", session_id="s", turn_id="t")
OTHER = ExecutionScope("turn", session_id="s2", turn_id="t")
SCHEMA: dict[str, JsonValue] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def asked(name: str = "ap:1", *, scope: ExecutionScope = SCOPE, expires_ms: int | None = None) -> PendingApproval:
    """A question of a scope."""
    session, turn = scope.session_id, scope.turn_id
    return PendingApproval(name, session, None, turn, "c", "pay", {"n": 1}, "why", None, (3, 4), 1, 1000, expires_ms)


class Work:
    """An effect's work: it leads to a question, ends with `value`, or raises the first of `errors` that is left."""

    def __init__(self, question: PendingApproval | None = None, *errors: BaseException) -> None:
        self._question = question
        self._errors = list(errors)
        self.runs = 0

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        """Do it."""
        self.runs += 1
        if self._errors:
            raise self._errors.pop(0)
        return EffectOutcome("done", question=None if self._question is None else Question(self._question, SCHEMA))


def envelope(name: str, *, repeatable: bool = True) -> EffectEnvelope:
    """An effect of that name."""
    invocation = EffectInvocation("s", "t", 0, 0, "1", "tool_ask", ("c", name))
    return EffectEnvelope(invocation, {"asked": name}, repeatable)


@asynccontextmanager
async def worker(open_host: Open, clock: FakeClock) -> AsyncGenerator[QuestionHost]:
    """The host, opened and closed."""
    host = open_host(clock)
    try:
        yield host
    finally:
        await host.aclose()


async def put(host: QuestionHost, *questions: PendingApproval, scope: ExecutionScope = SCOPE) -> None:
    """Have questions put, each by an effect of its own."""
    async with host.scoped(scope) as controller:
        for one in questions:
            await controller.execute(envelope(one.approval_id), Work(one))


async def refusal(host: QuestionHost, answer: Answer, name: str = "ap:1") -> ApprovalError:
    """The error that an answer meets."""
    try:
        record = await host.answer_approval(name, answer, None)
    except ApprovalError as error:
        return error
    raise AssertionError(f"the answer was taken: {record}")


# --- the cases -----------------------------------------------------------------------------------------


async def question_comes_with_its_outcome(open_host: Open) -> None:
    """A question is open when the outcome it belongs to is recorded, not before, and for every worker."""
    clock = FakeClock()
    async with worker(open_host, clock) as host:
        async with host.scoped(SCOPE) as controller:
            work = Work(asked(), RuntimeError("died"))
            try:
                await controller.execute(envelope("ask"), work)
            except RuntimeError:
                assert await host.pending_approvals(None) == []
            await controller.execute(envelope("ask"), work)
        assert await host.pending_approvals(None) == [asked()]
    async with worker(open_host, clock) as host:
        assert await host.pending_approvals("s") == [asked()]
        assert await host.pending_approvals("s2") == []
        async with host.scoped(SCOPE) as controller:
            outcome = await controller.execute(envelope("ask"), work)
        assert (outcome.replayed, outcome.question, work.runs) == (True, Question(asked(), SCHEMA), 2)
        assert len(await host.pending_approvals(None)) == 1


async def first_answer_counts(open_host: Open) -> None:
    """The first answer counts, the same one again changes nothing, others are refused with what was recorded."""
    clock = FakeClock()
    async with worker(open_host, clock) as host, worker(open_host, clock) as other:
        await put(host, asked())
        record = await host.answer_approval("ap:1", Deny("no"), "ann")
        assert (record.state, record.answer, record.answered_by) == ("answered", Deny("no"), "ann")
        assert await other.answer_approval("ap:1", Deny("no"), "bob") == record
        error = await refusal(other, Approve())
        assert (error.code, error.record) == ("approval_already_answered", record)
        assert (await refusal(other, Approve(), "ap:none")).code == "approval_not_found"
        assert await other.pending_approvals(None) == []


async def edit_has_to_fit(open_host: Open) -> None:
    """Edited arguments that the tool does not take are refused by a worker without the tool; the question stays."""
    clock = FakeClock()
    async with worker(open_host, clock) as host, worker(open_host, clock) as other:
        await put(host, asked())
        for args in ({"n": "x"}, {}, {"n": 1, "m": 2}):
            assert (await refusal(other, Edit(dict(args)))).code == "approval_invalid_edit"
        assert await other.pending_approvals(None) == [asked()]
        await other.answer_approval("ap:1", Edit({"n": 2}), None)


async def answers_end_waits(open_host: Open) -> None:
    """Whoever waits hears of an answer of any worker; a callback's answer is one among others."""
    clock = FakeClock()
    async with worker(open_host, clock) as host, worker(open_host, clock) as other:
        await put(host, asked("ap:1"), asked("ap:2"))
        async with host.scoped(SCOPE) as controller:
            first = await controller.await_event_key(WaitIdentity(SCOPE, "ap:1"))
            second = await controller.await_event_key(WaitIdentity(SCOPE, "ap:2"))
            assert await controller.peek_event(first) is None
            waiting = asyncio.create_task(controller.await_event(first))
            await settle()
            await other.answer_approval("ap:1", Approve(), "ann")
            while not waiting.done():
                await clock.advance(0.1)
            assert (waiting.result().kind, waiting.result().value) == (
                "value",
                to_json(RecordedAnswer(Approve(), "ann")),
            )
            assert await controller.resolve_event(second, to_json(RecordedAnswer(Approve())))
            assert not await controller.resolve_event(second, to_json(RecordedAnswer(Deny())))
        assert (await refusal(other, Deny(), "ap:2")).code == "approval_already_answered"


async def time_is_up(open_host: Open) -> None:
    """A question closes at its time, whether or not somebody waits for it."""
    clock = FakeClock(now_ms=5_000)
    async with worker(open_host, clock) as host:
        await put(host, asked(expires_ms=6_000))
        await clock.advance(0.999)
        assert len(await host.pending_approvals(None)) == 1
        await clock.advance(0.001)
        assert await host.pending_approvals(None) == []
        error = await refusal(host, Approve())
        assert error.code == "approval_closed"
        assert error.record is not None
        assert error.record.state == "expired"
        async with host.scoped(SCOPE) as controller:
            key = await controller.await_event_key(WaitIdentity(SCOPE, "ap:1"))
            assert (await controller.await_event(key, deadline_ms=6_000)).kind == "timeout"


async def put_aside_while_all_is_open(open_host: Open) -> None:
    """A turn is put aside only while all that it waits for is open; it can be found with what it asks."""
    async with worker(open_host, FakeClock()) as host:
        await host.begin_turn(SCOPE, None, "given", {})
        await put(host, asked("ap:1"), asked("ap:2"))
        await host.answer_approval("ap:1", Approve(), None)
        assert await host.suspend_turn(SCOPE, ["ap:1", "ap:2"]) is None
        assert await host.suspend_turn(SCOPE, ["ap:2"]) == (asked("ap:2"),)
        found = await host.unfinished_turn("s")
        assert found is not None
        assert (found.given, found.approvals, found.cancel) == ("given", (asked("ap:2"),), None)


async def over_means_withdrawn(open_host: Open) -> None:
    """What a turn still asks is withdrawn when it is over or is to stop, and nothing of other turns is."""
    async with worker(open_host, FakeClock()) as host:
        await host.begin_turn(SCOPE, None, "given", {})
        await host.begin_turn(OTHER, None, "given", {})
        await put(host, asked())
        await put(host, asked("ap:2", scope=OTHER), scope=OTHER)
        await host.seal_turn(SCOPE)
        assert await host.pending_approvals(None) == [asked("ap:2", scope=OTHER)]
        wish = CancelRequest("r", "ann", "enough")
        assert (await host.request_cancel(OTHER, wish)).status == "accepted"
        assert (await host.request_cancel(OTHER, CancelRequest("r2"))).status == "already_requested"
        assert (await host.request_cancel(SCOPE, wish)).status == "completion_won"
        assert await host.cancel_requested(OTHER) == wish
        assert await host.pending_approvals(None) == []
        async with host.scoped(OTHER) as controller:
            key = await controller.await_event_key(WaitIdentity(OTHER, "ap:2"))
            found = await controller.await_event(key)
        assert (found.kind, found.value) == ("withdrawn", to_json(wish))


async def begun_is_not_repeated(open_host: Open) -> None:
    """Work that was begun and not recorded is run again where it may be; else it counts as interrupted, for good."""
    for scope, repeatable in ((SCOPE, True), (OTHER, False)):
        work = Work(None, asyncio.CancelledError())
        effect = envelope("run", repeatable=repeatable)
        async with worker(open_host, FakeClock()) as host, host.scoped(scope) as controller:
            try:
                await controller.execute(effect, work)
            except asyncio.CancelledError:
                assert work.runs == 1
        for number in range(2):
            async with worker(open_host, FakeClock()) as host, host.scoped(scope) as controller:
                outcome = await controller.execute(effect, work)
            assert outcome.interrupted is not repeatable
            assert outcome.replayed is (number == 1 or not repeatable)
        assert work.runs == (2 if repeatable else 1)


Case = Callable[[Open], Awaitable[None]]

CASES: Sequence[Case] = (
    question_comes_with_its_outcome,
    first_answer_counts,
    edit_has_to_fit,
    answers_end_waits,
    time_is_up,
    put_aside_while_all_is_open,
    over_means_withdrawn,
    begun_is_not_repeated,
)
"""All of them."""
