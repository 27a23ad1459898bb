"""What is cut of a record, and how that is told."""

from __future__ import annotations

import hashlib
import json
import math
from enum import Enum
from typing import Any

import pytest

from lash.host.tracing.encoding import encode_record
from lash.runtime.seams.trace import CUT_MARK, TraceEvent, TraceLimits
from lash.runtime.seams.trace_events import (
    TraceBlock,
    TraceError,
    TraceMessage,
    TraceRequest,
    TraceToolOutcome,
    TraceToolOutput,
)
from lash.runtime.turn.trace_limits import LEAST_TEXT, MAX_PATHS, bounded, cut_text
from tests.host.tracing.samples import EVENTS, record

SMALL = TraceLimits(string_bytes=1024, payload_bytes=4096, record_bytes=16_384, list_items=5, depth=6)


def payload(value: Any, limits: TraceLimits = SMALL) -> tuple[Any, tuple[str, ...]]:
    """What is left of a value, and the paths of what was cut."""
    event, cuts = bounded(TraceEvent.Custom("n", value), limits)
    return event.payload, cuts


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_what_is_small_is_left_as_it_is(event: Any) -> None:
    assert bounded(event, TraceLimits()) == (event, ())


def test_a_long_text_keeps_its_head_and_tail_round_a_mark_with_the_hash_of_the_whole() -> None:
    text = "".join(chr(97 + number % 26) for number in range(5_000))
    left, cuts = payload({"deep": [text]})
    (shown,) = left["deep"]
    head, tail = CUT_MARK.split(shown)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) > 400
    assert abs(len(head) - len(tail)) < 10
    assert f"cut {len(text) - len(head) - len(tail)} chars" in shown
    assert hashlib.sha256(text.encode()).hexdigest() in shown
    assert len(json.dumps(shown, ensure_ascii=False).encode()) <= 1024
    assert cuts == ("payload.deep[0]",)


@pytest.mark.parametrize("text", ["é" * 900, "😀" * 500, '"' * 900, "\n" * 900, "\x00" * 300, "a" * 1500], ids=ascii)
def test_the_limit_of_a_text_is_one_of_bytes_as_json(text: str) -> None:
    (shown, cuts) = payload(text)
    assert cuts == ("payload",)
    assert len(json.dumps(shown, ensure_ascii=False).encode()) <= 1024
    assert CUT_MARK.search(shown)


def test_a_text_at_its_limit_is_whole() -> None:
    assert payload("a" * 1022) == ("a" * 1022, ())
    assert payload("a" * 1023)[1] == ("payload",)


def test_a_text_is_cut_between_words_where_there_are_some() -> None:
    text = " ".join(f"word{number:04}" for number in range(400))
    head, tail = CUT_MARK.split(payload(text)[0])
    assert text.startswith(head)
    assert head.endswith(" ")
    assert tail.startswith(" word")


def test_a_long_list_loses_its_end() -> None:
    assert payload(list(range(7))) == ([0, 1, 2, 3, 4], ("payload",))


def test_what_is_nested_too_deeply_stands_as_a_mark() -> None:
    value: Any = "core"
    for _ in range(20):
        value = [value]
    left, cuts = payload(value)
    text = json.dumps(left, ensure_ascii=False)
    assert "nested deeper than 6" in text
    assert "core" not in text
    assert cuts == ("payload[0][0][0][0][0][0]",)


def test_a_value_that_contains_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    left, cuts = payload(value, TraceLimits())
    assert "nested deeper than 64" in json.dumps(left, ensure_ascii=False)
    assert len(cuts) == 1


def test_a_payload_has_a_budget_of_its_own() -> None:
    texts: Any = {f"k{number}": "x" * 1000 for number in range(10)}
    output = TraceToolOutput(TraceToolOutcome("success", texts))
    event = TraceEvent.ToolCallCompleted("c", "n", {"q": "y" * 900}, output)
    left, cuts = bounded(event, SMALL)
    assert left.args == {"q": "y" * 900}
    assert left.output is not None
    assert len(json.dumps(left.output.outcome.payload)) <= 4096
    assert cuts == tuple(f"output.outcome.payload.k{number}" for number in range(10))


def test_of_a_record_that_is_too_large_the_longest_texts_are_cut_first() -> None:
    limits = TraceLimits(record_bytes=20_000, string_bytes=16_000)
    blocks = [TraceBlock.Text("short " * 50), TraceBlock.Text("a" * 15_000), TraceBlock.Text("b" * 15_000)]
    event = TraceEvent.LlmCallStarted(TraceRequest(messages=(TraceMessage("user", tuple(blocks)),)))
    left, cuts = bounded(event, limits)
    short, one, other = left.request.messages[0].blocks
    assert short == blocks[0]
    assert isinstance(one, TraceBlock.Text)
    assert isinstance(other, TraceBlock.Text)
    assert len(one.text) == len(other.text) > 9_000
    assert cuts == ("request.messages[0].blocks[1].text", "request.messages[0].blocks[2].text")
    assert len(encode_record(record(left))) < 20_000 + 500


def test_twelve_megabytes_of_output_give_a_record_under_four() -> None:
    value: Any = {"text": "y" * 12_000_000, "rows": ["x" * 100] * 5_000}
    output = TraceToolOutput(TraceToolOutcome("success", value))
    left, cuts = bounded(TraceEvent.ToolCallCompleted("c", "read", {}, output), TraceLimits())
    assert len(encode_record(record(left))) < 4 * 1024 * 1024
    assert "output.outcome.payload.text" in cuts


def test_many_cuts_are_counted_and_not_all_named() -> None:
    _, cuts = payload([["x" * 600] * 15] * 100, TraceLimits(string_bytes=512))
    assert len(cuts) == MAX_PATHS
    assert cuts[-1] == f"… and {1_500 - MAX_PATHS + 1} more"


def test_a_record_of_very_many_small_values_is_cut_short() -> None:
    left, cuts = payload([[0] * 100 for _ in range(100)], TraceLimits(values=500))
    assert sum(len(row) for row in left) < 500
    assert cuts


def test_where_no_text_is_long_lists_get_shorter() -> None:
    left, cuts = payload([["word"] * 100] * 100, TraceLimits(record_bytes=4_000))
    assert len(json.dumps(left)) < 4_000
    assert cuts[0] == "payload[0]"


def test_names_and_ids_stay_whole_whatever_the_size() -> None:
    name = "n" * (LEAST_TEXT - 2)
    texts: Any = ["x" * 500] * 4_000
    left, _ = bounded(TraceEvent.Custom(name, texts), TraceLimits(record_bytes=2_000))
    assert left.name == name


@pytest.mark.parametrize(("field", "limit"), [("raw", 4_000)])
def test_the_raw_text_of_an_error_has_a_limit_of_characters(field: str, limit: int) -> None:
    whole = TraceEvent.LlmCallFailed(TraceError(raw="é" * limit))
    assert bounded(whole, TraceLimits()) == (whole, ())
    left, cuts = bounded(TraceEvent.LlmCallFailed(TraceError(raw="é" * (limit + 1))), TraceLimits())
    assert cuts == (f"error.{field}",)
    assert len(left.error.raw or "") <= limit


def test_the_json_of_stream_events_has_a_limit_of_bytes() -> None:
    left, cuts = bounded(TraceEvent.ProviderStreamEvent("p", raw_json="x" * 70_000), TraceLimits())
    assert cuts == ("raw_json",)
    assert len(left.raw_json or "") <= 64 * 1024


class Word(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "never"


class Choice(Enum):
    TEA = "tea"


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Word("word"), "word"),
        (True, True),
        ((1, 2), [1, 2]),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        ({None: 1}, {"None": 1}),
        ("a\ud800b", "a�b"),
        (math.inf, {"$type": "float", "repr": "inf"}),
        (Choice.TEA, {"$type": "Choice", "repr": "<Choice.TEA: 'tea'>"}),
        (b"\x00" * 1000, {"$type": "bytes", "repr": repr(b"\x00" * 200)[:200]}),
        (Mute(), {"$type": "Mute", "repr": "<Mute, whose repr raised RuntimeError>"}),
    ],
    ids=["subclass", "bool", "tuple", "keys alike", "key none", "surrogate", "inf", "enum", "bytes", "no repr"],
)
def test_what_is_no_json_is_shown_as_what_it_is(value: object, shown: object) -> None:
    assert payload(value) == (shown, ())
    encode_record(record(TraceEvent.Custom("n", payload(value)[0])))


def test_an_integer_too_long_to_be_written_is_no_json() -> None:
    left, _ = payload(10**10_000)
    assert left["$type"] == "int"


def test_the_value_that_was_given_is_not_changed() -> None:
    value = {"a": ["x" * 2_000] * 9}
    payload(value)
    assert value == {"a": ["x" * 2_000] * 9}


def test_a_key_that_is_too_long_is_cut_too() -> None:
    left, cuts = payload({"k" * 5_000: 1})
    (key,) = left
    assert CUT_MARK.search(key)
    assert len(key) <= 1_024
    assert len(cuts) == 1


def test_a_text_is_not_cut_inside_of_the_mark_alone() -> None:
    assert CUT_MARK.search(cut_text("x" * 10_000, 512))


@pytest.mark.parametrize("name", ["string_bytes", "record_bytes", "list_items", "depth"])
def test_limits_that_leave_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TraceLimits(**{name: 0})
