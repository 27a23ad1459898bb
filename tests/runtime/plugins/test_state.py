"""The state of plugins: what is committed, what effects carry, and what was written down before."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.envelope import seal
from lash.runtime.errors import PluginError, StoreCorruption, UnsupportedRecordVersion
from lash.runtime.plugins.contract import SessionPlugin
from lash.runtime.plugins.snapshot import (
    FORMAT,
    OWNER,
    PluginEntry,
    PluginSnapshotMeta,
    SnapshotReader,
    SnapshotWriter,
    pack,
    unpack,
)
from lash.runtime.plugins.state import PluginStates
from lash.runtime.sansio.values import JsonValue, to_json


class Box(SessionPlugin):
    """Holds a value; `counts_restores` says whether taking a state up moves its revision."""

    def __init__(self, plugin_id: str = "box", value: Any = None) -> None:
        self.id = plugin_id
        self.value = value
        self.revision = 0
        self.written = 0

    def put(self, value: Any) -> None:
        self.value = value
        self.revision += 1

    def snapshot_revision(self) -> int:
        return self.revision

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        self.written += 1
        w.write_blob("raw", repr(self.value).encode())
        return PluginSnapshotMeta(self.version, self.value)

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        self.value = meta.state


def entries(states: PluginStates) -> dict[str, JsonValue]:
    """What would be committed, by plugin."""
    packed = states.packed()
    return {} if packed is None else {name: entry.meta.state for name, entry in unpack(packed).items()}


def test_a_plugin_without_a_state_leaves_nothing_in_the_commit() -> None:
    states = PluginStates([Box("a"), Box("b")], {})
    assert not states.changed
    assert states.packed() is None


def test_what_moved_is_committed_and_what_did_not_is_not_written_again() -> None:
    a, b = Box("a"), Box("b")
    states = PluginStates([a, b], {})
    a.put(1)
    b.put(2)
    assert states.changed
    assert entries(states) == {"a": 1, "b": 2}
    states.committed()
    assert not states.changed
    a.put(3)
    assert states.changed
    assert entries(states) == {"a": 3, "b": 2}
    assert (a.written, b.written) == (2, 1)


def test_a_state_that_was_not_committed_is_still_to_be() -> None:
    box = Box()
    states = PluginStates([box], {})
    box.put(1)
    states.packed()
    assert states.changed


def test_the_entry_of_an_absent_plugin_is_carried_along() -> None:
    states = PluginStates([Box("a")], {"gone": PluginEntry(PluginSnapshotMeta(7, "kept"), 3, {"raw": b"x"})})
    packed = states.packed()
    assert packed is not None
    assert unpack(packed)["gone"] == PluginEntry(PluginSnapshotMeta(7, "kept"), 3, {"raw": b"x"})


def test_an_effect_carries_what_moved_while_it_ran_and_a_replay_brings_it_back() -> None:
    a, b = Box("a"), Box("b")
    states = PluginStates([a, b], {})
    b.put("before")
    mark = states.mark()
    a.put({"n": 1})
    delta = states.delta(mark)
    assert list(delta) == ["plugin:a"]
    again = Box("a")
    replayed = PluginStates([again, Box("b")], {})
    replayed.apply({**delta, "tools": {"generation": 1}, "plugin:gone": delta["plugin:a"]})
    assert again.value == {"n": 1}


def test_a_state_that_a_replay_brought_back_is_committed_although_no_revision_moved() -> None:
    source = Box("a")
    states = PluginStates([source], {})
    mark = states.mark()
    source.put(5)
    replayed = PluginStates([Box("a")], {})
    replayed.apply(states.delta(mark))
    assert replayed.changed
    assert entries(replayed) == {"a": 5}


@pytest.mark.parametrize("value", [object(), float("nan"), {1: {2}}])
def test_a_state_that_is_no_json_is_named(value: Any) -> None:
    box = Box()
    states = PluginStates([box], {})
    box.put(value)
    with pytest.raises(PluginError, match=r"'box'.*could not be written") as failed:
        states.packed()
    assert failed.value.kind == "snapshot"


def test_a_blob_has_a_name_of_its_own() -> None:
    writer = SnapshotWriter()
    writer.write_blob("a", b"1")
    with pytest.raises(ValueError, match="'a'"):
        writer.write_blob("a", b"2")
    reader = SnapshotReader(writer.blobs)
    assert reader.names == ("a",)
    with pytest.raises(KeyError):
        reader.read_blob("b")


def test_large_states_come_back_as_they_were() -> None:
    blob = bytes(range(256)) * 40_960
    state: JsonValue = {"text": "é" * 100_000, "deep": [[[None, True, 1.5]]]}
    before = {"a": PluginEntry(PluginSnapshotMeta(2, state), 9, {"ten megabytes": blob})}
    assert unpack(pack(before)) == before
    assert PluginEntry.from_json(before["a"].to_json()) == before["a"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        pack({})[:-3],
        seal("tools", FORMAT, b"\x80"),
        seal(OWNER, FORMAT, b"\xc1"),
        seal(OWNER, 99, b""),
    ],
)
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(StoreCorruption):
        unpack(data)


def test_every_flipped_byte_is_noticed() -> None:
    packed = pack({"a": PluginEntry(PluginSnapshotMeta(1, {"n": 1}), 1, {"raw": b"blob"})})
    for at in range(len(packed)):
        damaged = bytearray(packed)
        damaged[at] ^= 0x55
        with pytest.raises((StoreCorruption, UnsupportedRecordVersion)):
            unpack(bytes(damaged))


@pytest.mark.parametrize("data", [None, 5, [], {}, {"version": 1, "state": None, "revision": 1, "blobs": {"a": "%"}}])
def test_what_is_no_recorded_entry_is_refused(data: Any) -> None:
    with pytest.raises(StoreCorruption):
        PluginEntry.from_json(data)


def test_an_entry_is_written_like_any_record() -> None:
    assert to_json(PluginSnapshotMeta(1, {"a": 1})) == {"version": 1, "state": {"a": 1}}
