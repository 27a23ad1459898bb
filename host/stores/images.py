"""What an image's first bytes say: its type and its size in pixels, without decoding it.

Sources: PNG (ISO 15948, 11.2.2), JPEG (ITU T.81, B.1 and B.2.2), GIF89a (section 18), WebP (RFC 9649, sections 2.5 to
2.7), BMP (BITMAPFILEHEADER and the core or info header after it).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin a frame: SOF0 to SOF15 without DHT, JPG and DAC, which lie between."""

JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG that carry no length: TEM, RST0 to RST7, SOI."""

BMP_CORE_HEADER = 12
"""The size of the oldest BMP header, which has 16-bit sizes; all later ones have 32-bit ones."""


class ImageInfo(NamedTuple):
    """What the header says; no size where the header is cut off or damaged."""

    media_type: str
    width: int | None
    height: int | None


def sniff(data: bytes) -> ImageInfo | None:
    """Type and size of an image; None for bytes that are no png, jpeg, gif, webp or bmp."""
    for media_type, matches, size in FORMATS:
        if matches(data):
            try:
                width, height = size(data)
            except (struct.error, IndexError, ValueError):
                return ImageInfo(media_type, None, None)
            return ImageInfo(media_type, width, height)
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("a PNG begins with its IHDR chunk")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments to the first frame header; everything before it says its length."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("a segment begins with its marker")
        while data[at] == 0xFF:  # any number of fill bytes may come before the marker's code
            at += 1
        marker, at = data[at], at + 1
        if marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker not in JPEG_BARE:
            (length,) = struct.unpack_from(">H", data, at)
            at += max(length, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":  # canvas size less one, 24 bits each
        return int.from_bytes(_exactly(data, 24, 3), "little") + 1, int.from_bytes(_exactly(data, 27, 3), "little") + 1
    if kind == b"VP8L":  # a signature byte, then 14 bits each, less one
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # frame tag and start code, then 14 bits of size below 2 bits of scale
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("unknown first chunk")


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == BMP_CORE_HEADER else "<ii", data, 18)
    return width, abs(height)  # a negative height says that the rows come from the top


def _exactly(data: bytes, start: int, length: int) -> bytes:
    part = data[start : start + length]
    if len(part) != length:
        raise ValueError("the header is cut off")
    return part


FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int]]], ...] = (
    ("image/png", lambda data: data.startswith(PNG_SIGNATURE), _png_size),
    ("image/jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg_size),
    ("image/gif", lambda data: data.startswith((b"GIF87a", b"GIF89a")), _gif_size),
    ("image/webp", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp_size),
    ("image/bmp", lambda data: data.startswith(b"BM") and len(data) >= 18, _bmp_size),
)
"""Media type, how it is recognised, where its size stands."""
