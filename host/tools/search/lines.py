"""A line that matches, as a result shows it: an excerpt round the first match, and what kind of line it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EXCERPT_CHARS: Final = 180
MOST_RANGES: Final = 16
_HEAD_CHARS: Final = 400
"""How much of a line is looked at to tell what it is."""

_MODIFIERS: Final = (
    "export|default|declare|pub(?:\\([\\w: ]*\\))?|public|private|protected|internal|static|async|abstract|final"
    "|override|virtual|inline|unsafe|extern|sealed|partial|open|data|case|local"
)
_KEYWORDS: Final = (
    "def|class|function\\*?|fn|func|fun|struct|enum|union|interface|trait|type|typedef|module|mod|namespace|protocol"
    "|record|object|const|let|var|val|macro_rules!|macro|sub|proc|#\\s*define"
)
_DEFINITION: Final = re.compile(
    rf"\s*(?:(?:{_MODIFIERS})\s+)*(?:{_KEYWORDS})\s+(?:\([^()]*\)\s*)?(?:mut\s+)?(?P<name>[\w$]+)"
)
_IMPORT: Final = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|export\s+(?:\*|\{[^}]*\})\s+from\b|#\s*include\b|use\s|using\s|require\b"
    r"|(?:const|let|var)\s[^=]*=\s*require\s*\()"
)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Range:
    """A match in an excerpt: from character `start` up to, but without, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LineHit:
    """A line that matches.

    `column` and `byte_column` count from 1 and say where the first match begins. `ranges` are the matches within the
    excerpt. `excerpt_bytes` is what the excerpt is in the file, and where in the line it begins.
    """

    line: int
    column: int
    byte_column: int
    excerpt: str
    match: str
    ranges: tuple[Range, ...]
    is_definition: bool
    is_import: bool
    excerpt_bytes: tuple[int, bytes]

    @property
    def rank(self) -> int:
        """Definitions come first, imports last."""
        return 0 if self.is_definition else 2 if self.is_import else 1


def text_of(line: bytes) -> str:
    """A line as text in which every character can be taken back to its bytes, also where they are no UTF-8."""
    return line.decode("utf-8", "surrogateescape")


def line_hit(text: str, number: int, spans: Sequence[tuple[int, int]]) -> LineHit:
    """A line by its text (see `text_of`), its number and where its matches are; there is at least one."""
    # Engines differ in where empty matches are between others, and an empty range shows nothing.
    spans = [span for span in spans if span[0] < span[1]][:MOST_RANGES] or spans[:1]
    first, end = spans[0]
    width = min(end - first, EXCERPT_CHARS)
    start = max(0, min(first - (EXCERPT_CHARS - width) // 2, len(text) - EXCERPT_CHARS))
    stop = min(len(text), start + EXCERPT_CHARS)
    excerpt = text[start:stop]
    ranges = tuple(Range(a - start, min(b, stop) - start) for a, b in spans if start <= a and (a < stop or a == b))
    definition = _DEFINITION.match(text[:_HEAD_CHARS])
    return LineHit(
        line=number,
        column=first + 1,
        byte_column=_bytes_in(text[:first]) + 1,
        excerpt=_shown(excerpt),
        match=_shown(text[first : min(end, stop)]),
        ranges=ranges,
        is_definition=definition is not None
        and any(a < definition.end("name") and b > definition.start("name") for a, b in spans),
        is_import=_IMPORT.match(text[:_HEAD_CHARS]) is not None,
        excerpt_bytes=(_bytes_in(text[:start]), _bytes(excerpt)),
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(_bytes(text))


def _shown(text: str) -> str:
    """A text as JSON can hold it."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
