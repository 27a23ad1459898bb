"""How the text of a patch is read, and what is said of one that cannot be."""

from __future__ import annotations

import pytest

from lash.host.tools.patch.operations import AddFile, Chunk, ChunkLine, DeleteFile, PatchError, UpdateFile
from lash.host.tools.patch.parse import parse_patch
from tests.host.tools.patch.support import patch_text


def only_chunks(*lines: str) -> tuple[Chunk, ...]:
    (operation,) = parse_patch(patch_text("*** Update File: f", *lines))
    assert isinstance(operation, UpdateFile)
    return operation.chunks


def context(text: str) -> ChunkLine:
    return ChunkLine("context", text)


def removed(text: str) -> ChunkLine:
    return ChunkLine("removed", text)


def added(text: str) -> ChunkLine:
    return ChunkLine("added", text)


def test_a_patch_is_read_into_its_operations() -> None:
    text = patch_text(
        "*** Add File: new.txt",
        "+one",
        "+",
        "*** Delete File: old.txt",
        "*** Update File: a.py",
        "*** Move to: b.py",
        "@@ def f():",
        " x",
        "-y",
        "+z",
        "*** End of File",
    )
    assert parse_patch(text) == [
        AddFile("new.txt", "one\n\n"),
        DeleteFile("old.txt"),
        UpdateFile("a.py", (Chunk(("def f():",), (context("x"), removed("y"), added("z")), at_end=True),), "b.py"),
    ]


@pytest.mark.parametrize(
    "opening", ["<<EOF", "<<'EOF'", '<<"EOF"', "apply_patch <<EOF", "apply_patch <<'EOF'", "apply_patch << EOF"]
)
def test_a_heredoc_around_the_patch_is_taken_off(opening: str) -> None:
    assert parse_patch(f"\n{opening}\n{patch_text('*** Delete File: a')}\nEOF\n\n") == [DeleteFile("a")]


def test_blank_space_around_the_patch_and_its_markers_does_not_matter() -> None:
    text = "\n\n  *** Begin Patch  \n *** Add File:  a.txt \n+x\n\t*** Delete File: b.txt\n *** End Patch \n\n"
    assert parse_patch(text) == [AddFile("a.txt", "x\n"), DeleteFile("b.txt")]


def test_an_added_file_may_be_empty() -> None:
    text = patch_text("*** Add File: a", "*** Add File: b", "", "*** Delete File: c")
    assert parse_patch(text) == [AddFile("a", ""), AddFile("b", ""), DeleteFile("c")]


def test_the_first_chunk_needs_no_anchor_marker() -> None:
    assert only_chunks("-a", "+b", "@@", "-c") == (Chunk((), (removed("a"), added("b"))), Chunk((), (removed("c"),)))


def test_an_empty_line_inside_a_chunk_is_context() -> None:
    assert only_chunks("@@", "", "-a", "", "+b") == (Chunk((), (context(""), removed("a"), context(""), added("b"))),)


def test_blank_lines_between_chunks_and_operations_are_skipped() -> None:
    assert only_chunks("", "@@", "-a", "", "", "@@", "-b", "") == (
        Chunk((), (removed("a"),)),
        Chunk((), (removed("b"),)),
    )


def test_an_empty_line_before_the_end_of_file_marker_is_context() -> None:
    assert only_chunks("-a", "", "*** End of File") == (Chunk((), (removed("a"), context("")), at_end=True),)


def test_a_first_line_of_space_is_context_where_a_chunk_without_anchor_marker_follows() -> None:
    assert only_chunks("", " ", "-a") == (Chunk((), (context(""), removed("a"))),)
    assert only_chunks(" ", "", "@@", "-a") == (Chunk((), (removed("a"),)),)


def test_several_anchors_in_a_row_belong_to_one_chunk() -> None:
    assert only_chunks("@@ class A:", "@@", "@@     def f(self):", "+x") == (
        Chunk(("class A:", "    def f(self):"), (added("x"),)),
    )


def test_a_marker_after_a_space_inside_a_chunk_is_a_line_of_the_file() -> None:
    assert only_chunks(" *** Delete File: b", "-*** End Patch", "+*** End of File") == (
        Chunk((), (context("*** Delete File: b"), removed("*** End Patch"), added("*** End of File"))),
    )


def test_carriage_returns_of_the_transport_are_taken_off() -> None:
    text = patch_text("*** Add File: a", "+x", "*** Update File: f", "@@ y", "-z").replace("\n", "\r\n")
    assert parse_patch(text) == [AddFile("a", "x\n"), UpdateFile("f", (Chunk(("y",), (removed("z"),)),))]


def test_carriage_returns_in_the_lines_of_an_added_file_are_kept() -> None:
    assert parse_patch(patch_text("*** Add File: a", "+x\r")) == [AddFile("a", "x\r\n")]


HEADERS = "there are '*** Add File: <path>', '*** Delete File: <path>' and '*** Update File: <path>'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The first line of the patch must be '*** Begin Patch'"),
        ("*** Delete File: a\n*** End Patch", "The first line of the patch must be '*** Begin Patch'"),
        ("<<EOF\n*** Begin Patch\n*** End Patch", "The first line of the patch must be '*** Begin Patch'"),
        ("*** Begin Patch", "The last line of the patch must be '*** End Patch'"),
        ("*** Begin Patch\n*** Delete File: a", "The last line of the patch must be '*** End Patch'"),
        (
            patch_text("*** Rename File: a"),
            f"invalid hunk at line 2: '*** Rename File: a' is not a valid hunk header; {HEADERS}",
        ),
        (
            patch_text("*** Add File: a", "+x", "y"),
            f"invalid hunk at line 4: 'y' is not a valid hunk header; {HEADERS}",
        ),
        (
            f"\n\n<<EOF\n\n{patch_text('*** Delete File: a', 'x')}\nEOF",
            f"invalid hunk at line 3: 'x' is not a valid hunk header; {HEADERS}",
        ),
        (
            patch_text("*** Add File: a", "x"),
            "invalid hunk at line 3: every line of the added file 'a' must start with '+', got 'x'",
        ),
        (patch_text("*** Add File:  "), "invalid hunk at line 2: '*** Add File:' names no path"),
        (patch_text("*** Update File: a"), "invalid hunk at line 2: the update of 'a' has no chunks"),
        (
            patch_text("*** Update File: a", "*** Move to: b"),
            "invalid hunk at line 2: the update of 'a' has no chunks",
        ),
        (patch_text("*** Update File: a", "*** Move to:"), "invalid hunk at line 3: '*** Move to:' names no path"),
        (
            patch_text("*** Update File: a", "@@ x"),
            "invalid hunk at line 4: a chunk needs lines that start with ' ', '+' or '-', got '*** End Patch'",
        ),
        (
            patch_text("*** Update File: a", "x"),
            "invalid hunk at line 3: a chunk needs lines that start with '@@', ' ', '+' or '-', got 'x'",
        ),
        (
            patch_text("*** Update File: a", "-x", "y"),
            "invalid hunk at line 4: a further chunk must start with '@@', got 'y'",
        ),
        (
            patch_text("*** Update File: a", "-x", "y" * 200),
            f"invalid hunk at line 4: a further chunk must start with '@@', got '{'y' * 117}...'",
        ),
    ],
)
def test_what_is_wrong_with_a_patch_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(PatchError) as raised:
        parse_patch(text)
    assert str(raised.value) == message
