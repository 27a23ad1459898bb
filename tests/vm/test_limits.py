"""Limits are checked when they are made, and can be changed between blocks."""

from __future__ import annotations

from typing import Any

import pytest

import lashlang


def test_defaults_are_those_of_chapter_16() -> None:
    limits = lashlang.Limits()
    assert limits.as_list() == [100_000_000, 1 << 28, 1 << 26, 1_000_000, 128, 1 << 26, 10_000, 1 << 20]


@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_a_limit_out_of_bounds_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="fuel"):
        lashlang.Limits(fuel=value)


@pytest.mark.parametrize("value", [1.5, "9", True, None])
def test_a_limit_that_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="requests"):
        lashlang.Limits(requests=value)


def test_depth_is_bounded_by_what_the_walkers_are_built_for() -> None:
    assert lashlang.Limits(value_depth=512).value_depth == 512
    with pytest.raises(ValueError, match="value_depth"):
        lashlang.Limits(value_depth=513)


def what_is_told(limits: lashlang.Limits) -> str:
    """The error of a machine of these limits, when it is made or when it runs a block."""
    try:
        return lashlang.Machine(limits).run("x = range(1000)").render_error()
    except lashlang.LanguageError as error:
        return str(error)


def test_hardly_any_memory_is_told_when_the_machine_or_the_block_begins() -> None:
    told = what_is_told(lashlang.Limits(memory=1000))
    assert "limit_exceeded" in told
    assert "memory" in told


def test_limits_set_between_blocks_hold_from_then_on() -> None:
    machine = lashlang.Machine()
    machine.run("s = 'abc'")
    machine.limits = lashlang.Limits(string_size=3)
    refused = machine.run("t = s + 'd'")
    machine.limits = lashlang.Limits()
    assert refused.error is not None
    assert refused.error.code == "string_size"
    assert machine.run("submit s + 'd'").value == "abcd"


def test_limits_cannot_be_set_while_a_block_runs() -> None:
    machine = lashlang.Machine()
    machine.start("call t {}")
    with pytest.raises(lashlang.MachineBusy):
        machine.limits = lashlang.Limits(fuel=1)
    assert machine.limits == lashlang.Limits()
