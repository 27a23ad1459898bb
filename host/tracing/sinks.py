"""Sinks for memory, standard error and other sinks. Each redacts what it is given."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO

from lash.host.tracing.encoding import encode_record
from lash.host.tracing.redaction import LearnsSecrets, Redactor
from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import TraceRecord, TraceSink


class RedactedSink(TraceSink):
    """Base of the sinks that redact; `redactor` is a default one unless given."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.redactor = redactor or Redactor()

    def learn_secrets(self, values: Iterable[str]) -> None:
        """Redact these values too from now on."""
        self.redactor.learn_secrets(values)


class NullTraceSink(TraceSink):
    """Takes records and keeps nothing."""

    def append(self, record: TraceRecord) -> None:
        """Forget the record."""


class MemoryTraceSink(RedactedSink):
    """Keeps the last `maxlen` records."""

    def __init__(self, maxlen: int = 10_000, *, redactor: Redactor | None = None) -> None:
        super().__init__(redactor)
        self._records: deque[TraceRecord] = deque(maxlen=maxlen)

    @property
    def records(self) -> tuple[TraceRecord, ...]:
        """The records, oldest first."""
        return tuple(self._records)

    def append(self, record: TraceRecord) -> None:
        """Keep the record."""
        self._records.append(self.redactor.redact(record))


class StderrTraceSink(RedactedSink):
    """Writes lines to a text stream: standard error, as it is at the time, if none is given."""

    def __init__(self, stream: TextIO | None = None, *, redactor: Redactor | None = None) -> None:
        super().__init__(redactor)
        self._stream = stream
        self._lock = threading.Lock()

    def append(self, record: TraceRecord) -> None:
        """Write the record as a line; TraceSinkError where the stream does not take it."""
        line = encode_record(self.redactor.redact(record)).decode()
        stream = self._stream or sys.stderr
        try:
            with self._lock:
                stream.write(line)
                stream.flush()
        except (OSError, ValueError) as error:  # a closed stream raises ValueError
            raise TraceSinkError(f"the stream takes no trace: {error}") from error


class RedactingTraceSink(RedactedSink):
    """Gives redacted records to a sink that does not redact by itself."""

    def __init__(self, inner: TraceSink, redactor: Redactor | None = None) -> None:
        super().__init__(redactor)
        self._inner = inner

    def append(self, record: TraceRecord) -> None:
        """Redact the record and pass it on."""
        self._inner.append(self.redactor.redact(record))

    def flush(self, timeout: float = 5.0) -> None:
        """Flush the sink behind."""
        self._inner.flush(timeout)

    def close(self) -> None:
        """Close the sink behind."""
        self._inner.close()


class TeeTraceSink(TraceSink):
    """Gives records to several sinks. All of them are tried; what they raise is raised afterwards, as one error."""

    def __init__(self, *sinks: TraceSink) -> None:
        self._sinks = sinks

    def append(self, record: TraceRecord) -> None:
        """Give the record to each; TraceSinkError with all errors where some failed."""
        self._each("append", lambda sink: sink.append(record))

    def flush(self, timeout: float = 5.0) -> None:
        """Flush each, with so much time for every one; errors as in `append`."""
        self._each("flush", lambda sink: sink.flush(timeout))

    def close(self) -> None:
        """Close each; errors as in `append`."""
        self._each("close", lambda sink: sink.close())

    def learn_secrets(self, values: Iterable[str]) -> None:
        """Tell the sinks that redact."""
        known = list(values)
        for sink in self._sinks:
            if isinstance(sink, LearnsSecrets):
                sink.learn_secrets(known)

    def _each(self, what: str, act: Callable[[TraceSink], None]) -> None:
        errors: list[Exception] = []
        for sink in self._sinks:
            try:
                act(sink)
            except Exception as error:
                error.add_note(f"raised by {type(sink).__name__}.{what}")
                errors.append(error)
        if errors:
            texts = "; ".join(f"{type(error).__name__}: {error}" for error in errors)
            failure = TraceSinkError(f"{len(errors)} of {len(self._sinks)} sinks failed to {what}: {texts}")
            raise failure from ExceptionGroup(f"trace sinks failed to {what}", errors)
