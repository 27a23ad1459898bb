"""Requests that leave out what an earlier request of the file has said."""

from __future__ import annotations

from pathlib import Path

from lash.host.tracing.entries import TraceEntry
from lash.host.tracing.jsonl import JsonlTraceSink
from lash.host.tracing.reading import fold_calls, read_trace
from lash.host.tracing.redaction import Redactor
from lash.host.tracing.sharing import MOST_SESSIONS, PrefixSharing, expand_messages
from lash.runtime.seams.trace import TraceContext, TraceEvent, TraceRecord
from lash.runtime.seams.trace_events import TraceBlock, TraceMessage, TraceMessagesBase, TraceRequest
from tests.host.tracing.samples import record


def asked(number: int, *texts: str, session: str = "s") -> TraceRecord:
    messages = tuple(TraceMessage("user", (TraceBlock.Text(text),)) for text in texts)
    event = TraceEvent.LlmCallStarted(TraceRequest(model="m", messages=messages))
    return record(event, number, TraceContext(session_id=session, turn_id="t", llm_call_id=str(number)))


def request_of(entry: TraceEntry) -> TraceRequest:
    assert isinstance(entry.record, TraceRecord)
    assert isinstance(entry.record.event, TraceEvent.LlmCallStarted)
    return entry.record.event.request


def written(path: Path, *records: TraceRecord, **knobs: int) -> list[TraceRequest]:
    """The requests of a file as they stand there."""
    sink = JsonlTraceSink(path, prefix_sharing=True, redactor=Redactor(environment={}), **knobs)  # type: ignore[arg-type]  # pyright: ignore
    for one in records:
        sink.append(one)
    sink.close()
    return [request_of(entry) for entry in read_trace(path, strict=True)]


def whole(path: Path) -> list[TraceRecord]:
    return [one.record for one in expand_messages(read_trace(path)) if isinstance(one.record, TraceRecord)]


def test_a_request_names_what_it_begins_like_and_the_rest(tmp_path: Path) -> None:
    calls = [asked(1, "a", "b"), asked(2, "a", "b", "c"), asked(3, "a", "x"), asked(4, "a", "x")]
    first, second, third, fourth = written(tmp_path / "t", *calls)
    assert first.messages_base is None
    assert (second.messages, second.messages_base) == ((), TraceMessagesBase("id-1", 2))
    assert [block.text for message in second.messages_tail for block in message.blocks] == ["c"]  # type: ignore[union-attr]  # pyright: ignore
    assert third.messages_base == TraceMessagesBase("id-2", 1)
    assert (fourth.messages_base, fourth.messages_tail) == (TraceMessagesBase("id-3", 2), ())
    assert whole(tmp_path / "t") == calls


def test_requests_that_begin_otherwise_and_those_of_other_sessions_are_whole(tmp_path: Path) -> None:
    calls = [asked(1, "a"), asked(2, "a", session="other"), asked(3, "b"), asked(4, "a", "b", session="other")]
    requests = written(tmp_path / "t", *calls)
    assert [one.messages_base for one in requests] == [None, None, None, TraceMessagesBase("id-2", 1)]
    assert whole(tmp_path / "t") == calls


def test_without_the_option_requests_are_whole(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", redactor=Redactor(environment={}))
    for one in (asked(1, "a"), asked(2, "a", "b")):
        sink.append(one)
    sink.close()
    assert [request_of(entry).messages_base for entry in read_trace(tmp_path / "t")] == [None, None]


def test_a_new_file_begins_with_a_whole_request(tmp_path: Path) -> None:
    path = tmp_path / "t"
    calls = [asked(number, *(f"{word} " * 40 for word in "abcd"[:number])) for number in (1, 2, 3, 4)]
    written(path, *calls, max_bytes=900)
    files = sorted(tmp_path.iterdir(), reverse=True)
    assert len(files) > 1
    assert [one for file in files for one in whole(file)] == calls
    for file in files:
        assert request_of(next(read_trace(file))).messages_base is None


def test_a_file_that_was_moved_away_takes_its_requests_with_it(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", prefix_sharing=True)
    sink.append(asked(1, "a"))
    (tmp_path / "t").rename(tmp_path / "moved")
    sink.append(asked(2, "a", "b"))
    sink.close()
    assert whole(tmp_path / "t") == [asked(2, "a", "b")]


def test_a_request_whose_base_is_missing_stays_as_it_is(tmp_path: Path) -> None:
    written(tmp_path / "t", asked(1, "a"), asked(2, "a", "b"), asked(3, "a", "b", "c"))
    entries = list(read_trace(tmp_path / "t"))[1:]
    assert list(expand_messages(entries)) == entries


def test_folded_calls_have_whole_requests(tmp_path: Path) -> None:
    calls = [asked(1, "a"), asked(2, "a", "b")]
    written(tmp_path / "t", *calls)
    assert [one.started for one in fold_calls(read_trace(tmp_path / "t"))] == calls


def test_only_so_many_sessions_are_remembered() -> None:
    sharing = PrefixSharing()
    for number in range(MOST_SESSIONS + 1):
        sharing.wrote(asked(number, "a", session=str(number)))
    first, last = asked(1, "a", session="0"), asked(2, "a", session="1")
    assert sharing.shared(first) is first
    assert sharing.shared(last) is not last
