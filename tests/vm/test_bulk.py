"""Packing and unpacking in pieces gives what one call gives."""

from __future__ import annotations

import gc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lashlang
from lashlang.vm import bulk

SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False) | st.text()

RECORDS = [{"name": f"n{i}", "tags": [i, str(i)], "deep": {"a": {"b": [i]}}} for i in range(9_000)]

LARGE: dict[str, Any] = {
    "a list": list(range(50_000)),
    "a record": {f"k{i}": i for i in range(50_000)},
    "records": RECORDS,
    "records inside records": {"rows": RECORDS, "more": [{"rows": RECORDS[:5_000]}, 1]},
    "lists of lists": [list(range(900)) for _ in range(60)],
    "wide records in a wide record": {f"k{i}": {f"j{j}": j for j in range(900)} for i in range(60)},
    "long texts": ["x" * 3_000_000, {"y": "ä" * 2_000_000}],
    "a value nested deeper than is looked": [[[[[[[[[RECORDS]]]]]]]]],
    "one more than a batch": [0] * (bulk.BULKY + 1),
    "elements unlike the first": [1, *([list(range(5_000))] * 20)],
}


@pytest.mark.parametrize("name", LARGE)
def test_large_values_are_packed_as_in_one_call(name: str) -> None:
    packer = msgpack.Packer()
    assert bulk.is_bulky(LARGE[name]) or name.startswith(("a value nested", "elements unlike"))
    assert bulk.pack(packer, LARGE[name]) == packer.pack(LARGE[name])


@pytest.mark.parametrize("name", LARGE)
def test_long_messages_are_unpacked_as_in_one_call(name: str) -> None:
    packed = msgpack.packb(LARGE[name])
    assert bulk.unpack(memoryview(packed), _no_extensions) == LARGE[name]


@given(
    st.recursive(SCALARS, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside)), st.integers(1, 3000)
)
def test_any_value_repeated_is_packed_and_unpacked_as_in_one_call(value: Any, times: int) -> None:
    values = [value] * times
    packer = msgpack.Packer()
    packed = bulk.pack(packer, values)
    assert packed == packer.pack(values)
    assert bulk.unpack(memoryview(packed), _no_extensions) == values


def test_a_message_that_is_cut_is_refused() -> None:
    packed = msgpack.packb(LARGE["a list"])
    with pytest.raises(ValueError, match="cut"):
        bulk.unpack(memoryview(packed)[:-1], _no_extensions)


def test_what_is_no_value_is_refused_in_pieces_as_well() -> None:
    with pytest.raises(TypeError):
        bulk.pack(msgpack.Packer(), [*range(10_000), object()])


def test_small_values_are_not_bulky() -> None:
    for value in (None, 1, "x" * 1000, list(range(1000)), {"a": [1, 2, {"b": "c"}]}, [[1] * 10] * 10, ()):
        assert not bulk.is_bulky(value)


async def test_large_values_cross_both_ways_on_a_loop() -> None:
    with lashlang.Machine() as machine:
        outcome = await machine.run_async(
            "x = (call load {})?\nsubmit { given: given, loaded: x }",
            tools={"load": lambda: LARGE["records"]},
            projected={"given": LARGE["lists of lists"]},
        )
        assert outcome.value == {"given": LARGE["lists of lists"], "loaded": LARGE["records"]}


def test_the_collector_is_off_while_a_long_message_is_unpacked_and_then_as_before() -> None:
    packed = msgpack.packb([*LARGE["a list"], msgpack.ExtType(1, b"")])
    seen: list[bool] = []

    def note(code: int, data: bytes) -> None:
        seen.append(gc.isenabled())

    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            bulk.unpack(memoryview(packed), note)
            assert gc.isenabled() is enabled
            with pytest.raises(ValueError, match="cut"):
                bulk.unpack(memoryview(packed)[:-1], note)
            assert gc.isenabled() is enabled
        finally:
            gc.enable()
    assert seen == [False, False]


def _no_extensions(code: int, data: bytes) -> object:
    raise AssertionError(f"no extension was packed, and yet there is one of kind {code}: {data!r}")
