"""Writing and reading back about 1 MB of state: a variable that holds the records of the JSON job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks.engines import Engine, NotOffered, check
from benchmarks.measure import Figures, least_of
from benchmarks.workloads import JSON

LEAST_RUNS = 9
"""Times of a few milliseconds scatter more than others, and cost little."""


def state(engine: Engine, runs: int) -> Figures:
    """Seconds to dump, load and fork, and the bytes of a dump, by form; every copy is read and compared."""
    forms = engine.forms()
    records = json.loads(JSON)
    session = engine.new()
    engine.set(session, "state", records)
    runs = max(runs, LEAST_RUNS)
    figures: Figures = {}
    for name, form in forms.items():
        figures[f"dump_{name}"], data = timed(lambda form=form: form.dump(session), runs)
        figures[f"load_{name}"] = copied(engine, lambda form=form, data=data: form.load(data), records, runs)
        figures[f"size_{name}"] = len(data)
    with suppress(NotOffered):  # monty dumps, but does not fork
        figures["fork"] = copied(engine, lambda: engine.fork(session), records, runs)
    engine.close(session)
    return figures


def timed(make: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Least seconds, and what was made last."""
    made: list[Any] = [None]

    def body() -> float:
        begin = time.perf_counter()
        made[0] = make()
        return time.perf_counter() - begin

    return least_of(body, runs), made[0]


def copied(engine: Engine, make: Callable[[], Any], wanted: Any, runs: int) -> float:
    """Least seconds for making a second session that holds the same records."""

    def body() -> float:
        begin = time.perf_counter()
        copy = make()
        seconds = time.perf_counter() - begin
        check(engine.get(copy, "state"), wanted)
        engine.close(copy)
        return seconds

    return least_of(body, runs)
