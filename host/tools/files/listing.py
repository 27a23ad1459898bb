"""What `ls` and `glob` give: items, and how many were left out (plugins.md 13.3)."""

from __future__ import annotations

import heapq
import posixpath
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,  # pydantic knows this one on every Python
    TypeAlias,
)

from pydantic import Field
from typing_extensions import TypedDict

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath, printable
from lash.host.tools.files.tool import stop_if
from lash.host.tools.files.walk import Entry, Kind
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.result import ToolError

MOST_ITEMS: Final = 200_000
"""No more are shown at once: a result could not hold them."""

Limit: TypeAlias = Annotated[int, Field(ge=1)] | Literal["none"] | None
"""How many items to give; null and "none" are all."""

_PIECE_BYTES: Final = 1 << 18
_FIRST_S: Final = -62_135_596_800
_LAST_S: Final = 253_402_300_799
"""The first and last second that RFC 3339 has a name for."""


class Item(TypedDict):
    """An entry as a result shows it. `lines` is there where it was asked for and the file is a text."""

    path: str
    kind: Kind
    size_bytes: int
    lines: NotRequired[int]
    modified_at: str


class Truncated(TypedDict):
    """How many items there are, and how many of them are shown and left out."""

    shown: int
    total: int
    omitted: int


class Listing(TypedDict):
    """Items, and what is left out of them."""

    items: list[Item]
    truncated: Truncated | None


def listing(
    policy: FilePolicy,
    base: ResolvedPath,
    entries: Iterable[Entry],
    order: Callable[[Entry], Any],
    limit: Limit,
    *,
    with_lines: bool,
    token: CancelToken,
) -> Listing:
    """The first entries in an order, as items. It holds no more of them than it shows, however many there are."""
    total = 0
    most = limit if isinstance(limit, int) else MOST_ITEMS + 1

    def counted() -> Iterator[Entry]:
        nonlocal total
        for entry in entries:
            total += 1
            if total > MOST_ITEMS and most > MOST_ITEMS:
                raise ToolError(
                    f"{base.shown} has more than {MOST_ITEMS} entries: give a smaller limit, or a directory below it",
                    cls="resource_limit",
                    code="too_many_entries",
                )
            yield entry

    shown = heapq.nsmallest(most, counted(), key=order)
    items = [_item(policy, base, entry, with_lines, token) for entry in shown]
    left = total - len(items)
    return {
        "items": items,
        "truncated": {"shown": len(items), "total": total, "omitted": left} if left else None,
    }


def _item(policy: FilePolicy, base: ResolvedPath, entry: Entry, with_lines: bool, token: CancelToken) -> Item:
    path = posixpath.normpath(posixpath.join(base.shown, printable(entry.path)))
    seconds = min(max(entry.modified_ns // 1_000_000_000, _FIRST_S), _LAST_S)
    modified = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    item: Item = {"path": path, "kind": entry.kind, "size_bytes": entry.size, "modified_at": modified}
    if with_lines and entry.kind == "file" and entry.size <= policy.max_read_bytes:
        lines = _count_lines(policy, base, entry.path, token)
        if lines is not None:
            item["lines"] = lines
    return item


def _count_lines(policy: FilePolicy, base: ResolvedPath, path: str, token: CancelToken) -> int | None:
    """The lines of a text; None for a file that is none, or cannot be read."""
    lines, last = 0, b"\n"
    try:
        with policy.resolve(base.real / path).open() as file:
            while piece := file.read(_PIECE_BYTES):
                stop_if(token)
                if b"\0" in piece:
                    return None
                lines += piece.count(b"\n")
                last = piece[-1:]
    except (OSError, ToolError):
        return None
    return lines + (last != b"\n")
