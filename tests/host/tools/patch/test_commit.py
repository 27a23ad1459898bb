"""A patch is applied whole or not at all, whichever step of its writing fails."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.patch.commit import Change, commit
from lash.host.tools.patch.operations import PatchError
from lash.host.tools.patch.overlay import apply_operations
from lash.host.tools.patch.parse import parse_patch
from lash.runtime.sansio.tools import ToolOutput
from tests.host.tools.patch.support import call, fill, patch_text, tree
from tests.runtime.tools.support import failure

CHANGING = ("write", "fsync", "fchmod", "replace", "unlink", "mkdir")
"""The calls of the system that change files, and that fail here one after the other."""

PATCH = patch_text(
    *("*** Update File: a", "-1", "+one"),
    *("*** Add File: new/deep/n", "+x"),
    "*** Delete File: b",
    *("*** Update File: c", "*** Move to: moved/c", "-3", "+three"),
    *("*** Add File: new/other", "+y"),
)


class Failing:
    """Lets calls of the system fail: those whose numbers are given, counted over all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
        self.calls = 0
        self._fails = fails
        for name in CHANGING:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self._fails(self.calls):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*args, **more)

        return wrapped


def files(root: Path) -> None:
    fill(root, {"a": "1\n", "b": "2\n", "c": "3\n", "new/there": "4\n"})
    (root / "a").chmod(0o755)
    (root / "b").chmod(0o600)
    (root / "c").chmod(0o444)


async def steps(root: Path) -> int:
    """How many calls of the system the patch takes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        failing = Failing(monkeypatch, lambda number: False)
        assert (await call(root, PATCH)).succeeded
    return failing.calls


async def test_whichever_write_fails_the_files_are_as_before_or_all_patched(tmp_path: Path) -> None:
    files(tmp_path / "whole")
    before = tree(tmp_path / "whole")
    count = await steps(tmp_path / "whole")
    after = tree(tmp_path / "whole")
    outcomes: list[str] = []
    for number in range(1, count + 1):
        root = tmp_path / str(number)
        files(root)
        with pytest.MonkeyPatch.context() as monkeypatch:
            Failing(monkeypatch, lambda at, number=number: at == number)
            output = (await call(root, PATCH)).output
        found = {name: one for name, one in tree(root).items() if not name.endswith(".tmp")}
        left = tree(root).keys() - found.keys()
        if isinstance(output, ToolOutput.Failure):
            outcomes.append("failed")
            assert (number, found, left) == (number, before, set())
            assert "No space left on device. All files are as they were before." in output.failure.message
        else:
            # All is done but to remove a copy of what was there.
            outcomes.append("applied")
            assert (number, found) == (number, after)
            assert isinstance(output, ToolOutput.Success)
            assert isinstance(output.value, dict)
            for name in left:
                assert os.path.basename(name) in str(output.value["summary"])
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes.count("applied") == 3


async def test_what_cannot_be_restored_either_is_named_and_kept(tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.MonkeyPatch.context() as monkeypatch:
        replaced = 0
        replace = os.replace

        def failing(*args: Any, **more: Any) -> None:
            nonlocal replaced
            replaced += 1
            if replaced > 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            replace(*args, **more)

        monkeypatch.setattr(os, "replace", failing)
        output = (await call(tmp_path, PATCH)).output
    assert isinstance(output, ToolOutput.Failure)
    (copy,) = tmp_path.rglob("*.tmp")
    assert copy.read_text() == "1\n"
    assert (tmp_path / "a").read_text() == "one\n"
    assert output.failure.message == (
        "Failed to write new/deep/n: Input/output error. These could not be restored: "
        f"a (its old contents are in {copy.name} beside it)"
    )


async def test_directories_that_were_made_go_again_but_not_those_that_were_there(tmp_path: Path) -> None:
    fill(tmp_path, {"there/x": ""})
    policy = FilePolicy([tmp_path], allow_write=True, max_write_bytes=1)
    wanted = [("there/a/b", b"1"), ("new/a/b", b"2"), ("new/c", b"too much")]
    with pytest.raises(Exception, match="at most 1 bytes"):
        commit([Change(policy.resolve(name, write=True), None, data, None) for name, data in wanted])
    assert set(tree(tmp_path)) == {"there", "there/x"}


@pytest.mark.parametrize(
    ("name", "before", "message"),
    [
        ("a", b"other", "a was changed by somebody else meanwhile: read it again"),
        ("gone", b"x", "gone was changed by somebody else meanwhile: read it again"),
        ("a", None, "a was made by somebody else meanwhile: read it"),
    ],
)
def test_a_file_that_is_no_longer_as_it_was_read_is_not_overwritten(
    tmp_path: Path, name: str, before: bytes | None, message: str
) -> None:
    fill(tmp_path, {"a": "1\n", "b": "2\n"})
    policy = FilePolicy([tmp_path], allow_write=True)
    there = tree(tmp_path)
    first = Change(policy.resolve("b", write=True), b"2\n", b"new", 0o644)
    with pytest.raises(PatchError) as raised:
        commit([first, Change(policy.resolve(name, write=True), before, b"mine", None)])
    assert str(raised.value) == f"{message}. All files are as they were before."
    assert tree(tmp_path) == there


async def test_a_file_that_moves_is_in_its_new_place_before_it_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path)
    seen: list[set[str]] = []
    delete = ResolvedPath.delete

    def looked(path: ResolvedPath) -> None:
        seen.append({name for name in ("c", "moved/c") if (tmp_path / name).exists()})
        delete(path)

    monkeypatch.setattr(ResolvedPath, "delete", looked)
    await call(tmp_path, PATCH)
    assert seen == [{"c", "moved/c"}] * 2


def test_of_a_root_that_has_gone_nothing_above_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    policy = FilePolicy([root], allow_write=True)
    root.rmdir()
    operations = parse_patch(patch_text("*** Add File: new/x", "+x"))
    with pytest.raises(PatchError) as raised:
        commit(apply_operations(policy, operations, None, lambda: None).changes())
    assert str(raised.value) == ("Failed to write new/x: No such file or directory. All files are as they were before.")


def test_a_change_that_somebody_makes_while_a_patch_is_made_ready_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a": "1\n"})
    target = FilePolicy([tmp_path], allow_write=True).resolve("a", write=True)
    stage = ResolvedPath.stage

    def changing(path: ResolvedPath, *args: Any, **more: Any) -> str:
        staged = stage(path, *args, **more)
        (tmp_path / "a").write_text("theirs")
        return staged

    monkeypatch.setattr(ResolvedPath, "stage", changing)
    with pytest.raises(PatchError, match="a was changed by somebody else meanwhile"):
        commit([Change(target, b"1\n", b"mine", 0o644)])
    assert {name: found[1] for name, found in tree(tmp_path).items()} == {"a": b"theirs"}


def test_patches_of_one_file_at_the_same_time_lose_nothing_that_they_say_is_done(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "begun\n"})
    policy = FilePolicy([tmp_path], allow_write=True)
    done: list[str] = []

    def patching(worker: int) -> None:
        for number in range(15):
            line = f"{worker}-{number}"
            operations = parse_patch(patch_text("*** Update File: a", "@@", f"+{line}"))
            try:
                commit(apply_operations(policy, operations, None, lambda: None).changes())
            except PatchError:
                continue  # another one came first
            done.append(line)

    workers = [threading.Thread(target=patching, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted((tmp_path / "a").read_text().split()) == sorted(["begun", *done])
    assert os.listdir(tmp_path) == ["a"]


async def test_a_directory_that_becomes_a_link_while_a_patch_is_written_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    fill(tmp_path, {"root/a": "1\n", "root/dir/b": "2\n", "outside/b": "2\n"})
    before = tree(outside)
    put = ResolvedPath.put

    def exchanged(path: ResolvedPath, staged: str) -> None:
        if path.given == "dir/b" and not (root / "dir").is_symlink():
            (root / "dir").rename(root / "moved")
            (root / "dir").symlink_to(outside)
        put(path, staged)

    monkeypatch.setattr(ResolvedPath, "put", exchanged)
    text = patch_text("*** Update File: a", "-1", "+one", "*** Update File: dir/b", "-2", "+two")
    cls, code, message = failure(await call(root, text))
    assert (cls, code) == ("permission_denied", "path_not_allowed")
    assert message.startswith("dir/b is not allowed")
    assert "All files are as they were before. Left behind: .lash-" in message
    assert tree(outside) == before
    assert (root / "a").read_text() == "1\n"
