import json
from typing import get_args

import pytest

from lash.host.tracing.encoding import InvalidRecord, decode_record, encode_record, event_types
from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import (
    AnyTraceEvent,
    TraceContext,
    TraceEvent,
    TraceRecord,
    UnknownTraceRecord,
)
from tests.host.tracing.samples import EVENTS, record


def read(event: AnyTraceEvent) -> TraceRecord:
    decoded = decode_record(encode_record(record(event)))
    assert isinstance(decoded, TraceRecord)
    return decoded


def line_of(**fields: object) -> str:
    header = {"schema_version": 1, "id": "i", "timestamp": "t", "type": "custom", "name": "n"}
    return json.dumps({**header, **fields})


def test_the_samples_hold_every_type() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(get_args(AnyTraceEvent)[0]))
    assert {event.type for event in EVENTS} == set(event_types())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_a_record_is_read_as_it_was_written(event: AnyTraceEvent) -> None:
    assert read(event) == record(event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_writing_what_was_read_gives_the_same_bytes(event: AnyTraceEvent) -> None:
    line = encode_record(record(event))
    assert encode_record(decode_record(line)) == line


def test_a_record_is_one_line_of_utf8_with_keys_in_a_fixed_order() -> None:
    event = TraceEvent.ToolCallCompleted("c", "suche", {"q": "größer\n…"}, duration_ms=3)
    written = TraceRecord("i", "t", event, TraceContext(turn_id="1", session_id="s"), ("args.q",))
    assert encode_record(written).decode() == (
        '{"schema_version":1,"id":"i","timestamp":"t","context":{"session_id":"s","turn_id":"1"},'
        '"type":"tool_call_completed","call_id":"c","name":"suche","args":{"q":"größer\\n…"},"duration_ms":3,'
        '"truncated":["args.q"]}\n'
    )


def test_what_is_none_or_empty_is_left_out_of_a_record() -> None:
    line = encode_record(TraceRecord("i", "t", TraceEvent.ToolCallStarted("c", "search", {})))
    assert line == (
        b'{"schema_version":1,"id":"i","timestamp":"t","type":"tool_call_started","call_id":"c","name":"search"}\n'
    )


def test_what_is_none_or_empty_stays_in_the_values_of_tools() -> None:
    event = TraceEvent.ToolCallStarted("c", "search", {"a": None, "b": [], "c": {}})
    assert read(event).event == event


def test_a_surrogate_that_stands_alone_is_written_as_its_escape() -> None:
    assert rb'"payload":"a\ud800b"' in encode_record(record(TraceEvent.Custom("n", "a\ud800b")))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()], ids=["nan", "inf", "object"])
def test_what_is_no_json_is_refused_with_a_trace_sink_error(value: object) -> None:
    bad = TraceEvent.Custom("n", value)  # pyright: ignore[reportArgumentType] - that is the point
    with pytest.raises(TraceSinkError, match="cannot be written as JSON"):
        encode_record(record(bad))


def test_unknown_keys_are_ignored_when_reading() -> None:
    decoded = decode_record(line_of(payload=1, colour="red", context={"session_id": "s", "planet": "earth"}))
    assert decoded == TraceRecord("i", "t", TraceEvent.Custom("n", 1), TraceContext(session_id="s"))


def test_a_record_of_an_unknown_type_is_kept_as_it_was_read() -> None:
    line = '{"schema_version":1,"id":"i","timestamp":"t","type":"future_kind","depth":[1,2.5,null]}\n'
    decoded = decode_record(line)
    assert isinstance(decoded, UnknownTraceRecord)
    assert decoded.raw["depth"] == [1, 2.5, None]
    assert encode_record(decoded).decode() == line


def test_a_known_type_of_a_later_version_that_has_another_shape_is_unknown() -> None:
    decoded = decode_record(line_of(schema_version=2, name=["changed"]))
    assert isinstance(decoded, UnknownTraceRecord)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not JSON"),
        ("[1]", "not list"),
        ('"text"', "not str"),
        (line_of(payload=float("nan")), "NaN"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (line_of(schema_version="1"), "schema_version"),
        (line_of(schema_version=0), "schema_version"),
        (line_of(schema_version=True), "schema_version"),
        (line_of(type=None), "type"),
        (line_of(id=7), "id"),
        (line_of(name=["no", "text"]), "name"),
        (line_of(type="tool_call_started", name="n"), "call_id"),
        (line_of(context=[]), "context"),
    ],
)
def test_a_text_that_is_no_record_is_refused_and_says_why(line: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidRecord, match=reason):
        decode_record(line)
