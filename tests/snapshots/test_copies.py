"""Copies of a machine's memory: what is left out of them is not missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import lashlang

COPIES: dict[str, Callable[[lashlang.Machine], lashlang.Machine]] = {
    "image": lambda machine: lashlang.Machine.restore(machine.snapshot("image"), trust_image=True),
    "fork": lambda machine: machine.fork(),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_whose_memory_ends_in_a_free_stretch_has_all_of_it(
    copy: Callable[[lashlang.Machine], lashlang.Machine],
) -> None:
    rows: list[lashlang.Value] = [{"id": i, "text": "x" * 20} for i in range(20_000)]
    machine = lashlang.Machine()
    machine.globals["rows"] = rows
    # The messages that carried the rows in and out have left free memory at the end.
    assert machine.globals["rows"] == rows
    assert copy(machine).globals["rows"] == rows
