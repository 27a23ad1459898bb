"""Searching without `rg`: every file that the policy allows, line by line.

`regex` searches and not `re`: its searches end when they are told to, and let other threads run, so that an expression
that goes wrong exponentially costs the rest of the search's time and no more.
"""

from __future__ import annotations

import io

import regex

from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.files.tool import stop_if
from lash.host.tools.files.walk import Walk, WalkOptions
from lash.host.tools.search.found import MATCHES_PER_FILE, FileHits
from lash.host.tools.search.lines import MOST_RANGES, LineHit, line_hit, text_of
from lash.host.tools.search.scope import MOST_FILE_BYTES, Scope
from lash.runtime.tools.result import ToolError


def search_tree(scope: Scope) -> None:
    """Search all files below the scope's base. Raises what opening the base raises, Stopped, TimeoutError."""
    matcher = Matcher(scope)
    for entry in Walk(scope.policy, scope.base, WalkOptions(), scope.token):
        if entry.kind != "file" or entry.size > MOST_FILE_BYTES or not scope.query.admits(entry.path):
            continue
        try:
            data = scope.policy.resolve(scope.base.real / entry.path).read()
        except (OSError, ToolError):
            continue  # it has gone, was exchanged, or may not be read
        hits = matcher.file_hits(entry.path, data)
        if hits is not None:
            scope.found.add(hits)


def search_file(scope: Scope, file: ResolvedPath) -> None:
    """Search one file. Raises ToolError for one that is too large, OSError, Stopped, TimeoutError."""
    size = file.stat().st_size
    if size > MOST_FILE_BYTES:
        raise ToolError(
            f"{file.shown} has {size} bytes; files of up to {MOST_FILE_BYTES} bytes are searched",
            code="file_too_large",
        )
    data = file.read()
    if b"\0" in data:
        scope.found.add_binary("", len(data))
        return
    hits = Matcher(scope).file_hits("", data)
    if hits is not None:
        scope.found.add(hits)


class Matcher:
    """Finds a scope's term in the bytes of files."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._pattern: regex.Pattern[str] = scope.term.pattern
        exact = scope.term.literal and not scope.term.ignore_case
        self._needle = scope.term.text.encode("utf-8", "surrogateescape") if exact else b""

    def file_hits(self, path: str, data: bytes) -> FileHits | None:
        """What is found in a file; None for nothing, and for a file that is no text. Raises Stopped, TimeoutError."""
        if self._needle not in data or b"\0" in data:
            return None
        lines: list[LineHit] = []
        offsets: list[int] = []
        offset = 0
        more = False
        for number, line in enumerate(io.BytesIO(data), 1):
            stop_if(self._scope.token)
            text = text_of(line.removesuffix(b"\n").removesuffix(b"\r"))
            spans = self._spans(text) if self._needle in line else []
            if spans:
                if len(lines) == MATCHES_PER_FILE:
                    more = True
                    break
                lines.append(line_hit(text, number, spans))
                offsets.append(offset)
            offset += len(line)
        return FileHits(path, len(data), tuple(lines), tuple(offsets), more) if lines else None

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where the term is in a line: the first matches that are not empty, or else one that is.

        After an empty match the search goes on behind the next character, as in `rg`; Python's own iteration would
        look for a match that is not empty at the same place.
        """
        spans: list[tuple[int, int]] = []
        empty: list[tuple[int, int]] = []
        at = 0
        while at <= len(text) and len(spans) < MOST_RANGES:
            found = self._pattern.search(text, at, timeout=self._scope.left(), concurrent=True)
            if found is None:
                break
            start, at = found.span()
            if start < at:
                spans.append((start, at))
                continue
            empty = empty or [(start, at)]
            at += 1
            stop_if(self._scope.token)
        return spans or empty
