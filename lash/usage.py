"""What sessions have used: token counts, reports and the labels that usage is booked under."""

from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.usage import SessionUsageReport, UsageTotals, diff_usage_reports

__all__ = ["SessionUsageReport", "TokenLedgerEntry", "TokenUsage", "UsageTotals", "diff_usage_reports"]
