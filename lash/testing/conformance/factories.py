"""Cases of factories: sessions are found, opened, listed and deleted under their ids, whatever those are."""

from __future__ import annotations

from dataclasses import replace

from lash.runtime.errors import LashError, SessionBindingMismatch, StoreBackendError
from lash.runtime.seams.persistence import SessionRelation
from lash.testing.conformance.material import play_turns, read_whole, refused
from lash.testing.conformance.world import World, case, request

AWKWARD_IDS = (
    *("a/b", "a_b", "a\\b", "A_b", "..", ".", "../../etc/passwd", "/", " ", "\n", "nul\x00byte", "con", "-x", "*"),
    *(
        "über",
        "u\u0308ber",
        "日本語",
        "😀",
        "x" * 500,
        "x" * 499,
        "x" * 499 + "y",
        ".hidden",
        "a.db",
        "a-0123456789abcdef.db",
    ),
)
"""Ids that file names cannot hold, that look the same once made harmless, or that want to be somewhere else."""


@case(35)
async def life_of_a_store(world: World) -> None:
    """A session that is missing is not found; opening it twice changes nothing; it is deleted once."""
    factory = world.factory()
    assert await factory.find_store("s") is None
    assert await factory.delete_store("s") is False
    first = await factory.open_store(request("s", "first"))
    again = await factory.open_store(request("s", "second"))
    assert await again.load_session_meta() == request("s", "first").meta
    await play_turns(first, 1, session_id="s")
    found = await factory.find_store("s")
    assert found is not None
    assert (await read_whole(found)).head_revision == 1
    assert await factory.delete_store("s") is True
    assert await factory.delete_store("s") is False
    assert await factory.find_store("s") is None
    await refused(StoreBackendError, first.load_session("active_path"))
    await refused(StoreBackendError, play_turns(first, 1, session_id="s"))
    anew = await factory.open_store(request("s", "third"))
    assert await anew.load_session("active_path") is None
    assert await anew.load_session_meta() == request("s", "third").meta


@case(35)
async def closed_and_used_again(world: World) -> None:
    """Closing a store gives its resources back and loses nothing: the next call works."""
    factory = world.factory()
    store = await factory.open_store(request())
    await play_turns(store, 2)
    await store.aclose()
    await store.aclose()
    assert (await read_whole(store)).head_revision == 2
    assert factory.durability == store.durability


@case(35)
async def listed_sessions(world: World) -> None:
    """The list shows what was saved last, the newest session first, and no deleted ones."""
    factory = world.factory()
    assert await factory.list_sessions() == []
    metas = {name: replace(request(name, name).meta, created_ms=n) for n, name in enumerate(("a", "b", "c"))}
    for name, meta in metas.items():
        await factory.open_store(replace(request(name), meta=meta))
    assert await factory.list_sessions() == [metas["c"], metas["b"], metas["a"]]
    store = await factory.find_store("b")
    assert store is not None
    for count in (1, 2):
        changed = replace(
            metas["b"],
            name="renamed",
            relation=SessionRelation.Child("a", "call-1"),
            first_user_message="hi",
            user_message_count=count,
        )
        await store.save_session_meta(changed)
        assert await factory.list_sessions() == [metas["c"], changed, metas["a"]]
    await refused(SessionBindingMismatch, store.save_session_meta(metas["a"]))
    await factory.delete_store("c")
    assert await factory.list_sessions() == [changed, metas["a"]]


@case(36)
async def awkward_ids(world: World) -> None:
    """Every id has its own store, inside the place, whatever the id looks like."""
    factory = world.factory()
    for session_id in AWKWARD_IDS:
        store = await factory.open_store(request(session_id, session_id))
        await play_turns(store, 1, session_id=session_id)
    for session_id in AWKWARD_IDS:
        found = await factory.find_store(session_id)
        assert found is not None, session_id
        assert (await read_whole(found)).session_id == session_id
        meta = await found.load_session_meta()
        assert meta is not None
        assert meta.name == session_id
    assert {meta.session_id for meta in await factory.list_sessions()} == set(AWKWARD_IDS)
    for session_id in AWKWARD_IDS:
        assert await factory.delete_store(session_id) is True
    assert await factory.list_sessions() == []


@case(36)
async def anothers_meta(world: World) -> None:
    """A request whose meta is that of another session is refused, and nothing is made."""
    factory = world.factory()
    wrong = replace(request("a"), meta=request("b").meta)
    error: LashError = await refused(SessionBindingMismatch, factory.open_store(wrong))
    assert error.code == "session_binding_mismatch"
    assert await factory.find_store("a") is None
