"""Unified diffs of patched files.

Which lines of the original are left is known from the patch, so only what lies between them is compared, and a few
changes in a long file cost next to nothing. `difflib` compares, in time that grows with the square of the lengths;
so the lines that both sides have exactly once cut the work into pieces first, and a piece that is still too large is
shown as removed and added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, TypeAlias

from lash.host.tools.patch.text import FileText

CONTEXT: Final = 3
MOST_LINES: Final = 120
"""How much of a file's diff is shown."""

_MOST_COMPARED: Final = 1_000_000
"""How large a piece may be for difflib: the product of its sides."""

_Region: TypeAlias = tuple[int, int, int, int]
"""Lines from and to of the old side, from and to of the new one."""


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff, cut to what is shown, and how many lines came and went in all of it."""

    text: str
    added: int
    removed: int


def unified_diff(before: FileText | None, after: FileText | None, old_path: str, new_path: str) -> Diff:
    """The diff from one text to another; None is no file. The lines' origins say which of `before` are left."""
    old = [line.text for line in before.lines] if before else []
    new = [line.text for line in after.lines] if after else []
    origins = [line.origin for line in after.lines] if after else []
    regions = [one for region in _replaced(origins, len(old), len(new)) for one in _compared(old, new, region)]
    removed = sum(one[1] - one[0] for one in regions)
    added = sum(one[3] - one[2] for one in regions)
    if not regions:
        return Diff("", 0, 0)
    lines = [f"--- a/{old_path}", f"+++ b/{new_path}"]
    for hunk in _hunks(regions):
        lines += _hunk_lines(hunk, old, new)
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... ({len(lines) - MOST_LINES} more lines)"]
    return Diff("\n".join(lines) + "\n", added, removed)


def _replaced(origins: Sequence[int], old: int, new: int) -> Iterator[_Region]:
    """The regions between the lines that are left."""
    i = j = 0
    while i < old or j < new:
        if j < new and origins[j] == i:
            i, j = i + 1, j + 1
            continue
        from_i, from_j = i, j
        while j < new and origins[j] < 0:
            j += 1
        i = origins[j] if j < new else old
        yield from_i, i, from_j, j


def _compared(old: Sequence[str], new: Sequence[str], region: _Region) -> Iterator[_Region]:
    """What really differs in a region."""
    i, j = region[0], region[2]
    for next_i, next_j in (*_unique(old, new, region), (region[1], region[3])):
        yield from _pieces(old, new, (i, next_i, j, next_j))
        i, j = next_i + 1, next_j + 1


def _unique(old: Sequence[str], new: Sequence[str], region: _Region) -> list[tuple[int, int]]:
    """Lines that stand exactly once on either side of a region: the longest rising sequence of their places."""
    in_old, in_new = Counter(old[region[0] : region[1]]), Counter(new[region[2] : region[3]])
    place = {new[j]: j for j in range(region[2], region[3]) if in_new[new[j]] == 1}
    pairs = [(i, place[old[i]]) for i in range(region[0], region[1]) if in_old[old[i]] == 1 and old[i] in place]
    ends: list[int] = []  # the smallest end of a rising sequence of each length, and whose it is
    owners: list[int] = []
    before: list[int] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        ends[length : length + 1] = [j]
        owners[length : length + 1] = [at]
        before.append(owners[length - 1] if length else -1)
    found: list[tuple[int, int]] = []
    at = owners[-1] if owners else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _pieces(old: Sequence[str], new: Sequence[str], region: _Region) -> Iterator[_Region]:
    """The differences in a piece, without what its sides have in common at their ends."""
    i1, i2, j1, j2 = region
    while i1 < i2 and j1 < j2 and old[i1] == new[j1]:
        i1, j1 = i1 + 1, j1 + 1
    while i1 < i2 and j1 < j2 and old[i2 - 1] == new[j2 - 1]:
        i2, j2 = i2 - 1, j2 - 1
    if i1 == i2 and j1 == j2:
        return
    if i1 == i2 or j1 == j2 or (i2 - i1) * (j2 - j1) > _MOST_COMPARED:
        yield i1, i2, j1, j2
        return
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, old[i1:i2], new[j1:j2], autojunk=False).get_opcodes():
        if tag != "equal":
            yield i1 + a1, i1 + a2, j1 + b1, j1 + b2


def _hunks(regions: Sequence[_Region]) -> Iterator[list[_Region]]:
    """Regions that share their lines of context."""
    hunk = [regions[0]]
    for region in regions[1:]:
        if region[0] - hunk[-1][1] > 2 * CONTEXT:
            yield hunk
            hunk = []
        hunk.append(region)
    yield hunk


def _hunk_lines(hunk: Sequence[_Region], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    lead = min(CONTEXT, hunk[0][0])
    trail = min(CONTEXT, len(old) - hunk[-1][1])
    i, j = hunk[0][0] - lead, hunk[0][2] - lead
    end_i, end_j = hunk[-1][1] + trail, hunk[-1][3] + trail
    yield f"@@ -{_range(i, end_i)} +{_range(j, end_j)} @@"
    for i1, i2, j1, j2 in hunk:
        yield from (f" {line}" for line in old[i:i1])
        yield from (f"-{line}" for line in old[i1:i2])
        yield from (f"+{line}" for line in new[j1:j2])
        i = i2
    yield from (f" {line}" for line in old[i:end_i])


def _range(start: int, end: int) -> str:
    """Lines as a hunk's header counts them; an empty range names the line before it."""
    count = end - start
    first = start + 1 if count else start
    return str(first) if count == 1 else f"{first},{count}"
