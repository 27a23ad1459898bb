"""Ignore files: as git reads them, inside a repository, bounded where they are hostile."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lash.host.tools.files import ignore
from tests.host.tools.files.support import policy, tree, value_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without settings of their own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    return folder


def repository(tmp_path: Path, *paths: str, **ignore: str) -> Path:
    """A repository with these files; the keywords are the contents of its ignore file (`top`) and of others."""
    root = tree(tmp_path / "repo", ".git/info/", *paths)
    for name, text in ignore.items():
        (root / {"top": ".gitignore"}.get(name, name)).write_text(text)
    return root


async def listed(root: Path, **args: Any) -> list[str]:
    """The files that are listed, without ignore files."""
    found = await value_of(policy(root), "ls", **{"depth": None, "limit": None, **args})
    return [item["path"] for item in found["items"] if item["kind"] == "file" and ".gitignore" not in item["path"]]


async def test_ignored_files_are_left_out_inside_a_repository(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.py", "a.log", "build/x", "src/build/y", top="*.log\nbuild/\n")
    assert await listed(root) == ["a.py"]
    assert await listed(root, respect_gitignore=False) == ["a.log", "a.py", "build/x", "src/build/y"]
    found = await value_of(policy(root), "glob", pattern="*.log")
    assert found["items"] == []


async def test_an_ignore_file_outside_a_repository_counts_for_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "plain", "a.log")
    (root / ".gitignore").write_text("*.log\n")
    assert await listed(root) == ["a.log"]


async def test_a_negated_pattern_brings_a_file_back_but_not_out_of_an_ignored_directory(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log", "keep.log", "build/keep.log", top="*.log\n!keep.log\nbuild/\n")
    assert await listed(root) == ["keep.log"]


async def test_a_nested_ignore_file_is_relative_to_its_directory_and_wins(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log", "sub/a.log", "sub/x.txt", "sub/deep/x.txt", top="*.log\n")
    (root / "sub" / ".gitignore").write_text("!a.log\n/x.txt\n")
    assert await listed(root) == ["sub/a.log", "sub/deep/x.txt"]


async def test_a_listing_of_a_part_of_a_repository_knows_the_rules_above(tmp_path: Path) -> None:
    root = repository(tmp_path, "sub/deep/a.log", "sub/deep/a.py", "sub/deep/b.py", top="*.log\n/sub/deep/b.py\n")
    assert await listed(root, path="sub/deep") == ["sub/deep/a.py"]


async def test_who_asks_for_an_ignored_directory_sees_it(tmp_path: Path) -> None:
    root = repository(tmp_path, "build/out/x", top="build/\n")
    assert await listed(root, path="build") == ["build/out/x"]
    assert await listed(root, path="build/out") == ["build/out/x"]


async def test_the_exclude_file_counts_and_an_ignore_file_wins_over_it(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.tmp", "b.tmp", top="!b.tmp\n")
    (root / ".git" / "info" / "exclude").write_text("*.tmp\n")
    assert await listed(root) == ["b.tmp"]


@pytest.mark.parametrize("place", ["default", ".gitconfig", ".config/git/config"])
async def test_the_excludes_of_the_user_count(tmp_path: Path, home: Path, place: str) -> None:
    root = repository(tmp_path, "a.swp", "a.py")
    rules = home / (".config/git/ignore" if place == "default" else "my excludes")
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_text("*.swp\n")
    if place != "default":
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        text = '[user]\n\texcludesfile = /wrong\n[core]\n\teditor = vi\n\texcludesFile = "~/my excludes" # mine\n'
        (home / place).write_text(text)
    assert await listed(root) == ["a.py"]


async def test_a_repository_in_a_repository_has_rules_of_its_own(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log", "inner/.git/info/", "inner/a.log", "inner/b.txt", top="*.log\n")
    (root / "inner" / ".gitignore").write_text("*.txt\n")
    assert await listed(root) == ["inner/a.log"]


async def test_a_repository_above_the_root_is_not_looked_at(tmp_path: Path) -> None:
    root = repository(tmp_path, "sub/a.log", top="*.log\n")
    assert await listed(root / "sub") == ["a.log"]


async def test_an_ignore_file_that_is_a_link_counts_for_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log")
    (tmp_path / "rules").write_text("*.log\n")
    (root / ".gitignore").symlink_to(tmp_path / "rules")
    assert await listed(root) == ["a.log"]


async def test_an_ignore_file_that_is_a_pipe_holds_nothing_up(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log")
    os.mkfifo(root / ".gitignore")
    assert await listed(root) == ["a.log"]


async def test_a_line_that_is_no_pattern_spoils_no_other(tmp_path: Path) -> None:
    root = repository(tmp_path, "a.log", "b.py", top="!\n*.log\n/\n[z-a]\n")
    assert await listed(root) == ["b.py"]


async def test_a_pattern_of_many_stars_counts_and_takes_no_time(tmp_path: Path) -> None:
    root = repository(tmp_path, "a" * 200, "axa" * 5 + "b", "b.log", top="*a*a*a*a*a*a*a*a*a*b\n*.log\n")
    assert await listed(root) == ["a" * 200]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("*a*a*a*b", "a" * 255),
        ("*?*?*?*b", "a" * 255),
        ("*[ab]*[!c]*[ab]*b", "a" * 255),
        ("**/a/**/a/**/b", "a/" * 2000 + "x"),
        ("a/**/a/**/a/**/b", "a/" * 2000 + "x"),
    ],
)
def test_a_hostile_rule_does_not_go_back_behind_its_stars(rule: str, path: str) -> None:
    # Each would take seconds, hours, or longer than anybody lives, if it did.
    rules = ignore.rules_of("".join(f"{rule}{n}\n" for n in range(100)).encode())
    assert rules is not None
    assert rules.check_file(path).include is None


async def test_rules_in_force_are_bounded_however_deep_their_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignore, "_MOST_IN_FORCE", 3)
    root = repository(tmp_path, "a.x", "sub/b.x", "sub/b.y", "sub/deep/c.y", top="*.x\n*.z\n")
    (root / "sub" / ".gitignore").write_text("*.y\nb\n")
    (root / "sub" / "deep" / ".gitignore").write_text("c.*\n")
    assert await listed(root) == ["sub/b.y"]


@pytest.mark.filterwarnings("error")
async def test_brackets_with_signs_of_set_operations_are_plain_brackets(tmp_path: Path) -> None:
    root = repository(tmp_path, "ax", "[x", "&x", "-x", "bx", "qx", top="[[a]x\n[b&&c]x\n[+--]x\n")
    assert await listed(root) == ["qx"]


RULES = [
    "*.log",
    "!keep.log",
    "/only-top",
    "build/",
    "docs/*.txt",
    "**/deep/x",
    "a/**/z",
    "\\#odd",
    "sp ace",
    "x?y",
    "[ab].c",
    "m[!q]n",
    "a*b*a.e",
    "o/**/p/**/*r*s",
    "[]x]1",
]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what this is held against")
async def test_git_ignores_the_same_files(tmp_path: Path) -> None:
    paths = [
        *("a.log", "keep.log", "only-top", "sub/only-top", "build/x", "sub/build/x", "docs/a.txt", "docs/sub/a.txt"),
        *(
            "deep/x",
            "q/deep/x",
            "a/z",
            "a/b/c/z",
            "#odd",
            "sp ace",
            "xay",
            "x/y",
            "a.c",
            "sub/b.c",
            "d.c",
            "sub/keep.log",
        ),
        *("m/n", "mxn", "mqn", "aba.e", "abba.e", "axbya.e", "ab.e", "]1", "x1", "y1"),
        *("o/p/rs", "o/x/p/y/z/r-s", "o/x/p/p/r/s", "o/rs", "w/o/p/rs", "o/p/q/xrys"),
        *("sub/mine", "sub/yours", "buildx", "docs/build", "keep/keep.log/f"),
    ]
    root = tree(tmp_path / "repo", *paths)
    (root / ".gitignore").write_text("\n".join(RULES))
    (root / "sub" / ".gitignore").write_text("mine\n!b.c\n")
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", root], check=True, env=environment)
    asked = ["git", "-C", root, "ls-files", "--others", "--exclude-standard", "-z"]
    said = subprocess.run(asked, check=True, env=environment, capture_output=True).stdout
    expected = sorted(path for path in said.decode().split("\0") if path and ".gitignore" not in path)
    assert sorted(await listed(root)) == expected
