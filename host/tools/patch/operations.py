"""What a patch asks for: its operations as data, as the parser makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


class PatchError(Exception):
    """A patch cannot be read or cannot be applied; the text tells the model what is wrong and where."""


@dataclass(frozen=True, slots=True)
class ChunkLine:
    """A line of a chunk: one that stays, goes or comes."""

    kind: Literal["context", "removed", "added"]
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """One place of a file with what becomes of it.

    `anchors` narrow the place down, one after the other. With `at_end` the lines stand at the end of the file.
    """

    anchors: tuple[str, ...]
    lines: tuple[ChunkLine, ...]
    at_end: bool = False

    @property
    def old(self) -> list[str]:
        """The lines that the file has."""
        return [line.text for line in self.lines if line.kind != "added"]


@dataclass(frozen=True, slots=True)
class AddFile:
    """Create a file with these contents, or replace it."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove a file."""

    path: str


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """Change a file by its chunks, in their order, and move it where `move_to` is given."""

    path: str
    chunks: tuple[Chunk, ...]
    move_to: str | None = None


Operation: TypeAlias = AddFile | DeleteFile | UpdateFile
