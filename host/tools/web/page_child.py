"""The converter from HTML (in UTF-8) to text; see `lash.host.tools.conversion_child`, whose process it runs in."""

from __future__ import annotations

from collections.abc import Iterator


def convert(data: bytes) -> Iterator[bytes]:
    """What of a page is to be read; all of its text where that is not clear, nothing where there is none."""
    import trafilatura  # in the child process alone, under its limits

    page = data.decode("utf-8", "replace")
    found = trafilatura.extract(page, include_comments=False, include_tables=True) or trafilatura.html2txt(page)
    yield (found or "").encode("utf-8", "replace")
