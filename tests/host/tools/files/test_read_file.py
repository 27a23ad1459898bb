"""`read_file`: windows and their notes, what is no text, images and directories (acceptance 21)."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.files.tool import disk_error
from lash.host.tools.files.window import Lines
from lash.runtime.sansio.messages import AttachmentRef
from tests.host.tools.files.support import Images, failure_of, policy, tree, value_of

GIF = b"GIF89a\x03\x00\x04\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"


async def read(root: Path, data: bytes | str, **args: Any) -> str:
    """What the model sees of a file of these contents."""
    (root / "f").write_bytes(data.encode() if isinstance(data, str) else data)
    return await value_of(policy(root), "read_file", path="f", **args)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("a\nb\n", "1: a\n2: b"),
        ("a\nb", "1: a\n2: b"),
        ("a\r\nb\r\n", "1: a\n2: b"),
        ("\n\n", "1: \n2: "),
        ("a\rb", "1: a\rb"),
        ("", ""),
        (b"a\xff\xfeb", "1: a\ufffd\ufffdb"),
        ("ä€🙂", "1: ä€🙂"),
    ],
)
async def test_lines_are_numbered(tmp_path: Path, data: bytes | str, shown: str) -> None:
    assert await read(tmp_path, data) == shown


async def test_a_window_says_which_lines_it_shows_and_how_to_go_on(tmp_path: Path) -> None:
    text = "".join(f"l{n}\n" for n in range(1, 11))
    shown = await read(tmp_path, text, offset=3, limit=2)
    assert shown == "3: l3\n4: l4\n\n[results truncated: showing lines 3-4 of 10. Use offset=5 to continue.]"


async def test_the_last_window_has_no_note(tmp_path: Path) -> None:
    assert await read(tmp_path, "a\nb\nc", offset=2, limit=2) == "2: b\n3: c"


async def test_without_a_limit_two_thousand_lines_are_shown(tmp_path: Path) -> None:
    shown = await read(tmp_path, "x\n" * 2001)
    assert shown.splitlines()[-3] == "2000: x"
    assert shown.endswith("[results truncated: showing lines 1-2000 of 2001. Use offset=2001 to continue.]")


@pytest.mark.parametrize(("data", "lines"), [("a\nb\n", 2), ("a", 1), ("", 0)])
async def test_an_offset_beyond_the_end_is_an_error(tmp_path: Path, data: str, lines: int) -> None:
    (tmp_path / "f").write_text(data)
    failure = await failure_of(policy(tmp_path), "read_file", path="f", offset=lines + 2)
    assert (failure.cls, failure.code) == ("execution", "tool_error")
    assert failure.message == f"Offset {lines + 2} is out of range for this file ({lines} items)"


@pytest.mark.parametrize("chars", [2000, 2001, 9000])
@pytest.mark.parametrize("char", ["x", "ä", "🙂"])
async def test_a_long_line_is_cut_after_two_thousand_characters(tmp_path: Path, chars: int, char: str) -> None:
    shown = await read(tmp_path, f"{char * chars}\nend")
    first, last = shown.split("\n")
    assert first == f"1: {char * 2000}{'...' if chars > 2000 else ''}"
    assert last == "2: end"


async def test_the_output_is_capped_at_fifty_kilobytes(tmp_path: Path) -> None:
    shown = await read(tmp_path, f"{'€' * 600}\n" * 100)
    body, note = shown.split("\n\n")
    last = int(body.splitlines()[-1].split(":")[0])
    assert note == f"[output capped at 50 KB. Showing lines 1-{last}. Use offset={last + 1} to continue.]"
    assert 48 * 1024 < len(shown.encode()) <= 50 * 1024


async def test_going_on_as_the_notes_say_shows_every_line_once(tmp_path: Path) -> None:
    text = [f"{n} {'x' * (n % 1500)}" for n in range(1, 300)]
    shown: list[str] = []
    offset = 1
    (tmp_path / "f").write_text("\n".join(text))
    while offset:
        answer = await value_of(policy(tmp_path), "read_file", path="f", offset=offset, limit=70)
        body, _, note = answer.partition("\n\n")
        shown += [line.split(": ", 1)[1] for line in body.split("\n")]
        offset = int(note.split("offset=")[1].split(" ")[0]) if note else 0
    assert shown == text


async def test_a_binary_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"text\n" * 1600 + b"\0")
    assert "Binary file detected" in (await failure_of(policy(tmp_path), "read_file", path="f")).message


async def test_a_missing_file_is_an_error_that_says_how_to_look_for_it(tmp_path: Path) -> None:
    for path in ("no", "no/such"):
        failure = await failure_of(policy(tmp_path), "read_file", path=path)
        assert (failure.cls, failure.code, failure.retry.kind) == ("execution", "tool_error", "never")
        assert path in failure.message
        assert "`ls`" in failure.message
        assert "`glob`" in failure.message


async def test_a_file_that_may_not_be_read_is_an_error_without_its_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "f")
    monkeypatch.setattr(os, "open", _forbidding(os.open, "f"))
    failure = await failure_of(policy(tmp_path), "read_file", path="f")
    assert failure.message == "f: Permission denied"


def _forbidding(opening: Any, name: str) -> Any:
    def opened(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == name:
            raise PermissionError(13, "Permission denied", "/a/path/that/is/nobodys/business")
        return opening(path, *args, **kwargs)

    return opened


@pytest.mark.parametrize(("number", "retry"), [(errno.EIO, "safe"), (errno.EMFILE, "safe"), (errno.EACCES, "never")])
def test_only_what_may_pass_is_worth_another_attempt(number: int, retry: str) -> None:
    assert disk_error(OSError(number, "what the disk says", "f")).failure.retry.kind == retry


# --- files that are too large for anything else ---------------------------------------------------


async def test_a_window_of_a_huge_file_reads_what_it_shows(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.write(b"one\n" * 4096)
        file.truncate(10 << 30)
    shown = await value_of(policy(tmp_path), "read_file", path="f", limit=10)
    assert shown.splitlines()[:10] == [f"{n}: one" for n in range(1, 11)]
    assert shown.endswith("[results truncated: showing lines 1-10. Use offset=11 to continue.]")


async def test_a_huge_line_is_cut_without_being_held(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.write(b"x" * 10_000)
        file.truncate(300 << 20)
    assert await value_of(policy(tmp_path), "read_file", path="f") == f"1: {'x' * 2000}..."


async def test_a_file_that_has_nothing_ready_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "f")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def opened(found: ResolvedPath, *, any_size: bool = False) -> BinaryIO:
        return cast("BinaryIO", os.fdopen(os.dup(reading), "rb", buffering=0))

    monkeypatch.setattr(ResolvedPath, "open", opened)
    assert await value_of(policy(tmp_path), "read_file", path="f") == ""
    os.close(reading)
    os.close(writing)


# --- images and directories -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gif", "A.GIF", "a.png"])
async def test_an_image_is_kept_as_an_attachment_with_its_size(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GIF)
    images = Images()
    shown = await value_of(policy(tmp_path), "read_file", images, path=name)
    assert isinstance(shown, AttachmentRef)
    assert shown.label == f"{name} (1KB 3x4)"
    assert images.kept == [GIF]


async def test_an_image_above_twenty_megabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.gif").open("wb") as file:
        file.write(GIF)
        file.truncate((20 << 20) + 1)
    failure = await failure_of(policy(tmp_path), "read_file", Images(), path="a.gif")
    assert failure.code == "file_too_large"
    assert str(20 << 20) in failure.message


async def test_a_text_with_the_name_of_an_image_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    assert await value_of(policy(tmp_path), "read_file", Images(), path="a.png") == "1: no image"


async def test_an_image_with_another_name_is_a_binary_file(tmp_path: Path) -> None:
    assert "Binary file detected" in (await _failed(tmp_path, GIF)).message


async def _failed(root: Path, data: bytes) -> Any:
    (root / "f").write_bytes(data)
    return await failure_of(policy(root), "read_file", Images(), path="f")


async def test_a_directory_shows_its_names_after_a_hint(tmp_path: Path) -> None:
    tree(tmp_path, "d/b", "d/sub/x", "d/a.txt")
    (tmp_path / "d" / "link").symlink_to("sub")
    hint, *names = (await value_of(policy(tmp_path), "read_file", path="d")).split("\n")
    assert "d is a directory" in hint
    assert names == ["1: a.txt", "2: b", "3: link", "4: sub/"]


async def test_a_window_of_a_directory_has_the_notes_of_a_file(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{n:02}" for n in range(10)))
    shown = await value_of(policy(tmp_path), "read_file", path=".", offset=3, limit=2)
    assert shown.split("\n", 1)[1] == (
        "3: 02\n4: 03\n\n[results truncated: showing lines 3-4 of 10. Use offset=5 to continue.]"
    )
    failure = await failure_of(policy(tmp_path), "read_file", path=".", offset=11)
    assert failure.message == "Offset 11 is out of range for this file (10 items)"


async def test_an_empty_directory_is_its_hint_alone(tmp_path: Path) -> None:
    assert "\n" not in await value_of(policy(tmp_path), "read_file", path=".")


async def test_a_name_that_is_no_unicode_or_has_a_line_break_keeps_to_its_line(tmp_path: Path) -> None:
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    tree(tmp_path, "a\nb")
    _, *names = (await value_of(policy(tmp_path), "read_file", path=".")).split("\n")
    assert names == ["1: a\ufffdb", "2: \ufffd/"]


# --- the pass over the lines ----------------------------------------------------------------------


@given(st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"x", b"\n"))), st.integers(0, 12))
def test_lines_are_the_same_however_they_are_cut_into_pieces(pieces: list[bytes], count: int) -> None:
    whole = b"".join(pieces)
    expected = [line.removesuffix(b"\r") for line in whole.removesuffix(b"\n").split(b"\n")] if whole else []
    lines = Lines(iter(pieces))
    assert lines.skip(count) == min(count, len(expected))
    rest = list(iter(lines.next, None))
    assert rest == [line.decode("utf-8", "replace") for line in expected[count:]]
    counted = Lines(iter(pieces))
    counted.skip(count)
    assert counted.count(len(whole)) == len(expected[count:])
