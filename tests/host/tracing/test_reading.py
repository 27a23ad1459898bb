"""Reading a trace, and putting starts and ends together."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from lash.host.tracing.encoding import encode_record
from lash.host.tracing.entries import TraceEntry
from lash.host.tracing.reading import LlmCall, ToolCall, TraceParseError, Turn, fold_calls, read_trace
from lash.runtime.seams.trace import AnyTraceEvent, TraceContext, TraceEvent, TraceRecord, UnknownTraceRecord
from tests.host.tracing.samples import EVENTS, record

GOOD = encode_record(record(TraceEvent.Custom("n", 1)))
FUTURE = b'{"schema_version":1,"id":"i","timestamp":"t","type":"future_kind","x":1}\n'


def read(path: Path, data: bytes, *, strict: bool = False) -> list[TraceEntry]:
    path.write_bytes(data)
    return list(read_trace(path, strict))


def test_lines_have_their_number_and_their_text(tmp_path: Path) -> None:
    entries = read(tmp_path / "t", GOOD + b"\n  \r\n" + GOOD.replace(b"\n", b"\r\n"))
    assert [(entry.line_no, entry.raw) for entry in entries] == [(1, GOOD.decode().strip()), (4, GOOD.decode().strip())]
    assert all(entry.record == record(TraceEvent.Custom("n", 1)) for entry in entries)


def test_a_compressed_file_is_read_by_what_it_holds_and_not_by_its_name(tmp_path: Path) -> None:
    (entry,) = read(tmp_path / "trace.jsonl", gzip.compress(GOOD))
    assert entry.record == record(TraceEvent.Custom("n", 1))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("length", [1, 20, len(GOOD) - 2])
def test_a_last_line_that_a_crash_has_cut_is_passed_over(tmp_path: Path, length: int, strict: bool) -> None:
    entries = read(tmp_path / "t", GOOD + GOOD[:length], strict=strict)
    assert [entry.line_no for entry in entries] == [1]


def test_a_last_line_that_only_lacks_its_end_counts(tmp_path: Path) -> None:
    assert len(read(tmp_path / "t", GOOD + GOOD[:-1])) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b'{"broken\n', "not JSON"), (b"\xff\n", "not JSON"), (b"[1]\n", "not list"), (b'{"type":"custom"}\n', "version")],
)
def test_a_broken_line_in_the_middle_is_an_invalid_entry(tmp_path: Path, line: bytes, reason: str) -> None:
    entries = read(tmp_path / "t", GOOD + line + GOOD)
    assert [entry.invalid for entry in entries] == [False, True, False]
    assert reason in str(entries[1].error)
    with pytest.raises(TraceParseError, match=f"line 2: .*{reason}") as raised:
        read(tmp_path / "t", GOOD + line + GOOD, strict=True)
    assert raised.value.line == 2


def test_a_last_line_that_is_json_and_no_record_is_told_of(tmp_path: Path) -> None:
    assert [entry.invalid for entry in read(tmp_path / "t", GOOD + b"[1]")] == [False, True]


def test_a_compressed_file_that_breaks_off_is_read_so_far(tmp_path: Path) -> None:
    # Lines that do not compress well, so that whole ones come before the break.
    lines = b"".join(encode_record(record(event, number)) for number, event in enumerate(EVENTS * 50))
    entries = read(tmp_path / "t", gzip.compress(lines)[:-200])
    assert sum(not entry.invalid for entry in entries) > 100
    assert entries[-1].invalid
    assert "breaks off" in str(entries[-1].error)


def test_a_record_of_an_unknown_type_is_an_entry_like_others(tmp_path: Path) -> None:
    (entry,) = read(tmp_path / "t", FUTURE)
    assert isinstance(entry.record, UnknownTraceRecord)
    assert entry.record.raw["x"] == 1


def test_a_later_version_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    later = FUTURE.replace(b'"schema_version":1', b'"schema_version":9')
    with caplog.at_level(logging.WARNING, "lash.tracing"):
        entries = read(tmp_path / "t", later + GOOD + later)
    assert len(entries) == 3
    (warning,) = caplog.records
    assert "version 9" in warning.getMessage()


def test_a_file_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_trace(tmp_path / "none"))


# --- starts and ends -------------------------------------------------------------------------------

HERE = TraceContext(session_id="s", turn_id="t")
CALL = HERE.child(llm_call_id="l-1")

Fact = AnyTraceEvent | tuple[AnyTraceEvent, TraceContext]


def fold(*facts: Fact) -> list[LlmCall | ToolCall | Turn]:
    """What a trace of these events is folded to; those without a context are of one turn."""
    entries: list[TraceEntry] = []
    for number, fact in enumerate(facts):
        event, context = fact if isinstance(fact, tuple) else (fact, HERE)
        one = TraceRecord(str(number), "t", event, context)
        entries.append(TraceEntry(number + 1, json.dumps(number), one))
    return list(fold_calls(entries))


def names(folded: Sequence[LlmCall | ToolCall | Turn]) -> list[str]:
    """Each as the numbers of its start and end."""
    return [
        f"{type(one).__name__} {one.started.id if one.started else '-'}..{one.completed.id if one.completed else '-'}"
        for one in folded
    ]


STARTED, ENDED = TraceEvent.ToolCallStarted("c", "n"), TraceEvent.ToolCallCompleted("c", "n")
REPEATED = TraceEvent.ToolCallCompleted("c", "n", replayed=True)
BEGUN, OVER = TraceEvent.TurnStarted(), TraceEvent.TurnCompleted("completed")


def test_calls_and_turns_are_told_when_they_end() -> None:
    folded = fold(
        BEGUN,
        (TraceEvent.LlmCallStarted(), CALL),
        (TraceEvent.LlmCallFailed(attempt=1), CALL),
        (TraceEvent.LlmCallCompleted(), CALL),
        STARTED,
        ENDED,
        OVER,
    )
    assert names(folded) == ["LlmCall 1..3", "ToolCall 4..5", "Turn 0..6"]
    call = folded[0]
    assert isinstance(call, LlmCall)
    assert (call.llm_call_id, [failure.id for failure in call.failures]) == ("l-1", ["2"])
    assert not any(one.orphan for one in folded)


def test_a_model_call_that_failed_for_good_is_no_orphan() -> None:
    (call, _) = fold(BEGUN, (TraceEvent.LlmCallStarted(), CALL), (TraceEvent.LlmCallFailed(), CALL), OVER)
    assert isinstance(call, LlmCall)
    assert (call.completed, call.orphan) == (None, False)


def test_what_has_no_end_is_told_at_last_or_with_the_end_of_its_turn() -> None:
    assert names(fold(BEGUN, STARTED)) == ["Turn 0..-", "ToolCall 1..-"]
    folded = fold(BEGUN, STARTED, OVER)
    assert names(folded) == ["ToolCall 1..-", "Turn 0..2"]
    assert [one.missing_completion for one in folded] == [True, False]


def test_an_end_without_a_beginning_is_an_orphan() -> None:
    (call, turn) = fold(ENDED, OVER)
    assert call.missing_start
    assert turn.missing_start


def test_a_repetition_is_not_told_twice() -> None:
    resumed = TraceEvent.TurnResumed("replay", 1)
    folded = fold(BEGUN, STARTED, ENDED, resumed, REPEATED, OVER)
    assert names(folded) == ["ToolCall 1..2", "Turn 0..5"]
    turn = folded[-1]
    assert isinstance(turn, Turn)
    assert [one.id for one in turn.suspensions] == ["3"]


def test_a_repetition_completes_what_a_crash_left_open() -> None:
    assert names(fold(BEGUN, STARTED, TraceEvent.TurnResumed("replay", 1), REPEATED, OVER)) == [
        "ToolCall 1..3",
        "Turn 0..4",
    ]


def test_a_turn_that_failed_and_is_resumed_has_its_beginning() -> None:
    failed = TraceEvent.TurnCompleted("failed")
    folded = fold(BEGUN, failed, TraceEvent.TurnResumed("replay", 1), OVER)
    assert names(folded) == ["Turn 0..1", "Turn 0..3"]
    assert names(fold(TraceEvent.TurnResumed("replay", 1), OVER)) == ["Turn -..1"]


def test_a_call_that_begins_again_was_lost_the_first_time() -> None:
    folded = fold(BEGUN, STARTED, STARTED, ENDED, OVER)
    assert names(folded) == ["ToolCall 1..-", "ToolCall 2..3", "Turn 0..4"]
    assert [one.orphan for one in folded] == [True, False, False]


def test_calls_of_other_sessions_and_turns_are_other_calls() -> None:
    other = HERE.child(session_id="other")
    folded = fold(STARTED, (STARTED, other), (ENDED, other), ENDED)
    assert names(folded) == ["ToolCall 1..2", "ToolCall 0..3"]


def test_entries_that_are_no_records_are_passed_over() -> None:
    entries = [TraceEntry(1, "x", None, "not JSON"), TraceEntry(2, "y", UnknownTraceRecord({}))]
    assert list(fold_calls(entries)) == []
