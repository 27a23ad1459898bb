"""How a figure is taken: the least of the runs, because what else a machine does can only add to it."""

from __future__ import annotations

import gc
from collections.abc import Callable

Figures = dict[str, float]
"""Figures by name: seconds, KiB or bytes."""


def least_of(body: Callable[[], float], runs: int) -> float:
    """The least that `body` measures; a body that takes over three seconds is run three times only."""
    samples: list[float] = []
    while len(samples) < runs:
        gc.collect()
        samples.append(body())
        if samples[0] > 3:
            runs = min(runs, 3)
    return min(samples)
