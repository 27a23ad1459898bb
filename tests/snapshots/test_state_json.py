"""The state as JSON (chapter 15.1): written as the chapter says, read back exactly, and nothing else is read."""

from __future__ import annotations

import json
import math
import re
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lashlang
from lashlang.projection import Projected
from tests.oracle import from_json as oracle_value
from tests.oracle.numbers import canonical, exact_or_float, number_text
from tests.oracle.values import depth, expanded_size
from tests.snapshots.programs import STATE


def snapshot(variables: str, version: str = "1") -> str:
    return f'{{"lashlang_snapshot":{version},"globals":{{{variables}}}}}'


def holding(**variables: lashlang.Value) -> lashlang.Machine:
    machine = lashlang.Machine()
    machine.globals.update(variables)
    return machine


# --- what is written ---------------------------------------------------------------------------------


def wanted(value: lashlang.Value) -> str:
    """The text of a value by the chapter, numbers by the oracle."""
    if isinstance(value, bool | str | None):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        number = exact_or_float(value) if isinstance(value, int) else canonical(value)
        if not math.isfinite(number):
            return f'{{"$num":"{number_text(number)}"}}'
        is_integral_float = isinstance(number, float) and number.is_integer()
        return number_text(number) + ".0" * is_integral_float
    if isinstance(value, lashlang.Image):
        fields = ("id", "label", "size", "width", "height")
        return f'{{"$image":{{{",".join(f"{wanted(name)}:{wanted(getattr(value, name))}" for name in fields)}}}}}'
    if isinstance(value, list):
        return f"[{','.join(map(wanted, cast('list[Any]', value)))}]"
    entries = [(wanted(key), wanted(item)) for key, item in value.items()]
    if any(key.startswith("$") for key in value):
        return f'{{"$rec":[{",".join(f"[{key},{item}]" for key, item in entries)}]}}'
    return f"{{{','.join(f'{key}:{item}' for key, item in entries)}}}"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = TEXTS | TEXTS.map(lambda text: f"${text}") | st.sampled_from(["", "$", "$num", "$rec", "$image", "type", "ok"])
NUMBERS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [
            math.nan,
            math.inf,
            -math.inf,
            -0.0,
            2**53 + 1,
            2**53 - 1,
            2.0**53,
            9007199254740994.0,
            1e300,
            5e-324,
            2**63 - 1,
            -(2**63),
            2.0**63,
            -(2.0**63),
            1e22,
            0.1,
            1e-7,
            1.7976931348623157e308,
            123456789012345680.0,
        ]
    )
)
IMAGES = st.builds(
    lashlang.Image,
    TEXTS,
    TEXTS,
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 2**32 - 1),
)
TYPES = st.sampled_from([{"$lash_type": {}}, {"$lash_type": {"type": "array", "items": {"type": "string"}}}])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | IMAGES | TYPES,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS, inside, max_size=4),
    max_leaves=12,
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: (
        name not in "if else for in parallel await cancel submit print call and or not true false null history".split()
    )
)
STATES = st.dictionaries(NAMES, VALUES, max_size=4)


@given(STATES)
@example({"z": {"$": []}, "a": {"$num": "NaN", "": math.nan}, "m": '\x00\x1f\x7f\u2028\\"/😀'})
def test_a_state_is_written_as_the_chapter_says(state: dict[str, Any]) -> None:
    variables = ",".join(f'"{name}":{wanted(value)}' for name, value in state.items())
    assert holding(**state).to_json() == snapshot(variables)


@given(STATES)
def test_a_state_comes_back_exactly_and_is_written_again_as_the_same_text(state: dict[str, Any]) -> None:
    machine = holding(**state)
    text = machine.to_json()
    restored = lashlang.Machine.from_json(text)
    assert repr(list(restored.globals.items())) == repr(list(machine.globals.items()))
    assert restored.to_json() == text


def test_what_a_program_made_comes_back_exactly() -> None:
    machine = lashlang.Machine()
    assert machine.run(STATE).error is None
    restored = lashlang.Machine.from_json(machine.to_json())
    assert repr(list(restored.globals.items())) == repr(list(machine.globals.items()))


def test_a_record_that_looks_like_an_image_stays_a_record() -> None:
    machine = lashlang.Machine()
    machine.run('x = { type: "image", id: "i", label: "l", size: 9223372036854775807, width: null, height: 2 }')
    restored = lashlang.Machine.from_json(machine.to_json())
    assert restored.run("submit type_of(x)").value == "record"
    assert restored.to_json() == machine.to_json()


def test_an_empty_machine_has_an_empty_state() -> None:
    assert lashlang.Machine().to_json() == snapshot("")
    assert list(lashlang.Machine.from_json(snapshot("")).globals) == []


def test_any_json_of_the_same_content_is_read() -> None:
    text = '\n{"globals": {"x": [1.0, 1e3, -0, "\\u0024\\ud83d\\ude00"],\t"y": {"\\u0024rec": []}},'
    text += '"lashlang_snapshot": 1} '
    restored = lashlang.Machine.from_json(text)
    assert repr(dict(restored.globals)) == repr({"x": [1, 1000, 0, "$😀"], "y": {}})


def test_a_restored_state_can_be_run_on() -> None:
    machine = lashlang.Machine.from_json(snapshot('"n":1,"T":{"$rec":[["$lash_type",{"type":"integer"}]]}'))
    assert machine.run("n += 1\nsubmit validate(n, T)").value == 2


# --- what cannot be written --------------------------------------------------------------------------


def test_a_variable_larger_than_value_size_is_refused_by_name() -> None:
    machine = lashlang.Machine()
    machine.run("small = 1\nlarge = 1\nfor i in range(100) { large = [large, large] }")
    with pytest.raises(lashlang.SnapshotError, match=r"`large` .*`value_size`"):
        machine.to_json()


def test_a_suspended_block_is_refused_with_what_to_do() -> None:
    machine = lashlang.Machine()
    machine.start("x = 1\ncall f {}")
    with pytest.raises(lashlang.SnapshotError, match="finish"):
        machine.to_json()
    machine.interrupt()
    assert machine.to_json() == snapshot('"x":1')


def test_a_tool_that_is_being_called_is_refused_too() -> None:
    machine = lashlang.Machine()
    outcome = machine.run("submit (call f {}).error", tools={"f": machine.to_json})
    assert "suspended" in str(outcome.value)


# --- projections -------------------------------------------------------------------------------------


class Kept(lashlang.JsonSource):
    """A source that a host finds again by its name, and that must not be read meanwhile."""

    type_name = "kept"

    def __init__(self, ref: str, value: lashlang.Value = None) -> None:
        super().__init__(value)
        self.ref = ref

    def whole(self) -> lashlang.Value:
        assert self.ref == "found", "a snapshot never reads a projection"
        return super().whole()


def test_a_projection_is_written_by_what_it_says_of_itself() -> None:
    machine = holding(x=[Projected("doc", Kept("d/7"))], y=[Projected("anything", lashlang.JsonSource(1))])
    assert machine.to_json() == snapshot(
        '"x":[{"$projected":{"name":"doc","type_name":"kept","ref":"d/7"}}],'
        '"y":[{"$projected":{"name":"anything","type_name":"JsonSource"}}]'
    )


def test_a_part_of_a_source_keeps_its_path() -> None:
    machine = holding(x=[Projected("doc", Kept("d/7")).field("items").index(-1)])
    text = machine.to_json()
    assert '"path":["items",-1]' in text

    def find(ref: str, type_name: str) -> lashlang.Projection:
        return Kept("found", {"items": [{"a": "another"}, {"a": "found again"}]})

    restored = lashlang.Machine.from_json(text, projections=find)
    assert restored.run("submit x[0].a").value == "found again"


def test_a_source_is_looked_for_once_however_often_it_is_named() -> None:
    machine = holding(x=[Projected("a", Kept("1")), Projected("b", Kept("1")), Projected("c", Kept("2"))])
    asked: list[tuple[str, str]] = []

    def find(ref: str, type_name: str) -> lashlang.Projection:
        asked.append((ref, type_name))
        return Kept(ref)

    restored = lashlang.Machine.from_json(machine.to_json(), projections=find)
    assert asked == [("1", "kept"), ("2", "kept")]
    assert restored.to_json() == machine.to_json()


def test_a_projection_that_is_not_found_is_a_placeholder_which_is_written_as_before() -> None:
    machine = holding(x=[Projected("doc", Kept("d/7")), Projected("host's", None)], y=[Projected("z", Kept("e"))])
    text = machine.to_json()
    restored = lashlang.Machine.from_json(text)
    assert restored.to_json() == text
    error = restored.run("submit len(x[0])").error
    assert error is not None
    assert error.kind == "projection_unavailable"
    assert "d/7" in error.message


def test_a_projection_of_the_tool_host_is_read_from_the_tool_host_again() -> None:
    machine = holding(x=[Projected("doc", None, ("a",))])
    restored = lashlang.Machine.from_json(machine.to_json())
    step = restored.start("submit len(x[0])")
    assert isinstance(step, lashlang.Reads)
    assert step.reads[0].target == Projected("doc", None, ("a",))


def test_a_source_that_describes_itself_with_half_a_character_is_refused() -> None:
    with pytest.raises(lashlang.SnapshotError, match="`doc`"):
        holding(x=[Projected("doc", Kept("\ud800"))]).to_json()


# --- limits ------------------------------------------------------------------------------------------


@given(VALUES)
def test_a_value_may_be_as_large_and_as_deep_as_the_limits_say(value: lashlang.Value) -> None:
    text = holding(x=value).to_json()
    measured = oracle_value(_for_oracle(value))
    size, levels = expanded_size(measured), depth(measured)
    limits = lashlang.Limits(value_size=size, value_depth=levels)
    assert lashlang.Machine.from_json(text, limits=limits).to_json() == text
    with pytest.raises(lashlang.SnapshotError, match="`value_size`"):
        lashlang.Machine.from_json(text, limits=lashlang.Limits(value_size=size - 1))
    if levels > 0:
        with pytest.raises(lashlang.SnapshotError, match="`value_depth`"):
            lashlang.Machine.from_json(text, limits=lashlang.Limits(value_depth=levels - 1))


def _for_oracle(value: lashlang.Value) -> Any:
    """The value with every image as the record by which hosts hand images to the oracle."""
    if isinstance(value, lashlang.Image):
        return value.to_json()
    if isinstance(value, list):
        return [_for_oracle(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _for_oracle(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


@pytest.mark.parametrize(
    ("limits", "fits", "exceeds"),
    [
        ({"string_size": 4}, '"éé"', '"ééé"'),
        ({"string_size": 4}, '{"éé":1}', '{"ééé":1}'),
        ({"list_size": 2}, "[1,2]", "[1,2,3]"),
        ({"list_size": 2}, '{"$rec":[["$a",1],["b",2]]}', '{"$rec":[["$a",1],["b",2],["c",3]]}'),
        ({"list_size": 2}, '{"a":1,"b":2}', '{"a":1,"b":2,"c":3}'),
        (
            {"list_size": 2},
            '[{"$projected":{"name":"p","type_name":"t","path":[1,2]}}]',
            '[{"$projected":{"name":"p","type_name":"t","path":[1,2,3]}}]',
        ),
        ({"value_depth": 2}, '[{"a":1}]', '[{"a":{}}]'),
        ({"value_size": 40}, '["12345678"]', '["123456789"]'),
    ],
)
def test_the_limits_of_the_machine_hold_for_what_is_read(limits: dict[str, int], fits: str, exceeds: str) -> None:
    granted = lashlang.Limits(**limits)
    (name,) = limits
    assert list(lashlang.Machine.from_json(snapshot(f'"x":{fits}'), limits=granted).globals) == ["x"]
    with pytest.raises(lashlang.SnapshotError, match=f"in `x.*`{name}` of {limits[name]}"):
        lashlang.Machine.from_json(snapshot(f'"x":{exceeds}'), limits=granted)


def test_a_state_larger_than_the_memory_granted_is_refused() -> None:
    text = snapshot(",".join(f'"x{i}":"{"y" * 100_000}"' for i in range(50)))
    with pytest.raises(lashlang.SnapshotError, match="`memory`"):
        lashlang.Machine.from_json(text, limits=lashlang.Limits(memory=1 << 20))


def test_the_deepest_value_is_written_and_read_although_pythons_stack_is_not_as_deep() -> None:
    limits = lashlang.Limits(value_depth=512)
    machine = lashlang.Machine(limits)
    assert machine.run('x = 1\nfor i in range(512) { x = { "$deeper": x } }').error is None
    text = machine.to_json()
    assert lashlang.Machine.from_json(text, limits=limits).to_json() == text


# --- what is refused ---------------------------------------------------------------------------------

REFUSED = {
    "nothing": ("", "line 1, column 1: .*ends too early"),
    "no JSON": ("globals", "`{` is expected"),
    "another document": ('{"a":1}', "no member 'a'"),
    "a list": ("[]", "`{` is expected"),
    "no version": ('{"globals":{}}', "`lashlang_snapshot` is missing"),
    "no variables": ('{"lashlang_snapshot":1}', "`globals` is missing"),
    "an unknown version": (snapshot("", "2"), "version 2; .* reads 1"),
    "a version that is a float": (snapshot("", "1.0"), "version 1.0"),
    "a version that is true": (snapshot("", "true"), "version True"),
    "variables in a list": ('{"lashlang_snapshot":1,"globals":[]}', "`{` is expected"),
    "variables twice": ('{"globals":{},"globals":{},"lashlang_snapshot":1}', "'globals' is there twice"),
    "more than a snapshot": (snapshot("") + "{}", "line 1, column 37: the text goes on"),
    "a byte order mark": ("\ufeff" + snapshot(""), "`{` is expected"),
    "a variable twice": (snapshot('"x":1,"x":2'), "'x' is there twice"),
    "a key twice": (snapshot('"x":{"a":1,"a":2}'), r"in `x\.a`\): .*'a' is there twice"),
    "a key twice in a record of pairs": (snapshot('"x":{"$rec":[["a",1],["a",2]]}'), "'a' is there twice"),
    "a key twice by an escape": (snapshot('"x":{"a":1,"\\u0061":2}'), "'a' is there twice"),
    "a name that is none": (snapshot('"a b":1'), "'a b' is not a Lashlang name"),
    "an empty name": (snapshot('"":1'), "'' is not a Lashlang name"),
    "a word of the language as name": (snapshot('"while ":1,"for":1'), "'while ' is not"),
    "a keyword as name": (snapshot('"for":1'), "'for' is not a Lashlang name"),
    "a name of other letters": (snapshot('"é":1'), r"'\\xe9' is not a Lashlang name"),
    "the host's own name": (snapshot('"history":[]'), "`history` is a name of the host"),
    "a value left out": (snapshot('"x":[1,{"k":}]'), r"line 1, column 47 \(in `x\[1\]\.k`\): a value is expected"),
    "a comma too many": (snapshot('"x":[1,]'), "a value is expected"),
    "a comma too few": (snapshot('"x":[1 2]'), "`]` is expected"),
    "a list left open": ('{"lashlang_snapshot":1,"globals":{"x":[1', "ends too early"),
    "a text left open": ('{"lashlang_snapshot":1,"globals":{"x":"a', "not closed"),
    "a key without quotes": (snapshot('"x":{a:1}'), "text in quotes"),
    "a key that is a number": (snapshot('"x":{1:1}'), "text in quotes"),
    "a line break in a text": (snapshot('"x":"a\nb"'), "control character"),
    "an unknown escape": (snapshot('"x":"\\x41"'), "unknown escape"),
    "half an escape": (snapshot('"x":"\\u12"'), "unknown escape"),
    "a lone surrogate": (snapshot('"x":"\\ud800"'), "lone surrogate"),
    "a lone surrogate as it is": (snapshot('"x":"\ud800"'), "lone surrogate"),
    "surrogates half escaped": (snapshot('"x":"\ud83d\\ude00"'), "lone surrogate"),
    "a lone surrogate in a key": (snapshot('"x":{"\\udc00":1}'), "lone surrogate"),
    "a lone surrogate in a name": (snapshot('"\\udc00":1'), "lone surrogate"),
    "NaN": (snapshot('"x":NaN'), "a value is expected"),
    "Infinity": (snapshot('"x":-Infinity'), "a value is expected"),
    "a leading zero": (snapshot('"x":01'), "is expected"),
    "a plus sign": (snapshot('"x":+1'), "a value is expected"),
    "a number without whole part": (snapshot('"x":.5'), "a value is expected"),
    "other digits": (snapshot('"x":٣'), "a value is expected"),
    "a word and more": (snapshot('"x":nullnull'), "is expected"),
    "an integer too large": (snapshot('"x":9223372036854775808'), "64 bits"),
    "an integer too small": (snapshot('"x":-9223372036854775809'), "64 bits"),
    "an integer of many digits": (snapshot(f'"x":{"1" * 100_000}'), "64 bits"),
    "a float too large": (snapshot('"x":1e999'), "too large"),
    "an unknown marker": (snapshot('"x":{"$date":1}'), r"unknown marker '\$date'"),
    "a marker with company": (snapshot('"x":{"$num":"NaN","a":1}'), "stands alone"),
    "a marker as second member": (snapshot('"x":{"a":1,"$num":"NaN"}'), r"written as `\$rec`"),
    "a number that is none": (snapshot('"x":{"$num":"1"}'), "one of NaN, inf, -inf, got '1'"),
    "a number that is a number": (snapshot('"x":{"$num":1}'), "text in quotes"),
    "a record that is a record": (snapshot('"x":{"$rec":{"a":1}}'), r"`\[` is expected"),
    "a pair of one": (snapshot('"x":{"$rec":[["a"]]}'), "`,` is expected"),
    "a pair of three": (snapshot('"x":{"$rec":[["a",1,2]]}'), "`]` is expected"),
    "a pair without a key": (snapshot('"x":{"$rec":[[1,2]]}'), "text in quotes"),
    "pairs with company": (snapshot('"x":{"$rec":[],"a":1}'), "stands alone"),
    "a marker in a marker": (snapshot('"x":{"$num":{"$num":"NaN"}}'), "text in quotes"),
    "an image that is a text": (snapshot('"x":{"$image":"i"}'), "`{` is expected"),
    "half an image": (snapshot('"x":{"$image":{"id":"i"}}'), r"`\$image` lacks `label`"),
    "a projection that is a list": (snapshot('"x":{"$projected":[]}'), "`{` is expected"),
    "a nameless projection": (snapshot('"x":{"$projected":{"type_name":"t"}}'), "lacks `name`"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_snapshot_is_refused_with_what_and_where(text: str, reason: str) -> None:
    with pytest.raises(lashlang.SnapshotError, match=reason) as refused:
        lashlang.Machine.from_json(text)
    assert re.search(r"at line \d+, column \d+[ :]", str(refused.value))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 1},
        {"label": None},
        {"size": -1},
        {"size": 1.0},
        {"size": None},
        {"size": True},
        {"width": 2**32},
        {"height": "2"},
        {"height": [1]},
        {"depth": 3},
    ],
)
def test_an_image_of_another_shape_is_refused(fields: dict[str, Any]) -> None:
    image = {"id": "i", "label": "l", "size": 1, "width": None, "height": None} | fields
    with pytest.raises(lashlang.SnapshotError, match=next(iter(fields))):
        lashlang.Machine.from_json(snapshot(f'"x":{{"$image":{json.dumps(image)}}}'))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1},
        {"type_name": 1},
        {"ref": None},
        {"ref": 1},
        {"ref": "r", "type_name": None},
        {"path": []},
        {"path": "a"},
        {"path": [1.5]},
        {"path": [True]},
        {"source": "s"},
    ],
)
def test_a_projection_of_another_shape_is_refused(fields: dict[str, Any]) -> None:
    projected = {"name": "p", "type_name": "t"} | fields
    with pytest.raises(lashlang.SnapshotError, match=next(iter(fields))):
        lashlang.Machine.from_json(snapshot(f'"x":[{{"$projected":{json.dumps(projected)}}}]'))


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"$rec":[["$a",', '{"$num":', '{"$image":{"id":[', '{"a":[[{"b":'])
def test_text_that_opens_a_million_brackets_is_refused(opening: str) -> None:
    with pytest.raises(lashlang.SnapshotError):
        lashlang.Machine.from_json('{"lashlang_snapshot":1,"globals":{"x":' + opening * 1_000_000)


def test_the_place_of_an_error_is_counted_in_lines() -> None:
    text = '{"lashlang_snapshot": 1,\n "globals": {\n  "x": [1, 2],\n  "y": {"a b": [0, tru]}\n}}'
    with pytest.raises(lashlang.SnapshotError, match=r"line 4, column 20 \(in `y\['a b'\]\[1\]`\)"):
        lashlang.Machine.from_json(text)


def test_only_text_is_read_and_only_limits_limit() -> None:
    with pytest.raises(TypeError, match="bytes"):
        lashlang.Machine.from_json(b"{}")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="Limits"):
        lashlang.Machine.from_json(snapshot(""), limits=3)  # pyright: ignore[reportArgumentType]


SAMPLE = snapshot(
    '"a":[1,-2.5,{"$num":"NaN"},9007199254740994.0,"\\u00e9"],"b":{"k":{"$rec":[["$t",{}],["",null]]}},'
    '"c":[{"$image":{"id":"i","label":"l","size":1,"width":null,"height":2}}],'
    '"d":[{"$projected":{"name":"p","type_name":"t","ref":"r","path":["a",1]}},true,false]'
)
SMALL = lashlang.Limits(memory=1 << 20, value_size=2000, value_depth=6, list_size=20, string_size=100)

FRAGMENTS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "0",
    "-",
    "1e5",
    "null",
    '"$rec"',
    '"$num"',
    '"x"',
    '"$"',
    "\ud800",
]


@given(st.data())
def test_a_damaged_snapshot_is_refused_or_read_within_the_limits(data: st.DataObject) -> None:
    text = SAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 6)))
        moved = st.integers(0, len(SAMPLE) - 8).map(lambda at: SAMPLE[at : at + 8])
        text = text[:start] + data.draw(st.sampled_from(FRAGMENTS) | moved | st.text(max_size=3)) + text[end:]
    try:
        machine = lashlang.Machine.from_json(text, limits=SMALL)
    except lashlang.SnapshotError:
        return
    again = machine.to_json()
    assert lashlang.Machine.from_json(again, limits=SMALL).to_json() == again


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_any_text_in_the_place_of_a_value_is_refused_or_read(text: str) -> None:
    try:
        machine = lashlang.Machine.from_json(snapshot(f'"x":{text}'), limits=SMALL)
    except lashlang.SnapshotError:
        return
    again = machine.to_json()
    assert lashlang.Machine.from_json(again, limits=SMALL).to_json() == again
