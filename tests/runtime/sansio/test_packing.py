"""msgpack for JSON: what JSON can say and msgpack cannot comes back as it was."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.sansio.packing import pack, unpack

ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda below: st.lists(below) | st.dictionaries(ANY_TEXT, below),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**400, -(10**400)])
def test_integers_of_any_size_come_back(number: int) -> None:
    assert unpack(pack({"n": [number]})) == {"n": [number]}


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object is no JSON"):
        pack({"x": object()})


def test_extensions_of_others_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown extension 7"):
        unpack(msgpack.packb(msgpack.ExtType(7, b"x")))
