from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lash.host.stores.session import SessionStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.stores.sqlite import connection as connections
from lash.host.stores.sqlite.files import OpenFiles
from lash.host.stores.sqlite.naming import file_name, is_session_file
from lash.host.stores.sqlite.schema import FIRST, TABLES, migrate
from lash.runtime.errors import (
    CheckpointNotKept,
    ConfigError,
    SessionBindingMismatch,
    StoreBackendError,
    StoreCorruption,
    StoreError,
    UnknownTurn,
    UnsupportedRecordVersion,
)
from lash.runtime.seams.persistence import PendingInputDraft
from lash.testing.conformance.material import play_turns, read_whole, turn_commit, usage_of
from lash.testing.conformance.world import request
from tests.host.stores.helpers import played, raw


@pytest.fixture
async def factory(tmp_path: Path) -> AsyncIterator[SqliteSessionStoreFactory]:
    made = SqliteSessionStoreFactory(tmp_path / "sessions")
    yield made
    await made.aclose()


# --- names ---------------------------------------------------------------------------------------


def test_a_file_is_called_like_its_session_and_a_hash() -> None:
    assert file_name("chat-123") == "chat-123-046f31e2696bc228.db"


@pytest.mark.parametrize("session_id", ["../../etc/passwd", "a/b\\c:d", "\x00", "ü" * 500, "..", "", ".", "\ud800"])
def test_a_name_is_harmless_and_short(session_id: str) -> None:
    name = file_name(session_id)
    assert is_session_file(name)
    assert len(name) <= 80 + 1 + 16 + 3
    assert not name.startswith(".")
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


@pytest.mark.parametrize(
    "name", ["journal.db", "x-0123456789abcde.db", "x-0123456789ABCDEF.db", "x-0123456789abcdef.db-wal"]
)
def test_other_files_are_no_session_files(name: str) -> None:
    assert not is_session_file(name)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"synchronous": "OFF"}, {"blob_profile": "tiny"}, {"max_open": 0}, {"max_open": -1}]
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SqliteSessionStoreFactory(tmp_path, **options)  # type: ignore[arg-type]


async def test_a_connection_has_the_pragmas_of_the_chapter(tmp_path: Path, factory: SqliteSessionStoreFactory) -> None:
    await played(factory)
    for synchronous, number in (("FULL", 2), ("NORMAL", 1)):
        connection = connections.open_file(factory.path_of("s"), synchronous)  # type: ignore[arg-type]
        wanted = {
            "journal_mode": "wal",
            "synchronous": number,
            "foreign_keys": 1,
            "busy_timeout": 15_000,
            "wal_autocheckpoint": 1_000,
            "cache_size": -2_000,
            "user_version": 1,
        }
        assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
        assert connection.isolation_level is None
        connection.close()


async def test_every_table_is_strict_and_has_the_session_in_it(factory: SqliteSessionStoreFactory) -> None:
    await played(factory)
    with raw(factory.path_of("s")) as connection:
        tables = {row[1]: row[5] for row in connection.execute("PRAGMA table_list") if not row[1].startswith("sqlite_")}
        assert tables == dict.fromkeys(TABLES, 1)
        for table in TABLES:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert "session_id" in columns, table


async def test_a_commit_is_one_hop_to_the_thread(
    factory: SqliteSessionStoreFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await played(factory, turns=1)
    hops: list[object] = []
    execute = connections.FileConnection._execute  # pyright: ignore

    async def counted(self: connections.FileConnection, fn: object, *args: object) -> object:
        hops.append(fn)
        return await execute(self, fn, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(connections.FileConnection, "_execute", counted)
    await store.commit_runtime_state(turn_commit("t2", 2, 1, "n:t1:1", session_id="s"))
    assert len(hops) == 1


# --- open files ----------------------------------------------------------------------------------


async def test_no_more_than_max_open_files_are_open_at_a_time(tmp_path: Path) -> None:
    factory = SqliteSessionStoreFactory(tmp_path, max_open=3)
    before = threading.active_count()
    stores = [await played(factory, f"s{n}", 1) for n in range(12)]
    most = 0

    async def read(number: int) -> int:
        nonlocal most
        read = await read_whole(stores[number])
        most = max(most, len(list(tmp_path.glob("*-wal"))))
        return read.head_revision

    order = [n * 5 % 12 for n in range(60)]
    assert await asyncio.gather(*map(read, order)) == [1] * 60
    assert most <= 3
    await factory.aclose()
    assert not [thread for thread in threading.enumerate() if "_connection_worker" in thread.name]
    assert threading.active_count() <= before + 2, "the threads of the loop's executor aside, none is left"
    assert not list(tmp_path.glob("*-wal")), "a closed file has no log beside it"


async def test_a_closed_store_needs_no_thread(factory: SqliteSessionStoreFactory) -> None:
    store = await played(factory)
    await store.aclose()
    assert not [thread for thread in threading.enumerate() if "_connection_worker" in thread.name]
    assert (await read_whole(store)).head_revision == 2


async def test_a_closed_factory_says_so(tmp_path: Path) -> None:
    factory = SqliteSessionStoreFactory(tmp_path)
    store = await played(factory)
    await factory.aclose()
    with pytest.raises(StoreBackendError, match="factory is closed"):
        await store.load_session("active_path")


async def test_who_waits_for_a_place_and_is_cancelled_passes_it_on(tmp_path: Path) -> None:
    factory = SqliteSessionStoreFactory(tmp_path)
    paths = [factory.path_of(f"s{n}") for n in range(3)]
    for n in range(3):
        await played(factory, f"s{n}", 1)
    await factory.aclose()
    files = OpenFiles(1, lambda path: connections.connect(path, "FULL"))
    entered: list[int] = []

    async def use(number: int) -> None:
        async with files.using(paths[number]):
            entered.append(number)

    async with files.using(paths[0]):
        first, second = asyncio.create_task(use(1)), asyncio.create_task(use(2))
        while not files_waiting(files, 2):
            await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert entered == [2]
    await files.aclose()


def files_waiting(files: OpenFiles, count: int) -> bool:
    """Whether so many wait for a place."""
    return len(files._waiting) == count  # pyright: ignore[reportPrivateUsage]


async def test_a_cancelled_commit_is_whole_or_absent(factory: SqliteSessionStoreFactory) -> None:
    store = await played(factory, turns=1)
    for turn in range(2, 8):
        commit = turn_commit(f"t{turn}", turn, turn - 1, f"n:t{turn - 1}:1", session_id="s")
        task = asyncio.create_task(store.commit_runtime_state(commit))
        for _ in range(turn - 2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        read = await read_whole(store)
        assert read.head_revision in (turn - 1, turn)
        await store.commit_runtime_state(commit)
        assert (await read_whole(store)).node_count == 2 * turn


async def test_a_session_that_another_process_deleted_and_made_anew_is_found_again(
    tmp_path: Path, factory: SqliteSessionStoreFactory
) -> None:
    store = await played(factory)
    another = SqliteSessionStoreFactory(factory.root)
    assert await another.delete_store("s")
    with pytest.raises(StoreBackendError):
        await store.load_session("active_path")
    await played(another, turns=1)
    assert (await read_whole(store)).head_revision == 1
    await another.aclose()


async def test_many_creators_at_once_make_one_session(tmp_path: Path) -> None:
    factories = [SqliteSessionStoreFactory(tmp_path) for _ in range(8)]
    stores = await asyncio.gather(
        *(factory.open_store(request("s", f"name {n}")) for n, factory in enumerate(factories))
    )
    assert len({await name_of(store) for store in stores}) == 1
    assert [path.name for path in tmp_path.glob("*.db")] == [file_name("s")]
    for factory in factories:
        await factory.aclose()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "a draft was left behind"


async def name_of(store: SessionStore) -> str:
    """The name in a store's meta."""
    meta = await store.load_session_meta()
    assert meta is not None
    return meta.name


# --- what cannot be used -------------------------------------------------------------------------


async def test_a_file_where_the_folder_should_be_is_a_backend_error(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("not a folder")
    factory = SqliteSessionStoreFactory(tmp_path / "sessions")
    with pytest.raises(StoreBackendError, match="sessions"):
        await factory.open_store(request("s"))
    with pytest.raises(StoreBackendError, match="sessions"):
        await factory.list_sessions()
    await factory.aclose()


async def test_a_read_only_medium_can_be_read_and_refuses_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = SqliteSessionStoreFactory(tmp_path)
    await played(factory)
    await factory.aclose()
    uri = connections.file_uri

    def read_only(path: Path, options: str) -> str:
        return uri(path, "mode=ro")

    monkeypatch.setattr(connections, "file_uri", read_only)
    factory = SqliteSessionStoreFactory(tmp_path)
    store = await factory.find_store("s")
    assert store is not None
    with pytest.raises(StoreBackendError, match="cannot be written"):
        await play_turns(store, 1, session_id="s", first=3)
    assert (await read_whole(store)).head_revision == 2
    await factory.aclose()


async def test_a_locked_file_is_a_backend_error(
    factory: SqliteSessionStoreFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_MS", 1)
    store = await played(factory)
    with raw(factory.path_of("s")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBackendError, match="locked"):
            await play_turns(store, 1, session_id="s", first=3)
        assert (await read_whole(store)).head_revision == 2
        other.execute("ROLLBACK")
    await play_turns(store, 1, session_id="s", first=3)


async def test_a_file_that_is_no_database_is_damaged(factory: SqliteSessionStoreFactory) -> None:
    factory.root.mkdir()
    factory.path_of("s").write_bytes(b"not a database at all" * 100)
    for use in (factory.find_store("s"), factory.open_store(request("s"))):
        with pytest.raises(StoreCorruption):
            await use


async def test_an_empty_or_strange_database_is_damaged(factory: SqliteSessionStoreFactory) -> None:
    factory.root.mkdir()
    factory.path_of("empty").write_bytes(b"")
    with raw(factory.path_of("strange")) as connection:
        connection.execute("CREATE TABLE other(x)")
        connection.execute("PRAGMA user_version = 1")
    for session_id, message in (("empty", "no session file"), ("strange", "lacks session_head")):
        with pytest.raises(StoreCorruption, match=message):
            await factory.open_store(request(session_id))


async def test_the_file_of_another_session_is_refused(factory: SqliteSessionStoreFactory) -> None:
    await played(factory)
    await factory.aclose()
    os.rename(factory.path_of("s"), factory.path_of("other"))
    later = SqliteSessionStoreFactory(factory.root)
    with pytest.raises(SessionBindingMismatch, match="this store holds session 's'"):
        await later.find_store("other")
    await later.aclose()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("graph_nodes", "body"),
        ("session_head", "config"),
        ("turn_checkpoints", "config"),
        ("pending_inputs", "body"),
        ("session_meta", "relation"),
        ("turn_commits", "result"),
        ("blobs", "body"),
    ],
)
async def test_a_flipped_bit_in_any_record_is_noticed(
    factory: SqliteSessionStoreFactory, table: str, column: str
) -> None:
    store = await played(factory, turns=1)
    await store.enqueue_input(PendingInputDraft("in:1", "next_turn", "hello"))
    with raw(factory.path_of("s")) as connection:
        for rowid, body in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            damaged = bytearray(body)
            damaged[len(damaged) // 2] ^= 0x10
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(damaged), rowid))
    errors = 0
    for use in (
        store.load_session("full_graph"),
        store.load_session("active_path"),
        store.load_checkpoint(1),
        store.list_inputs(),
        store.load_session_meta(),
        store.commit_runtime_state(turn_commit("t1", 1, None, None, session_id="s")),
    ):
        try:
            await use
        except (StoreCorruption, UnsupportedRecordVersion):
            errors += 1
    assert errors


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE graph_nodes SET node_id = 'n:x' WHERE node_id = 'n:t1:0'",
        "UPDATE graph_nodes SET parent_node_id = NULL WHERE node_id = 'n:t2:0'",
        "UPDATE graph_nodes SET parent_node_id = 'n:t2:1' WHERE node_id = 'n:t1:0'",
        "DELETE FROM graph_nodes WHERE node_id = 'n:t1:0'",
        "DELETE FROM blobs",
        "UPDATE session_head SET leaf_node_id = 'n:x'",
        "UPDATE session_head SET node_count = 3",
        "UPDATE graph_nodes SET tombstoned = 1 WHERE node_id = 'n:t1:1'",
    ],
)
async def test_rows_that_do_not_fit_together_are_noticed(factory: SqliteSessionStoreFactory, statement: str) -> None:
    store = await played(factory)
    with raw(factory.path_of("s")) as connection:
        connection.execute(statement)
    with pytest.raises(StoreCorruption):
        await store.load_session("full_graph")


async def test_damage_anywhere_in_a_file_never_shows_as_another_error(tmp_path: Path) -> None:
    factory = SqliteSessionStoreFactory(tmp_path)
    store = await played(factory, turns=3)
    whole = await read_whole(store)
    await factory.aclose()
    intact = factory.path_of("s").read_bytes()
    chance = random.Random(5)
    for _ in range(120):
        data = bytearray(intact)
        for _ in range(chance.choice((1, 1, 8))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        factory.path_of("s").write_bytes(data)
        later = SqliteSessionStoreFactory(tmp_path)
        try:
            found = await later.find_store("s")
            assert found is not None
            read = await found.load_session("full_graph")
            if read is not None:
                assert (read.nodes, read.execution_state) == (whole.nodes, whole.execution_state)
            await found.load_checkpoint("t1")
            await found.gc_unreachable(1)
            await found.append_usage("op", [])
            await later.list_sessions()
        except (StoreError, UnknownTurn, CheckpointNotKept):
            pass
        finally:
            await later.aclose()


# --- migrations ----------------------------------------------------------------------------------


def test_migrations_run_from_where_the_file_stands(tmp_path: Path) -> None:
    second = ("ALTER TABLE session_head ADD COLUMN note TEXT",)
    with raw(tmp_path / "x.db") as connection:
        migrate(connection, "x")
        connection.execute("INSERT INTO session_leases(session_id, fencing) VALUES('s', 7)")
        migrate(connection, "x", (FIRST, second))
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT note FROM session_head").fetchall() == []
        assert connection.execute("SELECT fencing FROM session_leases").fetchone() == (7,)
        with pytest.raises(UnsupportedRecordVersion):
            migrate(connection, "x")


def test_a_migration_that_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    broken = ("ALTER TABLE session_head ADD COLUMN note TEXT", "no SQL at all")
    with raw(tmp_path / "x.db") as connection:
        migrate(connection, "x")
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, "x", (FIRST, broken))
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            connection.execute("SELECT note FROM session_head")


# --- texts ---------------------------------------------------------------------------------------


async def test_a_number_beyond_64_bits_in_the_ledger_is_refused_and_undone(factory: SqliteSessionStoreFactory) -> None:
    store = await played(factory)
    with pytest.raises(StoreError, match="unstorable_value"):
        await store.append_usage("op", [usage_of(2**64)])
    assert (await read_whole(store)).usage_entry_count == 2


async def test_an_id_that_is_no_unicode_is_refused_and_undone(factory: SqliteSessionStoreFactory) -> None:
    store = await played(factory)
    with pytest.raises(StoreError, match="unstorable_value"):
        await store.append_usage("\ud800", [])
    with pytest.raises(StoreError, match="unstorable_value"):
        await factory.open_store(request("\ud800"))
    assert not list(factory.root.glob(".*"))
