"""From the body of an answer to text: charsets, and what of an HTML page is to be read."""

from __future__ import annotations

import codecs
import importlib
import re
from email.message import Message
from typing import Any, Final, cast

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.values import whole_texts
from lash.runtime.tools.result import ToolError

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS: Final = frozenset(
    "application/json application/xml application/javascript application/x-javascript application/x-ndjson "
    "application/yaml application/x-yaml application/toml application/sql application/x-sh image/svg+xml".split()
)
_SNIFFED: Final = 1024
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def load_extractor() -> Any:
    """The library that finds the text in a page. ConfigError (web_extra_missing) where it is not installed."""
    try:
        return importlib.import_module("trafilatura")
    except ImportError as error:
        raise ConfigError(
            "web_extra_missing",
            f"reading pages without a service needs trafilatura: pip install 'lash-runtime[web]' ({error})",
        ) from error


def page_text(url: str, content_type: str, body: bytes) -> str:
    """The text of a body; of an HTML page what is to be read, nothing where there is nothing. It blocks.

    Raises ToolError (web_not_text) for what is no text.
    """
    declared = Message()
    declared["content-type"] = content_type
    kind = declared.get_content_type() if content_type else _guess(body)
    if not (kind in _HTML or kind in _TEXTS or kind.startswith("text/") or kind.endswith(("+json", "+xml"))):
        raise ToolError(f"{url} is {kind}; only pages and other texts can be read", cls="external", code="web_not_text")
    charset = declared.get_content_charset() if content_type else None
    text = _decoded(body, charset, is_html=kind in _HTML)
    if kind in _HTML:
        text = _readable(text, url)
    return cast("str", whole_texts(text))


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
    try:
        return body.decode(name, "replace")
    except (LookupError, UnicodeError):  # no charset of that name, or none for texts
        return body.decode("utf-8", "replace")


def _readable(text: str, url: str) -> str:
    extractor = load_extractor()
    found = extractor.extract(text, url=url, include_comments=False, include_tables=True) or extractor.html2txt(text)
    return found or ""
