"""A patch applied to memory: files are read as operations name them, and nothing is written.

Every operation sees what those before it have done. What is wrong shows here, while the disk is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.patch.commit import Change
from lash.host.tools.patch.diff import Diff, unified_diff
from lash.host.tools.patch.operations import AddFile, DeleteFile, Operation, PatchError, UpdateFile
from lash.host.tools.patch.text import FileText
from lash.runtime.tools.result import ToolError

_MODE_BITS: Final = 0o777

MOST_LINES: Final = 2_000_000
"""How many lines the files of a patch may have together: each is an object while the patch is applied."""

Status = Literal["added", "deleted", "modified", "moved"]


@dataclass(frozen=True, slots=True)
class PatchedFile:
    """What became of one file; `from_path` is where a moved one was."""

    path: str
    status: Status
    diff: Diff
    from_path: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Original:
    """A file as it is on the disk; `text` None where it is no UTF-8."""

    path: ResolvedPath
    shown: str
    data: bytes
    mode: int
    text: FileText | None


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A file as the patch has made it; `origin` is the one on the disk that it was made from."""

    path: ResolvedPath
    shown: str
    text: FileText | None
    origin: _Original | None


class Overlay:
    """The files that a patch touches, as they are and as they become.

    Paths begin at `workdir`, which is the policy's first root where it is None. Methods raise PatchError for what
    cannot be done, ToolError for what the policy refuses, OSError for what cannot be read.
    """

    def __init__(self, policy: FilePolicy, workdir: str | None) -> None:
        self._policy = policy
        self._workdir = workdir
        self._base = os.path.normpath(os.path.join(policy.roots[0], workdir or ""))
        if workdir is not None and policy.resolve(workdir).kind() != "dir":
            raise PatchError(f"workdir '{workdir}' is not a directory")
        self._originals: dict[Path, _Original | None] = {}
        self._files: dict[Path, _File | None] = {}
        self._folders: set[Path] = set()
        self._bytes = self._lines = 0

    def apply(self, operation: Operation) -> None:
        """Do an operation to the files as they are now."""
        match operation:
            case AddFile(path=path, content=content):
                self._add(path, content)
            case DeleteFile(path=path):
                self._delete(path)
            case UpdateFile():
                self._update(operation)

    def changes(self) -> list[Change]:
        """What is to be written, in the order in which the patch named the files."""
        changes: list[Change] = []
        for real, original in self._originals.items():
            file = self._files[real]
            before = original.data if original else None
            after = _encoded(file) if file else None
            if before == after:
                continue
            place = file or original
            assert place is not None
            source = original or (file.origin if file else None)
            changes.append(Change(place.path, before, after, source.mode if source else None))
        return changes

    def results(self) -> list[PatchedFile]:
        """What became of the files, in the order in which the patch named them."""
        kept = {file.origin for file in self._files.values() if file is not None}
        found: list[PatchedFile] = []
        for real, original in self._originals.items():
            file = self._files[real]
            # A file that was deleted and added again is one that was changed; one that was moved away is its new self.
            mine = original if original is not None and original not in kept else None
            if file is None:
                if mine is not None:
                    found.append(PatchedFile(mine.shown, "deleted", _diff(mine, None)))
                continue
            origin = file.origin or mine
            if origin is None:
                found.append(PatchedFile(file.shown, "added", _diff(None, file)))
            elif origin.path.real == real:
                found.append(PatchedFile(file.shown, "modified", _diff(origin, file)))
            else:
                found.append(PatchedFile(file.shown, "moved", _diff(origin, file), origin.shown))
        return found

    def _add(self, path: str, content: str) -> None:
        place = self._resolve(path)
        there = self._file(place, path)
        if there is None:
            self._require_room(place, path)
        text = FileText.of(content, new=True)
        self._files[place.real] = _File(place, self._shown(path), text, there.origin if there else None)

    def _delete(self, path: str) -> None:
        place = self._resolve(path, entry=True)
        self._existing(place, path, "delete")
        self._files[place.real] = None

    def _update(self, operation: UpdateFile) -> None:
        path, move_to = operation.path, operation.move_to
        place = self._resolve(path, entry=move_to is not None)
        file, text = self._existing(place, path, "update")
        text = text.patched(operation.chunks, path)
        if move_to is None:
            self._files[place.real] = _File(file.path, file.shown, text, file.origin)
            return
        target = self._resolve(move_to)
        if target.real != place.real:
            if self._file(target, move_to) is not None:
                raise PatchError(f"Failed to move {path} to {move_to}: {move_to} exists")
            self._require_room(target, move_to)
            self._files[place.real] = None
        self._files[target.real] = _File(target, self._shown(move_to), text, file.origin)

    def _resolve(self, path: str, *, entry: bool = False) -> ResolvedPath:
        """The place that a path means. An `entry` is not just changed but taken away, so it must not be a link."""
        place = self._policy.resolve(path, write=True, base=self._workdir)
        if entry:
            folder, name = os.path.split(os.path.normpath(os.path.join(self._base, path)))
            if self._policy.resolve(folder).real / name != place.real:
                raise PatchError(f"{path} is a symbolic link: name the file that it leads to")
        return place

    def _file(self, place: ResolvedPath, path: str) -> _File | None:
        """The file at a place as it is now, read when it is first named."""
        real = place.real
        if real in self._folders or (real not in self._originals and place.kind() == "dir"):
            raise PatchError(f"{path} is a directory, not a file")
        if real not in self._originals:
            original = self._load(place, path)
            self._originals[real] = original
            self._files[real] = _File(place, original.shown, original.text, original) if original else None
        return self._files[real]

    def _load(self, place: ResolvedPath, path: str) -> _Original | None:
        if place.kind() is None:
            return None
        data, mode = place.read(), place.stat().st_mode & _MODE_BITS
        self._bytes += len(data)
        self._lines += data.count(b"\n")
        limits = ((self._bytes, self._policy.max_read_bytes, "bytes"), (self._lines, MOST_LINES, "lines"))
        for number, most, what in limits:
            if number > most:
                raise ToolError(
                    f"The files of this patch have more than {most} {what} together: split it into several patches",
                    cls="resource_limit",
                    code="file_too_large",
                )
        try:
            text = FileText.of(data.decode())
        except UnicodeDecodeError:
            text = None
        return _Original(place, self._shown(path), data, mode, text)

    def _existing(self, place: ResolvedPath, path: str, action: str) -> tuple[_File, FileText]:
        file = self._file(place, path)
        if file is None:
            raise PatchError(f"Failed to {action} {path}: there is no such file")
        if file.text is None:
            raise PatchError(f"Failed to {action} {path}: it is not UTF-8 text")
        return file, file.text

    def _require_room(self, place: ResolvedPath, path: str) -> None:
        """A new file needs directories above it, or nothing where they can be made."""
        parents = place.real.parents[: len(place.parts)]  # as far as the root
        for parent in parents:
            if self._files.get(parent) is not None:
                raise PatchError(f"Failed to add {path}: {parent.name} above it is a file")
        for parent in parents:
            kind = self._policy.resolve(parent).kind()
            if kind == "file":
                raise PatchError(f"Failed to add {path}: {parent.name} above it is a file")
            if kind == "dir":
                break
            self._folders.add(parent)

    def _shown(self, path: str) -> str:
        """A path as results name it: relative to the working directory where it lies in it."""
        joined = os.path.normpath(os.path.join(self._base, path))
        relative = os.path.relpath(joined, self._base)
        return (joined if relative.startswith("..") else relative).replace(os.sep, "/")


def _encoded(file: _File) -> bytes:
    if file.text is None:
        assert file.origin is not None
        return file.origin.data
    try:
        return str(file.text).encode()
    except UnicodeEncodeError:
        raise PatchError(f"The patch puts half a surrogate pair into {file.shown}, which is no text") from None


def _diff(original: _Original | None, file: _File | None) -> Diff:
    before = original.text if original else None
    if original is not None and before is None:
        before = FileText.of(original.data.decode(errors="replace"))
    after = file.text if file else None
    old_path = original.shown if original else file.shown if file else ""
    return unified_diff(before, after, old_path, file.shown if file else old_path)


def apply_operations(
    policy: FilePolicy, operations: Sequence[Operation], workdir: str | None, between: Callable[[], None]
) -> Overlay:
    """The files of a patch with all of its operations applied; `between` is called before each and may raise.

    Raises as `Overlay`; nothing to do is PatchError.
    """
    if not operations:
        raise PatchError("No files were modified.")
    overlay = Overlay(policy, workdir)
    for operation in operations:
        between()
        overlay.apply(operation)
    return overlay
