"""A session as its store has it: read from there, held in memory, committed (runtime.md 3, 4).

A turn is lost whole or committed whole. Until the commit has been answered nothing of a turn is in the session: a turn
that raises, or whose process dies, leaves graph, variables and ledger as the last commit left them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from lash.runtime.errors import HeadRevisionConflict, LeaseNotHeld, SessionError, StoreCommitFailed
from lash.runtime.plugins.contract import SessionRestored
from lash.runtime.sansio.messages import SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import TurnOutcome, ended_as
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import (
    BlobRef,
    HydratedCheckpoint,
    LeaseFence,
    PersistedCheckpoint,
    PersistedSessionConfig,
    PersistedSessionRead,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    TurnCommitStamp,
)
from lash.runtime.session.again import historic_node, is_committed, state_before
from lash.runtime.session.commit import commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import SessionReadView
from lash.runtime.turn.handoff import store_successor
from lash.runtime.turn.lane import to_its_end
from lash.runtime.turn.run import TurnEnd, TurnFrame
from lash.runtime.turn.settings import SessionParts, SessionPolicy

_log = logging.getLogger("lash.session")

LONGEST_FIRST_MESSAGE = 200
"""Characters of a session's first message that lists of sessions are given."""


class StoredSession:
    """What was committed of one session; the state of its mode and plugins is loaded and committed with it.

    `turn_index` counts the turns that were committed. Who changes anything holds the session's lane.
    """

    def __init__(self, parts: SessionParts, policy: SessionPolicy) -> None:
        self.session_id = parts.session_id
        self.policy = policy
        self.turn_index = 0
        self._mode = parts.mode
        self._plugins = parts.plugins
        self._store = parts.store
        self._services = parts.services
        self._graph = SessionGraph()
        self._path: tuple[SessionNode, ...] = ()
        self._revision: int | None = None
        self._loaded_revision = 0
        self._usage: tuple[TokenLedgerEntry, ...] = ()
        self._last_prompt_usage = TokenUsage()
        self._blobs: dict[str, BlobRef] = {}
        self._successor: str | None = None
        self._stale = False

    @property
    def revision(self) -> int | None:
        """The revision of the last commit that is known; None where nothing of the session was committed yet."""
        return self._revision

    def events(self) -> Sequence[SessionEventRecord]:
        """The events of the active branch."""
        return self._graph.active_events()

    # --- from the store ----------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store has. Raises what `take_up` raises, and what stores raise."""
        await self.take_up(await self._store.load_session(self._services.read_scope))

    async def take_up(self, stored: PersistedSessionRead | None) -> None:
        """Take up what was read from the store. Raises SessionError (session_mode_mismatch), PluginError."""
        if stored is None:
            self._graph = SessionGraph()
            self._mode.opened((), None)
            await self._plugins.open(None, None)
            self._stale = False
            return
        if stored.config.mode != self._mode.mode_id:
            raise SessionError(
                "session_mode_mismatch",
                f"session {self.session_id!r} runs in mode {stored.config.mode!r}, not {self._mode.mode_id!r}: "
                "open it without `mode`, or take another session",
            )
        whole = len(stored.nodes) == stored.node_count
        graph = SessionGraph(stored.nodes, stored.leaf_node_id, whole=whole)
        if graph.heal_orphaned_leaf():
            _log.warning("session %s: its leaf was missing; it goes on behind its newest message", self.session_id)
        self._mode.opened(graph.active_events(), stored.execution_state)
        await self._plugins.open(stored.plugin_snapshot, stored.tool_state)
        self._graph = graph
        self._path = tuple(graph.active_path())
        self._revision = self._loaded_revision = stored.head_revision
        self._usage = stored.usage
        self._blobs = dict(stored.manifest)
        self._successor = stored.successor_session_id
        turns = stored.turn_state.get("turn_index")
        self.turn_index = turns if isinstance(turns, int) else 0
        self._stale = False
        await self._plugins.session.notify(SessionRestored(self.read_view()))

    async def catch_up(self) -> None:
        """Take up what others have committed since the session was loaded; only who holds the lease can rely on it."""
        if self._stale or await self._store.head_revision() != self._revision:
            await self.load()

    def invalidate(self) -> None:
        """Note that what is in memory is not what was committed; the next use begins from the store."""
        self._stale = True

    async def go_back(self, before: PersistedCheckpoint) -> None:
        """Be as the session was, in memory; the next use begins from the store."""
        self.invalidate()
        leaf = before.path[-1].node_id if before.path else None
        self._graph = SessionGraph(before.path, leaf)
        self._mode.opened(self._graph.active_events(), before.execution_state)
        await self._plugins.open(before.plugin_snapshot, before.tool_state)
        self._blobs = dict(before.manifest)
        self.turn_index = before.turn_index

    def read_view(self) -> SessionReadView:
        """The session as it was committed last."""
        return SessionReadView(
            self.session_id,
            self._config(self.policy),
            self._revision,
            self.turn_index,
            self._path,
            self._usage,
            self._last_prompt_usage,
            self._successor,
        )

    async def get_historic_node(self, node_id: str) -> SessionNode | None:
        """A node of the session on any branch, read where it is not loaded; None where there is none."""
        return await historic_node(self._store, self._graph, node_id)

    async def is_committed(self, turn_id: str) -> bool:
        """Whether a turn is in the session, if only on another branch."""
        return await is_committed(self._store, self._graph, turn_id)

    async def state_before(self, turn_id: str) -> PersistedCheckpoint | None:
        """The session as it stood before a committed turn; None for a turn that is not committed.

        Raises TurnError (turn_commit_conflict), CheckpointNotKept.
        """
        return await state_before(self._store, self._graph, turn_id)

    async def collect(self) -> None:
        """Drop states that nobody can fork any more, once in as many commits as are kept."""
        keep = self._services.keep_checkpoints
        if keep is not None and self._revision is not None and self._revision // keep > self._loaded_revision // keep:
            await self._store.gc_unreachable(keep)

    # --- commits -----------------------------------------------------------------------------------

    async def commit_turn(self, frame: TurnFrame, end: TurnEnd) -> int:
        """Store the turn whole and give its lease back; the session is then what was stored.

        A successor is stored before it.
        """
        request = frame.request
        successor = end.outcome.session_id if isinstance(end.outcome, TurnOutcome.Handoff) else None
        events = resume_safe(end.made, f"m:{request.turn_id}:cancelled:0")
        rewritten = end.plugins.path([*self._graph.active_events(), *events])
        now_ms = self._services.clock.now_ms()
        if rewritten is None:
            self._graph.append(events, request.turn_id, now_ms)
        else:
            events = rewritten
            self._graph.rewrite(events, request.turn_id, now_ms)
        config = self._config(self.policy)
        turn_state: dict[str, JsonValue] = {"turn_index": self.turn_index + 1, "ended": ended_as(end.outcome)}
        state = self._mode.state()
        execution_state = state if state is not None else self._blobs.get("execution_state")
        if successor is not None:
            await self._store_successor(successor, config)
        digest = await commit_hash(
            config=config,
            events=events,
            turn_state=turn_state,
            usage=end.usage,
            completed_inputs=end.claims,
            successor_session_id=successor,
        )
        commit = RuntimeCommit(
            session_id=self.session_id,
            expected_head_revision=self._revision,
            config=config,
            graph=self._graph.delta(),
            checkpoint=HydratedCheckpoint(
                turn_state,
                tool_state=self._plugins.tool_state(self._blobs.get("tool_state")),
                plugin_snapshot=self._plugins.plugin_snapshot(self._blobs.get("plugin_snapshot")),
                execution_state=execution_state,
            ),
            op_id=request.turn_id,
            turn_index=self.turn_index + 1,
            turn_id=request.turn_id,
            usage_deltas=end.usage,
            turn_commit=TurnCommitStamp(self.session_id, request.turn_id, digest),
            lease=frame.lease.fence,
            # One that is answered by the stamp of the first does nothing, hence gives nothing back.
            release_lease=not frame.again,
            completed_inputs=tuple(end.claims),
            committed_attachment_ids=end.attachment_ids,
            successor_session_id=successor,
            meta=_after(await self._store.load_session_meta(), end.made, self.policy.model),
        )
        with frame.lease.giving_back() if commit.release_lease else nullcontext():
            revision = await self._store_commit(commit)
        self._successor = successor
        self._usage = (*self._usage, *end.usage)
        self.turn_index += 1
        self._mode.committed()
        self._plugins.committed()
        return revision

    async def _store_successor(self, session_id: str, config: PersistedSessionConfig) -> None:
        """Store the session that the turn goes on in; one that the mode did not ask for is there already."""
        successor = self._mode.successor(session_id)
        if successor is not None:
            await store_successor(
                self._services.stores,
                session_id,
                successor,
                parent_session_id=self.session_id,
                config=config,
                turn_index=self.turn_index + 1,
                plugin_snapshot=self._plugins.session.states.packed(),
                now_ms=self._services.clock.now_ms(),
            )

    async def _store_commit(self, commit: RuntimeCommit) -> int:
        """Send a commit and take up what it came to; the new revision. Raises StoreCommitFailed."""
        try:
            result = await to_its_end(self._store.commit_runtime_state(commit))
        except (HeadRevisionConflict, LeaseNotHeld) as error:
            raise StoreCommitFailed(
                "store_commit_failed", f"the turn is not stored: {error}", retryable=True
            ) from error
        self._graph.committed()
        self._path = tuple(self._graph.active_path())
        self._revision = result.head_revision
        self._blobs = dict(result.manifest)
        return result.head_revision

    def _config(self, policy: SessionPolicy) -> PersistedSessionConfig:
        return PersistedSessionConfig(
            mode=self._mode.mode_id,
            provider=policy.provider.kind,
            model=policy.model,
            model_variant=policy.model_variant,
            max_context_tokens=policy.max_context_tokens,
            max_turns=policy.max_turns,
            max_turns_set=policy.max_turns_set,
            extras={"own": list(policy.own)} if policy.own else {},
        )

    async def commit_change(self, op_id: str, fence: LeaseFence) -> None:
        """Store what was changed outside a turn. Raises StoreCommitFailed."""
        await self._store_commit(
            RuntimeCommit(
                session_id=self.session_id,
                expected_head_revision=self._revision,
                config=self._config(self.policy),
                graph=self._graph.delta(),
                checkpoint=HydratedCheckpoint(
                    {"turn_index": self.turn_index},
                    tool_state=self._plugins.tool_state(self._blobs.get("tool_state")),
                    plugin_snapshot=self._plugins.plugin_snapshot(self._blobs.get("plugin_snapshot")),
                    execution_state=self._blobs.get("execution_state"),
                ),
                op_id=op_id,
                turn_index=self.turn_index,
                lease=fence,
            )
        )
        self._plugins.committed()


def _after(meta: SessionMeta | None, made: Sequence[SessionEventRecord], model: str) -> SessionMeta | None:
    """What lists show of a session behind a turn that made these events."""
    if meta is None:
        return None
    said = [
        event.message.text()
        for event in made
        if isinstance(event, SessionEvent.Conversation) and event.message.role == "user" and not event.message.origin
        if all(part.kind != "tool_result" for part in event.message.parts)
    ]
    first = meta.first_user_message or next((text[:LONGEST_FIRST_MESSAGE] for text in said if text), None)
    return replace(meta, model=model, first_user_message=first, user_message_count=meta.user_message_count + len(said))
