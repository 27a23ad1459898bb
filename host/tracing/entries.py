"""Lines of a trace as readers have them."""

from __future__ import annotations

from dataclasses import dataclass

from lash.runtime.seams.trace import TraceRecord, UnknownTraceRecord


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line: its number, its text, and the record; without one the line is invalid and `error` says why."""

    line_no: int
    raw: str
    record: TraceRecord | UnknownTraceRecord | None
    error: str | None = None

    @property
    def invalid(self) -> bool:
        """Whether the line is no record."""
        return self.record is None
