"""A stored session as turns: what was asked, what was done, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lash.cli.book import Known, SessionBook
from lash.modes.rlm.types import RlmTrajectoryEntry, read_event
from lash.persistence import RuntimePersistence, SessionNode
from lash.runtime.errors import CheckpointNotKept, UnknownTurn
from lash.runtime.sansio.messages import SessionEvent
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
    """A program that ran, with what was said before it."""

    prose: str
    code: str
    prints: tuple[str, ...]
    error: str | None
    calls: list[Call] = field(default_factory=list[Call])


@dataclass(slots=True)
class TurnRecord:
    """One turn. `ended` is how, `answer` the value or the prose; `kept` whether a fork can begin from it."""

    turn: int
    turn_id: str
    began_ms: int
    asked: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    ended: str = "stopped"
    answer: JsonValue = None
    kept: bool = False


@dataclass(slots=True)
class Transcript:
    """A session and its turns; `asked` is its first question, `tokens` what was used in all."""

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
    calls: dict[str, Call] = {}
    named: list[tuple[Step, Sequence[str]]] = []
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
                elif message.role == "assistant":
                    turn.ended, turn.answer = "assistant_message", message.text()
            case SessionEvent.Tool(record=record):
                calls[record.call_id] = _call(record)
            case event:
                entry = read_event(event)
                if isinstance(entry, RlmTrajectoryEntry):
                    step = Step(entry.prose, entry.code, entry.output, entry.error)
                    named.append((step, entry.tool_call_ids))
                    turn.steps.append(step)
                    if entry.final_output is not None:
                        turn.ended, turn.answer = "submitted_value", entry.final_output.get("value")
    for step, ids in named:
        step.calls = [calls[number] for number in ids if number in calls]


def _call(record: ToolCallRecord) -> Call:
    match record.output:
        case ToolOutput.Success(value=value):
            return Call(record.tool, record.args, value, True, record.duration_ms)
        case ToolOutput.Failure(failure=failure):
            return Call(record.tool, record.args, failure.message, False, record.duration_ms)
        case ToolOutput.Cancelled(message=message):
            return Call(record.tool, record.args, message, False, record.duration_ms)
