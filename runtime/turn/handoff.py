"""Handing a turn on to another session (runtime.md 3.3): the successor is stored first, then the turn that names it.

A crash between the two leaves a successor that nobody names. The turn that is driven again makes the same one, by the
same id, and finds it there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from lash.runtime.sansio.messages import SessionEventRecord
from lash.runtime.sansio.outcome import TurnOutcome, TurnStop
from lash.runtime.sansio.usage import NO_USAGE, TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue, canonical
from lash.runtime.seams.persistence import (
    HydratedCheckpoint,
    PendingInputDraft,
    PersistedSessionConfig,
    RuntimeCommit,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
    SessionStoreFactory,
)
from lash.runtime.session.graph import SessionGraph
from lash.runtime.turn.result import TurnResult


@dataclass(frozen=True, slots=True)
class Successor:
    """A session that a turn goes on in: what it is told first, and the events that it begins with.

    `reason` names what handed the turn on, `metadata` says more of it.
    """

    reason: str
    first_input: str
    events: tuple[SessionEventRecord, ...] = ()
    metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


def successor_id(session_id: str, turn_id: str, effect_id: str) -> str:
    """The id of the session that an effect of a turn hands it to: the same whenever the turn is driven."""
    return f"h:{hashlib.sha256(canonical([session_id, turn_id, effect_id])).hexdigest()[:20]}"


async def store_successor(
    stores: SessionStoreFactory,
    session_id: str,
    successor: Successor,
    *,
    parent_session_id: str,
    config: PersistedSessionConfig,
    turn_index: int,
    plugin_snapshot: bytes | None,
    now_ms: int,
) -> None:
    """Store a successor with its first input, in one commit; nothing where it is stored already.

    `turn_index` is that of the turn which is handed on: all its links have the same. `plugin_snapshot` is the state in
    which its plugins go on. Raises what stores raise.
    """
    relation = SessionRelation.Handoff(parent_session_id, successor.reason, dict(successor.metadata))
    meta = SessionMeta(session_id, session_id, now_ms, relation, config.model)
    store = await stores.open_store(SessionStoreCreateRequest(session_id, meta))
    try:
        if await store.load_session("active_path") is not None:
            return
        operation = f"handoff:{session_id}"
        graph = SessionGraph()
        graph.append(successor.events, operation, now_ms)
        await store.commit_runtime_state(
            RuntimeCommit(
                session_id=session_id,
                expected_head_revision=None,
                config=config,
                graph=graph.delta(),
                checkpoint=HydratedCheckpoint({"turn_index": turn_index - 1}, plugin_snapshot=plugin_snapshot),
                op_id=operation,
                turn_index=turn_index - 1,
                enqueued_inputs=(PendingInputDraft(f"first:{session_id}", "next_turn", successor.first_input),),
            )
        )
    finally:
        await store.aclose()


def joined(links: list[TurnResult[Any]], most: int) -> TurnResult[Any]:
    """The result of a turn that was handed on: the last link's, with the tokens of all.

    A last link that asks to be followed beyond `most` handoffs is stopped by that limit.
    """
    last = links[-1]
    outcome = last.outcome
    if isinstance(outcome, TurnOutcome.Handoff) and len(links) > most:
        outcome = TurnOutcome.Stopped(TurnStop.LimitExceeded("handoffs", most, len(links)))
    booked: dict[tuple[str, str], TokenLedgerEntry] = {}
    for entry in (entry for link in links for entry in link.children_usage):
        known = booked.get((entry.source, entry.model))
        booked[entry.source, entry.model] = entry if known is None else replace(known, usage=known.usage + entry.usage)
    return replace(
        last,
        outcome=outcome,
        usage=sum((link.usage for link in links), NO_USAGE),
        children_usage=tuple(booked.values()),
        turns=tuple(links[:-1]),
    )
