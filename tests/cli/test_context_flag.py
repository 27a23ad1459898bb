"""`--context`: what becomes of files, folders and standard input."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lash.cli import context
from lash.cli.context import Context, ContextStore
from lash.cli.exits import CliError
from lashlang import Machine
from tests.cli.conftest import Lash, block

COUNT = block('submit [len(context), find(context, "needle")]')
FILES = block(
    'names = []\nfor f in context {\n  names = push(names, f.path + "=" + f.text)\n}\nsubmit join(names, " ")'
)


def test_a_file_is_a_text_that_programs_search(lash: Lash) -> None:
    file = lash.write("notes.txt", "ü" * 1000 + "needle")
    assert lash.ask(COUNT, also=("--context", str(file), "--json")).json["outcome"]["finish"]["value"] == [1006, 1000]


def test_standard_input_is_a_text_that_programs_search(lash: Lash) -> None:
    ran = lash.ask(COUNT, also=("--context", "-", "--json"), stdin="x" * 10 + "needle")
    assert ran.json["outcome"]["finish"]["value"] == [16, 10]


def test_a_folder_is_a_list_of_its_text_files_by_path(lash: Lash) -> None:
    lash.write("docs/b.txt", "B")
    lash.write("docs/a/z.txt", "Z")
    lash.write("docs/.hidden", "H")
    lash.write("docs/.git/config", "never")
    assert lash.ask(FILES, also=("--context", "docs")).out == ".hidden=H a/z.txt=Z b.txt=B\n"


def test_what_git_ignores_is_left_out(lash: Lash) -> None:
    lash.write("repo/a.py", "A")
    lash.write("repo/build/x.py", "X")
    lash.write("repo/.gitignore", "build/\n")
    subprocess.run(["git", "init", "-q", "repo"], check=True)
    assert lash.ask(FILES, also=("--context", "repo")).out == ".gitignore=build/\n a.py=A\n"


def test_what_is_no_text_is_left_out_and_named(lash: Lash) -> None:
    lash.write("docs/a.txt", "A")
    lash.write("docs/image.png", b"\x89PNG\0\0")
    lash.write("docs/latin.txt", "gr\xfcn".encode("latin-1"))
    os.symlink("/etc/hostname", lash.folder / "docs" / "out.txt")
    os.mkfifo(lash.folder / "docs" / "pipe")
    ran = lash.ask(FILES, also=("--context", "docs"))
    assert ran.out == "a.txt=A\n"
    (row,) = [line for line in ran.err.splitlines() if line.startswith("context:")]
    for left_out in ("image.png (binary)", "latin.txt (no UTF-8 text)", "out.txt (a link", "pipe (no regular file)"):
        assert left_out in row


def test_a_session_has_its_context_again(lash: Lash) -> None:
    file = lash.write("notes.txt", "a needle")
    lash.ask("Ready.", also=("--context", str(file)))
    file.unlink()
    ran = lash.ask(COUNT, also=("--session", "last", "--json"))
    assert ran.json["outcome"]["finish"]["value"] == [8, 2]


def test_a_session_can_be_given_another_context(lash: Lash) -> None:
    lash.ask("Ready.", also=("--context", str(lash.write("one.txt", "one"))))
    two = str(lash.write("two.txt", "twenty-two"))
    assert "10" in lash.ask(block("submit len(context)"), also=("--session", "last", "--context", two)).out
    assert "10" in lash.ask(block("submit len(context)"), also=("--session", "last")).out


def test_a_context_that_is_gone_is_told(lash: Lash) -> None:
    lash.ask("Ready.", also=("--context", str(lash.write("one.txt", "one"))))
    for file in (lash.home / "contexts").iterdir():
        file.write_text("something else")
    ran = lash.ask("Yes.", also=("--session", "last"))
    assert ran.code == 1
    assert "give it again with --context" in ran.err


def test_equal_contents_are_kept_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / name).write_text("same")
    store = ContextStore(tmp_path / "kept")
    store.keep(str(tmp_path / "in"))
    assert len(list((tmp_path / "kept").iterdir())) == 2  # the text, and the list of the files


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"abc\xff", "byte 3"),
        ("ü".encode() * 3 + b"\xc3", "byte 7"),
        (b"x" * ((1 << 20) - 1) + b"\xc3x", f"byte {(1 << 20) - 1}"),
        (b"x" * (1 << 20) + b"\xc3", f"byte {(1 << 20) + 1}"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_the_place(tmp_path: Path, data: bytes, place: str) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(data)
    with pytest.raises(CliError, match=place):
        ContextStore(tmp_path / "kept").keep(str(file))
    assert list((tmp_path / "kept").iterdir()) == []


def test_characters_that_lie_across_pieces_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_PIECE", 5)
    file = tmp_path / "x.txt"
    file.write_text("äöü😀" * 50, encoding="utf-8")
    kept = ContextStore(tmp_path / "kept").keep(str(file))
    assert kept.size == len("äöü😀".encode()) * 50


@pytest.mark.parametrize("given", ["missing.txt", "empty"])
def test_what_is_not_there_is_told(lash: Lash, given: str) -> None:
    (lash.folder / "empty").mkdir()
    ran = lash.ask("Yes.", also=("--context", given))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"lash: --context {given}:")


def test_a_folder_beyond_the_bounds_is_refused_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("12345")
    monkeypatch.setattr(context, "MOST_FILES", 3)
    with pytest.raises(CliError, match="4 text files with 20 bytes; at most 3 files"):
        ContextStore(tmp_path / "kept").keep(str(tmp_path))


def test_standard_input_cannot_be_prompt_and_context(lash: Lash) -> None:
    ran = lash("-p", "-", "--context", "-", "--provider", lash.script("x"))
    assert ran.code == 2
    assert "either the prompt or the context" in ran.err


def test_a_text_of_many_megabytes_is_read_only_where_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "big.txt"
    file.write_text("0123456789" * 2_000_000 + "needle")
    store = ContextStore(tmp_path / "kept")
    kept = store.keep(str(file))
    assert Context.of_json(kept.to_json()) == kept
    outcome = Machine().run(
        'submit [len(context), find(context, "needle")]',
        projected={"context": store.binding(kept)},  # pyright: ignore[reportArgumentType]
    )
    assert outcome.value == [20_000_006, 20_000_000]
