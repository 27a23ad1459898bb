"""`read_file` of PDFs: their text, and nothing else of them."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from lash.host.tools import conversion
from tests.host.tools.files.support import failure_of, policy, value_of


def document(*pages: str, extra: bytes = b"") -> bytes:
    """A PDF with a text on each page, written by hand (ISO 32000-1, 7.5)."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids: list[str] = []
    for text in pages:
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream = f"BT /F1 12 Tf 72 720 Td {shown}ET".encode() + extra
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
        objects.append(f"{page}/Resources << /Font << /F1 3 0 R >> >> >>".encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return assembled(objects)


def assembled(objects: list[bytes]) -> bytes:
    """Objects with the table and the trailer that make a file of them."""
    data, places = b"%PDF-1.4\n", list[int]()
    for number, one in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % size
    return data + head + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(data))


async def test_the_text_of_a_pdf_is_shown_as_lines_below_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(document("one\ntwo", "three"))
    shown = await value_of(policy(tmp_path), "read_file", path="a.pdf")
    assert shown == "[PDF: a.pdf (1KB, 3 lines extracted)]\n1: one\n2: two\n3: three"


async def test_a_window_of_a_pdf_has_the_notes_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(document("one\ntwo\nthree"))
    shown = await value_of(policy(tmp_path), "read_file", path="a.pdf", offset=2, limit=1)
    assert shown.split("\n", 1)[1] == (
        "2: two\n\n[results truncated: showing lines 2-2 of 3. Use offset=3 to continue.]"
    )


@pytest.mark.parametrize("data", [b"%PDF-1.7\nnothing", b"%PDF-1.4\n" + b"\xff" * 5000, document("x")[:200]])
async def test_a_broken_pdf_is_an_error_that_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(data)
    failure = await failure_of(policy(tmp_path), "read_file", path="a.pdf")
    assert (failure.cls, failure.code) == ("execution", "tool_error")
    assert "a.pdf" in failure.message


async def test_a_text_with_the_name_of_a_pdf_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("no pdf")
    assert await value_of(policy(tmp_path), "read_file", path="a.pdf") == "1: no pdf"


async def test_a_pdf_that_unpacks_to_gigabytes_harms_nobody(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(300)) + packer.flush()
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 1 1] /Contents 3 0 R >>"
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>", stream, page]
    (tmp_path / "a.pdf").write_bytes(assembled(objects))
    shown = await value_of(policy(tmp_path), "read_file", path="a.pdf")
    assert shown == "[PDF: a.pdf (299KB, 0 lines extracted)]"


async def test_a_pdf_that_keeps_its_reader_busy_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text("while True: pass")
    monkeypatch.setattr(conversion, "_CHILD", str(tmp_path / "child.py"))
    monkeypatch.setattr(conversion, "WALL_S", 0.01)
    (tmp_path / "a.pdf").write_bytes(document("x"))
    failure = await failure_of(policy(tmp_path), "read_file", path="a.pdf")
    assert "it did not end within 0.01 s" in failure.message


async def test_a_reader_of_a_pdf_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text("import os; os.abort()")
    monkeypatch.setattr(conversion, "_CHILD", str(tmp_path / "child.py"))
    (tmp_path / "a.pdf").write_bytes(document("x"))
    failure = await failure_of(policy(tmp_path), "read_file", path="a.pdf")
    assert "too much time or memory" in failure.message
