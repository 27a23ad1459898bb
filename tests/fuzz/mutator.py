"""A mutator for bytes: the usual small changes, pieces of other inputs, and words of the target's language."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LONGEST = 20_000
"""No input grows beyond this."""

_BYTES = bytes((0, 1, 0x0A, 0x20, 0x7F, 0x80, 0xC0, 0xC1, 0xED, 0xF4, 0xFE, 0xFF))


def mutated(data: bytes, choices: random.Random, pool: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """The data after a few changes; `pool` are other inputs, of which pieces may be taken."""
    work = bytearray(data)
    for _ in range(choices.choice((1, 1, 2, 3, 5))):
        change = choices.choice(_WITH_WORDS if words else _CHANGES)
        change(work, choices, words if change in (_insert_word, _replace_by_word) else pool)
    return bytes(work[:LONGEST])


def _place(work: bytearray, choices: random.Random) -> int:
    return choices.randint(0, len(work))


def _stretch(work: bytearray, choices: random.Random) -> slice:
    start = _place(work, choices)
    return slice(start, min(len(work), start + choices.choice((1, 2, 4, 16, 100))))


def _flip(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    if work:
        work[choices.randrange(len(work))] ^= 1 << choices.randrange(8)


def _set(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    if work:
        work[choices.randrange(len(work))] = choices.choice((choices.choice(_BYTES), choices.randrange(256)))


def _insert(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    at = _place(work, choices)
    work[at:at] = bytes((choices.choice(_BYTES),)) * choices.choice((1, 1, 1, 3, 70, 300))


def _delete(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    del work[_stretch(work, choices)]


def _repeat(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    piece = bytes(work[_stretch(work, choices)])
    at = _place(work, choices)
    work[at:at] = piece * choices.choice((1, 1, 2, 8, 70))


def _move(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    where = _stretch(work, choices)
    piece = work[where]
    del work[where]
    at = _place(work, choices)
    work[at:at] = piece


def _splice(work: bytearray, choices: random.Random, pool: Sequence[bytes]) -> None:
    other = bytearray(choices.choice(pool)) if pool else bytearray()
    start = _place(other, choices)
    piece = other[start : start + choices.choice((4, 20, 100, 1000))]
    where = _stretch(work, choices)
    work[where.start : where.stop if choices.random() < 0.5 else where.start] = piece


def _cut(work: bytearray, choices: random.Random, _: Sequence[bytes]) -> None:
    if choices.random() < 0.3:
        del work[_place(work, choices) :]


def _insert_word(work: bytearray, choices: random.Random, words: Sequence[bytes]) -> None:
    at = _place(work, choices)
    work[at:at] = choices.choice(words) * choices.choice((1, 1, 1, 1, 66))


def _replace_by_word(work: bytearray, choices: random.Random, words: Sequence[bytes]) -> None:
    work[_stretch(work, choices)] = b" " + choices.choice(words) + b" "


_Change = Callable[[bytearray, random.Random, Sequence[bytes]], None]
_CHANGES: tuple[_Change, ...] = (_flip, _set, _insert, _delete, _repeat, _move, _splice, _cut)
_WITH_WORDS: tuple[_Change, ...] = (*_CHANGES, _insert_word, _insert_word, _replace_by_word, _replace_by_word)
