"""Platforms that cannot open relative to a directory: the same tools over checked paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lash.host.tools.files import folders
from lash.host.tools.files.policy import FilePolicy
from lash.runtime.tools.result import ToolError
from tests.host.tools.files.support import NO_SPILL, failure_of, policy, tree, value_of


@pytest.fixture(autouse=True)
def no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform without them."""
    monkeypatch.setattr(folders, "DIR_FD", False)


async def test_files_are_read_written_listed_and_removed(tmp_path: Path) -> None:
    allowed = policy(tmp_path, allow_write=True)
    await value_of(allowed, "write_file", path="new/a.txt", content="one\ntwo", create_parents=True)
    assert await value_of(allowed, "read_file", path="new/a.txt") == "1: one\n2: two"
    assert [item["path"] for item in (await value_of(allowed, "ls"))["items"]] == ["new", "new/a.txt"]
    allowed.resolve("new/a.txt", write=True).delete()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("path", ["inside.txt", "folder/file"])
def test_a_link_exchanged_after_the_check_is_refused(tmp_path: Path, path: str) -> None:
    tree(tmp_path, "root/inside.txt", "root/folder/file", "outside/inside.txt", "outside/file")
    root = tmp_path / "root"
    found = FilePolicy([root], allow_write=True, spill_dir=NO_SPILL).resolve(path, write=True)
    (root / "inside.txt").unlink()
    (root / "inside.txt").symlink_to(tmp_path / "outside" / "inside.txt")
    (root / "folder").rename(tmp_path / "was")
    (root / "folder").symlink_to(tmp_path / "outside")
    for attempt in (found.open, found.read, found.stat, found.delete, lambda: found.write(b"x")):
        with pytest.raises(ToolError, match="is not allowed"):
            attempt()
    assert (tmp_path / "outside" / "file").read_bytes() == b""


async def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert (await failure_of(policy(tmp_path), "read_file", path="pipe")).code == "path_not_allowed"
