"""`rg` and Python find the same, and neither anything that the policy does not allow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.search import ripgrep
from tests.host.tools.search.support import ENGINES, RG, grep, places, use

FILES: dict[str, bytes] = {
    "src/app.py": b"import os\n\nfrom tea import brew\n\ndef brew_tea(cups):\n    return brew(cups)  # tea, more tea\n",
    "src/tea.py": b"class Tea:\n    def brew(self):\n        return 'Tea \xc3\xa9t\xc3\xa9 tea'\n",
    "src/web/tea.ts": b"export const tea = (cups: number) => {\n  return `${cups} tea`;\n}\n",
    "src/web/tea.test.ts": b"import { tea } from './tea';\ntest('tea', () => tea(1));\n",
    "docs/crlf.md": b"tea\r\nno\r\ngreen tea\r\n",
    "docs/no_end.md": b"last line has tea",
    "docs/bom.md": b"\xef\xbb\xbftea after a mark\n",
    "docs/latin.txt": b"th\xe9 and tea\n\xff\xfe tea\n",
    "docs/utf16.txt": "tea\n".encode("utf-16"),
    "docs/many.txt": b"tea\n" * 25,
    "docs/empty.txt": b"",
    "docs/long.txt": b"x" * 500 + b" tea " + b"y" * 500 + b"\n" + b"tea " * 40 + b"\n",
    "docs/two  spaces ü.txt": b"tea\n",
    ".github/flow.yml": b"name: tea\n",
    ".env": b"TEA=secret\n",
    "data/binary.bin": b"tea\n\0\ntea\n",
    "data/late.bin": b"tea\n" + b"x\n" * 5000 + b"\0",
    "build/out.py": b"tea = 1\n",
    "build/kept.py": b"tea = 2\n",
    "logs/a.log": b"tea\n",
    ".gitignore": b"build/*\n!build/kept.py\n*.log\n",
    ".ignore": b"docs/\n",
    ".git/config": b"[core] tea\n",
    "src/.gitignore": b"/generated.py\n",
    "src/generated.py": b"tea\n",
    "secret/tea.txt": b"tea\n",
}

# A dot is the one thing that differs: in Python it matches bytes, too, that are no UTF-8.
QUERIES = [
    *("tea", "Tea", "TEA", "é", "brew_tea", "tea$", "^tea", "^tea$", r"\btea\b", "t.a", "te+a?", "(green|more) tea"),
    *("x*", "a*", r"\s+", r"\w+", r"[^\s]tea", "(?i)TEA", r"`\$\{cups\}", "${cups}", "tea(", "tea(1)", "[tea", "a{2"),
    *("*.py tea", "*.ts !*.test.ts tea", "src/ tea", "!src/ tea", "*.{md,txt} tea", "**/web/* tea", "src/*.py tea"),
    *("docs/long.txt tea", "docs/many.txt tea", "docs/latin.txt tea", "data/binary.bin tea", "nothing at all"),
    *(
        r"(?<=green )tea",
        r"(t)\1",
        "import",
        "secret",
        "y{50}",
        "y{2000}",
        r"\p{L}\w+é",
        "é t",
        "t[e-é]a",
        "!docs/latin.txt .",
    ),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    root = folder / "root"
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "data/large.txt").write_bytes(b"tea\n" + b"\n" * (10 << 20))
    (folder / "outside").mkdir()
    (folder / "outside/tea.txt").write_text("tea outside\n")
    (root / "link.txt").symlink_to(folder / "outside/tea.txt")
    (root / "linked").symlink_to(folder / "outside")
    (root / "src/loop").symlink_to(root / "src")
    (root / "inner.txt").symlink_to("src/app.py")
    os.mkfifo(root / "pipe")
    return root


def policy_of(root: Path) -> FilePolicy:
    return FilePolicy([root], deny=["secret", ".env"])


@pytest.mark.skipif(RG is None, reason="rg is not installed")
@pytest.mark.parametrize("query", QUERIES)
async def test_both_engines_find_the_same(root: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    reports: list[Any] = []
    for engine in ("rg", "python"):
        use(monkeypatch, engine)
        reports.append(await grep(root, query, policy_of(root), limit=200))
    assert reports[0] == reports[1]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_search_goes_everywhere_but_where_it_should_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "tea", policy_of(root), limit=200)
    assert {path for path, _ in places(report)} == {
        *(".github/flow.yml", "build/kept.py", "src/app.py", "src/tea.py", "src/web/tea.ts", "src/web/tea.test.ts"),
        *("docs/crlf.md", "docs/no_end.md", "docs/bom.md", "docs/latin.txt", "docs/many.txt", "docs/long.txt"),
        "docs/two  spaces ü.txt",
    }
    assert report["regex_fallback_error"] is None
    assert (report["timed_out"], report["cancelled"], report["error"]) == (False, False, None)


@pytest.mark.parametrize("engine", ENGINES)
async def test_ignored_files_are_searched_outside_of_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a.log").write_text("tea\n")
    assert places(await grep(tmp_path, "tea")) == [("a.log", 1)]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_repository_counts_where_it_lies_under_the_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    (tmp_path / "sub/.git").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.txt\n")
    (tmp_path / "sub/.gitignore").write_text("*.log\n")
    for name in ("a.txt", "a.log", "deep/a.txt", "deep/a.log"):
        path = tmp_path / "sub" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("tea\n")
    found = [("deep/a.txt", 1)]
    assert places(await grep(tmp_path / "sub", "tea")) == [("a.txt", 1), *found]
    assert places(await grep(tmp_path / "sub", "tea", path="deep")) == found
    (tmp_path / "sub/.git").rmdir()
    assert len(places(await grep(tmp_path / "sub", "tea", path="deep"))) == 2
    assert places(await grep(tmp_path, "tea")) == []
    assert places(await grep(tmp_path, "tea", path="sub/deep")) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system knows no such names")
@pytest.mark.parametrize("engine", ENGINES)
async def test_names_that_are_no_utf_8_are_shown_as_well_as_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    for name in (b"th\xe9.txt", b"two\nlines"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("tea\n")
    assert places(await grep(tmp_path, "tea")) == [("th\ufffd.txt", 1), ("two\nlines", 1)]


@pytest.mark.parametrize("engine", ENGINES)
async def test_definitions_come_first_and_imports_last(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "src/ brew", policy_of(root), limit=3)
    assert places(report) == [("src/app.py", 5), ("src/tea.py", 2), ("src/app.py", 6)]
    assert [match["is_definition"] for match in report["matches"]] == [True, True, False]
    assert (report["count"], report["shown"], report["files_with_matches"], report["truncated"]) == (4, 3, 2, True)
    assert report["files"] == [
        {"path": "src/app.py", "count": 3, "size_bytes": len(FILES["src/app.py"]), "is_binary": False},
        {"path": "src/tea.py", "count": 1, "size_bytes": len(FILES["src/tea.py"]), "is_binary": False},
    ]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_match_says_where_it_is(root: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "src/tea.py été tea", policy_of(root))
    assert report["matches"] == [
        {
            "path": "src/tea.py",
            "line": 3,
            "column": 21,
            "byte_column": 21,
            "excerpt": "        return 'Tea été tea'",
            "match": "été tea",
            "ranges": [{"start": 20, "end": 27}],
            "is_definition": False,
        }
    ]
    report = await grep(root, "src/tea.py tea'", policy_of(root))
    (match,) = report["matches"]
    assert (match["column"], match["byte_column"]) == (25, 27)


@pytest.mark.parametrize("engine", ENGINES)
async def test_ten_lines_of_a_file_are_given(root: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "*many.txt tea", policy_of(root), path="docs", limit=200)
    assert places(report) == [("docs/many.txt", line) for line in range(1, 11)]
    assert (report["count"], report["shown"], report["truncated"]) == (10, 10, True)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_long_line_is_cut_round_its_first_match(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "*.txt x tea y", policy_of(root), path="docs")
    (match,) = report["matches"]
    assert (len(match["excerpt"]), match["column"]) == (180, 500)
    (span,) = match["ranges"]
    assert match["excerpt"][span["start"] : span["end"]] == match["match"] == "x tea y"
    (match,) = (await grep(root, "*.txt tea tea tea", policy_of(root), path="docs"))["matches"]
    assert len(match["ranges"]) == 13
    (match,) = (await grep(root, "y{300}", policy_of(root)))["matches"]
    assert (match["match"], match["excerpt"], match["ranges"]) == ("y" * 180, "y" * 180, [{"start": 0, "end": 180}])
    many = await grep(root, "tea", policy_of(root), path="docs/long.txt")
    assert [len(match["ranges"]) for match in many["matches"]] == [1, 16]


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_no_expression_is_looked_for_as_it_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    report = await grep(root, "`${cups} tea", policy_of(root))
    assert places(report) == [("src/web/tea.ts", 2)]
    assert report["regex_fallback_error"] == "the { at 2 repeats nothing; a { itself is written \\{"


@pytest.mark.parametrize("engine", ENGINES)
async def test_nothing_found_is_no_failure(root: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    use(monkeypatch, engine)
    assert await grep(root, "nowhere", policy_of(root)) == {
        **{"query": "nowhere", "matches": [], "files": [], "count": 0, "shown": 0, "files_with_matches": 0},
        **{"truncated": False, "regex_fallback_error": None, "timed_out": False, "cancelled": False, "error": None},
    }


@pytest.mark.parametrize("engine", ENGINES)
async def test_paths_are_told_below_the_place_that_was_given(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    for given, shown in [("src/web", "src/web"), ("./src/../src/web/", "src/web"), (str(root / "src/web"), None)]:
        report = await grep(root, "const tea", policy_of(root), path=given)
        assert places(report) == [(f"{shown or given}/tea.ts", 1)]
        assert report["files"][0]["path"] == f"{shown or given}/tea.ts"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_directory_that_git_ignores_is_searched_where_it_is_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    use(monkeypatch, engine)
    assert places(await grep(root, "tea", policy_of(root), path="build")) == [("build/kept.py", 1)]


@pytest.mark.skipif(RG is None, reason="rg is not installed")
async def test_a_file_that_becomes_a_link_while_rg_searches_shows_nothing_of_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("tea inside\n")
    (tmp_path / "outside.txt").write_text("tea outside\n")
    use(monkeypatch, "rg")
    popen = subprocess.Popen

    def exchanged(command: list[str], **more: Any) -> Any:
        """Let `rg` search what the link leads to, as if it had been exchanged after `rg` had looked at it."""
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to(tmp_path / "outside.txt")
        return popen([*command[:-1], str(root / "a.txt")], **more)

    monkeypatch.setattr(subprocess, "Popen", exchanged)
    report = await grep(root, "tea")
    assert (report["matches"], report["files"], report["count"]) == ([], [], 0)


@pytest.mark.skipif(RG is None, reason="rg is not installed")
async def test_lines_that_the_policy_does_not_see_so_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("tea here\n")
    use(monkeypatch, "rg")
    taken = ripgrep._Reader.take  # pyright: ignore[reportPrivateUsage]

    def take(self: Any, message: dict[str, Any] | None) -> None:
        taken(self, message)
        (tmp_path / "a.txt").write_text("TEA gone\n")

    monkeypatch.setattr(ripgrep._Reader, "take", take)  # pyright: ignore[reportPrivateUsage]
    report = await grep(tmp_path, "tea")
    assert (report["matches"], report["count"]) == ([], 0)


@pytest.mark.skipif(RG is None, reason="rg is not installed")
async def test_a_configuration_of_rg_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("tea\n")
    (tmp_path / "config").write_text("--invert-match\n--follow\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(tmp_path / "config"))
    use(monkeypatch, "rg")
    assert places(await grep(tmp_path, "*.txt tea")) == [("a.txt", 1)]


@pytest.mark.skipif(RG is None, reason="rg is not installed")
async def test_a_line_with_a_million_matches_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "min.js").write_text("a" * 300_000 + "\n" + "b\n" + "aa\n")
    use(monkeypatch, "rg")
    report = await grep(tmp_path, "a")
    assert [(match["line"], len(match["ranges"])) for match in report["matches"]] == [(1, 16), (3, 2)]


STAND_IN = """#!/bin/sh
printf '%s' '{output}'
printf '%s' '{errors}' >&2
exit {status}
"""


@pytest.mark.parametrize(
    ("output", "errors", "status"),
    [
        ("", "", 0),
        ("hello", "", 0),
        ('{"type":"match","data":{}}\n', "", 0),
        ('{"type":"begin"}\n', "", 0),
        ("[1]\n", "", 0),
        ("", "unrecognized flag --crlf", 2),
        ('{"type":"summary","data":{}}\n', "out of memory", 101),
    ],
)
async def test_an_rg_that_cannot_be_used_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, errors: str, status: int
) -> None:
    program = tmp_path / "bin" / "rg"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(output=output, errors=errors, status=status))
    program.chmod(0o755)
    (tmp_path / "a.txt").write_text("tea\n")
    monkeypatch.setattr(ripgrep, "find_rg", lambda: str(program))
    assert places(await grep(tmp_path, "*.txt tea")) == [("a.txt", 1)]


async def test_an_rg_that_has_gone_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("tea\n")
    monkeypatch.setattr(ripgrep, "find_rg", lambda: str(tmp_path / "no-rg"))
    assert places(await grep(tmp_path, "tea")) == [("a.txt", 1)]


def test_an_rg_that_a_relative_path_leads_to_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would be looked for in the tree that is searched, which may be anybody's.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rg").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "rg").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin")
    assert ripgrep.find_rg() is None


def test_rg_is_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ripgrep.find_rg() is None
    (tmp_path / "rg").write_text("")
    (tmp_path / "rg").chmod(0o755)
    assert ripgrep.find_rg() == str(tmp_path / "rg")
