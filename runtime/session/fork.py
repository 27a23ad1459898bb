"""A new session from a turn of another one (runtime.md 3.3).

The source is only read. The fork has the path up to the turn with its node ids, and the state of variables, plugins and
tools that was kept with that turn's commit; its ledger is empty and nothing is queued for it.
"""

from __future__ import annotations

from lash.runtime.errors import CheckpointNotKept, SessionError, UnknownTurn
from lash.runtime.sansio.messages import SessionEvent
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.persistence import (
    GraphDelta,
    HydratedCheckpoint,
    PersistedCheckpoint,
    RuntimeCommit,
    RuntimePersistence,
    SessionMeta,
    SessionNode,
    SessionRelation,
    SessionStoreCreateRequest,
    SessionStoreFactory,
)
from lash.runtime.turn.inputs import SessionAttachments


async def fork(
    stores: SessionStoreFactory,
    images: AttachmentStore,
    session_id: str,
    *,
    turn: int | str | None,
    new_session_id: str,
    now_ms: int,
) -> str:
    """Make the session `new_session_id` from a turn of `session_id`; its id.

    `turn` is a turn's number on the active path, 0 for the empty start, a turn's id, or None for the last turn. Called
    again with the same `new_session_id` it finishes what was begun, or finds it done.

    Raises SessionError (unknown_session, session_exists), UnknownTurn and CheckpointNotKept.
    """
    kept = await _kept_in_chain(stores, session_id, turn)
    origin: dict[str, JsonValue] = {
        "session_id": session_id,
        "turn_id": kept.turn_id,
        "turn_index": kept.turn_index,
    }
    existing = await stores.find_store(new_session_id)
    if existing is not None:
        try:
            meta = await existing.load_session_meta()
            if meta is None or meta.relation != SessionRelation.Root({"forked_from": origin}):
                raise SessionError("session_exists", f"there is a session {new_session_id!r} already, of other origin")
        finally:
            await existing.aclose()
    meta = SessionMeta(
        new_session_id, new_session_id, now_ms, SessionRelation.Root({"forked_from": origin}), kept.config.model
    )
    target = await stores.open_store(SessionStoreCreateRequest(new_session_id, meta))
    try:
        if await target.load_session("active_path") is None:
            await _write(target, images, kept, new_session_id, session_id)
    finally:
        await target.aclose()
    return new_session_id


async def _kept_in_chain(stores: SessionStoreFactory, session_id: str, turn: int | str | None) -> PersistedCheckpoint:
    """What is kept of the turn by the last session of a handoff chain that has it: the one in which it was finished."""
    links: list[str] = []
    following: str | None = session_id
    while following is not None:
        store = await stores.find_store(following)
        if store is None:
            if links:
                break
            raise SessionError("unknown_session", f"there is no session {session_id!r} to fork")
        links.append(following)
        head = await store.load_session("active_path")
        await store.aclose()
        following = head.successor_session_id if head is not None else None
    missing: list[SessionError] = []
    for link in reversed(links if turn != 0 else links[:1]):
        store = await stores.find_store(link)
        if store is None:
            continue
        try:
            kept = await _kept(store, turn)
            # What a session was handed is kept as well, under the number of a turn that another one finished.
            if kept.turn_id is not None or link == session_id:
                return kept
        except (UnknownTurn, CheckpointNotKept) as error:
            missing.append(error)
        finally:
            await store.aclose()
    # Of a turn that some session had, it is the more telling answer that its state is gone.
    raise next((error for error in missing if isinstance(error, CheckpointNotKept)), missing[-1])


async def _kept(source: RuntimePersistence, turn: int | str | None) -> PersistedCheckpoint:
    """What is kept of the turn; an empty path with the session's configuration for the start."""
    head = await source.load_session("active_path")
    if head is None:
        raise UnknownTurn("None" if turn is None else turn)
    if turn == 0:
        return PersistedCheckpoint(0, None, 0, (), head.config, {"turn_index": 0}, None, None, None, {})
    if turn is None:
        turns = head.turn_state.get("turn_index")
        turn = turns if isinstance(turns, int) else 0
    return await source.load_checkpoint(turn)


async def _write(
    target: RuntimePersistence, images: AttachmentStore, kept: PersistedCheckpoint, new_id: str, session_id: str
) -> None:
    """The fork's first commit."""
    used = SessionAttachments(images, target, None)
    for attachment_id in _images_of(kept.path):
        await used.use(attachment_id)
    leaf = kept.path[-1].node_id if kept.path else None
    await target.commit_runtime_state(
        RuntimeCommit(
            session_id=new_id,
            expected_head_revision=None,
            config=kept.config,
            graph=GraphDelta.Append(kept.path, leaf) if kept.path else GraphDelta.Unchanged(None),
            checkpoint=HydratedCheckpoint(
                kept.turn_state,
                tool_state=kept.tool_state,
                plugin_snapshot=kept.plugin_snapshot,
                execution_state=kept.execution_state,
            ),
            op_id=f"fork:{session_id}:{kept.turn_index}",
            turn_index=kept.turn_index,
            committed_attachment_ids=tuple(used.used),
        )
    )


def _images_of(path: tuple[SessionNode, ...]) -> list[str]:
    """The ids of the images in messages of a path, each once."""
    found: dict[str, None] = {}
    for node in path:
        if isinstance(node.payload, SessionEvent.Conversation):
            for part in node.payload.message.parts:
                if part.attachment is not None:
                    found[part.attachment.id] = None
    return list(found)
