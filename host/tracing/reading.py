"""Reading a trace: its lines as records, and the records of a call or turn put together (observability.md 4)."""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias, cast

from lash.host.tracing.encoding import InvalidRecord, NotJson, decode_record
from lash.host.tracing.entries import TraceEntry
from lash.host.tracing.sharing import expand_messages
from lash.runtime.errors import LashError
from lash.runtime.seams.trace import TRACE_SCHEMA_VERSION, TraceEvent, TraceRecord, UnknownTraceRecord

_log = logging.getLogger("lash.tracing")


class TraceParseError(LashError):
    """A line of a trace is no record; `line` is its number, from 1."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__("trace_parse", f"{path}, line {line}: {reason}")
        self.line = line


def read_trace(path: str | os.PathLike[str], strict: bool = False) -> Generator[TraceEntry]:
    """The lines of a trace, which may be compressed with gzip, as they are in the file.

    Blank lines are skipped, and so is a last line that a crash has cut. Any other line that is no record is an invalid
    entry, or raises TraceParseError where `strict` is set. A file of a later version of lash is read as far as it can
    be, with one warning in the log. Raises OSError where there is no such file.
    """
    place = Path(path)
    with _opened(place) as file:
        warned = False
        for number, line, error in _lines(file):
            if not line.strip() and error is None:
                continue
            record = None
            if error is None:
                try:
                    record = decode_record(line)
                except InvalidRecord as problem:
                    if isinstance(problem, NotJson) and not line.endswith(b"\n"):
                        return
                    error = str(problem)
            if error is not None and strict:
                raise TraceParseError(place, number, error)
            version = _version(record)
            if version > TRACE_SCHEMA_VERSION and not warned:
                warned = True
                _log.warning(
                    "%s has records of version %d; this version of lash knows %d and may miss some of what they say",
                    place,
                    version,
                    TRACE_SCHEMA_VERSION,
                )
            yield TraceEntry(number, line.decode("utf-8", "replace").rstrip("\r\n"), record, error)


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if compressed else path.open("rb")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes, str | None]]:
    """Number and bytes of each line; an error where a compressed file breaks off."""
    number = 0
    while True:
        number += 1
        try:
            line = file.readline()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            yield number, b"", f"the compressed file breaks off here: {error}"
            return
        if not line:
            return
        yield number, line, None


def _version(record: TraceRecord | UnknownTraceRecord | None) -> int:
    if isinstance(record, UnknownTraceRecord):
        return cast("int", record.raw["schema_version"])
    return record.schema_version if record is not None else TRACE_SCHEMA_VERSION


@dataclass(slots=True)
class _Folded:
    """What was found of one call or turn. Either end may be missing: cut off, or not come to."""

    session_id: str | None
    turn_id: str | None
    started: TraceRecord | None = None
    completed: TraceRecord | None = None

    @property
    def missing_start(self) -> bool:
        """Whether there is an end without a beginning."""
        return self.started is None

    @property
    def missing_completion(self) -> bool:
        """Whether there is a beginning without an end."""
        return self.completed is None

    @property
    def orphan(self) -> bool:
        """Whether either is missing."""
        return self.missing_start or self.missing_completion


@dataclass(slots=True)
class LlmCall(_Folded):
    """A model call with its failed attempts; one that failed for good has no completion and is no orphan."""

    llm_call_id: str = ""
    failures: list[TraceRecord] = field(default_factory=list[TraceRecord])

    @property
    def missing_completion(self) -> bool:
        """Whether the call neither succeeded nor failed."""
        return self.completed is None and not self.failures


@dataclass(slots=True)
class ToolCall(_Folded):
    """A tool call."""

    call_id: str = ""


@dataclass(slots=True)
class Turn(_Folded):
    """A turn; `suspensions` are its records of waiting and going on."""

    suspensions: list[TraceRecord] = field(default_factory=list[TraceRecord])


Folded: TypeAlias = LlmCall | ToolCall | Turn
_Key: TypeAlias = tuple[str, str | None, str | None, str]


def fold_calls(entries: Iterable[TraceEntry]) -> Generator[Folded]:
    """Model calls, tool calls and turns of a trace, each when its end is read, those without one at last.

    A fact that a re-driven turn repeats (`replayed`) is not told twice: it completes what was begun, or is passed over
    where that has an end already. A call that begins again because its first run was lost is an orphan and a new call.
    Requests that share their beginning with earlier ones are made whole.
    """
    fold = _Fold()
    for entry in expand_messages(entries):
        if isinstance(entry.record, TraceRecord):
            yield from fold.take(entry.record)
    yield from fold.rest()


class _Fold:
    """What is open, and what was seen."""

    def __init__(self) -> None:
        self._open: dict[_Key, Folded] = {}
        self._done: set[_Key] = set()
        self._failed: dict[_Key, TraceRecord] = {}

    def take(self, record: TraceRecord) -> Iterator[Folded]:
        """What a record completes."""
        event, context = record.event, record.context
        match event:
            case TraceEvent.LlmCallStarted():
                yield from self._begin("llm", context.llm_call_id, record)
            case TraceEvent.LlmCallFailed():
                call = self._find("llm", context.llm_call_id, record)
                if isinstance(call, LlmCall):
                    call.failures.append(record)
            case TraceEvent.LlmCallCompleted():
                yield from self._end("llm", context.llm_call_id, record, replayed=bool(event.replayed))
            case TraceEvent.ToolCallStarted():
                yield from self._begin("tool", event.call_id, record)
            case TraceEvent.ToolCallCompleted():
                yield from self._end("tool", event.call_id, record, replayed=bool(event.replayed))
            case TraceEvent.TurnStarted():
                turn = self._find("turn", "", record)
                turn.started = turn.started or record
            case TraceEvent.TurnSuspended() | TraceEvent.TurnResumed():
                turn = self._find("turn", "", record)
                # A turn that failed and is driven again has begun where it began the first time.
                turn.started = turn.started or self._failed.pop(_key("turn", "", record), None)
                if isinstance(turn, Turn):
                    turn.suspensions.append(record)
            case TraceEvent.TurnCompleted():
                yield from self._end_turn(record)
            case _:
                return

    def rest(self) -> Iterator[Folded]:
        """What has no end."""
        yield from self._open.values()

    def _begin(self, kind: str, name: str | None, record: TraceRecord) -> Iterator[Folded]:
        key = _key(kind, name, record)
        if (lost := self._open.pop(key, None)) is not None:
            yield lost
        self._find(kind, name, record).started = record

    def _end(self, kind: str, name: str | None, record: TraceRecord, *, replayed: bool) -> Iterator[Folded]:
        key = _key(kind, name, record)
        if replayed and key in self._done:
            return
        ended = self._find(kind, name, record)
        ended.completed = record
        del self._open[key]
        self._done.add(key)
        yield ended

    def _end_turn(self, record: TraceRecord) -> Iterator[Folded]:
        """The turn, after its calls that have no end: none will come."""
        _, session, turn, _ = _key("turn", "", record)
        left = [key for key in self._open if key[0] != "turn" and key[1:3] == (session, turn)]
        for key in left:
            yield self._open.pop(key)
        for ended in self._end("turn", "", record, replayed=False):
            if _has_failed(record) and ended.started is not None:
                self._failed[_key("turn", "", record)] = ended.started
            yield ended

    def _find(self, kind: str, name: str | None, record: TraceRecord) -> Folded:
        """What is open under that name, or a new one."""
        key = _key(kind, name, record)
        found = self._open.get(key)
        if found is None:
            session, turn = record.context.session_id, record.context.turn_id
            found = self._open[key] = (
                LlmCall(session, turn, llm_call_id=name or "")
                if kind == "llm"
                else ToolCall(session, turn, call_id=name or "")
                if kind == "tool"
                else Turn(session, turn)
            )
        return found


def _has_failed(record: TraceRecord) -> bool:
    return isinstance(record.event, TraceEvent.TurnCompleted) and record.event.status == "failed"


def _key(kind: str, name: str | None, record: TraceRecord) -> _Key:
    return kind, record.context.session_id, record.context.turn_id, name or ""
