"""Searching with `rg`, where it is installed.

`rg` finds, and the policy decides. `rg` is told the place with its links resolved, and not to follow others; but it
knows no deny globs, and between two of its system calls a file may become a link. So nothing of its output is shown
before the path was resolved by the policy and the excerpt was read once more in the way of the policy. What it reads
beyond that stays in its process.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from typing import IO, Any, Final, cast

from lash.host.tools.files.ignore import IgnoreRules
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.files.tool import stop_if
from lash.host.tools.search.found import MATCHES_PER_FILE, FileHits, Match
from lash.host.tools.search.in_python import Matcher
from lash.host.tools.search.lines import MOST_RANGES, LineHit, line_hit, text_of
from lash.host.tools.search.scope import MOST_FILE_BYTES, Scope
from lash.runtime.tools.result import ToolError

_PIECE_BYTES: Final = 1 << 16
_MOST_MESSAGE_BYTES: Final = 4 << 20
"""A longer line of output is dropped, and its file searched here: JSON lists every match of a line, be it a million."""

_MOST_ERROR_BYTES: Final = 4096

_OPTIONS: Final = (
    "--json",
    "--no-config",  # a configuration could name a command that rg runs on every file
    "--no-messages",
    "--no-follow",
    "--hidden",
    "--no-ignore-dot",
    "--glob=!.git",
    "--crlf",
    "--encoding=none",
    f"--max-filesize={MOST_FILE_BYTES}",
    f"--max-count={MATCHES_PER_FILE + 1}",
)


class RgUnusable(Exception):
    """`rg` does not do what is asked for: another version, or something else of that name. The text is what it says."""


class RgRefusal(Exception):
    """`rg` does not take the expression; the text says why."""


def find_rg() -> str | None:
    """The program `rg` on PATH; None where a relative path leads to it, for that may lie in the tree to be searched."""
    found = shutil.which("rg")
    return found if found is not None and os.path.isabs(found) else None


def search_tree(program: str, scope: Scope) -> None:
    """Search all files below the scope's base.

    Raises what opening the base raises, Stopped and TimeoutError, RgRefusal for an expression that `rg` does not take,
    and RgUnusable.
    """
    stop_if(scope.token)
    term = scope.term
    command = [program, *_OPTIONS, "--ignore-case" if term.ignore_case else "--case-sensitive"]
    command += ["--fixed-strings"] if term.literal else []
    with scope.base.told():
        inside = IgnoreRules.above(scope.base).inside
    if not inside:
        # What lies above the roots has no say; a repository around them, if there is one, is not looked for.
        command.append("--no-ignore-parent")
    command += ["--regexp", term.text, "--", str(scope.base.real)]
    try:
        process = subprocess.Popen(
            command,
            cwd=scope.base.real,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise RgUnusable(str(error)) from None
    forget = scope.token.on_cancel(process.kill)
    reader = _Reader(scope)
    try:
        for message in _messages(cast("IO[bytes]", process.stdout)):
            reader.take(message)
        said = cast("IO[bytes]", process.stderr).read(_MOST_ERROR_BYTES).decode(errors="replace").strip()
        status = process.wait()
    finally:
        forget()
        process.kill()
        process.communicate()
        # Also of a search that was stopped, for what it has found will be told.
        scope.found.keep(lambda match: _is_true(scope, match))
    stop_if(scope.token)
    if status not in (0, 1) and said:
        if "regex" in said and not term.literal:
            raise RgRefusal(said.splitlines()[-1].strip().removeprefix("error: "))
        raise RgUnusable(said)
    if status < 0:
        raise RgUnusable(f"it ended by signal {-status}")
    if not reader.summed_up:
        raise RgUnusable("its output does not end with a summary")


def _messages(output: IO[bytes]) -> Iterator[dict[str, Any] | None]:
    """The messages that `rg` writes; None for one that is too long. RgUnusable for what is none."""
    rest = bytearray()
    skipping = False
    fd = output.fileno()
    while piece := os.read(fd, _PIECE_BYTES):
        *lines, last = piece.split(b"\n")
        for line in lines:
            whole, rest = bytes(rest) + line, bytearray()
            if not skipping:
                yield _message(whole)
            skipping = False
        rest += last if not skipping else b""
        if len(rest) > _MOST_MESSAGE_BYTES:
            rest, skipping = bytearray(), True
            yield None


def _message(line: bytes) -> dict[str, Any]:
    try:
        message: Any = json.loads(line.decode())
        if isinstance(message["type"], str) and isinstance(message["data"], dict):
            return cast("dict[str, Any]", message)
    except (ValueError, TypeError, KeyError):
        pass
    raise RgUnusable(f"its output is no JSON of rg: {line[:80]!r}")


class _Reader:
    """Puts the messages of `rg` together, file by file: begin, matches, end."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._matcher = Matcher(scope)
        self._base = os.fsencode(scope.base.real)
        self._lines: list[LineHit] = []
        self._offsets: list[int] = []
        self._more = self._too_long = False
        self.summed_up = False

    def take(self, message: dict[str, Any] | None) -> None:
        """The next message."""
        if message is None:
            self._too_long = True
            return
        data: dict[str, Any] = message["data"]
        try:
            match message["type"]:
                case "begin":
                    self._lines, self._offsets = [], []
                    self._more = self._too_long = False
                case "match":
                    self._match(data)
                case "end":
                    self._end(data)
                case "summary":
                    self.summed_up = True
                case _:
                    pass  # a kind of message that this program does not ask for
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RgUnusable(f"a message of its {message['type']!r} is not as expected: {error!r}") from None

    def _match(self, data: dict[str, Any]) -> None:
        if len(self._lines) == MATCHES_PER_FILE:
            self._more = True
            return
        line = _bytes(data["lines"]).removesuffix(b"\n").removesuffix(b"\r")
        text = text_of(line)
        if line.isascii():
            spans = [(int(one["start"]), int(one["end"])) for one in data["submatches"]]
        else:
            seen = [one for one in data["submatches"] if one["start"] < one["end"]][:MOST_RANGES]
            spans = [
                (len(text_of(line[: one["start"]])), len(text_of(line[: one["end"]])))
                for one in seen or data["submatches"][:1]
            ]
        self._lines.append(line_hit(text, int(data["line_number"]), spans))
        self._offsets.append(int(data["absolute_offset"]))

    def _end(self, data: dict[str, Any]) -> None:
        if data["binary_offset"] is not None or not (self._lines or self._too_long):
            return
        path = _bytes(data["path"])
        if not path.startswith(self._base):
            raise RgUnusable("it has left the place that it was told to search")
        below = os.fsdecode(path[len(self._base) :].lstrip(b"/"))
        if not self._scope.query.admits(below):
            return
        size = _size(self._scope, below)
        if size is None:
            return
        if self._too_long:
            hits = self._searched(below)
        else:
            hits = FileHits(below, size, tuple(self._lines), tuple(self._offsets), self._more)
        if hits is not None:
            self._scope.found.add(hits)

    def _searched(self, path: str) -> FileHits | None:
        """A file of which `rg` has too much to say."""
        try:
            return self._matcher.file_hits(path, _file(self._scope, path).read())
        except (OSError, ToolError):
            return None


def _bytes(text: dict[str, str]) -> bytes:
    """A text of a message: as text, or in base 64 where it is no UTF-8."""
    return text["text"].encode() if "text" in text else base64.b64decode(text["bytes"])


def _file(scope: Scope, path: str) -> ResolvedPath:
    """A file below the base; ToolError where the policy does not allow it."""
    return scope.policy.resolve(scope.base.real / path)


def _size(scope: Scope, path: str) -> int | None:
    """The size of a file below the base; None where there is none that the policy allows."""
    try:
        file = _file(scope, path)
        found = file.stat()
    except (OSError, ToolError):
        return None
    # A path that has a link in it by now is not the one that was searched.
    return found.st_size if stat.S_ISREG(found.st_mode) and file.real == scope.base.real / path else None


def _is_true(scope: Scope, match: Match) -> bool:
    """Whether the excerpt of a match is in its file as the policy opens it."""
    wanted = match.hit.excerpt_bytes[1]
    try:
        with _file(scope, match.path).open() as opened:
            opened.seek(match.offset)
            return opened.read(len(wanted)) == wanted
    except (OSError, ToolError):
        return False
