"""Sessions in memory: gone with the process, otherwise like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lash.host.stores.memory.tables import MemoryState, MemoryTables
from lash.host.stores.session import SessionStore, newest_first
from lash.host.stores.tables import Failpoint, Tables, no_failpoint
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import SessionBindingMismatch, StoreBackendError
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.seams.persistence import SessionMeta, SessionStoreCreateRequest

T = TypeVar("T")


class MemoryMedium:
    """The rows of one session in this process; implements `lash.host.stores.tables.Medium`.

    A transaction runs without an `await`, so nothing of the same event loop comes between.
    """

    durability = DurabilityTier.INLINE

    def __init__(self, session_id: str, meta: SessionMeta, failpoint: Failpoint = no_failpoint) -> None:
        self._session_id = session_id
        self._state = MemoryState(meta=meta)
        self._failpoint = failpoint
        self.deleted = False

    @property
    def meta(self) -> SessionMeta | None:
        """What lists show."""
        return self._state.meta

    async def read(self, job: Callable[[Tables], T]) -> T:
        """What the job finds. Raises StoreBackendError after the session was deleted."""
        self._check_there()
        return job(MemoryTables(self._state))

    async def write(self, job: Callable[[Tables], T], *, prepare: Callable[[], None] | None = None) -> T:
        """All that the job writes, or nothing. Raises StoreBackendError after the session was deleted."""
        self._check_there()
        if prepare is not None:
            prepare()
        tables = MemoryTables(self._state)
        result = job(tables)
        self._failpoint("commit")
        self._state = tables.state
        self._failpoint("committed")
        return result

    async def aclose(self) -> None:
        """Nothing is held but the rows, which belong to the factory."""

    def _check_there(self) -> None:
        if self.deleted:
            raise StoreBackendError(f"session {self._session_id!r} was deleted")


class MemorySessionStoreFactory:
    """Stores in memory; implements `lash.runtime.seams.persistence.SessionStoreFactory`.

    `clock` decides when leases end, `ids` names them, `failpoint` is for the conformance suite.
    """

    durability = DurabilityTier.INLINE

    def __init__(
        self, *, clock: Clock | None = None, ids: IdSource | None = None, failpoint: Failpoint = no_failpoint
    ) -> None:
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._failpoint = failpoint
        self._sessions: dict[str, MemoryMedium] = {}

    async def open_store(self, request: SessionStoreCreateRequest) -> SessionStore:
        """Create or reopen a session's store; the meta of a session that exists stays as it is.

        Raises SessionBindingMismatch where the request's meta is that of another session.
        """
        if request.meta.session_id != request.session_id:
            raise SessionBindingMismatch(request.session_id, request.meta.session_id)
        medium = self._sessions.get(request.session_id)
        if medium is None:
            medium = MemoryMedium(request.session_id, request.meta, self._failpoint)
            self._sessions[request.session_id] = medium
        return self._store(request.session_id, medium)

    async def find_store(self, session_id: str) -> SessionStore | None:
        """The store of a session that exists."""
        medium = self._sessions.get(session_id)
        return None if medium is None else self._store(session_id, medium)

    async def delete_store(self, session_id: str) -> bool:
        """Remove a session; whether there was one. Its open stores raise StoreBackendError from now on."""
        medium = self._sessions.pop(session_id, None)
        if medium is not None:
            medium.deleted = True
        return medium is not None

    async def list_sessions(self) -> list[SessionMeta]:
        """What lists of all sessions show, newest first."""
        metas = (medium.meta for medium in self._sessions.values())
        return newest_first([meta for meta in metas if meta is not None])

    async def aclose(self) -> None:
        """Nothing is held but the sessions themselves, and those live as long as the factory."""

    def _store(self, session_id: str, medium: MemoryMedium) -> SessionStore:
        # Compressing would only cost time: the bytes are in memory either way, and mostly shared with the VM's state.
        return SessionStore(
            session_id,
            medium,
            clock=self._clock,
            ids=self._ids,
            blob_profile="low_latency",
            failpoint=self._failpoint,
        )
