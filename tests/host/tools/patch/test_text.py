"""Where chunks are found in a file, and what the file becomes."""

from __future__ import annotations

import pytest

from lash.host.tools.patch.operations import PatchError, UpdateFile
from lash.host.tools.patch.parse import parse_patch
from lash.host.tools.patch.text import FileText
from tests.host.tools.patch.support import patch_text


def patched(text: str, *lines: str) -> str:
    (operation,) = parse_patch(patch_text("*** Update File: f", *lines))
    assert isinstance(operation, UpdateFile)
    return str(FileText.of(text).patched(operation.chunks, "f"))


@pytest.mark.parametrize("text", ["", "\n", "a", "a\nb\n", "a\r\nb\nc\r\n", "\ufeffa\n", "a\rb", "\n\n", "a\r"])
def test_a_text_in_lines_is_the_text(text: str) -> None:
    assert str(FileText.of(text)) == text


def test_lines_are_replaced_where_they_stand() -> None:
    assert patched("a\nb\nc\n", " a", "-b", "+B", "+BB", " c") == "a\nB\nBB\nc\n"


def test_further_chunks_are_looked_for_after_the_first() -> None:
    assert patched("x\na\nx\na\nx\n", "@@", "-a", "+1", "@@", "-x", "+2") == "x\n1\n2\na\nx\n"


def test_an_anchor_narrows_the_place() -> None:
    text = "def f():\n    return 1\ndef g():\n    return 1\n"
    assert patched(text, "@@ def g():", "-    return 1", "+    return 2") == text[:-2] + "2\n"


def test_anchors_narrow_the_place_step_by_step() -> None:
    text = "class A:\n  def f():\n    1\nclass B:\n  def f():\n    1\n"
    assert patched(text, "@@ class B:", "@@   def f():", "-    1", "+    2") == text[:-2] + "2\n"


def test_equal_anchors_in_a_row_are_different_lines() -> None:
    assert patched("}\na\n}\na\n", "@@ }", "@@ }", "-a", "+b") == "}\na\n}\nb\n"


def test_a_chunk_may_repeat_its_anchor() -> None:
    assert patched("a\nb\n", "@@ a", " a", "-b", "+c") == "a\nc\n"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x = 1  ", "x = 1"),
        ("  x = 1", "x = 1\t"),
        ("say \u201chello\u201d\u00a0\u2014 it\u2019s me", 'say "hello" - it\'s me'),
        ('say "hello"', "say \u201chello\u201d"),
    ],
)
def test_lines_are_found_with_looser_eyes_and_context_stays_the_files(line: str, wanted: str) -> None:
    assert patched(f"{line}\nb\n", f" {wanted}", "-b", "+c") == f"{line}\nc\n"


def test_an_anchor_is_found_with_looser_eyes() -> None:
    assert (
        patched("    def f():\n        1\n", "@@ def f():", "-        1", "+        2") == "    def f():\n        2\n"
    )


def test_an_exact_match_further_down_wins_over_a_loose_one() -> None:
    assert patched("a \nb\na\nb\n", "-a", "+x") == "a \nb\nx\nb\n"


def test_lines_at_the_end_of_the_file_are_only_looked_for_there() -> None:
    assert patched("a\nb\na\n", "-a", "+x", "*** End of File") == "a\nb\nx\n"
    with pytest.raises(PatchError) as raised:
        patched("a\nb\n", "-a", "+x", "*** End of File")
    assert str(raised.value) == "Failed to find expected lines in f:\na"


def test_lines_that_only_come_go_after_their_anchor() -> None:
    assert patched("a\nb\nc\n", "@@ b", "+x", "+y") == "a\nb\nx\ny\nc\n"


@pytest.mark.parametrize("lines", [("+x",), ("@@", "+x"), ("@@ a", "+x", "*** End of File")])
def test_lines_that_only_come_go_to_the_end_without_an_anchor(lines: tuple[str, ...]) -> None:
    assert patched("a\nb", *lines) == "a\nb\nx\n"


def test_chunks_after_an_addition_to_the_end_still_find_their_place() -> None:
    assert patched("a\nb\n", "+x", "@@", "-a", "+c", "@@", "+y") == "c\nb\nx\ny\n"


@pytest.mark.parametrize(
    ("lines", "after"),
    [
        (("-b", "+c", " "), "a\nc\n"),
        (("-b", "-"), "a\n"),
        ((" b", " ", "+c"), "a\nb\n\nc\n"),
    ],
)
def test_a_last_empty_line_that_the_file_does_not_have_is_left_out(lines: tuple[str, ...], after: str) -> None:
    assert patched("a\nb\n", *lines) == after


def test_a_last_empty_line_that_the_file_has_counts() -> None:
    assert patched("b\na\nb\n\n", "-b", "+c", " ") == "b\na\nc\n\n"


def test_an_empty_line_alone_is_not_left_out() -> None:
    with pytest.raises(PatchError):
        patched("a\n", "-", "+x")


def test_line_ends_and_the_byte_order_mark_are_kept() -> None:
    assert patched("\ufeffa\r\nb\r\nc\r\n", " a", "-b", "+B", "@@", "+d") == "\ufeffa\r\nB\r\nc\r\nd\r\n"


def test_lines_that_stay_keep_their_own_ends_and_new_ones_get_the_common_one() -> None:
    assert patched("a\r\nb\nc\r\nd\r\n", " b", "+x") == "a\r\nb\nx\r\nc\r\nd\r\n"
    assert patched("a\nb\r\nc\n", " b", "+x") == "a\nb\r\nx\nc\n"


def test_carriage_returns_alone_are_line_ends_of_a_file_without_others() -> None:
    assert patched("a\rb\r", "-b", "+c") == "a\rc\r"
    assert patched("a\rb\nc\n", "-c", "+d") == "a\rb\nd\n"


def test_carriage_returns_in_a_chunk_do_not_get_into_the_file() -> None:
    assert patched("a\r\nb\r\n", " a\r", "-b\r", "+c\r") == "a\r\nc\r\n"
    assert patched("a\nb\n", " a\r", "-b\r", "+c\r") == "a\nc\n"


def test_an_updated_text_ends_with_a_line_end() -> None:
    assert patched("a\nb", "-a", "+c") == "c\nb\n"
    assert patched("a\r\nb", " b", "+c") == "a\r\nb\r\nc\r\n"


def test_an_empty_file_can_be_filled_and_a_full_one_emptied() -> None:
    assert patched("", "+a") == "a\n"
    assert patched("a\n", "-a") == ""


def test_lines_and_anchors_that_are_not_there_are_named() -> None:
    with pytest.raises(PatchError) as lines:
        patched("a\nb\n", " a", "-c", "+d")
    assert str(lines.value) == "Failed to find expected lines in f:\na\nc"
    with pytest.raises(PatchError) as anchor:
        patched("a\nb\n", "@@ a", "@@ a", "+d")
    assert str(anchor.value) == "Failed to find context 'a' in f"
