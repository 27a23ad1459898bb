"""A stored session as turns: what was asked, what was done, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lash import PendingApproval
from lash.cli.book import Known, SessionBook
from lash.modes.rlm.types import RlmTrajectoryEntry, read_event
from lash.persistence import RuntimePersistence, SessionNode
from lash.runtime.errors import CheckpointNotKept, UnknownTurn
from lash.runtime.sansio.messages import Message, SessionEvent
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.usage import TokenUsage

NO_TOKENS = TokenUsage()


@dataclass(slots=True)
class Call:
    """A tool call; `result` is what came of it, or why nothing did."""

    tool: str
    args: JsonValue
    result: JsonValue
    worked: bool
    duration_ms: int


@dataclass(slots=True)
class Step:
    """A program that ran, with what was said before it; in standard mode calls of a reply, and `code` is None."""

    prose: str
    code: str | None
    prints: tuple[str, ...]
    error: str | None
    calls: list[Call] = field(default_factory=list[Call])


@dataclass(slots=True)
class TurnRecord:
    """One turn. `ended` is how, `why` what stopped it, `answer` the value or the prose; `kept` whether a fork can begin
    from it.
    """

    turn: int
    turn_id: str
    began_ms: int
    asked: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    ended: str = "stopped"
    why: str | None = None
    answer: JsonValue = None
    kept: bool = False


@dataclass(slots=True)
class Transcript:
    """A session and its turns.

    `asked` is its first question, `tokens` what was used in all, `waits_for` what an unfinished turn asks a person.
    """

    id: str
    name: str
    state: str
    created_ms: int
    cwd: str | None
    model: str | None
    variant: str | None
    mode: str | None
    forked_from: JsonValue
    asked: str | None
    tokens: TokenUsage
    turns: list[TurnRecord]
    waits_for: list[PendingApproval] = field(default_factory=list[PendingApproval])

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


async def read_transcript(book: SessionBook, known: Known) -> Transcript:
    """Read a session, with those that it was handed on to. Raises what stores raise."""
    state = await book.state(known)
    turns: dict[str, TurnRecord] = {}
    tokens, head = NO_TOKENS, None
    async for store, read in book.links(known):
        _add_turns(turns, read.nodes, handed_on=head is not None)
        for turn in turns.values():
            await _add_checkpoint(store, turn)
        tokens = sum((entry.usage for entry in read.usage), tokens)
        head = read
    for turn_id, why in known.stops.items():
        if turn_id in turns:
            turns[turn_id].why = why
    unfinished = await book.unfinished(head.session_id if head is not None else known.id)
    return Transcript(
        id=known.id,
        name=known.name,
        state=state,
        created_ms=known.meta.created_ms,
        cwd=known.meta.cwd,
        model=head.config.model if head is not None else known.meta.model,
        variant=head.config.model_variant if head is not None else None,
        mode=head.config.mode if head is not None else None,
        forked_from=known.forked_from,
        asked=known.meta.first_user_message,
        tokens=tokens,
        turns=list(turns.values()),
        waits_for=list(unfinished.approvals) if unfinished is not None else [],
    )


async def _add_checkpoint(store: RuntimePersistence, turn: TurnRecord) -> None:
    """Add to a turn what its checkpoint says, if this store has one."""
    try:
        checkpoint = await store.load_checkpoint(turn.turn_id)
    except (CheckpointNotKept, UnknownTurn):
        return
    turn.kept = True
    ended = checkpoint.turn_state.get("ended")
    if isinstance(ended, str):
        turn.ended = ended


def _add_turns(turns: dict[str, TurnRecord], nodes: Sequence[SessionNode], *, handed_on: bool) -> None:
    """Add what the nodes of a path say to the turns that they belong to; a turn may have begun in another session."""
    begun = set(turns) if handed_on else set[str]()
    calls: dict[tuple[str, str], Call] = {}
    named: list[tuple[str, Step, Sequence[str]]] = []
    replies: list[tuple[str, Step, Sequence[str]]] = []
    for node in nodes:
        # Ids of nodes are n:TURN:NUMBER (runtime.md 3.1); what a handoff begins with belongs to no turn.
        turn_id = node.node_id.partition(":")[2].rpartition(":")[0]
        if turn_id.startswith("handoff:"):
            continue
        turn = turns.setdefault(turn_id, TurnRecord(len(turns) + 1, turn_id, node.timestamp_ms))
        match node.payload:
            case SessionEvent.Conversation(message=message) if message.origin is None:
                if message.role == "user" and turn_id not in begun:
                    turn.asked = f"{turn.asked}\n{message.text()}".strip()
                elif message.role == "assistant" and (ids := _asked_for(message)):
                    step = Step(message.text(), None, (), None)
                    replies.append((turn_id, step, ids))
                    turn.steps.append(step)
                elif message.role == "assistant":
                    turn.ended, turn.answer = "assistant_message", message.text()
            case SessionEvent.Tool(record=record):
                call = calls[turn_id, record.call_id] = _call(record)
                step = _reply_with(replies, turn_id, record.call_id)
                if step is not None:
                    step.calls.append(call)
            case event:
                entry = read_event(event)
                if isinstance(entry, RlmTrajectoryEntry):
                    step = Step(entry.prose, entry.code, entry.output, entry.error)
                    named.append((turn_id, step, entry.tool_call_ids))
                    turn.steps.append(step)
                    if entry.final_output is not None:
                        turn.ended, turn.answer = "submitted_value", entry.final_output.get("value")
    for turn_id, step, ids in named:
        step.calls = [calls[turn_id, number] for number in ids if (turn_id, number) in calls]


def _reply_with(replies: Sequence[tuple[str, Step, Sequence[str]]], turn_id: str, call_id: str) -> Step | None:
    """The reply in standard mode that asked for a call; the last of its turn, as not every server makes ids unlike.

    What a batch has called is called like it, with a number behind a colon.
    """
    asked = call_id.rpartition(":")[0] or call_id
    for of_turn, step, ids in reversed(replies):
        if of_turn == turn_id and (call_id in ids or asked in ids):
            return step
    return None


def _asked_for(message: Message) -> list[str]:
    """The ids of the native calls in a reply."""
    return [part.tool_call_id for part in message.parts if part.kind == "tool_call" and part.tool_call_id is not None]


def _call(record: ToolCallRecord) -> Call:
    match record.output:
        case ToolOutput.Success(value=value):
            return Call(record.tool, record.args, value, True, record.duration_ms)
        case ToolOutput.Failure(failure=failure):
            return Call(record.tool, record.args, failure.message, False, record.duration_ms)
        case ToolOutput.Cancelled(message=message):
            return Call(record.tool, record.args, message, False, record.duration_ms)
