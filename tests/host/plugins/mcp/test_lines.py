"""Cutting bytes into lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.plugins.mcp.lines import EndlessLine, LineCutter, TooLong


@given(st.lists(st.binary(max_size=40) | st.just(b"\n"), max_size=30))
def test_lines_are_the_same_however_they_arrive(chunks: list[bytes]) -> None:
    cutter = LineCutter(10_000, 20_000)
    found = [line for chunk in chunks for line in cutter.feed(chunk)]
    assert found == b"".join(chunks).split(b"\n")[:-1]


@given(st.integers(1, 3000), st.integers(1, 700))
def test_a_line_that_is_too_long_is_told_by_its_ends_and_size(size: int, step: int) -> None:
    cutter = LineCutter(1000, 10_000)
    data = bytes(at % 251 for at in range(size)).replace(b"\n", b"-") + b"\nnext\n"
    found = [line for at in range(0, len(data), step) for line in cutter.feed(data[at : at + step])]
    line = data[:size]
    assert found[1:] == [b"next"]
    if size <= 1000:
        assert found[0] == line
    else:
        assert isinstance(found[0], TooLong)
        assert (found[0].size, found[0].tail) == (size, line[-256:])
        assert line.startswith(found[0].head)
        assert len(found[0].head) == 256


def test_a_line_without_end_is_given_up() -> None:
    cutter = LineCutter(100, 1000)
    for _ in range(20):
        assert list(cutter.feed(b"x" * 50)) == []
    with pytest.raises(EndlessLine, match="more than 1000 bytes"):
        list(cutter.feed(b"x"))
