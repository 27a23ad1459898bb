"""`write_file`: all or nothing, whatever the disk does (acceptance 26 of the chapter on tools)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.host.tools.files.support import failure_of, open_descriptors, policy, tree, value_of


async def write(root: Path, path: str, content: str, **args: Any) -> Any:
    """The value of a write that works."""
    return await value_of(policy(root, allow_write=True), "write_file", path=path, content=content, **args)


async def refuse(root: Path, path: str, content: str = "new", **args: Any) -> str:
    """The message of a write that does not."""
    failure = await failure_of(policy(root, allow_write=True), "write_file", path=path, content=content, **args)
    assert (failure.cls, failure.code) == ("execution", "tool_error")
    return failure.message


async def test_a_new_file_has_what_was_given_byte_for_byte(tmp_path: Path) -> None:
    assert await write(tmp_path, "a.txt", "ä\r\nb") == {"path": "a.txt", "bytes": 5, "created": True}
    assert (tmp_path / "a.txt").read_bytes() == "ä\r\nb".encode()


async def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        await write(tmp_path, "a.txt", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o666])
async def test_a_replaced_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    target = tree(tmp_path, "a.sh") / "a.sh"
    target.chmod(mode)
    assert await write(tmp_path, "a.sh", "new") == {"path": "a.sh", "bytes": 3, "created": False}
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_text() == "new"


async def test_who_has_the_old_file_open_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with (tmp_path / "a").open() as file:
        await write(tmp_path, "a", "new")
        assert file.read() == "old"


async def test_a_missing_directory_is_an_error_that_names_the_flag(tmp_path: Path) -> None:
    assert "create_parents" in await refuse(tmp_path, "no/such/a.txt")
    assert list(tmp_path.iterdir()) == []


async def test_missing_directories_are_made_where_that_is_asked_for(tmp_path: Path) -> None:
    tree(tmp_path, "there/")
    made = await write(tmp_path, "there/new/deeper/a.txt", "x", create_parents=True)
    assert made == {"path": "there/new/deeper/a.txt", "bytes": 1, "created": True}
    assert (tmp_path / "there/new/deeper/a.txt").read_text() == "x"


async def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    assert "file/a.txt" in await refuse(tmp_path, "file/a.txt", create_parents=True)
    assert (tmp_path / "file").read_text() == "old"


async def test_a_file_that_exists_is_not_replaced_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    assert "overwrite" in await refuse(tmp_path, "a", overwrite=False)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_a_new_file_is_written_without_overwrite(tmp_path: Path) -> None:
    assert (await write(tmp_path, "a", "new", overwrite=False))["created"] is True
    assert (tmp_path / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_a_file_that_appears_meanwhile_is_not_replaced_without_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def appear(fd: int) -> None:
        (tmp_path / "a").write_text("somebody else's")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", appear)
    assert "overwrite" in await refuse(tmp_path, "a", overwrite=False)
    assert (tmp_path / "a").read_text() == "somebody else's"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("path", ["folder", "."])
async def test_a_directory_is_no_target(tmp_path: Path, path: str) -> None:
    tree(tmp_path, "folder/")
    assert "is a directory" in await refuse(tmp_path, path)


async def test_a_link_inside_the_root_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    await write(tmp_path, "link", "new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


async def test_half_a_surrogate_pair_is_no_text_to_write(tmp_path: Path) -> None:
    failure = await failure_of(policy(tmp_path, allow_write=True), "write_file", path="a", content="a\ud800")
    assert "surrogate" in failure.message
    assert list(tmp_path.iterdir()) == []


def full(*args: Any, **kwargs: Any) -> Any:
    """A disk without room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def a_part_then_full(fd: int, data: Any) -> int:
    """A disk with room for one byte."""
    if len(data) < 3:
        full()
    return WRITE(fd, bytes(data[:1]))


WRITE = os.write
FAULTS = [("write", full), ("write", a_part_then_full), ("fsync", full), ("replace", full)]


@pytest.mark.parametrize(("call", "fault"), FAULTS)
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("path", ["a", "new/deeper/a"])
async def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: Any, overwrite: bool, path: str
) -> None:
    tree(tmp_path, "other")
    if overwrite and path == "a":
        (tmp_path / "a").write_text("old")
    before = {one.name: one.read_text() for one in tmp_path.iterdir()}
    descriptors = open_descriptors()
    monkeypatch.setattr(os, call, fault)
    message = await refuse(tmp_path, path, create_parents=True, overwrite=overwrite)
    monkeypatch.undo()
    assert message == f"{path}: No space left on device"
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == before
    assert open_descriptors() == descriptors


async def test_a_write_that_the_disk_takes_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_three(fd: int, data: Any) -> int:
        return WRITE(fd, bytes(data[:3]))

    monkeypatch.setattr(os, "write", write_three)
    await write(tmp_path, "a", "ten letters")
    assert (tmp_path / "a").read_text() == "ten letters"


async def test_a_directory_that_may_not_be_made_leaves_those_above_unmade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def refuse_deep(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if path == "deep":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        mkdir(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", refuse_deep)
    assert "Permission denied" in await refuse(tmp_path, "one/two/deep/a", create_parents=True)
    assert list(tmp_path.iterdir()) == []
