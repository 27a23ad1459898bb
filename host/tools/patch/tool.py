"""The tool `apply_patch`, and what a patch would touch, for those who judge it before it runs (plugins.md 13.1)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from lash.host.tools.files.tool import FileTool, stop_if
from lash.host.tools.patch.commit import commit
from lash.host.tools.patch.operations import AddFile, DeleteFile, Operation, PatchError
from lash.host.tools.patch.overlay import PatchedFile, Status, apply_operations
from lash.host.tools.patch.parse import parse_patch
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, call_in_thread
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.result import ToolError

_JOINED: Final = 3
"""How many files' diffs the joined one has."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file; `from_path` is there for one that was moved."""

    path: str
    status: Status
    from_path: Annotated[str | None, Field(exclude_if=lambda path: path is None)]
    added: int
    removed: int
    diff: str

    @classmethod
    def of(cls, file: PatchedFile) -> FileReport:
        """The report of a file."""
        diff = file.diff
        return cls(file.path, file.status, file.from_path, diff.added, diff.removed, diff.text)


@dataclass(frozen=True, slots=True)
class PatchReport:
    """What became of all files of a patch."""

    summary: str
    added: int
    removed: int
    files: list[FileReport]
    diff: str


class ApplyPatchTool(FileTool):
    """`apply_patch` under a policy, which has to allow writing to every file that a patch touches."""

    @tool(execution_mode="serial", mutates=True)
    async def apply_patch(
        self,
        ctx: ToolContext,
        input: str,  # noqa: A002 - the name that models know
        workdir: str | None = None,
    ) -> PatchReport:
        """Edit, create, delete and move text files by a patch; all of its changes are made, or none.

        The form of a patch:

        *** Begin Patch
        *** Add File: notes.md
        +each line of the new file, after a plus sign
        *** Delete File: old.md
        *** Update File: src/app.py
        *** Move to: src/main.py
        @@ def main():
         a line that stays, after a space
        -a line that goes
        +a line that comes
        *** End of File
        *** End Patch

        `*** Move to:` and `*** End of File` are optional. An `@@` begins each place that changes; what follows on its
        line, if anything, is a line of the file above that place. Three lines of context before and after a change make
        it unique.

        Args:
            input: The patch.
            workdir: The directory that paths in the patch begin at; the working directory if left out.
        """
        return await call_in_thread(ctx, lambda: self._apply(input, workdir, ctx.cancel_token))

    def _apply(self, text: str, workdir: str | None, token: CancelToken) -> PatchReport:
        try:
            operations = parse_patch(text)
            overlay = apply_operations(self.policy, operations, workdir, lambda: stop_if(token))
            changes, files = overlay.changes(), overlay.results()
            # From here on the patch is finished, whoever asks it to stop.
            stop_if(token)
            left = commit(changes)
        except PatchError as error:
            raise ToolError(str(error)) from None
        return _report(files, left)


def _report(files: list[PatchedFile], left: list[str]) -> PatchReport:
    summary = f"Applied patch to {len(files)} file(s)"
    if left:
        summary += f"; temporary files could not be removed: {', '.join(left)}"
    return PatchReport(
        summary=summary,
        added=sum(file.diff.added for file in files),
        removed=sum(file.diff.removed for file in files),
        files=[FileReport.of(file) for file in files],
        diff="".join(file.diff.text for file in files[:_JOINED]),
    )


@dataclass(frozen=True, slots=True)
class PatchOp:
    """An operation of a patch: its paths as they stand there, and where they really lead, links resolved."""

    kind: Literal["add", "delete", "update", "move"]
    path: str
    resolved: Path
    move_to: str | None = None
    move_resolved: Path | None = None


def inspect_patch_ops(input: str, workdir: str | os.PathLike[str]) -> list[PatchOp]:  # noqa: A002 - as above
    """What a patch would do, without reading or changing any file; PatchError where it is none.

    Relative paths begin at `workdir`. As for `FilePolicy`, `..` is taken off a path before its links are resolved.
    """
    base = os.path.abspath(workdir)

    def resolved(path: str) -> Path:
        return Path(os.path.realpath(os.path.normpath(os.path.join(base, path))))

    def op(operation: Operation) -> PatchOp:
        path = operation.path
        match operation:
            case AddFile():
                return PatchOp("add", path, resolved(path))
            case DeleteFile():
                return PatchOp("delete", path, resolved(path))
            case _ if operation.move_to is None:
                return PatchOp("update", path, resolved(path))
            case _:
                return PatchOp("move", path, resolved(path), operation.move_to, resolved(operation.move_to))

    return [op(one) for one in parse_patch(input)]
