"""What model calls are booked under, and reports over what was booked (runtime.md 9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from lash.runtime.sansio.usage import NO_USAGE, TokenLedgerEntry, TokenUsage

Key = TypeVar("Key", str, tuple[str, str])

TURN = "turn"
SUBAGENT = "subagent"
LLM_QUERY = "llm_query"
COMPACTION = "compaction"
OBSERVER = "observer"
REFLECTOR = "reflector"
SEARCH_TOOLS = "search_tools"
FORCED_HANDOFF = "continue_as_forced_context_fallback"
CHILD = "child"
"""The default of sessions that a session makes."""


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """The five counts, and all tokens with each counted once."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int

    @staticmethod
    def of(usage: TokenUsage) -> UsageTotals:
        """The totals of a usage."""
        return UsageTotals(
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            usage.total(),
        )


@dataclass(frozen=True, slots=True)
class SessionUsageReport:
    """What a session has used: in all, by source, by model, by both."""

    entry_count: int
    usage: UsageTotals
    by_source: dict[str, UsageTotals]
    by_model: dict[str, UsageTotals]
    by_source_model: dict[tuple[str, str], UsageTotals]


class Ledger:
    """Usage by source and model."""

    def __init__(self, entries: Iterable[TokenLedgerEntry] = ()) -> None:
        self._sums: dict[tuple[str, str], TokenUsage] = {}
        self._count = 0
        for entry in entries:
            self.book(entry)

    def book(self, entry: TokenLedgerEntry) -> None:
        """Add what was used."""
        key = (entry.source, entry.model)
        self._sums[key] = self._sums.get(key, NO_USAGE) + entry.usage
        self._count += 1

    def entries(self) -> tuple[TokenLedgerEntry, ...]:
        """One entry for each source and model, in the order of first use."""
        return tuple(TokenLedgerEntry(source, model, usage) for (source, model), usage in self._sums.items())

    def of_source(self, source: str) -> TokenUsage:
        """What one source has used."""
        return sum((usage for (name, _), usage in self._sums.items() if name == source), NO_USAGE)

    def total(self) -> TokenUsage:
        """What all have used."""
        return sum(self._sums.values(), NO_USAGE)

    def report(self, entry_count: int | None = None) -> SessionUsageReport:
        """The ledger as a report; `entry_count` where it is known how many entries were booked in all."""
        by_source: dict[str, TokenUsage] = {}
        by_model: dict[str, TokenUsage] = {}
        for (source, model), usage in self._sums.items():
            by_source[source] = by_source.get(source, NO_USAGE) + usage
            by_model[model] = by_model.get(model, NO_USAGE) + usage
        return SessionUsageReport(
            self._count if entry_count is None else entry_count,
            UsageTotals.of(self.total()),
            {source: UsageTotals.of(usage) for source, usage in by_source.items()},
            {model: UsageTotals.of(usage) for model, usage in by_model.items()},
            {key: UsageTotals.of(usage) for key, usage in self._sums.items()},
        )


def diff_usage_reports(before: SessionUsageReport, after: SessionUsageReport) -> SessionUsageReport:
    """What was used between two reports of one session; ValueError where a count has fallen."""

    if after.entry_count < before.entry_count:
        raise ValueError("the later report has fewer entries: these are not two reports of one session, in order")
    return SessionUsageReport(
        after.entry_count - before.entry_count,
        _minus(after.usage, before.usage),
        _differences(before.by_source, after.by_source),
        _differences(before.by_model, after.by_model),
        _differences(before.by_source_model, after.by_source_model),
    )


def _differences(before: dict[Key, UsageTotals], after: dict[Key, UsageTotals]) -> dict[Key, UsageTotals]:
    changes = {key: _minus(after.get(key, _NOTHING), before.get(key, _NOTHING)) for key in {**before, **after}}
    return {key: change for key, change in changes.items() if change != _NOTHING}


_NOTHING = UsageTotals.of(NO_USAGE)


def _minus(after: UsageTotals, before: UsageTotals) -> UsageTotals:
    counts = [
        getattr(after, name) - getattr(before, name)
        for name in (
            "input_tokens",
            "output_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "total_tokens",
        )
    ]
    if min(counts) < 0:
        raise ValueError("the later report counts fewer tokens: these are not two reports of one session, in order")
    return UsageTotals(*counts)
