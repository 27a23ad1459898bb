"""The loader of snapshots: any bytes under a digest that fits are refused, or restore to a sound machine."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

import lashlang
from lashlang.vm.container import Form
from tests.fuzz.mutator import mutated
from tests.fuzz.target import Target
from tests.snapshots import attack
from tests.snapshots.anywhere import all_places, standing_at
from tests.snapshots.forge import Ext, Map, Parts, reseal, take_apart

_FIXED = 48


def run(data: bytes) -> None:
    """Restore from the bytes as they are, and once more with the digest put right."""
    choices = random.Random(zlib.crc32(data))
    if attack.survives(data, choices):
        return
    if len(data) > _FIXED and data[9] == Form.PORTABLE:
        size = struct.unpack_from(">I", data, 12)[0]
        attack.survives(reseal(Form.PORTABLE, data[_FIXED : _FIXED + size], data[_FIXED + size :]), choices)


def begin_with(number: int) -> list[bytes]:
    """Snapshots of all kinds, and blocks that stand anywhere."""
    choices = random.Random(number)
    anywhere = [standing_at(place, choices) for place in choices.sample(all_places(), 300)]
    return [*map(attack.seed, attack.SEEDS), *(parts.joined() for parts in anywhere)]


def mutate(data: bytes, choices: random.Random, pool: Sequence[bytes]) -> bytes:
    """Change what a snapshot says, or, now and then, its bytes."""
    how = choices.random()
    if how < 0.2:
        return mutated(data, choices, pool)
    try:
        parts = take_apart(data)
        if how < 0.3:
            other = take_apart(choices.choice(pool))
            if _is_whole(parts) and _is_whole(other):
                parts = attack.spliced(parts, other, choices)
        for _ in range(choices.choice((1, 1, 2, 4))):
            parts = attack.altered(parts, choices)
        return attack.whole(parts)
    except (lashlang.SnapshotError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return mutated(data, choices, pool)  # it is damaged already


def _is_whole(parts: Parts) -> bool:
    """Whether a body still has its three parts."""
    return isinstance(parts.body, list) and not isinstance(parts.body, (Map, Ext)) and len(parts.body) == 3  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


TARGET = Target("snapshots", run, begin_with, mutate=mutate, modules=("lashlang.vm", "lashlang.compiler"))
