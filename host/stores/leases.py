"""Leases: who may work on a session, until when (runtime.md 4.2).

A lease is a generation, counted by `fencing`: it begins with an acquisition and is over once it is released or its time
is up, whether or not somebody else has taken it. What is over never comes back: its owner has to claim anew, and gets
another token and a higher number.
"""

from __future__ import annotations

from lash.host.stores.tables import LeaseRow, Tables
from lash.runtime.errors import LeaseNotHeld
from lash.runtime.seams.persistence import Lease, LeaseClaim, LeaseFence, LeaseOwner


def is_live(row: LeaseRow | None, now_ms: int) -> bool:
    """Whether somebody holds the session."""
    return row is not None and row.token is not None and row.expires_ms > now_ms


def live_generation(tables: Tables, now_ms: int) -> int | None:
    """The number of the lease that is held now, None where none is."""
    row = tables.lease()
    return row.fencing if row is not None and is_live(row, now_ms) else None


def check_fence(tables: Tables, fence: LeaseFence, now_ms: int) -> LeaseRow:
    """The row of the lease that the fence proves. Raises LeaseNotHeld where it proves none."""
    row = tables.lease()
    if row is None or row.token is None or not _matches(row, fence):
        raise LeaseNotHeld(f"{_who(fence.owner)} does not hold session {fence.session_id!r} (any more)")
    if row.expires_ms <= now_ms:
        raise LeaseNotHeld(f"the lease of {_who(fence.owner)} on session {fence.session_id!r} has expired")
    return row


def check_unfenced(tables: Tables, session_id: str, now_ms: int) -> None:
    """Raises LeaseNotHeld while somebody holds the session."""
    row = tables.lease()
    if row is not None and is_live(row, now_ms):
        raise LeaseNotHeld(f"session {session_id!r} is held by {row.owner_id!r}, and no lease was shown")


def claim(
    tables: Tables, session_id: str, owner: LeaseOwner, ttl_ms: int, token: str, now_ms: int
) -> LeaseClaim.Acquired | LeaseClaim.Busy:
    """Take the session if it is free or the claimant's own already; `token` is what a new lease is proved by."""
    row = tables.lease()
    if row is None or not is_live(row, now_ms):
        row = LeaseRow(owner.owner_id, owner.incarnation_id, token, (row.fencing if row else 0) + 1, now_ms + ttl_ms)
    elif (row.owner_id, row.incarnation_id) == (owner.owner_id, owner.incarnation_id):
        row = row._replace(expires_ms=max(row.expires_ms, now_ms + ttl_ms))
    else:
        return LeaseClaim.Busy(LeaseOwner(row.owner_id or "", row.incarnation_id or ""), row.expires_ms)
    tables.put_lease(row)
    fence = LeaseFence(session_id, owner, row.token or "", row.fencing)
    return LeaseClaim.Acquired(Lease(fence, row.expires_ms))


def holder(tables: Tables, now_ms: int) -> LeaseClaim.Busy | None:
    """Who holds the session, until when; None where nobody does."""
    row = tables.lease()
    if row is None or not is_live(row, now_ms):
        return None
    return LeaseClaim.Busy(LeaseOwner(row.owner_id or "", row.incarnation_id or ""), row.expires_ms)


def renew(tables: Tables, fence: LeaseFence, ttl_ms: int, now_ms: int) -> Lease:
    """Keep the session from now on for so long. Raises LeaseNotHeld."""
    row = check_fence(tables, fence, now_ms)._replace(expires_ms=now_ms + ttl_ms)
    tables.put_lease(row)
    return Lease(fence, row.expires_ms)


def release(tables: Tables, fence: LeaseFence) -> None:
    """Give the session free; nothing happens where the fence is not that of the newest lease."""
    row = tables.lease()
    if row is not None and row.token is not None and _matches(row, fence):
        tables.put_lease(LeaseRow(None, None, None, row.fencing, 0))


def _matches(row: LeaseRow, fence: LeaseFence) -> bool:
    return (row.owner_id, row.incarnation_id, row.token, row.fencing) == (
        fence.owner.owner_id,
        fence.owner.incarnation_id,
        fence.token,
        fence.fencing,
    )


def _who(owner: LeaseOwner) -> str:
    return f"{owner.owner_id!r} ({owner.incarnation_id!r})"
