"""The one lane of a session: who may change it, in this process and among processes (runtime.md 4.2, 13)."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from lash.runtime.errors import LeaseNotHeld, SessionBusyError, SessionError, StoreError
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.persistence import LeaseClaim, LeaseFence, LeaseOwner, RuntimePersistence

_log = logging.getLogger("lash.session")

T = TypeVar("T")

BUSY_POLL_S = 0.05
"""How often a turn that waits for another one looks again."""


@dataclass(frozen=True, slots=True)
class LeaseTimings:
    """How long a session is held and how often that is renewed; ValueError where it would lapse between."""

    ttl_s: float = 30.0
    renew_s: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ttl_s) and math.isfinite(self.renew_s) and self.renew_s > 0):
            raise ValueError(
                f"a lease of {self.ttl_s:g} s, renewed every {self.renew_s:g} s, is none: give seconds above 0"
            )
        if self.ttl_s < 3 * self.renew_s * (1 - 1e-9):  # 0.3 s are three times 0.1 s
            raise ValueError(f"a lease of {self.ttl_s:g} s has to be renewed every {self.ttl_s / 3:g} s at least")


@dataclass(slots=True)
class HeldLease:
    """The lease under which a session is held. `given_back` says that a commit has given it back, or is about to."""

    fence: LeaseFence
    given_back: bool = False

    @contextmanager
    def giving_back(self) -> Generator[None]:
        """Around a commit that gives the lease back with what it stores; one that fails has left it."""
        self.given_back = True
        try:
            yield
        except BaseException:
            self.given_back = False
            raise


class SessionLane:
    """Holds a session for whoever changes it: locks in this process, a lease in the store.

    `shared` is the lock of all handles of the session in this core: they have one owner, so a lease does not keep them
    apart. The lane's own lock says whether this handle is in use.
    """

    def __init__(
        self,
        session_id: str,
        store: RuntimePersistence,
        owner: LeaseOwner,
        timings: LeaseTimings,
        clock: Clock,
        shared: asyncio.Lock,
    ) -> None:
        self._session_id = session_id
        self._store = store
        self._owner = owner
        self._timings = timings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._shared = shared

    @asynccontextmanager
    async def hold(self, until: float) -> AsyncGenerator[HeldLease]:
        """Hold the session, waiting for others until `until` on the monotonic clock.

        Behind a commit that gave the lease back it is held in this process alone.

        Raises SessionBusyError where somebody else still has it then, SessionError (session_execution_lease_lost)
        where somebody else took it over meanwhile, and what stores raise.
        """
        async with self._in_process(until), self._leased(until) as held:
            yield held

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None]:
        """Wait until nobody holds the session by this handle, and keep it so."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def _in_process(self, until: float) -> AsyncGenerator[None]:
        """Hold the session in this process; SessionBusyError where another turn still does at `until`."""
        while self._lock.locked() or self._shared.locked():
            if not await self._wait_a_little(until):
                raise SessionBusyError(
                    "session_execution_busy", f"session {self._session_id!r} runs a turn", retryable=True
                )
        async with self._lock, self._shared:
            yield

    async def _wait_a_little(self, until: float) -> bool:
        """Sleep, unless it is too late already."""
        left = until - self._clock.monotonic()
        if left > 0:
            await self._clock.sleep(min(left, BUSY_POLL_S))
        return left > 0

    @asynccontextmanager
    async def _leased(self, until: float) -> AsyncGenerator[HeldLease]:
        """Hold the session in the store; renewed while the turn runs, given back after it unless its commit did so.

        SessionBusyError where somebody else still holds it at `until`, SessionError (session_execution_lease_lost)
        where somebody else took it before the turn was over.
        """
        ttl_ms = int(self._timings.ttl_s * 1000)
        while True:
            claim = await self._claim(ttl_ms)
            if isinstance(claim, LeaseClaim.Acquired) or not await self._wait_a_little(until):
                break
        if isinstance(claim, LeaseClaim.Busy):
            raise SessionBusyError(
                "session_execution_busy",
                f"session {self._session_id!r} is held by {claim.holder.owner_id!r}",
                retryable=True,
            )
        held = HeldLease(claim.lease.fence)
        turn, lost = asyncio.current_task(), asyncio.Event()
        assert turn is not None
        renewing = asyncio.create_task(self._renew(held, ttl_ms, turn, lost))
        try:
            yield held
        except asyncio.CancelledError:
            if lost.is_set() and not turn.uncancel():
                raise SessionError(
                    "session_execution_lease_lost",
                    f"session {self._session_id!r} was taken over while its turn ran; nothing of the turn is stored",
                    retryable=True,
                ) from None
            raise
        finally:
            renewing.cancel()
            await to_its_end(self._release(held, renewing))

    async def _claim(self, ttl_ms: int) -> LeaseClaim.Acquired | LeaseClaim.Busy:
        """Ask for the session's lease; one that comes when nobody waits for it any more is given back."""
        claiming = asyncio.ensure_future(self._store.claim_lease(self._owner, ttl_ms))
        try:
            return await to_its_end(claiming)
        except asyncio.CancelledError:
            if claiming.exception() is None and isinstance(claim := claiming.result(), LeaseClaim.Acquired):
                await to_its_end(self._store.release_lease(claim.lease.fence))
            raise

    async def _release(self, held: HeldLease, renewing: asyncio.Task[None]) -> None:
        """Give the lease back once nobody renews it any more."""
        await asyncio.wait([renewing])
        if not held.given_back:
            await self._store.release_lease(held.fence)

    async def _renew(self, held: HeldLease, ttl_ms: int, turn: asyncio.Task[Any], lost: asyncio.Event) -> None:
        """Keep the lease; give the turn up where somebody else has it."""
        while True:
            await self._clock.sleep(self._timings.renew_s)
            try:
                await self._store.renew_lease(held.fence, ttl_ms)
            except LeaseNotHeld:
                if held.given_back:  # where it was lost before, the commit fails for that
                    return
                _log.error("session %s: its lease was lost; the turn is given up", self._session_id)
                lost.set()
                turn.cancel()
                return
            except StoreError as error:
                # The lease lasts for two more tries.
                _log.warning("session %s: its lease could not be renewed: %s", self._session_id, error)


async def to_its_end(work: Awaitable[T]) -> T:
    """What the work gives, which is not stopped with this task: its cancellation is raised when the work has ended."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (lost := task.exception()) is not None:
            _log.warning("work of a cancelled task failed: %s", lost)
        raise cancelled
    return task.result()
