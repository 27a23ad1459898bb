"""`ls` and `glob`: what they list, in which order, how much of it, and what they leave out (acceptance 21)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lash.host.tools.files import listing as listing_module
from lash.host.tools.files import walk as walk_module
from lash.host.tools.files.folders import DescriptorFolder
from lash.host.tools.files.globs import Globs
from lash.host.tools.files.listing import listing
from lash.host.tools.files.walk import Entry, Walk, WalkOptions
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.result import ToolError
from tests.host.tools.files.support import failure_of, file_tools, open_descriptors, policy, tree, value_of


async def ls(root: Path, **args: Any) -> list[str]:
    """The paths that `ls` gives."""
    return [item["path"] for item in (await value_of(policy(root), "ls", **args))["items"]]


async def glob(root: Path, pattern: str, **args: Any) -> list[str]:
    """The paths that `glob` gives, sorted."""
    found = await value_of(policy(root), "glob", pattern=pattern, **args)
    return sorted(item["path"] for item in found["items"])


# --- items ------------------------------------------------------------------------------------------


async def test_an_item_says_what_it_is_how_large_and_how_old(tmp_path: Path) -> None:
    tree(tmp_path, "d/")
    (tmp_path / "f").write_bytes(b"one\ntwo")
    (tmp_path / "link").symlink_to("f")
    os.mkfifo(tmp_path / "pipe")
    for name in ("d", "f", "link", "pipe"):
        os.utime(tmp_path / name, (1.5, 86_400.9), follow_symlinks=False)
    shown = await value_of(policy(tmp_path), "ls")
    at = "1970-01-02T00:00:00Z"
    assert shown == {
        "items": [
            {"path": "d", "kind": "dir", "size_bytes": 0, "modified_at": at},
            {"path": "f", "kind": "file", "size_bytes": 7, "modified_at": at},
            {"path": "link", "kind": "symlink", "size_bytes": 1, "modified_at": at},
            {"path": "pipe", "kind": "other", "size_bytes": 0, "modified_at": at},
        ],
        "truncated": None,
    }


async def test_lines_are_counted_of_texts_alone(tmp_path: Path) -> None:
    tree(tmp_path, "d/", "empty")
    for name, data in {"ends": b"a\nb\n", "open": b"a\nb", "binary": b"a\n\0"}.items():
        (tmp_path / name).write_bytes(data)
    shown = await value_of(policy(tmp_path), "ls", with_lines=True)
    assert {item["path"]: item.get("lines") for item in shown["items"]} == {
        **{"d": None, "binary": None, "empty": 0},
        **{"ends": 2, "open": 2},
    }


@pytest.mark.parametrize(("seconds", "shown"), [(-(10**11), "0001-01-01T00:00:00Z"), (10**12, "9999-12-31T23:59:59Z")])
def test_a_time_that_no_calendar_has_is_shown_as_the_nearest_one(tmp_path: Path, seconds: int, shown: str) -> None:
    allowed, entry = policy(tmp_path), Entry("f", "file", 0, seconds * 10**9)
    made = listing(allowed, allowed.resolve("."), [entry], repr, 1, with_lines=False, token=CancelToken())
    assert made["items"][0]["modified_at"] == shown


@pytest.mark.parametrize(("path", "shown"), [("d", "d/f"), ("./d/", "d/f"), ("d/../d", "d/f"), (".", "d")])
async def test_paths_are_shown_below_the_path_that_was_given(tmp_path: Path, path: str, shown: str) -> None:
    tree(tmp_path, "d/f")
    assert (await ls(tmp_path, path=path))[0] == shown


async def test_an_absolute_path_gives_absolute_paths(tmp_path: Path) -> None:
    tree(tmp_path, "d/f")
    assert await ls(tmp_path, path=str(tmp_path / "d")) == [str(tmp_path / "d" / "f")]


# --- what is listed -----------------------------------------------------------------------------------


async def test_ls_goes_three_levels_down_and_sorts_by_path(tmp_path: Path) -> None:
    tree(tmp_path, "b", "a/b/c/d/e", "a.txt")
    assert await ls(tmp_path) == ["a", "a.txt", "a/b", "a/b/c", "b"]
    assert await ls(tmp_path, depth=1) == ["a", "a.txt", "b"]
    assert (await ls(tmp_path, depth=None))[-2] == "a/b/c/d/e"


@pytest.mark.parametrize(("path", "said"), [("f", "is a file"), ("no", "does not exist")])
@pytest.mark.parametrize("tool", ["ls", "glob"])
async def test_only_a_directory_can_be_listed(tmp_path: Path, tool: str, path: str, said: str) -> None:
    tree(tmp_path, "f")
    more = {"pattern": "*"} if tool == "glob" else {}
    failure = await failure_of(policy(tmp_path), tool, path=path, **more)
    assert (failure.cls, failure.code) == ("execution", "tool_error")
    assert said in failure.message


async def test_ls_says_how_many_entries_it_leaves_out(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{n:03}" for n in range(510)))
    shown = await value_of(policy(tmp_path), "ls")
    assert [item["path"] for item in shown["items"]] == [f"{n:03}" for n in range(500)]
    assert shown["truncated"] == {"shown": 500, "total": 510, "omitted": 10}


@pytest.mark.parametrize("limit", [None, "none"])
async def test_no_limit_gives_all(tmp_path: Path, limit: Any) -> None:
    tree(tmp_path, *(f"{n:03}" for n in range(510)))
    shown = await value_of(policy(tmp_path), "ls", limit=limit)
    assert (len(shown["items"]), shown["truncated"]) == (510, None)


async def test_glob_gives_the_newest_first_and_a_hundred_of_them(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{n:03}" for n in range(110)))
    for n in range(110):
        os.utime(tmp_path / f"{n:03}", (n // 2, n // 2))
    shown = await value_of(policy(tmp_path), "glob", pattern="*")
    expected = sorted(range(110), key=lambda n: (-(n // 2), n))[:100]
    assert [item["path"] for item in shown["items"]] == [f"{n:03}" for n in expected]
    assert shown["truncated"] == {"shown": 100, "total": 110, "omitted": 10}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("src/*.py", ["src/b.py", "src/deep/c.py"]),
        ("**/*.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("src/**/c.py", ["src/deep/c.py"]),
        ("src/**/b.py", ["src/b.py"]),
        ("{a,src/b}.py", ["a.py", "src/b.py"]),
        ("**/{b,c}.{py,ts}", ["src/b.py", "src/deep/c.py", "src/deep/c.ts"]),
        ("src", ["src"]),
        ("src/", ["src"]),
        ("./a.py", ["a.py"]),
        ("?.py", ["a.py"]),
        ("src/[bx].py", ["src/b.py"]),
        ("[^b]*.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("src/[!b]*.py", ["src/deep/c.py"]),
        ("A.py", []),
        ("**", ["[id].tsx", "a.py", "src", "src/b.py", "src/deep", "src/deep/c.py", "src/deep/c.ts"]),
        ("[[]id].tsx", ["[id].tsx"]),
        (r"\[id\].tsx", ["[id].tsx"]),
    ],
)
async def test_a_pattern_finds(tmp_path: Path, pattern: str, found: list[str]) -> None:
    tree(tmp_path, "a.py", "src/b.py", "src/deep/c.py", "src/deep/c.ts", "[id].tsx")
    assert await glob(tmp_path, pattern) == found


@pytest.mark.parametrize("pattern", ["", "/", "/etc/*", "../*", "a/../b", "[abc", "{a,b", "a}", "{a,b}" * 12])
async def test_a_pattern_that_cannot_be_one_is_an_error(tmp_path: Path, pattern: str) -> None:
    failure = await failure_of(policy(tmp_path), "glob", pattern=pattern)
    assert (failure.cls, failure.code) == ("execution", "tool_error")
    assert "glob" in failure.message


@pytest.mark.parametrize(
    "pattern", ["*a" * 200 + "b", "{" * 3000 + "}" * 3000, "**/" * 8 + "x", "{a," * 900 + "}" * 900]
)
def test_a_hostile_pattern_takes_no_time_and_no_stack(pattern: str) -> None:
    try:
        globs = Globs([pattern])
    except ToolError:
        return
    assert not globs.match("a/" * 1500)


async def test_hidden_names_are_listed_unless_they_are_not_wanted(tmp_path: Path) -> None:
    tree(tmp_path, ".env", ".github/ci.yml", "a")
    assert await ls(tmp_path) == [".env", ".github", ".github/ci.yml", "a"]
    assert await ls(tmp_path, include_hidden=False) == ["a"]
    assert await glob(tmp_path, "*.yml") == [".github/ci.yml"]
    assert await glob(tmp_path, "*.yml", include_hidden=False) == []


async def test_globs_to_ignore_leave_out_names_at_any_level_and_paths(tmp_path: Path) -> None:
    tree(tmp_path, "node_modules/x", "src/node_modules/y", "src/a.log", "src/b", "build/c")
    assert await ls(tmp_path, ignore=["node_modules", "*.log", "build/*"]) == ["build", "src", "src/b"]


async def test_git_itself_is_never_listed(tmp_path: Path) -> None:
    tree(tmp_path, ".git/config", "sub/.git", "a")
    assert await ls(tmp_path) == ["a", "sub"]
    assert await glob(tmp_path, "**", respect_gitignore=False) == ["a", "sub"]


# --- trees that are not kind ---------------------------------------------------------------------


async def test_links_to_directories_are_shown_and_not_entered(tmp_path: Path) -> None:
    tree(tmp_path, "d/f")
    (tmp_path / "d" / "loop").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    assert await ls(tmp_path, depth=None) == ["d", "d/f", "d/loop", "self"]


async def test_a_name_that_is_no_unicode_is_shown_and_hides_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "b")
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    tree(tmp_path, os.fsdecode(b"\xff/inside"))
    assert await ls(tmp_path) == ["b", "\ufffd", "\ufffd/inside"]


@contextmanager
def deep_chain(root: Path, depth: int) -> Generator[None]:
    """A chain of directories, made and removed without paths that would be too long."""
    within = [os.open(root, os.O_RDONLY)]
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=within[-1])
            within.append(os.open("d", os.O_RDONLY, dir_fd=within[-1]))
            if len(within) > 2:
                os.close(within.pop(0))
        yield
    finally:
        # Folded up from the top: the second directory becomes the first until none is left.
        while (root / "d").exists():
            if (root / "d" / "d").exists():
                (root / "d" / "d").rename(root / "next")
                (root / "d").rmdir()
                (root / "next").rename(root / "d")
            else:
                (root / "d").rmdir()
        for one in within:
            os.close(one)


def test_a_deep_tree_is_walked_as_far_as_a_path_can_name(tmp_path: Path) -> None:
    allowed = policy(tmp_path)
    with deep_chain(tmp_path, 2500):
        before, most, seen = open_descriptors(), 0, 0
        for _ in Walk(allowed, allowed.resolve("."), WalkOptions(), CancelToken()):
            seen += 1
            most = max(most, open_descriptors()) if seen % 50 == 0 else most
        assert seen == 2049  # "d", "d/d" and so on up to 4097 bytes
        assert most <= before + 4
        assert open_descriptors() == before


def test_a_tree_with_branches_at_each_level_holds_few_directories_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_module, "_MOST_OPEN", 4)
    path = tmp_path
    expected: set[str] = set()
    for _ in range(12):
        tree(path, "a/x", "b/y", "c/")
        expected |= {str((path / one).relative_to(tmp_path)) for one in ("a", "a/x", "b", "b/y", "c")}
        path = path / "b"
    allowed = policy(tmp_path)
    before, most, seen = open_descriptors(), 0, set[str]()
    for entry in Walk(allowed, allowed.resolve("."), WalkOptions(), CancelToken()):
        seen.add(entry.path)
        most = max(most, open_descriptors())
    assert seen == expected
    assert most <= before + 8
    assert open_descriptors() == before


def test_a_directory_that_may_not_be_listed_is_shown_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "closed/x", "open/y")
    opening = os.open

    def refusing(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "closed":
            raise PermissionError(13, "Permission denied")
        return opening(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refusing)
    allowed = policy(tmp_path)
    seen = {entry.path for entry in Walk(allowed, allowed.resolve("."), WalkOptions(), CancelToken())}
    assert seen == {"closed", "open", "open/y"}


def test_an_entry_that_may_not_be_looked_at_is_shown_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "closed/x")

    class Closed:
        name = "x"

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            return False

        def is_symlink(self) -> bool:
            return False

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise PermissionError(13, "Permission denied")

    def entries(self: DescriptorFolder) -> Generator[Any]:
        yield Closed()

    monkeypatch.setattr(DescriptorFolder, "entries", entries)
    allowed = policy(tmp_path)
    seen = list(Walk(allowed, allowed.resolve("closed"), WalkOptions(), CancelToken()))
    assert seen == [Entry("x", "other", 0, 0)]


async def test_more_entries_than_a_result_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, *(str(n) for n in range(12)))
    monkeypatch.setattr(listing_module, "MOST_ITEMS", 10)
    for limit in (None, 11):
        failure = await failure_of(policy(tmp_path), "ls", limit=limit)
        assert (failure.cls, failure.code) == ("resource_limit", "too_many_entries")
    assert len(await ls(tmp_path, limit=10)) == 10


@pytest.mark.parametrize("pattern", ["a*" * 1800 + "{1..450}", "x" * 4000 + "{1..500}"])
def test_braces_that_stand_for_too_much_text_are_refused_before_they_are_compiled(pattern: str) -> None:
    with pytest.raises(ToolError, match="more than 65536 characters"):
        Globs([pattern])


def test_many_globs_are_bounded_together() -> None:
    with pytest.raises(ToolError, match="more than 65536 characters"):
        Globs([f"{number}-{{1..450}}" for number in range(300)])


async def test_a_cancelled_walk_stops_and_lets_go_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, *(f"{n}/{m}" for n in range(20) for m in range(20)))
    before = open_descriptors()
    reached = asyncio.Event()
    seen: list[str] = []
    async with file_tools(policy(tmp_path)) as tools:
        loop = asyncio.get_running_loop()

        def look(self: Walk, path: str, found: Any, rules: Any) -> Any:
            seen.append(found.name)
            if len(seen) == 30:
                loop.call_soon_threadsafe(reached.set)
                tools.token.wait_blocking(10)
            return looking(self, path, found, rules)

        looking = Walk._seen  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(Walk, "_seen", look)
        call = asyncio.ensure_future(tools.call("ls", {"depth": None}))
        await reached.wait()
        tools.token.cancel()
        done = await call
    assert isinstance(done.output, ToolOutput.Cancelled)
    assert len(seen) == 30
    assert open_descriptors() == before
