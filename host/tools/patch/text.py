"""The text of a file that is patched: its lines with their ends, its byte order mark, and chunks applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from lash.host.tools.patch.match import LineIndex
from lash.host.tools.patch.operations import Chunk, ChunkLine, PatchError

BOM: Final = "\ufeff"

NEW: Final = -1
"""The origin of a line that the original file did not have."""


class Line(NamedTuple):
    """A line without its end, the end, and which line of the original file it is."""

    text: str
    end: str
    origin: int = NEW


@dataclass(frozen=True, slots=True)
class FileText:
    """A file's text in lines.

    `mark` is the byte order mark or empty. `end` is the line end that most lines have; new lines get it. A carriage
    return alone is a line end only in a file that has no other.
    """

    mark: str
    lines: tuple[Line, ...]
    end: str

    @classmethod
    def of(cls, text: str, *, new: bool = False) -> FileText:
        """A text in lines, which are those of an original file unless they are `new`."""
        mark = BOM if text.startswith(BOM) else ""
        text = text.removeprefix(BOM)
        feed = "\n" if "\n" in text or "\r" not in text else "\r"
        bare = text.split(feed)
        last = bare.pop()
        lines: list[Line] = []
        returns = 0
        for at, line in enumerate(bare):
            end = feed
            if feed == "\n" and line.endswith("\r"):
                returns += 1
                line, end = line[:-1], "\r\n"
            lines.append(Line(line, end, NEW if new else at))
        if last:
            lines.append(Line(last, "", NEW if new else len(bare)))
        return cls(mark, tuple(lines), "\r\n" if 2 * returns > len(bare) else feed)

    def __str__(self) -> str:
        return self.mark + "".join([line.text + line.end for line in self.lines])

    def patched(self, chunks: Sequence[Chunk], path: str) -> FileText:
        """The text with chunks applied, one after the other from top to bottom; its last line has a line end.

        Lines that stay are the file's own, line ends included. `path` is for errors: PatchError where the place of a
        chunk is not found.
        """
        finder = _Places(self, chunks, path)
        replacements = [finder.replacement(chunk) for chunk in chunks]
        lines: list[Line] = []
        done = 0
        # Additions to the end of the file may stand before chunks for its middle; equal places keep their order.
        for one in sorted(replacements, key=lambda one: one.start):
            lines += self.lines[done : one.start]
            lines += one.lines
            done = one.start + one.count
        lines += self.lines[done:]
        return replace(self, lines=tuple([line if line.end else line._replace(end=self.end) for line in lines]))


@dataclass(frozen=True, slots=True)
class _Replacement:
    """`lines` come in the place of the `count` lines from `start` on."""

    start: int
    count: int
    lines: list[Line]


class _Places:
    """Finds the places of chunks, each from the end of the one before."""

    def __init__(self, file: FileText, chunks: Sequence[Chunk], path: str) -> None:
        self._file = file
        self._path = path
        wanted = (line for chunk in chunks for line in (*chunk.anchors, *chunk.old))
        self._index = LineIndex([line.text for line in file.lines], wanted)
        self._at = 0

    def replacement(self, chunk: Chunk) -> _Replacement:
        """What a chunk does to the file; PatchError where its place is not found."""
        self._go_to_anchors(chunk.anchors)
        if not chunk.old:
            return self._insertion(chunk)
        for lines in _readings(chunk.lines):
            old = [line.text for line in lines if line.kind != "added"]
            start = self._index.find(old, self._at, at_end=chunk.at_end)
            if start is not None:
                self._at = start + len(old)
                return _Replacement(start, len(old), self._left(lines, start))
        raise PatchError(f"Failed to find expected lines in {self._path}:\n" + "\n".join(chunk.old))

    def _go_to_anchors(self, anchors: Sequence[str]) -> None:
        """Stand at the last anchor, which the chunk may repeat. Each is looked for after the one before."""
        start = self._at
        for anchor in anchors:
            found = self._index.find([anchor], start)
            if found is None:
                raise PatchError(f"Failed to find context '{anchor}' in {self._path}")
            self._at = found
            start = found + 1

    def _insertion(self, chunk: Chunk) -> _Replacement:
        """A chunk that only adds: after its anchor, or at the end of the file."""
        if chunk.anchors and not chunk.at_end:
            self._at += 1
            return _Replacement(self._at, 0, self._left(chunk.lines, self._at))
        end = len(self._file.lines)
        return _Replacement(end, 0, self._left(chunk.lines, end))

    def _left(self, lines: Sequence[ChunkLine], at: int) -> list[Line]:
        """The lines that a chunk leaves whose first old line stands at a place of the file."""
        left: list[Line] = []
        for line in lines:
            if line.kind == "added":
                left.append(Line(line.text, self._file.end))
                continue
            if line.kind == "context":
                left.append(self._file.lines[at])
            at += 1
        return left


def _readings(lines: Sequence[ChunkLine]) -> list[Sequence[ChunkLine]]:
    """A chunk's lines, and those without a last empty line that the file may not have: models like to end with one."""
    old = [at for at, line in enumerate(lines) if line.kind != "added"]
    last = old[-1]
    if lines[last].text or len(old) == 1:
        return [lines]
    after = lines[last + 1 :]
    kept = [ChunkLine("added", "")] if lines[last].kind == "context" and after else []
    return [lines, [*lines[:last], *kept, *after]]
