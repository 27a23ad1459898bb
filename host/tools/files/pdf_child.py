"""The converter from PDF to text; see `lash.host.tools.conversion_child`, whose process it runs in."""

from __future__ import annotations

import io
from collections.abc import Iterator


def convert(data: bytes) -> Iterator[bytes]:
    """The text of each page that has one, as lines. Raises whatever pypdf does, ValueError for an encrypted file."""
    from pypdf import PdfReader  # in the child process alone, under its limits

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is encrypted")
    for page in reader.pages:
        text = page.extract_text().rstrip()
        if text:
            yield f"{text}\n".encode("utf-8", "replace")
