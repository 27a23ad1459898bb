"""`apply_patch` on files: what it does, what it says, and what it refuses before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.patch import overlay
from lash.host.tools.patch.tool import ApplyPatchTool, PatchOp, inspect_patch_ops
from lash.runtime.errors import ConfigError
from lash.runtime.tools.cancel import CancelToken
from tests.host.tools.patch.support import applied, call, fill, patch_text, refused, tree
from tests.runtime.tools.support import bench, failure


def contents(root: Path) -> dict[str, str]:
    return {name: data.decode() for name, (_, data) in sorted(tree(root).items()) if data is not None}


async def test_files_are_added_deleted_updated_and_moved_in_one_patch(tmp_path: Path) -> None:
    fill(tmp_path, {"old.txt": "x\n", "a.py": "one\ntwo\n", "b.py": "three\n"})
    report = await applied(
        tmp_path,
        *("*** Add File: new/deep/n.txt", "+hello"),
        "*** Delete File: old.txt",
        *("*** Update File: a.py", " one", "-two", "+2"),
        *("*** Update File: b.py", "*** Move to: lib/c.py", "-three", "+3"),
    )
    assert contents(tmp_path) == {"a.py": "one\n2\n", "lib/c.py": "3\n", "new/deep/n.txt": "hello\n"}
    assert report == {
        "summary": "Applied patch to 4 file(s)",
        "added": 3,
        "removed": 3,
        "files": [
            {
                **{"path": "new/deep/n.txt", "status": "added", "added": 1, "removed": 0},
                "diff": "--- a/new/deep/n.txt\n+++ b/new/deep/n.txt\n@@ -0,0 +1 @@\n+hello\n",
            },
            {
                **{"path": "old.txt", "status": "deleted", "added": 0, "removed": 1},
                "diff": "--- a/old.txt\n+++ b/old.txt\n@@ -1 +0,0 @@\n-x\n",
            },
            {
                **{"path": "a.py", "status": "modified", "added": 1, "removed": 1},
                "diff": "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
            },
            {
                **{"path": "lib/c.py", "status": "moved", "from_path": "b.py", "added": 1, "removed": 1},
                "diff": "--- a/b.py\n+++ b/lib/c.py\n@@ -1 +1 @@\n-three\n+3\n",
            },
        ],
        "diff": "".join(one["diff"] for one in report["files"][:3]),
    }


async def test_an_operation_that_fails_leaves_those_before_it_undone(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n", "b": "2\n"})
    lines = ("*** Update File: a", "-1", "+one", "*** Add File: x/y", "+z", "*** Update File: b", "-3", "+three")
    assert await refused(tmp_path, *lines) == "Failed to find expected lines in b:\n3"


async def test_later_operations_see_what_earlier_ones_have_done(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n2\n", "b": "x\n"})
    report = await applied(
        tmp_path,
        *("*** Update File: a", "-1", "+one"),
        *("*** Update File: a", "*** Move to: c", " one", "-2", "+two"),
        *("*** Add File: d", "+d"),
        *("*** Update File: d", " d", "+e"),
        "*** Delete File: b",
        *("*** Add File: b", "+y"),
    )
    assert contents(tmp_path) == {"b": "y\n", "c": "one\ntwo\n", "d": "d\ne\n"}
    assert [(one["path"], one["status"], one["added"], one["removed"]) for one in report["files"]] == [
        ("c", "moved", 2, 2),
        ("d", "added", 2, 0),
        ("b", "modified", 1, 1),
    ]


async def test_a_file_made_and_deleted_by_one_patch_leaves_no_trace(tmp_path: Path) -> None:
    report = await applied(tmp_path, "*** Add File: d/a", "+x", "*** Delete File: d/a")
    assert (report["files"], tree(tmp_path)) == ([], {})


async def test_two_files_can_change_places(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n", "b": "2\n"})
    moves = [("a", "c", "1"), ("b", "a", "2"), ("c", "b", "1")]
    await applied(
        tmp_path,
        *(line for old, new, text in moves for line in (f"*** Update File: {old}", f"*** Move to: {new}", f" {text}")),
    )
    assert contents(tmp_path) == {"a": "2\n", "b": "1\n"}


async def test_adding_a_file_that_exists_replaces_it_and_keeps_its_mode(tmp_path: Path) -> None:
    fill(tmp_path, {"run.sh": "a\nb\nc\n", "data": b"\xff\xfe"})
    (tmp_path / "run.sh").chmod(0o755)
    report = await applied(tmp_path, "*** Add File: run.sh", "+a", "+B", "+c", "*** Add File: data", "+text")
    assert contents(tmp_path) == {"data": "text\n", "run.sh": "a\nB\nc\n"}
    assert (tmp_path / "run.sh").stat().st_mode & 0o777 == 0o755
    assert [(one["status"], one["added"], one["removed"]) for one in report["files"]] == [
        ("modified", 1, 1),
        ("modified", 1, 1),
    ]


async def test_a_moved_file_takes_its_mode_along(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n"})
    (tmp_path / "a").chmod(0o640)
    await applied(tmp_path, "*** Update File: a", "*** Move to: b", " 1")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o640


async def test_a_move_onto_itself_is_an_update(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n"})
    report = await applied(tmp_path, "*** Update File: a", "*** Move to: ./a", "-1", "+2")
    assert (contents(tmp_path), report["files"][0]["status"]) == ({"a": "2\n"}, "modified")


async def test_paths_begin_at_the_working_directory_of_the_call(tmp_path: Path) -> None:
    fill(tmp_path, {"sub/a": "1\n", "b": "2\n"})
    lines = ("*** Update File: a", "-1", "+x", "*** Update File: ../b", "-2", "+y", f"*** Add File: {tmp_path}/sub/c")
    report = await applied(tmp_path, *lines, workdir="sub")
    assert contents(tmp_path) == {"b": "y\n", "sub/a": "x\n", "sub/c": ""}
    assert [one["path"] for one in report["files"]] == ["a", f"{tmp_path}/b", "c"]


async def test_a_long_diff_is_cut_and_its_counts_are_whole(tmp_path: Path) -> None:
    report = await applied(tmp_path, "*** Add File: a", *(f"+{number}" for number in range(200)))
    diff = report["files"][0]["diff"].splitlines()
    assert (len(diff), diff[-2:]) == (121, ["+116", "... (83 more lines)"])
    assert report["added"] == 200


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "No files were modified."),
        (("*** Update File: no", "-x"), "Failed to update no: there is no such file"),
        (("*** Delete File: no",), "Failed to delete no: there is no such file"),
        (("*** Update File: dir", "-x"), "dir is a directory, not a file"),
        (("*** Delete File: dir",), "dir is a directory, not a file"),
        (("*** Add File: dir", "+x"), "dir is a directory, not a file"),
        (("*** Update File: a", "*** Move to: dir", " 1"), "dir is a directory, not a file"),
        (("*** Update File: binary", "-x"), "Failed to update binary: it is not UTF-8 text"),
        (("*** Delete File: binary",), "Failed to delete binary: it is not UTF-8 text"),
        (("*** Update File: a", "*** Move to: b", " 1"), "Failed to move a to b: b exists"),
        (("*** Delete File: a", "*** Update File: a", " 1"), "Failed to update a: there is no such file"),
        (("*** Add File: n", "*** Update File: a", "*** Move to: n", " 1"), "Failed to move a to n: n exists"),
        (("*** Add File: a/x", "+1"), "Failed to add a/x: a above it is a file"),
        (("*** Add File: n", "*** Add File: n/x/y"), "Failed to add n/x/y: n above it is a file"),
        (("*** Add File: n/x", "*** Add File: n"), "n is a directory, not a file"),
        (("*** Update File: a", "@@ x", "-1"), "Failed to find context 'x' in a"),
        (("*** Delete File: link",), "link is a symbolic link: name the file that it leads to"),
        (
            ("*** Update File: link", "*** Move to: n", " 1"),
            "link is a symbolic link: name the file that it leads to",
        ),
    ],
)
async def test_what_cannot_be_done_fails_before_anything_is_written(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    fill(tmp_path, {"a": "1\n", "b": "2\n", "binary": b"x\xff\n", "dir/c": "3\n"})
    (tmp_path / "link").symlink_to("a")
    assert await refused(tmp_path, *lines) == message


async def test_a_working_directory_has_to_be_one(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n"})
    assert await refused(tmp_path, "*** Add File: x", workdir="a") == "workdir 'a' is not a directory"


async def test_a_link_to_a_file_is_followed_by_an_update(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "1\n"})
    (tmp_path / "link").symlink_to("a")
    await applied(tmp_path, "*** Update File: link", "-1", "+2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "2\n"


async def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    text = patch_text("*** Add File: a", "+x\ud800")
    _, _, message = failure(await call(tmp_path, text))
    assert message == "The patch puts half a surrogate pair into a, which is no text"


@pytest.mark.parametrize(
    "lines",
    [
        ("*** Add File: ../out/new", "+x"),
        ("*** Update File: ../out/secret", "-1", "+2"),
        ("*** Delete File: ../out/secret",),
        ("*** Delete File: {outside}/secret",),
        ("*** Update File: link/secret", "-1", "+2"),
        ("*** Update File: secret", "-1", "+2"),
        ("*** Update File: a", "*** Move to: ../out/a", " 1"),
        ("*** Update File: a", "*** Move to: link/a", " 1"),
        ("*** Delete File: .env",),
        ("*** Update File: a", "*** Move to: x/.env", " 1"),
        ("*** Add File: null", "+x"),
        ("*** Update File: pipe", " x"),
    ],
)
async def test_a_patch_does_not_leave_the_roots(tmp_path: Path, lines: tuple[str, ...]) -> None:
    root, outside = tmp_path / "root", tmp_path / "out"
    fill(tmp_path, {"root/a": "1\n", "root/.env": "key\n", "out/secret": "1\n"})
    (root / "link").symlink_to(outside)
    (root / "secret").symlink_to(outside / "secret")
    (root / "null").symlink_to("/dev/null")
    os.mkfifo(root / "pipe")
    before = tree(outside), {name: one for name, one in tree(root).items() if name != "null"}
    wanted = patch_text("*** Add File: first", "+x", *(line.format(outside=outside) for line in lines))
    cls, code, message = failure(await call(root, wanted, deny=[".env"]))
    assert (cls, code) == ("permission_denied", "path_not_allowed")
    assert str(outside) not in message or str(outside) in wanted
    assert (tree(outside), {name: one for name, one in tree(root).items() if name != "null"}) == before


@pytest.mark.parametrize("allowed", [False, ["docs/**"]])
async def test_a_patch_needs_to_be_allowed_to_write_every_file(tmp_path: Path, allowed: Any) -> None:
    fill(tmp_path, {"docs/a": "1\n", "src/b": "2\n"})
    before = tree(tmp_path)
    lines = ("*** Update File: docs/a", "-1", "+x", "*** Update File: src/b", "-2", "+y")
    cls, code, _ = failure(await call(tmp_path, patch_text(*lines), allow_write=allowed))
    assert ((cls, code), tree(tmp_path)) == (("permission_denied", "path_not_allowed"), before)


@pytest.mark.parametrize(
    ("lines", "limits"),
    [
        (("*** Update File: a", "-x", "+y"), {"max_read_bytes": 4}),
        (("*** Delete File: a", "*** Delete File: b"), {"max_read_bytes": 9}),
        (("*** Add File: c", "+1", "*** Add File: d", "+123456789"), {"max_write_bytes": 9}),
    ],
)
async def test_files_beyond_the_limits_are_refused_before_anything_is_written(
    tmp_path: Path, lines: tuple[str, ...], limits: dict[str, int]
) -> None:
    fill(tmp_path, {"a": "x\n123\n", "b": "y\n123\n"})
    before = tree(tmp_path)
    cls, code, _ = failure(await call(tmp_path, patch_text(*lines), **limits))
    assert ((cls, code), tree(tmp_path)) == (("resource_limit", "file_too_large"), before)


async def test_files_of_too_many_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "MOST_LINES", 3)
    fill(tmp_path, {"a": "1\n2\n", "b": "3\n4\n"})
    before = tree(tmp_path)
    await applied(tmp_path, "*** Update File: a", " 1")
    assert failure(await call(tmp_path, patch_text("*** Delete File: a", "*** Delete File: b"))) == (
        "resource_limit",
        "file_too_large",
        "The files of this patch have more than 3 lines together: split it into several patches",
    )
    assert tree(tmp_path) == before


async def test_a_large_file_can_be_made_small(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "x\n" * 100})
    await applied(tmp_path, "*** Add File: a", "+y", max_write_bytes=9)
    assert contents(tmp_path) == {"a": "y\n"}


async def test_a_cancelled_patch_changes_nothing(tmp_path: Path) -> None:
    token = CancelToken()

    class Cancelling(FilePolicy):
        def resolve(self, *args: Any, **more: Any) -> Any:
            token.cancel()
            return super().resolve(*args, **more)

    async with bench([ApplyPatchTool(Cancelling([tmp_path], allow_write=True))]) as tools:
        tools.dispatcher.token.on_cancel(token.cancel)
        token.on_cancel(tools.token.cancel)
        result = await tools.call("apply_patch", {"input": patch_text("*** Add File: a", "*** Add File: b")})
    assert (result.output.type, tree(tmp_path)) == ("cancelled", {})


def test_the_tool_needs_a_policy() -> None:
    with pytest.raises(ConfigError) as raised:
        ApplyPatchTool(None)  # type: ignore[arg-type]
    assert raised.value.code == "file_policy_required"


def test_what_a_patch_would_touch_can_be_seen_before(tmp_path: Path) -> None:
    fill(tmp_path, {"real/plan.md": ""})
    (tmp_path / "link").symlink_to("real")
    text = patch_text(
        *("*** Add File: new", "+x", "*** Delete File: link/plan.md", "*** Update File: real/../link/plan.md", " x"),
        *("*** Update File: /etc/passwd", "*** Move to: ../b", " x"),
    )
    real = tmp_path.resolve()
    assert inspect_patch_ops(text, tmp_path) == [
        PatchOp("add", "new", real / "new"),
        PatchOp("delete", "link/plan.md", real / "real/plan.md"),
        PatchOp("update", "real/../link/plan.md", real / "real/plan.md"),
        PatchOp("move", "/etc/passwd", Path(os.path.realpath("/etc/passwd")), "../b", real.parent / "b"),
    ]
