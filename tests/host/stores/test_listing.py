from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lash.host.stores.sqlite import SqliteSessionStoreFactory, listing
from lash.runtime.errors import StoreCorruption
from lash.testing.conformance.world import request
from tests.host.stores.helpers import played

LONG_AGO = 1_000_000_000


@pytest.fixture
async def parked(tmp_path: Path) -> Path:
    """A folder with three sessions that have not changed for long."""
    factory = SqliteSessionStoreFactory(tmp_path)
    for name in ("a", "b", "c"):
        await played(factory, name, 1)
    await factory.aclose()
    settle(tmp_path)
    return tmp_path


def settle(folder: Path) -> None:
    """Make every session file old."""
    for path in folder.glob("*.db"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are read from now on."""
    reads: list[str] = []
    read = listing._read_meta  # pyright: ignore[reportPrivateUsage]

    def counted(path: Path, options: str) -> object:
        reads.append(path.name[0])
        return read(path, options)

    monkeypatch.setattr(listing, "_read_meta", counted)
    return reads


async def ids(folder: Path) -> list[str]:
    """What a new process would list."""
    factory = SqliteSessionStoreFactory(folder)
    metas = await factory.list_sessions()
    await factory.aclose()
    return [meta.session_id for meta in metas]


async def test_parked_sessions_are_read_once_for_all_processes(parked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = count_reads(monkeypatch)
    assert await ids(parked) == ["a", "b", "c"]
    assert reads == ["a", "b", "c"]
    assert await ids(parked) == ["a", "b", "c"]
    assert reads == ["a", "b", "c"]


async def test_only_changed_sessions_are_read_again(parked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ids(parked)
    reads = count_reads(monkeypatch)
    factory = SqliteSessionStoreFactory(parked)
    store = await factory.find_store("b")
    assert store is not None
    await store.save_session_meta(replace(request("b").meta, name="renamed"))
    assert [meta.name for meta in await factory.list_sessions()] == ["a session", "renamed", "a session"]
    assert set(reads) == {"b"}
    await factory.aclose()
    assert [meta.name for meta in await SqliteSessionStoreFactory(parked).list_sessions()][1] == "renamed"
    assert set(reads) == {"b"}


async def test_a_session_that_changed_just_now_is_not_remembered(parked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = SqliteSessionStoreFactory(parked)
    await played(factory, "fresh", 1)
    await factory.list_sessions()
    reads = count_reads(monkeypatch)
    assert "fresh" in [meta.session_id for meta in await factory.list_sessions()]
    assert set(reads) == {"f"}
    await factory.aclose()


@pytest.mark.parametrize("contents", [b"", b"nonsense", b"\x83\xa1v\x02\xa3crc\x00\xa4body\xc4\x00"])
async def test_a_damaged_memory_is_not_missed(parked: Path, contents: bytes) -> None:
    await ids(parked)
    (parked / listing.MEMORY_FILE).write_bytes(contents)
    assert await ids(parked) == ["a", "b", "c"]


async def test_without_a_place_for_its_memory_the_list_is_still_made(parked: Path) -> None:
    (parked / listing.MEMORY_FILE).mkdir()
    assert await ids(parked) == ["a", "b", "c"]
    assert not [path for path in parked.iterdir() if path.name.startswith(f"{listing.MEMORY_FILE}.")]


async def test_sessions_that_cannot_be_read_are_all_named(parked: Path) -> None:
    broken = [path for path in sorted(parked.glob("*.db")) if path.name[0] in "ac"]
    for path in broken:
        path.write_bytes(b"damaged" * 1000)
    with pytest.raises(StoreCorruption, match="2 of the sessions") as error:
        await ids(parked)
    assert all(path.name in str(error.value) for path in broken)
    for path in broken:
        path.unlink()
    assert await ids(parked) == ["b"]


async def test_other_files_in_the_folder_are_no_sessions(parked: Path) -> None:
    (parked / "journal.db").write_bytes(b"something else")
    (parked / "notes-0123456789abcdef.db.bak").write_bytes(b"something else")
    assert await ids(parked) == ["a", "b", "c"]


async def test_a_folder_that_is_not_there_has_no_sessions(tmp_path: Path) -> None:
    assert await ids(tmp_path / "nothing") == []


async def test_a_session_that_a_dead_process_left_is_listed_with_its_last_state(parked: Path) -> None:
    factory = SqliteSessionStoreFactory(parked)
    store = await factory.find_store("a")
    assert store is not None
    await store.save_session_meta(replace(request("a").meta, name="in the log"))
    left = {path.name: path.read_bytes() for path in parked.glob("a-*") if not path.name.endswith("-shm")}
    await factory.aclose()
    for name, data in left.items():
        (parked / name).write_bytes(data)
    later = SqliteSessionStoreFactory(parked)
    assert next(meta.name for meta in await later.list_sessions()) == "in the log"
    await later.aclose()
