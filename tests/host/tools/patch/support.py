"""What tests of `apply_patch` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.patch.tool import ApplyPatchTool
from lash.runtime.sansio.tools import CompletedToolCall
from tests.runtime.tools.support import bench, failure, value


def patch_text(*lines: str) -> str:
    """A patch of these lines, the envelope put round them."""
    return "\n".join(("*** Begin Patch", *lines, "*** End Patch"))


async def call(root: Path, text: str, **more: Any) -> CompletedToolCall:
    """A call of the tool under a policy that allows to write everything below `root`."""
    workdir = {"workdir": more.pop("workdir")} if "workdir" in more else {}
    allow_write = more.pop("allow_write", True)
    policy = FilePolicy([root], allow_write=allow_write, **more)
    async with bench([ApplyPatchTool(policy)]) as tools:
        return await tools.call("apply_patch", {"input": text, **workdir})


async def applied(root: Path, *lines: str, **more: Any) -> Any:
    """The report of a patch that is applied."""
    return value(await call(root, patch_text(*lines), **more))


async def refused(root: Path, *lines: str, **more: Any) -> str:
    """What is said of a patch that fails, having changed nothing."""
    before = tree(root)
    cls, code, message = failure(await call(root, patch_text(*lines), **more))
    assert (cls, code) == ("execution", "tool_error")
    assert tree(root) == before
    return message


def fill(root: Path, files: dict[str, str | bytes]) -> None:
    """Make files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(root: Path) -> dict[str, tuple[int, bytes | None]]:
    """Everything below a directory: mode bits, and the bytes of files."""
    found: dict[str, tuple[int, bytes | None]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            found[str(path.relative_to(root))] = (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
    return found
