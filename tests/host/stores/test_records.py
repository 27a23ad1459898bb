from __future__ import annotations

import math
import random
import zlib

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lash.host.stores.records import (
    PROFILES,
    RAW,
    ZLIB,
    BlobProfile,
    BlobRow,
    blob_hash,
    decode,
    decode_as,
    encode,
    encode_as,
    pack_blob,
    unpack_blob,
)
from lash.host.stores.turn_state import manifest_blobs
from lash.runtime.errors import StoreCorruption, StoreError, UnsupportedRecordVersion
from lash.runtime.sansio.messages import SessionEvent, SessionEventRecord
from lash.runtime.sansio.values import JsonValue

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
BALANCED = PROFILES["balanced"]


@given(JSON)
def test_any_json_comes_back_as_it_was(value: JsonValue) -> None:
    again = decode(encode(value), "it")
    assert again == value
    assert repr(again) == repr(value)


@given(JSON)
def test_any_json_inside_an_event_comes_back_as_it_was(value: JsonValue) -> None:
    event = SessionEvent.Plugin("notes", value)
    assert decode_as(SessionEventRecord, encode_as(SessionEventRecord, event), "it") == event


def test_numbers_that_json_text_cannot_hold_come_back() -> None:
    again = decode(encode([math.inf, math.nan]), "it")
    assert isinstance(again, list)
    assert again[0] == math.inf
    assert repr(again[1]) == "nan"


@pytest.mark.parametrize("depth", [1, 50, 100, 150, 200, 250, 300, 500, 1_000, 5_000])
def test_nesting_is_either_refused_or_comes_back(depth: int) -> None:
    value: JsonValue = []
    for _ in range(depth):
        value = [value]
    event = SessionEvent.Plugin("notes", value)
    try:
        again = decode_as(SessionEventRecord, encode_as(SessionEventRecord, event), "it")
    except StoreCorruption:
        pytest.fail("what was accepted cannot be read")
    except StoreError:
        return
    assert again == event


def test_what_json_has_no_word_for_is_stored_as_what_comes_nearest() -> None:
    event = SessionEvent.Plugin("notes", {"pair": (1, "x")})  # type: ignore[dict-item]
    again = decode_as(SessionEventRecord, encode_as(SessionEventRecord, event), "it")
    assert again == SessionEvent.Plugin("notes", {"pair": [1, "x"]})


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(StoreError, match="unstorable_value"):
        encode_as(SessionEventRecord, SessionEvent.Plugin("notes", object()))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="unstorable_value"):
        encode({"when": object()})  # type: ignore[dict-item]


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_bit_anywhere_in_a_record_is_noticed(data: st.DataObject) -> None:
    value: JsonValue = {"text": "hello world", "n": [1, 2.5, None, 2**70]}
    record = bytearray(encode(value))
    record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((StoreCorruption, UnsupportedRecordVersion)):
        decode(bytes(record), "it")


@given(st.binary(max_size=60))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises((StoreCorruption, UnsupportedRecordVersion)):
        decode(data, "it")


def test_a_cut_off_record_is_refused() -> None:
    record = encode({"text": "hello"})
    for length in range(len(record)):
        with pytest.raises(StoreCorruption):
            decode(record[:length], "it")


def test_a_record_of_a_later_version_is_named_as_such() -> None:
    body = msgpack.packb("x")
    record = msgpack.packb({"v": 2, "crc": zlib.crc32(body), "body": body})
    with pytest.raises(UnsupportedRecordVersion, match=r"node 'a' has version 2; this build reads up to 1"):
        decode(record, "node 'a'")


def test_a_record_of_another_kind_is_refused_with_the_field() -> None:
    with pytest.raises(StoreCorruption, match=r"node 'a' cannot be read"):
        decode_as(SessionEventRecord, encode({"type": "plugin"}), "node 'a'")


@pytest.mark.parametrize(
    ("profile", "size", "codec"),
    [
        ("balanced", 4_095, RAW),
        ("balanced", 4_096, ZLIB),
        ("compact", 1_023, RAW),
        ("compact", 1_024, ZLIB),
        ("low_latency", 1_000_000, RAW),
    ],
)
def test_the_profile_says_from_which_size_blobs_are_compressed(profile: BlobProfile, size: int, codec: int) -> None:
    raw = b"x" * size
    row = pack_blob("execution_state", raw, PROFILES[profile])
    assert (row.codec, row.raw_len, row.hash) == (codec, size, blob_hash(raw))
    assert unpack_blob(row) == raw


def test_what_does_not_compress_is_kept_as_it_is() -> None:
    raw = random.Random(1).randbytes(10_000)
    row = pack_blob("execution_state", raw, BALANCED)
    assert (row.codec, row.body) == (RAW, raw)


def test_a_damaged_length_cannot_make_a_blob_fill_the_memory() -> None:
    row = pack_blob("execution_state", bytes(50_000_000), BALANCED)
    with pytest.raises(StoreCorruption, match="another length"):
        unpack_blob(row._replace(raw_len=10))


@pytest.mark.parametrize(
    "change",
    [{"body": b""}, {"body": b"nonsense"}, {"raw_len": 4_999}, {"raw_len": 5_001}, {"raw_len": -5}, {"hash": "0" * 64}],
)
def test_a_damaged_blob_is_noticed(change: dict[str, object]) -> None:
    row = pack_blob("execution_state", b"y" * 5_000, BALANCED)
    fields = {**row._asdict(), **change}
    with pytest.raises(StoreCorruption):
        unpack_blob(BlobRow(**fields))  # type: ignore[arg-type]


def test_a_blob_in_an_unknown_codec_is_named_as_such() -> None:
    with pytest.raises(UnsupportedRecordVersion, match="codec"):
        unpack_blob(pack_blob("x", b"y", BALANCED)._replace(codec=7))


@pytest.mark.parametrize("data", [1, {}, {"turn_state": {}, "blobs": {"other": "x"}}, {"turn_state": 1, "blobs": {}}])
def test_a_manifest_of_another_form_is_refused(data: JsonValue) -> None:
    with pytest.raises(StoreCorruption):
        manifest_blobs(encode(data), "hash")
