"""Writing several files so that all of them change or none does (plugins.md 13.1).

First everything is written beside its place: the new contents, and a copy of each file that will be replaced or
removed. A disk that is full or a directory that cannot be written shows then, when nothing has changed. What is left
are renames and removals. If one of them fails, the copies are renamed back, which takes no space. Right before them
the files are compared with what was read, so that no change of somebody else's is lost; tools of this process cannot
come between the two, another process can for as long as the renames take.

A process that dies in between leaves files named `.lash-*.tmp`, in which the old contents are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lash.host.tools.files.resolved import REPLACING, ResolvedPath
from lash.host.tools.patch.operations import PatchError
from lash.runtime.tools.result import ToolError


@dataclass(frozen=True, slots=True)
class Change:
    """A file's contents before and after, None for no file, and the mode bits that it has or gets (None: as usual)."""

    path: ResolvedPath
    before: bytes | None
    after: bytes | None
    mode: int | None


@dataclass(slots=True, eq=False)
class _Staged:
    """A change with the temporary files that were made for it and are still there."""

    change: Change
    parents: list[int] = field(default_factory=list[int])
    new: str | None = None
    copy: str | None = None

    def stage(self) -> None:
        """Make everything ready."""
        change = self.change
        if change.before is not None:
            self.copy = change.path.stage(change.before, mode=change.mode, any_size=True)
        if change.after is not None:
            self.parents = change.path.make_parents()
            self.new = change.path.stage(change.after, mode=change.mode)

    def check(self) -> None:
        """Nothing, or PatchError where the file is no longer as it was read."""
        path, before = self.change.path, self.change.before
        if before is None:
            if path.kind() is not None:
                raise PatchError(f"{path.given} was made by somebody else meanwhile: read it")
        elif path.kind() != "file" or path.read() != before:
            raise PatchError(f"{path.given} was changed by somebody else meanwhile: read it again")

    def apply(self) -> None:
        """Make the change."""
        if self.new is None:
            self.change.path.delete()
        else:
            self.change.path.put(self.new)
            self.new = None

    def restore(self) -> None:
        """Take the change back."""
        if self.copy is None:
            self.change.path.delete()
        else:
            self.change.path.put(self.copy)
            self.copy = None

    def tidy(self, *, undone: bool) -> list[str]:
        """Remove what was made for the change; the names of what could not be removed."""
        left: list[str] = []
        for name in (self.new, self.copy):
            if name is not None:
                try:
                    self.change.path.unstage(name)
                except (OSError, ToolError):
                    left.append(f"{name} beside {self.change.path.given}")
        if undone:
            self.change.path.remove_parents(self.parents)
        return left


def commit(changes: Sequence[Change]) -> list[str]:
    """Make all changes or none; the names of temporary files that could not be removed after them.

    Raises PatchError where a write fails or a file is no longer as it was read, and ToolError where the policy refuses
    one. The text says whether everything is as it was before, and if not, what is not.
    """
    staged: list[_Staged] = []
    done: list[_Staged] = []
    try:
        for change in changes:
            staged.append(_Staged(change))
            staged[-1].stage()
        with REPLACING:
            for one in staged:
                one.check()
            # What goes goes last: a process that dies while it moves a file leaves two of it, not none.
            for one in sorted(staged, key=lambda one: one.new is None):
                one.apply()
                done.append(one)
    except BaseException as error:
        lost = _restore(done)
        left = [name for one in reversed(staged) if one not in lost for name in one.tidy(undone=True)]
        state = _state(lost, left)
        if isinstance(error, OSError):
            raise PatchError(f"Failed to write {_told(error)}. {state}") from error
        if isinstance(error, ToolError):
            failure = error.failure
            raise ToolError(f"{failure.message}. {state}", cls=failure.cls, code=failure.code) from error
        if isinstance(error, PatchError):
            raise PatchError(f"{error}. {state}") from error
        raise
    return [name for one in staged for name in one.tidy(undone=False)]


def _restore(done: Sequence[_Staged]) -> list[_Staged]:
    """Take changes back; those that could not be."""
    lost: list[_Staged] = []
    for one in reversed(done):
        try:
            one.restore()
        except (OSError, ToolError):
            lost.append(one)
    return lost


def _state(lost: Sequence[_Staged], left: Sequence[str]) -> str:
    """How the files are after a patch has failed while it was written."""
    if not lost:
        state = "All files are as they were before."
    else:
        state = "These could not be restored: " + ", ".join(
            f"{one.change.path.given} (its old contents are in {one.copy} beside it)"
            if one.copy
            else f"{one.change.path.given} (it was not there before)"
            for one in lost
        )
    return state + (f" Left behind: {', '.join(left)}." if left else "")


def _told(error: OSError) -> str:
    """The file and what is wrong with it, for the model."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
