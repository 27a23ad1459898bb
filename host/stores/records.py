"""How values lie in rows: msgpack records that say their version and carry a checksum, and content-addressed blobs.

A record is the map `{"v": version, "crc": CRC-32 of body, "body": msgpack of the value}`. The checksum is there because
a flipped bit inside a text still is valid msgpack: without it a store would hand out, without a word, what nobody
wrote. A blob is found by the SHA-256 of its raw bytes, which is checked whenever it is read.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, cast

import msgpack
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from lash.runtime.errors import StoreCorruption, StoreError, UnsupportedRecordVersion
from lash.runtime.sansio.packing import pack, unpack
from lash.runtime.sansio.values import JsonValue, adapter

T = TypeVar("T")

RECORD_VERSION = 1
"""The newest version of records that this build writes and reads."""

BlobProfile = Literal["balanced", "compact", "low_latency"]

RAW, ZLIB = 0, 1
"""Codecs of blobs, as the column `codec` has them."""


@dataclass(frozen=True, slots=True)
class Compression:
    """From which size blobs are compressed (None: never), and how hard zlib tries."""

    threshold: int | None
    level: int


PROFILES: dict[BlobProfile, Compression] = {
    "balanced": Compression(4096, 1),
    "compact": Compression(1024, 6),
    "low_latency": Compression(None, 0),
}
"""What the profiles mean. Level 1 costs a quarter of level 6 and gives up about a tenth of what it saves."""


class BlobRow(NamedTuple):
    """A blob as it is stored."""

    hash: str
    kind: str
    codec: int
    raw_len: int
    body: bytes


# --- records -------------------------------------------------------------------------------------


def encode(value: JsonValue) -> bytes:
    """The record of plain JSON data.

    Raises StoreError (unstorable_value) for what no JSON is, or is nested too deeply to be read again.
    """
    try:
        body = pack(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StoreError("unstorable_value", f"a value cannot be stored: {error}") from error
    return pack({"v": RECORD_VERSION, "crc": zlib.crc32(body), "body": body})


def decode(record: bytes, what: str) -> JsonValue:
    """The data that `encode` made the record of; `what` names it in errors.

    Raises StoreCorruption and UnsupportedRecordVersion.
    """
    envelope = _unpack(record, what)
    if not isinstance(envelope, dict):
        raise StoreCorruption(f"{what} is no record")
    fields = cast("dict[object, object]", envelope)
    version, checksum, body = fields.get("v"), fields.get("crc"), fields.get("body")
    if type(version) is not int:
        raise StoreCorruption(f"{what} says no version")
    if version != RECORD_VERSION:
        raise UnsupportedRecordVersion(what, version, RECORD_VERSION)
    if not isinstance(body, bytes) or zlib.crc32(body) != checksum:
        raise StoreCorruption(f"{what} is not what was written: its checksum is wrong")
    return cast("JsonValue", _unpack(body, what))


def encode_as(kind: Any, value: object) -> bytes:
    """The record of a dataclass or a member of a union. Raises StoreError (unstorable_value)."""
    return encode(plain(kind, value))


def plain(kind: Any, value: object) -> JsonValue:
    """A dataclass or a member of a union as plain JSON data. Raises StoreError (unstorable_value)."""
    try:
        return cast("JsonValue", adapter(kind).dump_python(value, warnings="error"))
    except PydanticSerializationError:
        # Something is not quite of its type, say a tuple where JSON has a list. Mode "json" makes it so; it is not the
        # first choice because it puts other characters in place of lone surrogates in keys.
        try:
            return cast("JsonValue", adapter(kind).dump_python(value, mode="json", warnings=False))
        except ValueError as error:  # which is also what pydantic raises for deep nesting
            raise StoreError("unstorable_value", f"a value cannot be stored: {error}") from error


def decode_as(kind: Any, record: bytes, what: str) -> Any:
    """What `encode_as` made the record of. Raises StoreCorruption and UnsupportedRecordVersion."""
    return structured(kind, decode(record, what), what)


def structured(kind: Any, data: object, what: str) -> Any:
    """The value that `plain` made the data of. Raises StoreCorruption."""
    try:
        return adapter(kind).validate_python(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        raise StoreCorruption(f"{what} cannot be read: {where}: {problem['msg']}") from error


def _unpack(data: bytes, what: str) -> object:
    try:
        return unpack(data)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise StoreCorruption(f"{what} cannot be read: {error or type(error).__name__}") from error


# --- blobs ---------------------------------------------------------------------------------------


def blob_hash(raw: bytes) -> str:
    """What a blob is found by."""
    return hashlib.sha256(raw).hexdigest()


def pack_blob(kind: str, raw: bytes, compression: Compression) -> BlobRow:
    """A blob as it is stored, compressed where the profile says so and it helps."""
    codec, body = RAW, raw
    if compression.threshold is not None and len(raw) >= compression.threshold:
        compressed = zlib.compress(raw, compression.level)
        if len(compressed) < len(raw):
            codec, body = ZLIB, compressed
    return BlobRow(blob_hash(raw), kind, codec, len(raw), body)


def unpack_blob(row: BlobRow) -> bytes:
    """A blob's raw bytes, checked against its hash. Raises StoreCorruption and UnsupportedRecordVersion."""
    what = f"blob {row.hash}"
    if row.codec not in (RAW, ZLIB):
        raise UnsupportedRecordVersion(f"the codec of {what}", row.codec, ZLIB)
    raw = row.body if row.codec == RAW else _inflate(row, what)
    if len(raw) != row.raw_len or blob_hash(raw) != row.hash:
        raise StoreCorruption(f"{what} is not what was written: its hash is wrong")
    return raw


def _inflate(row: BlobRow, what: str) -> bytes:
    """Decompress, never to more than the blob is said to be long: damaged bytes must not fill the memory."""
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(row.body, row.raw_len + 1)
    except (zlib.error, ValueError, OverflowError) as error:
        raise StoreCorruption(f"{what} cannot be decompressed: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise StoreCorruption(f"{what} is not what was written: it has another length")
    return raw
