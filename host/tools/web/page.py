"""From the body of an answer to text: what is a text, and in which charset."""

from __future__ import annotations

import asyncio
import codecs
import importlib.util
import re
from email.message import Message
from pathlib import Path
from typing import Final

from lash.host.tools.conversion import ConversionError, converted
from lash.runtime.errors import ConfigError
from lash.runtime.tools.result import ToolError

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS: Final = frozenset(
    "application/json application/xml application/javascript application/x-javascript application/x-ndjson "
    "application/yaml application/x-yaml application/toml application/sql application/x-sh image/svg+xml".split()
)
_SNIFFED: Final = 1024
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"})
"""Codecs of Python that no text is sent in: some are very slow, others not for whole texts. Browsers refuse UTF-7."""

_CONVERTER: Final = Path(__file__).with_name("page_child.py")


def require_extractor() -> None:
    """ConfigError (web_extra_missing) where the library that finds the text in a page is not installed."""
    if importlib.util.find_spec("trafilatura") is None:
        raise ConfigError(
            "web_extra_missing", "reading pages without a service needs trafilatura: pip install 'lash-runtime[web]'"
        )


async def page_text(url: str, content_type: str, body: bytes) -> str:
    """The text of a body; of an HTML page what is to be read, nothing where there is nothing.

    Raises ToolError: web_not_text for what is no text, web_unreadable for a page whose text cannot be found.
    """
    declared = Message()
    declared["content-type"] = content_type
    kind = declared.get_content_type() if content_type else _guess(body)
    if not (kind in _HTML or kind in _TEXTS or kind.startswith("text/") or kind.endswith(("+json", "+xml"))):
        raise ToolError(f"{url} is {kind}; only pages and other texts can be read", cls="external", code="web_not_text")
    charset = declared.get_content_charset() if content_type else None
    text = await asyncio.to_thread(_decoded, body, charset, is_html=kind in _HTML)
    if kind in _HTML:
        text = await _readable(text, url)
    return text


def _guess(body: bytes) -> str:
    """The type of a body that comes without one."""
    if b"\0" in body[:_SNIFFED]:
        return "application/octet-stream"
    return "text/html" if re.match(rb"\s*(?:<!doctype html|<html|<head|<body)", body, re.IGNORECASE) else "text/plain"


def _decoded(body: bytes, charset: str | None, *, is_html: bool) -> str:
    """The body as text: by its byte order mark, the charset it was sent with, that of the page itself, or UTF-8."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    found = _META.search(body[:_SNIFFED]) if charset is None and is_html else None
    name = found[1].decode("ascii") if found is not None else charset or "utf-8"
    if found is not None and name.lower().startswith("utf-"):
        name = "utf-8"  # in UTF-16 and UTF-32, the declaration could not have been read
    try:
        if codecs.lookup(name).name not in _NO_CHARSETS:
            return body.decode(name, "replace")
    except (LookupError, ValueError):
        pass  # no charset of that name, or none for texts
    return body.decode("utf-8", "replace")


async def _readable(text: str, url: str) -> str:
    try:
        output, _ = await converted(_CONVERTER, text.encode("utf-8", "replace"))
    except ConversionError as error:
        raise ToolError(
            f"{url} is a page whose text could not be found: {error}", cls="external", code="web_unreadable"
        ) from None
    return output.decode("utf-8", "replace")
