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
from lash.runtime.sansio.tools import ToolOutput
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
    """Read a session. Raises what stores raise."""
    state = await book.state(known)
    store = await book.store(known)
    try:
        read = await store.load_session("active_path")
        turns = _turns(read.nodes) if read is not None else []
        for turn in turns:
            await _add_checkpoint(store, turn)
    finally:
        await store.aclose()
    return Transcript(
        id=known.id,
        name=known.name,
        state=state,
        created_ms=known.meta.created_ms,
        cwd=known.meta.cwd,
        model=read.config.model if read is not None else known.meta.model,
        variant=read.config.model_variant if read is not None else None,
        mode=read.config.mode if read is not None else None,
        forked_from=known.forked_from,
        asked=known.meta.first_user_message,
        tokens=sum((entry.usage for entry in read.usage), NO_TOKENS) if read is not None else NO_TOKENS,
        turns=turns,
    )


async def _add_checkpoint(store: RuntimePersistence, turn: TurnRecord) -> None:
    """Add to a turn what its checkpoint says, if that is kept."""
    try:
        checkpoint = await store.load_checkpoint(turn.turn)
    except (CheckpointNotKept, UnknownTurn):
        return
    turn.kept = True
    ended = checkpoint.turn_state.get("ended")
    if isinstance(ended, str):
        turn.ended = ended


def _turns(nodes: Sequence[SessionNode]) -> list[TurnRecord]:
    """The turns that the nodes of a path belong to, in order."""
    turns: dict[str, TurnRecord] = {}
    calls: dict[str, Call] = {}
    named: list[tuple[Step, Sequence[str]]] = []
    for node in nodes:
        # Ids of nodes are n:TURN:NUMBER (runtime.md 3.1).
        turn_id = node.node_id.partition(":")[2].rpartition(":")[0]
        turn = turns.setdefault(turn_id, TurnRecord(len(turns) + 1, turn_id, node.timestamp_ms))
        match node.payload:
            case SessionEvent.Conversation(message=message) if message.origin is None:
                if message.role == "user":
                    turn.asked = f"{turn.asked}\n{message.text()}".strip()
                elif message.role == "assistant":
                    turn.ended, turn.answer = "assistant_message", message.text()
            case SessionEvent.Tool(record=record):
                output = record.output
                match output:
                    case ToolOutput.Success(value=value):
                        result: JsonValue = value
                    case ToolOutput.Failure(failure=failure):
                        result = failure.message
                    case ToolOutput.Cancelled(message=message):
                        result = message
                worked = isinstance(output, ToolOutput.Success)
                calls[record.call_id] = Call(record.tool, record.args, result, worked, record.duration_ms)
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
    return list(turns.values())
