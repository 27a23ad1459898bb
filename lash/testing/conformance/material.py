"""What cases write and how they compare it: sessions made of turns, each with text, state and usage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lash.runtime.errors import HeadRevisionConflict, LashError
from lash.runtime.sansio.messages import Message, Part, SessionEvent
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.seams.persistence import (
    AttachmentIntent,
    GraphDelta,
    HydratedCheckpoint,
    LeaseClaim,
    LeaseOwner,
    PendingInput,
    PersistedSessionConfig,
    PersistedSessionRead,
    RuntimeCommit,
    RuntimeCommitResult,
    RuntimePersistence,
    SessionMeta,
    SessionNode,
    TurnCommitStamp,
)
from lash.testing.conformance.world import SESSION

E = TypeVar("E", bound=LashError)

CONFIG = PersistedSessionConfig("rlm", "scripted", "model-1", None, 200_000, 12, True, {"temperature": 0.5})
NOW = 1_700_000_000_000
STATE_BYTES = 6_000
"""The size of a VM state, enough to be compressed."""


def state_of(label: str) -> bytes:
    """A VM state that differs for every label, and is partly compressible."""
    return (f"state {label} ".encode() * (STATE_BYTES // 8))[:STATE_BYTES]


def nodes_of(label: str, parent: str | None, count: int = 2) -> tuple[SessionNode, ...]:
    """Nodes that hang on each other: messages, every third one a tool call."""
    nodes: list[SessionNode] = []
    for ordinal in range(count):
        node_id = f"n:{label}:{ordinal}"
        if ordinal % 3 == 2:
            record = ToolCallRecord(f"c{ordinal}", "find", {"text": label, "n": 2**70}, ToolOutput.Success([label]))
            payload: Any = SessionEvent.Tool(f"{label}:{ordinal}", record)
        else:
            part = Part(f"m:{label}:{ordinal}.p0", "text", f"text {ordinal} of {label}: äöü \U0001f600")
            payload = SessionEvent.Conversation(Message(f"m:{label}:{ordinal}", "user", (part,)))
        nodes.append(SessionNode(node_id, parent, NOW + ordinal, payload))
        parent = node_id
    return tuple(nodes)


def turn_commit(
    turn_id: str,
    turn_index: int,
    expected: int | None,
    parent: str | None,
    *,
    session_id: str = SESSION,
    state: bytes | None = None,
    **changes: Any,
) -> RuntimeCommit:
    """The commit of a turn that adds two nodes behind `parent`; `changes` are fields of RuntimeCommit."""
    nodes = nodes_of(turn_id, parent)
    commit = RuntimeCommit(
        session_id=session_id,
        expected_head_revision=expected,
        config=CONFIG,
        graph=GraphDelta.Append(nodes, nodes[-1].node_id),
        checkpoint=HydratedCheckpoint(
            {"turn": turn_id, "index": turn_index},
            tool_state=b"tools",
            execution_state=state_of(turn_id) if state is None else state,
        ),
        op_id=turn_id,
        turn_index=turn_index,
        turn_id=turn_id,
        usage_deltas=(usage_of(10),),
        turn_commit=TurnCommitStamp(session_id, turn_id, f"hash of {turn_id}"),
    )
    return replace(commit, **changes)


def control_commit(
    op_id: str, turn_index: int, expected: int, graph: GraphDelta.Unchanged | GraphDelta.Append, *, state: bytes = b"vm"
) -> RuntimeCommit:
    """A commit outside of turns: without a turn id and without a stamp."""
    commit = turn_commit(op_id, turn_index, expected, None, state=state, graph=graph)
    return replace(commit, turn_id=None, turn_commit=None)


def usage_of(tokens: int, source: str = "turn") -> TokenLedgerEntry:
    """A ledger entry whose counts all differ."""
    return TokenLedgerEntry(source, "model-1", TokenUsage(tokens, tokens + 1, tokens + 2, tokens + 3, 1))


def leaf_of(commit: RuntimeCommit) -> str:
    """The id of the last node that a commit leads to."""
    assert commit.graph.leaf is not None
    return commit.graph.leaf


async def play_turns(
    store: RuntimePersistence, count: int, *, session_id: str = SESSION, first: int = 1
) -> list[tuple[RuntimeCommit, RuntimeCommitResult]]:
    """Commit turns one after the other, from what the store has: `t1`, `t2` and so on."""
    read = await store.load_session("active_path")
    revision, parent = (read.head_revision, read.leaf_node_id) if read is not None else (None, None)
    done: list[tuple[RuntimeCommit, RuntimeCommitResult]] = []
    for index in range(first, first + count):
        commit = turn_commit(f"t{index}", index, revision, parent, session_id=session_id)
        result = await store.commit_runtime_state(commit)
        done.append((commit, result))
        revision, parent = result.head_revision, leaf_of(commit)
    return done


async def append_until_it_works(store: RuntimePersistence, label: str, *, on_branch: bool = False) -> int:
    """Commit a turn behind whatever the head is, reloading on every conflict; the new revision.

    With `on_branch` the turn begins a branch of its own, so that reloading stays cheap however many there are.
    """
    while True:
        read = await store.load_session("active_path")
        revision, parent = (read.head_revision, read.leaf_node_id) if read is not None else (None, None)
        commit = turn_commit(label, (revision or 0) + 1, revision, None if on_branch else parent)
        try:
            return (await store.commit_runtime_state(commit)).head_revision
        except HeadRevisionConflict:
            continue


@dataclass(frozen=True)
class Contents:
    """Everything that can be read of a session."""

    read: PersistedSessionRead | None
    meta: SessionMeta | None
    inputs: list[PendingInput]
    attachments: list[AttachmentIntent]


async def contents(store: RuntimePersistence) -> Contents:
    """Everything that can be read of a session."""
    return Contents(
        await store.load_session("full_graph"),
        await store.load_session_meta(),
        await store.list_inputs(),
        await store.list_attachments(),
    )


async def refused(kind: type[E], work: Any) -> E:
    """The error that awaiting `work` raises. AssertionError where it raises none, or is another."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


async def acquire(store: RuntimePersistence, owner: LeaseOwner, ttl_ms: int = 30_000) -> LeaseClaim.Acquired:
    """A lease that is free."""
    claim = await store.claim_lease(owner, ttl_ms)
    assert isinstance(claim, LeaseClaim.Acquired), f"the session is held by {claim.holder}"
    return claim


async def read_whole(store: RuntimePersistence) -> PersistedSessionRead:
    """A session that has a head."""
    read = await store.load_session("full_graph")
    assert read is not None, "the session has no head"
    return read
