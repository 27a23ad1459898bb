"""Requests without what an earlier request of the same file has said (observability.md 2).

Every model call of a session repeats the messages of the calls before it, so that a file grows with the square of the
session's length. Shared, a request names the record that it begins like, how many messages it takes from there, and
the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Final

from lash.host.tracing.entries import TraceEntry
from lash.runtime.seams.trace import TraceEvent, TraceRecord
from lash.runtime.seams.trace_events import TraceMessage, TraceMessagesBase, TraceRequest

Messages = tuple[TraceMessage, ...]

MOST_SESSIONS: Final = 256
"""So many sessions' last requests are kept; one that was forgotten writes its next request whole."""


class PrefixSharing:
    """What the sessions of one file have asked last."""

    def __init__(self) -> None:
        self._last: OrderedDict[str | None, tuple[str, Messages]] = OrderedDict()

    def shared(self, record: TraceRecord) -> TraceRecord:
        """The record, its request shortened by what the session's last request has said as well."""
        event, last = record.event, self._last.get(record.context.session_id)
        if not isinstance(event, TraceEvent.LlmCallStarted) or last is None:
            return record
        base, messages = last[0], event.request.messages
        keep = _common(last[1], messages)
        if keep == 0:
            return record
        request = replace(
            event.request, messages=(), messages_base=TraceMessagesBase(base, keep), messages_tail=messages[keep:]
        )
        return replace(record, event=replace(event, request=request))

    def wrote(self, record: TraceRecord) -> None:
        """A record, here with its whole request, is in the file."""
        if isinstance(record.event, TraceEvent.LlmCallStarted):
            session = record.context.session_id
            self._last[session] = record.id, record.event.request.messages
            self._last.move_to_end(session)
            if len(self._last) > MOST_SESSIONS:
                self._last.popitem(last=False)

    def forget(self) -> None:
        """A new file begins."""
        self._last.clear()


def expand_messages(entries: Iterable[TraceEntry]) -> Generator[TraceEntry]:
    """The entries with the whole messages of every request.

    One that takes messages from a record that is not among the entries, as after a rotation, stays as it is.
    """
    known: dict[str, Messages] = {}
    for entry in entries:
        record = entry.record
        if not isinstance(record, TraceRecord) or not isinstance(record.event, TraceEvent.LlmCallStarted):
            yield entry
            continue
        request = _expanded(record.event.request, known)
        known[record.id] = request.messages
        if request is record.event.request:
            yield entry
        else:
            yield replace(entry, record=replace(record, event=replace(record.event, request=request)))


def _expanded(request: TraceRequest, known: dict[str, Messages]) -> TraceRequest:
    base = request.messages_base
    if base is None or len(known.get(base.record_id, ())) < base.keep:
        return request
    messages = known[base.record_id][: base.keep] + request.messages_tail
    return replace(request, messages=messages, messages_base=None, messages_tail=())


def _common(one: Messages, other: Messages) -> int:
    """How many messages both begin with."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
