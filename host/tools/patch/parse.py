"""Reading a patch (plugins.md 13.1).

    *** Begin Patch
    *** Add File: notes.md          its lines follow, each with a + before it
    *** Delete File: old.md
    *** Update File: src/app.py
    *** Move to: src/main.py        optional
    @@ def main():                  begins a chunk; the first one can do without
     a line that stays
    -a line that goes
    +a line that comes
    *** End of File                 optional: these lines are the file's last
    *** End Patch

The parser goes over the lines once and never back, so the time it takes is that of the text's length. It is lenient
where no second reading exists: spaces around markers, a shell heredoc around the whole, blank lines between chunks.
Inside a chunk a space always begins a line of context, even one that reads like a marker: a patch of a text about
patches must be possible, and a marker taken for context fails to match, where the opposite would touch a file.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NoReturn

from lash.host.tools.patch.operations import AddFile, Chunk, ChunkLine, DeleteFile, Operation, PatchError, UpdateFile

BEGIN: Final = "*** Begin Patch"
END: Final = "*** End Patch"
ADD: Final = "*** Add File:"
DELETE: Final = "*** Delete File:"
UPDATE: Final = "*** Update File:"
MOVE: Final = "*** Move to:"
END_OF_FILE: Final = "*** End of File"
ANCHOR: Final = "@@"

_KINDS: Final[dict[str, Literal["context", "removed", "added"]]] = {" ": "context", "-": "removed", "+": "added"}
_HEREDOC = re.compile(r"(?:apply_patch\s*)?<<-?\s*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)\s*")


def parse_patch(text: str) -> list[Operation]:
    """The operations of a patch, in its order.

    Raises PatchError: the envelope is missing, or a line, told by its number in the patch without what is around it,
    is not what it should be.
    """
    lines = _normalised(text)
    if lines[0].strip() != BEGIN:
        raise PatchError(f"The first line of the patch must be '{BEGIN}'")
    if len(lines) == 1 or lines[-1].strip() != END:
        raise PatchError(f"The last line of the patch must be '{END}'")
    return _Parser(lines).operations()


def _normalised(text: str) -> list[str]:
    """The lines of a patch without the blank space and the heredoc around it, and without carriage returns if all of
    its lines have one: those are the transport's."""
    lines = text.strip().split("\n")
    opening = _HEREDOC.fullmatch(lines[0])
    if opening is not None and len(lines) > 1 and lines[-1].strip() == opening["word"]:
        lines = "\n".join(lines[1:-1]).strip().split("\n")
    if len(lines) > 1 and all(line.endswith("\r") for line in lines[:-1]):
        lines = [line.removesuffix("\r") for line in lines]
    return lines


class _Parser:
    """The lines of a patch and how far they are read."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 1
        self._end = len(lines) - 1

    def operations(self) -> list[Operation]:
        """All operations."""
        found: list[Operation] = []
        while self._skip_blank():
            found.append(self._operation())
        return found

    def _fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise PatchError(f"invalid hunk at line {(self._at if at is None else at) + 1}: {problem}")

    def _skip_blank(self) -> bool:
        """Go past blank lines; whether anything is left."""
        while self._at < self._end and not self._lines[self._at].strip():
            self._at += 1
        return self._at < self._end

    def _operation(self) -> Operation:
        header = self._lines[self._at].strip()
        for marker, read in ((ADD, self._add), (DELETE, self._delete), (UPDATE, self._update)):
            if header.startswith(marker):
                path = self._path(marker)
                self._at += 1
                return read(path)
        self._fail(
            f"{header!r} is not a valid hunk header; there are '{ADD} <path>', '{DELETE} <path>' and '{UPDATE} <path>'"
        )

    def _path(self, marker: str) -> str:
        path = self._lines[self._at].strip().removeprefix(marker).strip()
        if not path:
            self._fail(f"'{marker}' names no path")
        return path

    def _add(self, path: str) -> AddFile:
        lines: list[str] = []
        while self._at < self._end and self._lines[self._at].startswith("+"):
            lines.append(self._lines[self._at][1:])
            self._at += 1
        if not lines and self._skip_blank() and not self._lines[self._at].strip().startswith("*** "):
            self._fail(f"every line of the added file '{path}' must start with '+', got {self._shown()}")
        return AddFile(path, "".join(f"{line}\n" for line in lines))

    def _delete(self, path: str) -> DeleteFile:
        return DeleteFile(path)

    def _update(self, path: str) -> UpdateFile:
        begun = self._at - 1
        move_to = None
        if self._at < self._end and self._lines[self._at].strip().startswith(MOVE):
            move_to = self._path(MOVE)
            self._at += 1
        self._go_to_first_chunk()
        chunks: list[Chunk] = []
        while self._at < self._end and not self._lines[self._at].startswith("***"):
            chunks.append(self._chunk(first=not chunks))
            self._skip_blank()
        if not chunks:
            self._fail(f"the update of '{path}' has no chunks", begun)
        return UpdateFile(path, tuple(chunks), move_to)

    def _go_to_first_chunk(self) -> None:
        """Skip blank lines, but for those that are context of a chunk without `@@`: they begin with a space."""
        while self._at < self._end and not self._lines[self._at].removesuffix("\r"):
            self._at += 1
        begun = self._at
        if self._skip_blank() and not self._lines[self._at].startswith((ANCHOR, "***")):
            self._at = begun

    def _chunk(self, *, first: bool) -> Chunk:
        begun = self._at
        anchors = self._anchors()
        if begun == self._at and not first:
            self._fail(f"a further chunk must start with '{ANCHOR}', got {self._shown()}")
        lines = self._chunk_lines()
        if not lines:
            wanted = "' ', '+' or '-'" if self._at > begun else f"'{ANCHOR}', ' ', '+' or '-'"
            got = self._shown() if self._at < self._end else f"'{END}'"
            self._fail(f"a chunk needs lines that start with {wanted}, got {got}")
        at_end = self._at < self._end and self._lines[self._at].rstrip() == END_OF_FILE
        if at_end:
            self._at += 1
        return Chunk(anchors, tuple(lines), at_end)

    def _anchors(self) -> tuple[str, ...]:
        anchors: list[str] = []
        while self._at < self._end:
            line = self._lines[self._at].rstrip("\r")
            if not (line.startswith(f"{ANCHOR} ") or line.rstrip() == ANCHOR):
                break
            if line.rstrip() != ANCHOR:
                anchors.append(line.removeprefix(f"{ANCHOR} "))
            self._at += 1
        return tuple(anchors)

    def _chunk_lines(self) -> list[ChunkLine]:
        """The lines up to one that has no valid prefix. Empty lines are context where more of the chunk follows."""
        lines: list[ChunkLine] = []
        empty = 0
        while self._at < self._end:
            # The file decides about its line ends, so a carriage return is never part of a line's text.
            line = self._lines[self._at].removesuffix("\r")
            if line:
                kind = _KINDS.get(line[0])
                if kind is None and not (lines and line.rstrip() == END_OF_FILE):
                    break
                lines += [ChunkLine("context", "")] * empty
                empty = 0
                if kind is None:
                    break
                lines.append(ChunkLine(kind, line[1:]))
            else:
                empty += 1
            self._at += 1
        return lines

    def _shown(self) -> str:
        """The line at hand as an error shows it."""
        line = self._lines[self._at]
        return repr(line if len(line) <= 120 else f"{line[:117]}...")
