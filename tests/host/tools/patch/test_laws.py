"""Random edits of random files, written down as a patch, make exactly the edited file.

The generator knows how a patch is written and how its places are found, and shares no code with what reads it: it
takes as much context as a plain search from the end of the last chunk needs to find the right place first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.tools.patch.diff import unified_diff
from lash.host.tools.patch.operations import Chunk, PatchError, UpdateFile
from lash.host.tools.patch.parse import parse_patch
from lash.host.tools.patch.text import FileText
from tests.host.tools.patch.support import patch_text

LINES = st.sampled_from(
    ["", "a", "b", " a", "a ", "\ta", "@@", "@@ a", "*** End Patch", "*** End of File", "-x", "+y", "\u2014", "-", "é"]
)


@dataclass
class Edited:
    """A file, what it is edited to, and a patch that says so."""

    before: list[str] = field(default_factory=list[str])
    after: list[str] = field(default_factory=list[str])
    patch: list[str] = field(default_factory=list[str])


@st.composite
def edited_files(draw: st.DrawFn) -> Edited:
    lines = draw(st.lists(LINES, min_size=1, max_size=25))
    # What happens to each line: whether it goes, and what comes before it; and what comes after the last.
    goes = draw(st.lists(st.sampled_from([False, False, False, True]), min_size=len(lines), max_size=len(lines)))
    comes = [draw(st.lists(LINES, max_size=2)) if draw(st.integers(0, 4)) == 0 else [] for _ in range(len(lines) + 1)]
    touched = [at for at, gone in enumerate(goes) if gone or comes[at]]
    if comes[-1] and len(lines) - 1 not in touched:
        touched.append(len(lines) - 1)
    if not touched:
        comes[0] = ["new"]
        touched = [0]
    runs: list[list[int]] = []
    for at in touched:
        if runs and at - runs[-1][1] <= 1 + draw(st.integers(0, 3)):
            runs[-1][1] = at
        else:
            runs.append([at, at])
    found = Edited(before=lines)
    position = 0
    for number, (first, last) in enumerate(runs):
        most = (runs[number + 1][0] if number + 1 < len(runs) else len(lines)) - 1
        first, last = max(position, first - draw(st.integers(0, 3))), min(most, last + draw(st.integers(0, 3)))
        while first_place(lines, lines[first : last + 1], position) != first:
            if last < most:
                last += 1
            else:
                first -= 1
        if number or draw(st.booleans()):
            found.patch.append("@@")
        for at in range(first, last + 1):
            found.patch += [f"+{line}" for line in comes[at]]
            found.patch.append(("-" if goes[at] else " ") + lines[at])
        if last == len(lines) - 1:
            found.patch += [f"+{line}" for line in comes[-1]]
            if draw(st.booleans()):
                found.patch.append("*** End of File")
        position = last + 1
    for at, line in enumerate(lines):
        found.after += [*comes[at], *([] if goes[at] else [line])]
    found.after += comes[-1]
    return found


def first_place(lines: list[str], run: list[str], start: int) -> int:
    return next(at for at in range(start, len(lines)) if lines[at : at + len(run)] == run)


@given(edited_files(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]), st.booleans())
def test_edits_written_as_a_patch_make_the_edited_file(edited: Edited, end: str, mark: str, ended: bool) -> None:
    text = mark + end.join(edited.before) + (end if ended or not edited.before[-1] or len(edited.before) == 1 else "")
    chunks = parsed(patch_text("*** Update File: f", *edited.patch))
    assert str(FileText.of(text).patched(chunks, "f")) == mark + "".join(f"{one}{end}" for one in edited.after)


def undone(diff: str, after: list[str]) -> list[str]:
    """The old lines by a unified diff and the new ones, as its readers take it."""
    old: list[str] = []
    at = 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@ "):
            start, _, count = line.split()[2][1:].partition(",")
            first = int(start) - (count != "0")
            old += after[at:first]
            at = first
        else:
            if line[0] != "+":
                old.append(line[1:])
            if line[0] != "-":
                assert after[at] == line[1:]
                at += 1
    return old + after[at:]


PLAIN = st.lists(st.sampled_from("abcdefgh"), max_size=25)


@given(PLAIN, PLAIN)
def test_a_diff_leads_from_the_new_text_back_to_the_old(before: list[str], after: list[str]) -> None:
    texts = ["".join(f"{line}\n" for line in lines) for lines in (before, after)]
    diff = unified_diff(FileText.of(texts[0]), FileText.of(texts[1], new=True), "f", "f")
    assert undone(diff.text, after) == before
    assert len(after) - len(before) == diff.added - diff.removed


@given(edited_files())
def test_the_diff_of_a_patched_file_shows_what_was_edited(edited: Edited) -> None:
    chunks = parsed(patch_text("*** Update File: f", *edited.patch))
    before = FileText.of("".join(f"{line}\n" for line in edited.before))
    diff = unified_diff(before, before.patched(chunks, "f"), "f", "f")
    if "... (" not in diff.text:
        assert undone(diff.text, edited.after) == edited.before


def test_a_diff_of_pieces_that_are_too_large_to_compare_is_whole_and_right() -> None:
    before, after = ["a", "b"] * 700, ["b", "a", "a"] * 700
    texts = ["".join(f"{line}\n" for line in lines) for lines in (before, after)]
    diff = unified_diff(FileText.of(texts[0]), FileText.of(texts[1], new=True), "f", "f")
    assert (diff.removed, diff.added) == (1400, 2100)


def parsed(text: str) -> tuple[Chunk, ...]:
    """The chunks of a patch of one file."""
    (operation,) = parse_patch(text)
    assert isinstance(operation, UpdateFile)
    return operation.chunks


@pytest.mark.parametrize("space", ["", "  "])
def test_a_large_patch_of_a_large_file_is_applied(space: str) -> None:
    lines = [f"line {at}{space}" for at in range(20_000)]
    chunks = [
        line
        for at in range(0, 20_000, 40)
        for line in (f"@@ line {at}", f" line {at + 1}", f"-line {at + 2}", f"+new {at}")
    ]
    wanted = [f"new {at - 2}" if at % 40 == 2 else line for at, line in enumerate(lines)]
    before = FileText.of("\n".join(lines) + "\n")
    after = before.patched(parsed(patch_text("*** Update File: f", *chunks)), "f")
    assert str(after) == "\n".join(wanted) + "\n"
    diff = unified_diff(before, after, "f", "f")
    assert (diff.added, diff.removed) == (500, 500)


MIB = 1 << 20


@pytest.mark.parametrize(
    "line",
    ["@@", "@@ x", "-x", " ", "+x", "@@\n-x", "@@ x\n+y", "@@\n-x\n-y", "*** Update File: f", "\n", "*** End of File"],
)
def test_a_hostile_patch_costs_no_more_than_its_length(line: str) -> None:
    text = patch_text("*** Update File: f", *[line] * (MIB // (len(line) + 1)))
    file = FileText.of("x \n" * 20_000)
    # Quadratic work would take many minutes, and the test would not end.
    if line == "+x":
        assert len(file.patched(parsed(text), "f").lines) == 20_000 + text.count("+x")
    elif line == "@@ x\n+y":
        with pytest.raises(PatchError, match="Failed to find context 'x'"):
            file.patched(parsed(text), "f")
    else:
        with pytest.raises(PatchError, match=r"Failed to find expected lines|invalid hunk at line"):
            file.patched(parsed(text), "f")
