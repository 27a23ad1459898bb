"""A turn that an earlier run has left unfinished, by a crash or because it waits for people (runtime.md 2.4, 2.5).

While a session has such a turn it can do nothing but resume it: what came in between would not be what the turn's
journal has recorded. The journal is no part of the session's store, so the two can disagree, and are compared here:

- the turn is not committed, and the session stands where the turn began: it is unfinished, and can be driven again;
- the turn is committed: only its answer was lost. Who resumes it is given that answer; for everyone else it is over;
- the session has gone on without the turn: it can never be driven again, so its journal is closed.
"""

from __future__ import annotations

from lash.runtime.errors import SessionBusyError
from lash.runtime.seams.effects import EffectHost, ExecutionScope, TurnJournal, UnfinishedTurn
from lash.runtime.turn.stored import StoredSession


async def unfinished_turn(effects: EffectHost, session: StoredSession, *, running: bool) -> UnfinishedTurn | None:
    """The turn that an earlier run has left in the journal, if only between its commit and its answer.

    `running` says that a turn runs on the session now, under which nothing may be loaded again. None where there is no
    such turn, or no journal; also where the session has gone on without the turn.
    """
    if not isinstance(effects, TurnJournal):
        return None
    found = await effects.unfinished_turn(session.session_id)
    if found is None:
        return None
    if not running:
        # Looked up after it was found: a turn that began behind what this handle knows has not been passed over.
        await session.catch_up()
    if found.head_revision == session.revision or await session.is_committed(found.turn_id):
        return found
    await _seal(effects, found, session)
    return None


async def check_finished(
    effects: EffectHost, session: StoredSession, turn_id: str | None, *, running: bool
) -> UnfinishedTurn | None:
    """What an earlier run has left of the turn `turn_id`, None where it has left nothing.

    Raises SessionBusyError (turn_suspended) where another turn is unfinished. One that is committed is not: only its
    answer was lost, and that is noted now.
    """
    found = await unfinished_turn(effects, session, running=running)
    if found is None:
        return None
    if isinstance(effects, TurnJournal) and await session.is_committed(found.turn_id):
        await _seal(effects, found, session)
        return None
    if found.turn_id != turn_id:
        raise SessionBusyError("turn_suspended", ways_out(session.session_id, found))
    return found


async def _seal(journal: TurnJournal, turn: UnfinishedTurn, session: StoredSession) -> None:
    """Note that a turn is over."""
    await journal.seal_turn(ExecutionScope("turn", session_id=session.session_id, turn_id=turn.turn_id))


def ways_out(session_id: str, turn: UnfinishedTurn) -> str:
    """Why a session can do nothing else, and what to do about it."""
    name = f"turn {turn.turn_id!r} of session {session_id!r}"
    ending = f"core.request_cancel({session_id!r}, {turn.turn_id!r}, request_id) and then session.resume_turn()"
    if turn.cancel is not None:
        return f"{name} is to be cancelled: session.resume_turn() ends it"
    if not turn.approvals:
        return f"{name} was interrupted: drive it on with session.resume_turn(), or end it with {ending}"
    asked = ", ".join(one.approval_id for one in turn.approvals)
    return (
        f"{name} waits for approvals ({asked}): answer them with core.answer_approval(...) and drive it on with "
        f"session.resume_turn(), or end it with {ending}"
    )
