"""What may cross into a machine, and how what may not is refused."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lashlang

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


@pytest.fixture(scope="module")
def machine() -> lashlang.Machine:
    return lashlang.Machine()


@given(JSON)
def test_plain_data_comes_back_as_it_went_in(machine: lashlang.Machine, value: Any) -> None:
    machine.globals["v"] = value
    assert machine.globals["v"] == value


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_integers_of_64_bits_stay_exact(machine: lashlang.Machine, value: int) -> None:
    machine.globals["v"] = value
    found = machine.globals["v"]
    assert (found, type(found)) == (value, int)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [(2**63, 2.0**63), (2**64, 2.0**64), (-(2**63) - 1, -(2.0**63)), (10**400, math.inf), (-(10**400), -math.inf)],
)
def test_wider_integers_become_the_nearest_float(machine: lashlang.Machine, value: int, nearest: float) -> None:
    machine.globals["v"] = [value]
    assert machine.globals["v"] == [nearest]


def test_non_finite_numbers_stay_what_they_are(machine: lashlang.Machine) -> None:
    machine.globals["v"] = [math.inf, -math.inf, math.nan]
    inf, minus_inf, nan = machine.globals["v"]
    assert (inf, minus_inf, math.isnan(nan)) == (math.inf, -math.inf, True)


PLAIN: list[tuple[Any, Any]] = [
    ((1, (2,)), [1, [2]]),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Point(1, 2), [1, 2]),
    (OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}),
    (defaultdict(int, k=1), {"k": 1}),
]


@pytest.mark.parametrize(("value", "plain"), PLAIN)
def test_tuples_and_subclasses_count_as_what_they_extend(machine: lashlang.Machine, value: Any, plain: Any) -> None:
    machine.globals["v"] = {"inside": [value]}
    assert machine.globals["v"] == {"inside": [plain]}


def test_an_image_crosses_as_an_image(machine: lashlang.Machine) -> None:
    image = lashlang.Image("i1", "a cat", 1234, 640, None)
    machine.globals["v"] = [image]
    assert machine.globals["v"] == [image]


def test_an_object_of_the_image_shape_becomes_an_image(machine: lashlang.Machine) -> None:
    machine.globals["v"] = {
        "type": "image",
        "id": "i",
        "label": "l",
        "size": 1,
        "width": None,
        "height": 2,
        "other": True,
    }
    assert machine.globals["v"] == lashlang.Image("i", "l", 1, None, 2)


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        ({1, 2}, "$", "set is not a JSON value"),
        ({"a": [0, 1, 2, {1}]}, "$.a[3]", "set is not a JSON value"),
        ({"a b": object()}, "$['a b']", "object is not a JSON value"),
        ([b"bytes"], "$[0]", "bytes is not a JSON value"),
        ({"k": {1: "x"}}, "$.k", "a record key must be text, got int 1"),
        ({"k": {b"x": "x"}}, "$.k", "a record key must be text, got bytes b'x'"),
        ({"k": {None: "x"}}, "$.k", "a record key must be text, got NoneType None"),
        (["ok", "bad \ud800"], "$[1]", "lone surrogate U+D800 at offset 4"),
        ({"\udfff": 1}, "$", "lone surrogate U+DFFF at offset 0"),
        (CYCLE, "$[0]", "levels deep, or inside itself"),
        (lashlang.Image("i", "l", -1), "$", "an image's `size` must be a whole number"),
        ([lashlang.Image("i", 5, 1)], "$[0]", "an image's `label` must be text, got int"),  # pyright: ignore[reportArgumentType] -- the point of the case
        (3 + 4j, "$", "complex is not a JSON value"),
    ],
)
def test_what_is_no_value_is_refused_with_its_place(
    machine: lashlang.Machine, value: Any, place: str, reason: str
) -> None:
    machine.globals["v"] = "before"
    with pytest.raises(lashlang.HostValueError) as refused:
        machine.globals["v"] = value
    assert refused.value.path.startswith(place)
    assert reason in refused.value.reason
    assert machine.globals["v"] == "before"


def test_a_refused_value_is_a_type_error(machine: lashlang.Machine) -> None:
    with pytest.raises(TypeError):
        machine.globals["v"] = object()


def test_keys_keep_their_order(machine: lashlang.Machine) -> None:
    machine.globals["v"] = {"z": 1, "a": 2, "m": 3}
    assert list(machine.globals["v"]) == ["z", "a", "m"]


@pytest.mark.parametrize(
    "projected",
    [
        lashlang.Projected(5),  # pyright: ignore[reportArgumentType]
        lashlang.Projected("half a pair \ud800"),
        lashlang.Projected("p", None, (None,)),  # pyright: ignore[reportArgumentType]
        lashlang.Projected("p", None, (1 << 64,)),
        lashlang.Projected("p", None, (True,)),
        lashlang.Projected("p", None, ("\ud800",)),
    ],
)
def test_a_projection_with_a_name_or_path_that_is_none_is_refused(
    machine: lashlang.Machine, projected: lashlang.Projected
) -> None:
    with pytest.raises(lashlang.HostValueError, match=r"\$\[1\]"):
        machine.globals["v"] = [1, projected]
    machine.globals["v"] = [lashlang.Projected("p", None, ("key", -1))]
    assert machine.globals["v"] == [lashlang.Projected("p", None, ("key", -1))]
