"""The stored sessions as a person knows them: by name, by the beginning of an id, by `last`.

What the command line itself keeps of a session (its context, when it was used) is metadata of the session's own record,
under `KEY`, so that it goes wherever the session's file goes.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, Final

from lash import TurnResult
from lash.cli.context import Context
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.naming import RECENT, nearest, new_name
from lash.durability import JournalEffectHost
from lash.host.system import SystemClock
from lash.persistence import RuntimePersistence, SessionMeta, SessionRelation
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import UnfinishedTurn
from lash.runtime.seams.persistence import PersistedSessionRead, SessionStoreCreateRequest

KEY: Final = "lash_cli"

SHORTEST_PREFIX: Final = 4

MOST_STOPS: Final = 64
"""Turns of a session of which it is noted what stopped them, the latest."""
LAST: Final = "last"


@dataclass(frozen=True, slots=True)
class Known:
    """A session that is stored: its record, and what of it is the command line's."""

    meta: SessionMeta

    @property
    def id(self) -> str:
        """Its id."""
        return self.meta.session_id

    @property
    def name(self) -> str:
        """Its name."""
        return self.meta.name

    @property
    def used_ms(self) -> int:
        """When a turn was last begun on it, in milliseconds since the epoch."""
        used = self._own().get("used_ms")
        return used if isinstance(used, int) else self.meta.created_ms

    @property
    def context(self) -> Context | None:
        """What `--context` gave it."""
        return Context.of_json(self._own().get("context"))

    @property
    def turns(self) -> int:
        """How many turns it has."""
        turns = self._own().get("turns")
        return turns if isinstance(turns, int) else self.meta.user_message_count

    @property
    def mode(self) -> str:
        """Its mode."""
        mode = self._own().get("mode")
        return mode if isinstance(mode, str) else "rlm"

    @property
    def provider(self) -> str | None:
        """What the provider of its last turn is called; None where that is not known."""
        provider = self._own().get("provider")
        return provider if isinstance(provider, str) else None

    @property
    def stops(self) -> dict[str, str]:
        """What stopped its turns, by their ids, as far as it was noted."""
        stops = self._own().get("stops")
        return {turn: why for turn, why in stops.items() if isinstance(why, str)} if isinstance(stops, dict) else {}

    @property
    def kept(self) -> dict[str, JsonValue]:
        """The options of its last durable turn."""
        kept = self._own().get("options")
        return kept if isinstance(kept, dict) else {}

    @property
    def leaf(self) -> str:
        """The session in which its last turn ended: itself, unless it was handed on."""
        leaf = self._own().get("leaf")
        return leaf if isinstance(leaf, str) else self.id

    @property
    def forked_from(self) -> JsonValue:
        """The session and turn it was forked from; None where it was not."""
        return (
            self.meta.relation.metadata.get("forked_from")
            if isinstance(self.meta.relation, SessionRelation.Root)
            else None
        )

    def _own(self) -> dict[str, JsonValue]:
        relation = self.meta.relation
        own = relation.metadata.get(KEY) if isinstance(relation, SessionRelation.Root) else None
        return own if isinstance(own, dict) else {}

    def with_own(self, **changes: JsonValue) -> Known:
        """The same with other things kept for the command line."""
        relation = self.meta.relation
        if not isinstance(relation, SessionRelation.Root):
            return self
        metadata: dict[str, JsonValue] = {**relation.metadata, KEY: {**self._own(), **changes}}
        return Known(replace(self.meta, relation=SessionRelation.Root(metadata)))


def new_id() -> str:
    """An id that no session has."""
    return str(uuid.uuid4())


class SessionBook:
    """Finds, makes and notes sessions below a home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.stores = home.sessions()
        self._clock = SystemClock()
        self._journal: JournalEffectHost | None = None

    async def all(self) -> list[Known]:
        """The sessions that people begin, the one used last first; those that sessions make themselves are left out."""
        found = [
            Known(meta) for meta in await self.stores.list_sessions() if isinstance(meta.relation, SessionRelation.Root)
        ]
        return sorted(found, key=lambda one: -one.used_ms)

    async def owning(self, session_id: str) -> Known | None:
        """The session that a person knows, in which another one of that id does its work, or which it is."""
        return next((one for one in await self.all() if session_id in (one.id, one.leaf)), None)

    async def find(self, text: str) -> Known:
        """The session that a person means. Raises CliError, with what comes nearest, where there is none or several."""
        store = await self.stores.find_store(text)
        if store is not None:
            meta = await store.load_session_meta()
            await store.aclose()
            if meta is not None:
                return Known(meta)
        known = await self.all()
        if text == LAST:
            return _last(known)
        named = [one for one in known if one.name == text]
        if named:
            return named[0]
        begins = [one for one in known if one.id.startswith(text)] if len(text) >= SHORTEST_PREFIX else []
        if len(begins) == 1:
            return begins[0]
        if begins:
            shown = ", ".join(f"{one.id} ({one.name})" for one in begins[:5])
            raise CliError(f"{len(begins)} sessions begin with {text!r}: {shown}; give more of the id")
        raise CliError(f"there is no session {text!r}; {_nearest(text, known)}")

    async def make(
        self, *, name: str | None, context: Context | None, first: str, model: str | None, mode: str
    ) -> Known:
        """Make a session. Raises CliError for a name that is taken or is none."""
        session_id = new_id()
        now = self._clock.now_ms()
        meta = SessionMeta(
            session_id,
            await self.name(name),
            now,
            SessionRelation.Root(),
            model=model,
            cwd=os.getcwd(),
            first_user_message=first,
        )
        made = Known(meta).with_own(used_ms=now, mode=mode, context=context.to_json() if context else None)
        store = await self.stores.open_store(SessionStoreCreateRequest(session_id, made.meta))
        await store.aclose()
        return made

    async def name(self, wanted: str | None) -> str:
        """A name for a new session. Raises CliError for a wanted one that is taken or is none."""
        known = await self.all()
        if wanted is None:
            return new_name([one.name for one in known[:RECENT]], random.choice)
        if not wanted.strip() or not wanted.isprintable() or wanted == LAST:
            raise CliError(f"--name {wanted!r}: a name is a line of text, and not {LAST!r}")
        taken = next((one for one in known if one.name == wanted), None)
        if taken is not None:
            raise CliError(f"--name {wanted!r}: session {taken.id} has this name; go on in it with --session")
        return wanted

    async def note(self, known: Known, *, own: dict[str, JsonValue], **changes: Any) -> Known:
        """Write what is new about a session; what turns have written into its record meanwhile stays."""
        store = await self.store(known)
        try:
            current = await store.load_session_meta() or known.meta
            changed = Known(replace(current, **changes)).with_own(**own)
            await store.save_session_meta(changed.meta)
        finally:
            await store.aclose()
        return changed

    async def used(
        self, known: Known, *, context: Context | None, result: TurnResult[Any], provider: str, why: str | None
    ) -> Known:
        """Note that a turn was run, who answered it, and in which session it ended: another one where it was handed on.

        `why` is what stopped it, where something did.
        """
        own: dict[str, JsonValue] = {
            "used_ms": self._clock.now_ms(),
            "leaf": result.session_id,
            "turns": result.turn_index,
            "provider": provider,
        }
        if why is not None:
            stops = [*known.stops.items(), (result.turn_id, why)]
            own["stops"] = dict(stops[-MOST_STOPS:])
        if context is not None:
            own["context"] = context.to_json()
        return await self.note(known, own=own)

    async def store(self, known: Known) -> RuntimePersistence:
        """A session's store. Raises CliError where the session has gone meanwhile."""
        store = await self.stores.find_store(known.id)
        if store is None:
            raise CliError(f"session {known.id} was deleted meanwhile")
        return store

    async def links(self, known: Known) -> AsyncGenerator[tuple[RuntimePersistence, PersistedSessionRead]]:
        """The session and those that it was handed on to, in order, each as it was committed last; none before."""
        store: RuntimePersistence | None = await self.store(known)
        while store is not None:
            following = None
            try:
                read = await store.load_session("active_path")
                if read is not None:
                    yield store, read
                    following = read.successor_session_id
            finally:
                await store.aclose()
            store = await self.stores.find_store(following) if following is not None else None

    async def head(self, known: Known) -> PersistedSessionRead | None:
        """The session, or the last one that it was handed on to; None before its first turn."""
        last = None
        async for _, read in self.links(known):
            last = read
        return last

    async def state(self, known: Known) -> str:
        """Whether a session is `busy`, as a turn runs on it, `suspended`, as one waits for approvals, `interrupted`, as
        one can be resumed, or `idle`.
        """
        unfinished = await self.unfinished(known.leaf)
        for session_id in dict.fromkeys((known.id, known.leaf)):
            path = self.stores.path_of(session_id)
            # Whoever holds a session has its file open, and an open file has a log beside it: most need no look inside.
            # The log of one who was killed goes with the first look, though, and the session is held for longer.
            if unfinished is not None or path.with_name(f"{path.name}-wal").exists():
                store = await self.stores.find_store(session_id)
                if store is None:
                    continue
                holder = await store.lease_holder()
                await store.aclose()
                if holder is not None:
                    return "busy"
        if unfinished is None:
            return "idle"
        return "suspended" if unfinished.approvals else "interrupted"

    async def unfinished(self, session_id: str) -> UnfinishedTurn | None:
        """The turn of the session that was begun and did not end; None where the journal has none."""
        if self._journal is None and not self.home.journal_file.exists():
            return None
        return await self.journal().unfinished_turn(session_id)

    def journal(self) -> JournalEffectHost:
        """The journal of durable turns, which is made where it is not there yet."""
        if self._journal is None:
            self._journal = self.home.journal()
        return self._journal

    async def aclose(self) -> None:
        """Close the journal and every store."""
        if self._journal is not None:
            await self._journal.aclose()
        await self.stores.aclose()


def _last(known: list[Known]) -> Known:
    here = os.getcwd()
    for one in known:
        if one.meta.cwd == here:
            return one
    where = "no session was begun in this directory"
    raise CliError(f"{where}; `lash sessions list` shows those of others" if known else f"{where}, nor anywhere else")


def _nearest(text: str, known: list[Known]) -> str:
    if not known:
        return "there are none yet"
    words = {word: one for one in known for word in (one.id, one.name)}
    like = [words[word] for word in nearest(text, list(words))] or known[:3]
    shown = ", ".join(dict.fromkeys(f"{one.name} ({one.id[:8]})" for one in like))
    return f"the nearest are {shown}. `lash sessions list` shows all"
