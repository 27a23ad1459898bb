"""Keeping records small: what is cut of an event, and how that is told (observability.md 5).

A long text loses its middle, a long list its end, and what is nested too deeply stands as a mark. What is no JSON
becomes its type and the beginning of its `repr`. Where a payload, or the whole record, is still too large, the longest
texts are cut down to one common length, and only then lists and maps get shorter. Whatever is cut, its path is named.
Nothing here changes what the model sees: the event is copied, never altered.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Final, TypeVar, cast

from lash.runtime.sansio.values import whole_texts
from lash.runtime.seams.trace import TraceLimits
from lash.runtime.seams.trace_fields import TraceField, trace_fields

T = TypeVar("T")

LEAST_TEXT: Final = 256
"""Texts are not cut below this, whatever the record's size: names and ids stay whole."""

MARK_ROOM: Final = 128
"""More bytes than the mark of a cut has."""

MAX_PATHS: Final = 1_000
"""How many cuts of one record are named; the last entry tells of the others."""

REPR_CHARS: Final = 200

KEY_BYTES: Final = 1_024
"""How long the key of a map may be."""

BOUNDARY: Final = re.compile(r"""[\s"',;()<>\[\]{}]""")
"""Where a text is cut if possible: a token cut in two would no longer be recognised as a secret."""

BOUNDARY_WINDOW: Final = 4_096

TIGHTER_ITEMS: Final = (1_000, 100, 10, 0)
"""Lengths that lists and maps are cut to where cutting texts is not enough."""


def bounded(value: T, limits: TraceLimits, root: tuple[str, ...] = ()) -> tuple[T, tuple[str, ...]]:
    """A copy of a record's event or context within the limits, and the paths, below `root`, of what was cut."""
    first = _Caps(limits.string_bytes, limits.list_items, limits.values)
    walk = _fitted(value, limits, first, limits.record_bytes, root, {})
    cuts = list(dict.fromkeys(walk.cuts))
    if len(cuts) > MAX_PATHS:
        cuts[MAX_PATHS - 1 :] = [f"… and {len(cuts) - MAX_PATHS + 1} more"]
    return cast("T", walk.result), tuple(cuts)


def cut_text(text: str, limit: int) -> str:
    """The text, or where its JSON form is longer than `limit` bytes its head and tail around the mark of a cut."""
    text, size = _clean(text)
    return text if size <= limit else _cut(text, limit, _digest(text))


@dataclass(frozen=True, slots=True)
class _Caps:
    """What one walk cuts to: bytes of a text, items of a list, entries of a map."""

    text: int
    items: int
    entries: int


def _fitted(
    value: object, limits: TraceLimits, caps: _Caps, budget: int, path: Sequence[str | int], hashes: dict[int, str]
) -> _Walk:
    """The gentlest walk over a value whose result has at most `budget` bytes, or else the harshest."""
    walk = _Walk(value, limits, caps, path, hashes)
    if walk.size <= budget:
        return walk
    level = min(caps.text, _common_length(walk.texts, walk.size - budget))
    harsher = [_Caps(level, caps.items, caps.entries), _Caps(LEAST_TEXT, caps.items, caps.entries)]
    harsher += [_Caps(LEAST_TEXT, min(caps.items, most), min(caps.entries, most)) for most in TIGHTER_ITEMS]
    for caps in harsher:
        walk = _Walk(value, limits, caps, path, hashes)
        if walk.size <= budget:
            break
    return walk


def _common_length(sizes: Iterable[int], excess: int) -> int:
    """The length to which the longest texts have to be cut so that `excess` bytes go."""
    ordered = sorted((size for size in sizes if size > LEAST_TEXT), reverse=True)
    for count, (size, following) in enumerate(zip(ordered, [*ordered[1:], LEAST_TEXT], strict=False), 1):
        gain = count * (size - following)
        if gain >= excess:
            return size - math.ceil(excess / count)
        excess -= gain
    return LEAST_TEXT


class _Walk:
    """One walk over a value: its bounded copy, that copy's size, and what was cut.

    `hashes` keeps the hash of a text over several walks, by the text's identity; the caller keeps the texts alive.
    """

    def __init__(
        self, value: object, limits: TraceLimits, caps: _Caps, path: Sequence[str | int], hashes: dict[int, str]
    ) -> None:
        self._limits = limits
        self._caps = caps
        self._path: list[str | int] = list(path)
        self._hashes = hashes
        self._seen = 0
        self.size = 0
        self.cuts: list[str] = []
        self.texts: list[int] = []
        self.result = self._typed(value) if is_dataclass(value) else self._json(value)

    def _note(self) -> None:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._path)
        self.cuts.append(cut_text(text.removeprefix("."), 2 * LEAST_TEXT))

    def _typed(self, value: object) -> Any:
        """A field of a record type: a record, some of them, or a plain value."""
        if isinstance(value, tuple):
            return tuple(self._sequence(cast("tuple[object, ...]", value), self._typed))
        if not is_dataclass(value):
            return self._json(value)
        kind = type(value)
        self.size += 2
        return kind(**{item.name: self._field(item, getattr(value, item.name)) for item in trace_fields(kind)})

    def _field(self, item: TraceField, value: object) -> object:
        self.size += len(item.name) + 4
        self._path.append(item.name)
        try:
            if item.limit == "payload_bytes":
                return self._payload(value)
            if item.limit is not None and isinstance(value, str):
                return self._provider_text(value, item.limit)
            return self._json(value) if item.kind == "json" else self._typed(value)
        finally:
            self._path.pop()

    def _payload(self, value: object) -> object:
        """A value that has a budget of its own inside the record's."""
        within = _fitted(value, self._limits, self._caps, self._limits.payload_bytes, self._path, self._hashes)
        self._seen += within._seen
        self.size += within.size
        self.cuts += within.cuts
        self.texts += within.texts
        return within.result

    def _json(self, value: object) -> object:
        """Any value as JSON within the caps."""
        self._seen += 1
        if value is None or isinstance(value, bool):
            self.size += 5
            return value
        if isinstance(value, str):
            return self._text(value, self._caps.text)
        if isinstance(value, (int, float)):
            return self._number(value)
        if not isinstance(value, (Mapping, list, tuple)):
            return self._foreign(value)
        if len(self._path) > self._limits.depth:
            self._note()
            return self._text(f"…[cut: nested deeper than {self._limits.depth}]…", LEAST_TEXT)
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value))
        return self._sequence(cast("Sequence[object]", value), self._json)

    def _mapping(self, value: Mapping[object, object]) -> dict[str, object]:
        copy: dict[str, object] = {}
        self.size += 2
        for count, (key, item) in enumerate(value.items()):
            if count >= self._caps.entries or self._seen >= self._limits.values:
                self._note()
                break
            name = self._text(key if isinstance(key, str) else _shown(key), KEY_BYTES)
            while name in copy:  # the keys 1 and "1" are two
                name += "'"
            self.size += 2
            self._path.append(name)
            copy[name] = self._json(item)
            self._path.pop()
        return copy

    def _sequence(self, value: Sequence[object], copy_item: Callable[[object], object]) -> list[object]:
        copy: list[object] = []
        self.size += 2
        for index, item in enumerate(value):
            if index >= self._caps.items or self._seen >= self._limits.values:
                self._note()
                break
            self.size += 1
            self._path.append(index)
            copy.append(copy_item(item))
            self._path.pop()
        return copy

    def _provider_text(self, value: str, limit: str) -> str:
        """A text under a limit of its own, which may be one of characters."""
        most: int = getattr(self._limits, limit)
        within = limit.endswith("_chars") and len(value) <= most
        return self._text(value, self._caps.text if within else min(most, self._caps.text))

    def _text(self, value: str, limit: int) -> str:
        text, size = _clean(value)
        if size > limit:
            digest = self._hashes.get(id(value))
            if digest is None:
                digest = self._hashes[id(value)] = _digest(text)
            text = _cut(text, limit, digest)
            size = _json_bytes(text)
            self._note()
        self.size += size
        self.texts.append(size)
        return text

    def _number(self, value: float) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            return self._foreign(value)
        try:
            self.size += len(repr(value))
        except ValueError:  # an integer with more digits than Python writes
            return self._foreign(value)
        return int(value) if isinstance(value, int) else float(value)

    def _foreign(self, value: object) -> object:
        shown = {"$type": type(value).__name__, "repr": _clean(_shown(value))[0]}
        self.size += 32 + sum(_json_bytes(text) for text in shown.values())
        return shown


def _shown(value: object) -> str:
    """The beginning of an object's repr; objects need not have one."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value[:REPR_CHARS])
    try:
        return repr(value)[:REPR_CHARS]
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _clean(text: str) -> tuple[str, int]:
    """The text as Unicode, surrogates that stand alone replaced, and its bytes as JSON."""
    text = str.__str__(text)  # of a subclass, an enum's member for instance, the text it stands for
    try:
        return text, _json_bytes(text)
    except UnicodeEncodeError:
        text = cast("str", whole_texts(text))
        return text, _json_bytes(text)


def _json_bytes(text: str) -> int:
    quoted = json.encoder.encode_basestring(text)
    return len(quoted) if quoted.isascii() else len(quoted.encode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _cut(text: str, limit: int, digest: str) -> str:
    """Head and tail of a text around the mark; at most `limit` bytes of JSON unless the mark alone is longer."""
    room = max(0, limit - MARK_ROOM) // 2
    head, tail = text[:room], text[len(text) - room :]
    while (size := _json_bytes(head)) > room and head:
        head = head[: min(len(head) - 1, len(head) * room // size)]
    while (size := _json_bytes(tail)) > room and tail:
        tail = tail[max(1, len(tail) - len(tail) * room // size) :]
    window = min(BOUNDARY_WINDOW, room // 2)
    ends = [found.end() for found in BOUNDARY.finditer(head, max(0, len(head) - window))]
    head = head[: ends[-1]] if ends else head
    start = BOUNDARY.search(tail, 0, window)
    tail = tail[start.start() :] if start else tail
    return f"{head}…[cut {len(text) - len(head) - len(tail)} chars, sha256 {digest}]…{tail}"
