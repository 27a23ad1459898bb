from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.stores.attachments import FileAttachmentStore, InMemoryAttachmentStore
from lash.host.stores.images import ImageInfo, sniff
from lash.runtime.errors import AttachmentError
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.effects import DurabilityTier


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def riff(kind: bytes, data: bytes) -> bytes:
    """A WebP file of one chunk."""
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(20)))
    + chunk(b"IEND", b"")
)
FRAME = b"\x00\x11\x08" + struct.pack(">HH", 2, 3) + b"\x03" + bytes(9)
APP0 = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
IMAGES = {
    "png": (PNG, "image/png"),
    "jpeg": (b"\xff\xd8" + APP0 + b"\xff\xc0" + FRAME, "image/jpeg"),
    "progressive jpeg": (b"\xff\xd8" + APP0 + b"\xff\xdb\x00\x04ab\xff\xff\xff\xc2" + FRAME, "image/jpeg"),
    "jpeg with tables before": (b"\xff\xd8\xff\xc4\x00\x06\xff\xc0ab\xff\xd0\xff\xc1" + FRAME, "image/jpeg"),
    "gif": (b"GIF89a" + struct.pack("<HH", 3, 2) + b"\x00\x00\x00;", "image/gif"),
    "old gif": (b"GIF87a" + struct.pack("<HH", 3, 2), "image/gif"),
    "lossy webp": (riff(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 3 | 0x4000, 2)), "image/webp"),
    "lossless webp": (riff(b"VP8L", b"\x2f" + struct.pack("<I", 2 | 1 << 14)), "image/webp"),
    "extended webp": (riff(b"VP8X", bytes(4) + b"\x02\x00\x00\x01\x00\x00"), "image/webp"),
    "bmp": (b"BM" + bytes(12) + struct.pack("<Iii", 40, 3, 2), "image/bmp"),
    "bmp from the top": (b"BM" + bytes(12) + struct.pack("<Iii", 40, 3, -2), "image/bmp"),
    "old bmp": (b"BM" + bytes(12) + struct.pack("<IHH", 12, 3, 2), "image/bmp"),
}


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AttachmentStore:
    return InMemoryAttachmentStore() if request.param == "memory" else FileAttachmentStore(tmp_path)


def file_of(root: Path, attachment_id: str) -> Path:
    """Where an image lies."""
    return root / "sha256" / attachment_id[:2] / attachment_id


# --- types and sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_type_and_size_are_read_from_the_header(name: str) -> None:
    data, media_type = IMAGES[name]
    assert sniff(data) == ImageInfo(media_type, 3, 2)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\x89PNG", b"BM", b"<svg/>"]
)
def test_other_bytes_are_no_image(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize("name", IMAGES)
def test_a_cut_off_header_gives_no_size_and_no_other_error(name: str) -> None:
    data, media_type = IMAGES[name]
    for length in range(len(data)):
        info = sniff(data[:length])
        assert info is None or info in (ImageInfo(media_type, 3, 2), ImageInfo(media_type, None, None))


@given(st.sampled_from(sorted(IMAGES)), st.binary(max_size=40))
def test_damaged_headers_never_raise(name: str, tail: bytes) -> None:
    data, _ = IMAGES[name]
    for cut in (4, 12, 16):
        sniff(data[:cut] + tail)


# --- stores --------------------------------------------------------------------------------------


async def test_an_image_is_found_by_the_hash_of_its_bytes(store: AttachmentStore) -> None:
    ref = await store.put(PNG, label="a chart")
    assert ref.id == hashlib.sha256(PNG).hexdigest()
    assert (ref.media_type, ref.byte_len, ref.width, ref.height, ref.label) == ("image/png", len(PNG), 3, 2, "a chart")
    assert await store.get(ref.id) == PNG
    assert await store.describe(ref.id) == ref


async def test_the_same_image_is_kept_once_with_its_newest_label(store: AttachmentStore) -> None:
    await store.put(PNG, label="first")
    assert (await store.put(PNG)).label == "first"
    second = await store.put(PNG, label="second")
    assert await store.list() == [second]


async def test_a_deleted_image_is_gone(store: AttachmentStore) -> None:
    ref = await store.put(PNG)
    assert await store.delete(ref.id) is True
    assert await store.delete(ref.id) is False
    assert await store.describe(ref.id) is None
    assert await store.list() == []
    with pytest.raises(AttachmentError) as error:
        await store.get(ref.id)
    assert error.value.code == "attachment_not_found"


async def test_what_is_no_image_is_refused(store: AttachmentStore) -> None:
    with pytest.raises(AttachmentError) as error:
        await store.put(b"hello")
    assert error.value.code == "attachment_type"
    assert await store.list() == []


@pytest.mark.parametrize(
    "attachment_id", ["", "..", "../../etc/passwd", "0" * 64, "A" * 64, "0" * 63 + "/", "0" * 64 + "\n"]
)
async def test_ids_that_nothing_has_are_not_found(store: AttachmentStore, attachment_id: str) -> None:
    with pytest.raises(AttachmentError) as error:
        await store.get(attachment_id)
    assert error.value.code == "attachment_not_found"
    assert await store.describe(attachment_id) is None
    assert await store.delete(attachment_id) is False


async def test_images_are_listed_by_id(store: AttachmentStore) -> None:
    refs = [await store.put(data) for data, _ in IMAGES.values()]
    assert await store.list() == sorted(refs, key=lambda ref: ref.id)


def test_the_stores_say_whether_they_last(tmp_path: Path) -> None:
    assert InMemoryAttachmentStore().durability is DurabilityTier.INLINE
    assert FileAttachmentStore(tmp_path).durability is DurabilityTier.DURABLE


# --- files ---------------------------------------------------------------------------------------


async def test_another_process_finds_what_was_put(tmp_path: Path) -> None:
    ref = await FileAttachmentStore(tmp_path).put(PNG, label="chart")
    other = FileAttachmentStore(tmp_path)
    assert await other.get(ref.id) == PNG
    assert await other.list() == [ref]


async def test_nothing_but_image_and_description_is_left(tmp_path: Path) -> None:
    ref = await FileAttachmentStore(tmp_path).put(PNG)
    path = file_of(tmp_path, ref.id)
    assert sorted(path.parent.iterdir()) == [path, path.with_name(path.name + ".json")]


async def test_a_damaged_image_is_noticed_and_healed_by_putting_it_again(tmp_path: Path) -> None:
    store = FileAttachmentStore(tmp_path)
    ref = await store.put(PNG)
    file_of(tmp_path, ref.id).write_bytes(PNG[:-1] + b"?")
    with pytest.raises(AttachmentError, match="damaged") as error:
        await store.get(ref.id)
    assert error.value.code == "attachment_io"
    await store.put(PNG)
    assert await store.get(ref.id) == PNG


async def test_an_image_without_its_description_is_described_from_its_bytes(tmp_path: Path) -> None:
    store = FileAttachmentStore(tmp_path)
    ref = await store.put(PNG)
    path = file_of(tmp_path, ref.id)
    path.with_name(path.name + ".json").unlink()
    assert await store.describe(ref.id) == ref
    assert await store.list() == [ref]


@pytest.mark.parametrize("description", [b"", b"{}", b"\xff", b'{"id": "x", "media_type": "image/png", "byte_len": 1}'])
async def test_a_damaged_description_is_an_error(tmp_path: Path, description: bytes) -> None:
    store = FileAttachmentStore(tmp_path)
    ref = await store.put(PNG)
    path = file_of(tmp_path, ref.id)
    path.with_name(path.name + ".json").write_bytes(description)
    with pytest.raises(AttachmentError) as error:
        await store.describe(ref.id)
    assert error.value.code == "attachment_io"
    assert await store.get(ref.id) == PNG
    await store.put(PNG, label="described anew")
    assert (await store.list())[0].label == "described anew"


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sha256").write_text("a file where the folder should be")
    with pytest.raises(AttachmentError) as error:
        await FileAttachmentStore(tmp_path).put(PNG)
    assert error.value.code == "attachment_io"
