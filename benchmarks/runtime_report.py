"""What is shown of the runtime's figures: a row for each, with target, spread and peer, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.report import brief, shown, table
from benchmarks.runtime_measure import BLOCKED, COLLECTED, Sample

BLOCKED_TARGET_MS = 20
"""For how long an event loop may be blocked at most."""
OFF_LOOP = frozenset({"steps", "snapshots", "decoding"})
"""Jobs of pure computation, which say nothing about a host's loop."""


class Row(NamedTuple):
    """One line of the table: job and figure, title, factor to the shown unit, unit, target, and what the peer is.

    `at_least` turns the target round: figures per second should be greater.
    """

    job: str
    key: str
    title: str
    factor: float
    unit: str
    target: float | None = None
    peer: str = ""
    at_least: bool = False

    def met(self, figure: float) -> bool | None:
        """Whether a figure keeps to the target; None where there is none."""
        if self.target is None:
            return None
        value = figure * self.factor
        return value >= self.target if self.at_least else value <= self.target

    def verdict(self, figure: float) -> str:
        """The same in words, with the factor by which it is missed."""
        if self.target is None:
            return ""
        if self.met(figure):
            return "met"
        times = figure * self.factor / self.target
        return f"missed ({brief(1 / times if self.at_least else times)}x)"


def _tool_rows() -> Iterator[Row]:
    """The rows of tool calls: each mode, in memory and with store and journal, each kind of function, how many."""
    for job, where in (
        ("calls_standard", "standard"),
        ("calls_rlm", "RLM"),
        ("calls_standard_stored", "standard, SQLite and journal"),
        ("calls_rlm_stored", "RLM, SQLite and journal"),
    ):
        for kind, peer in (("async", "asyncio.gather"), ("plain", "gather of to_thread")):
            for name, count in (("one", "one"), ("some", "each of 100"), ("all", "each of 1,000")):
                yield Row(job, f"{kind}_{name}", f"tool call, {where}: {count}, {kind}", 1e6, "us", None, peer)


HAND_LOOP = "loop by hand"
BARE_SQLITE = "bare sqlite3"
ROWS = (
    Row("steps", "step", "turn machine: step", 1e6, "us", 30, "generator"),
    Row("snapshots", "snapshot", "turn machine: snapshot, 200 messages", 1e3, "ms", 5, "pickle"),
    Row("snapshots", "restore", "turn machine: restore, 200 messages", 1e3, "ms", 5, "pickle"),
    Row("snapshots", "snapshot_size", "turn machine: size of the snapshot", 1e-3, "kB", 1000, "pickle"),
    Row("turns", "turn", "turn, no tools, in memory", 1e3, "ms", 3, "provider alone"),
    Row("iterations", "iteration", "iteration of an RLM turn", 1e3, "ms", 3, HAND_LOOP),
    Row("long_session", "late_turn", "turn behind 270 others", 1e3, "ms"),
    Row("stored_turns", "stored_turn", "turn with a program, stored, FULL", 1e3, "ms"),
    Row("tool_calls", "tool_call", "tool call of a program", 1e6, "us", None, "VM's call"),
    Row("tool_calls", "tool_wave", "tool call, 500 in flight", 1e6, "us", None, "VM's call"),
    *_tool_rows(),
    Row("activities", "to_sink", "activities to a sink", 1e-3, "k/s", 50, "callback", at_least=True),
    Row("activities", "to_iterator", "activities to an iterator", 1e-3, "k/s", 20, "asyncio.Queue", at_least=True),
    Row("commits_full", "commit_full", "commit, 6 nodes + 40 KB, FULL", 1e3, "ms", 5, BARE_SQLITE),
    Row("commits_full", "commit_full_p99", "commit, FULL, 99th percentile", 1e3, "ms", 30, BARE_SQLITE),
    Row("commits_full", "fsync", "write and fsync of 40 KB alone", 1e3, "ms"),
    Row("commits_normal", "commit_normal", "commit, NORMAL", 1e3, "ms", 2, BARE_SQLITE),
    Row("growth", "growth", "commit to 10,000 nodes / to 100", 1, "x", 1.3),
    Row("side_by_side", "side_by_side", "commits of 16 sessions at once", 1, "/s", 300, at_least=True),
    Row("opening", "open_path", "read of 200 of 10,000 nodes, cold", 1e3, "ms", 20, BARE_SQLITE),
    Row("opening", "open_full", "read of 10,000 nodes, cold", 1e3, "ms", 400, BARE_SQLITE),
    Row("opening", "open_session", "session of 10,000 nodes opened", 1e3, "ms", 400),
    Row("viewing", "read_view", "read view at 10,000 nodes", 1e3, "ms", 1),
    Row("viewing", "view_messages", "its conversation", 1e3, "ms"),
    Row("idle", "idle", "idle open session, 200 nodes", 1e-3, "kB", 1500),
    Row("parked", "parked", "parked session, of 1,000", 1e-3, "kB", 4),
    Row("parked", "park", "open, one turn, park; 1,000", 1e3, "ms"),
    Row("parked", "resume", "resume one of 1,000, any order", 1e3, "ms"),
    Row("parked_many", "parked", "parked session, of 10,000", 1e-3, "kB", 4),
    Row("parked_many", "park", "open, one turn, park; 10,000", 1e3, "ms"),
    Row("parked_many", "resume", "resume one of 10,000, any order", 1e3, "ms"),
    Row("journal", "effect", "effect under the journal", 1e3, "ms", None, "inline host"),
    Row("journal", "effect_to_commit", "effect under the journal / commit", 1, "x", 1.5),
    Row("journal", "effect_replayed", "effect played back", 1e3, "ms"),
    Row("decoding", "decode_anthropic", "delta decoded, Messages API", 1e6, "us", None, "json.loads"),
    Row("decoding", "decode_chat", "delta decoded, Chat Completions", 1e6, "us", None, "json.loads"),
    Row("starting", "start_import", "process that imports lash", 1e3, "ms", None, "libraries alone"),
    Row("starting", "start_turn", "process that runs a first turn", 1e3, "ms"),
)

Found = Mapping[str, Mapping[str, Sample]]
"""The figures of every job."""


def sampled(found: Found) -> Iterator[tuple[Row, Sample, Sample | None]]:
    """The rows that were measured, with their figures and those of their peers."""
    for row in ROWS:
        figures = found.get(row.job, {})
        if row.key in figures:
            yield row, figures[row.key], figures.get(f"{row.key}.peer")


def blocked_of(found: Found) -> dict[str, Sample]:
    """How long the event loop of each job was blocked at most, for those that say something about a host's loop."""
    return {name: figures[BLOCKED] for name, figures in found.items() if name not in OFF_LOOP and BLOCKED in figures}


def report(found: Found, failed: Mapping[str, str], runs: int, markdown: bool) -> str:
    """The table of figures, that of blocked loops, and the jobs that failed."""
    body: list[list[str]] = []
    for row, ours, peer in sampled(found):
        sign = ">=" if row.at_least else "<="
        beside = ""
        if peer is not None:
            beside = f"{row.peer}: {shown(peer.median * row.factor)} ({brief(peer.median / ours.median)}x)"
        body.append(
            [
                f"{row.title} ({row.unit})",
                shown(ours.median * row.factor),
                f"{shown(ours.least * row.factor)} - {shown(ours.greatest * row.factor)}",
                "" if row.target is None else f"{sign} {row.target:g}",
                row.verdict(ours.median),
                beside,
            ]
        )
    parts = [
        f"median of {runs} runs, least and greatest; (0.5x): half the figure of lash",
        table(["measure", "lash", "spread", "target", "", "peer"], body, markdown),
    ]
    if blocked := blocked_of(found):
        lines = [
            [
                name,
                shown(sample.median * 1e3),
                shown(sample.greatest * 1e3),
                _blocked_verdict(sample),
                shown(found[name][COLLECTED].median * 1e3),
            ]
            for name, sample in blocked.items()
        ]
        head = ["event loop blocked at most (ms)", "median", "worst run", f"<= {BLOCKED_TARGET_MS}", "collector alone"]
        parts.append(table(head, lines, markdown))
    parts += [f"{name}: failed, {why}" for name, why in failed.items()]
    return "\n\n".join(parts)


def _blocked_verdict(sample: Sample) -> str:
    times = sample.median * 1e3 / BLOCKED_TARGET_MS
    return "met" if times <= 1 else f"missed ({brief(times)}x)"


def document(found: Found, failed: Mapping[str, str], runs: int, info: dict[str, Any]) -> dict[str, Any]:
    """Everything as JSON: machine, raw figures of every run, medians in the shown unit, targets, ratios to peers."""
    rows: list[dict[str, Any]] = []
    for row, ours, peer in sampled(found):
        told: dict[str, Any] = {
            "job": row.job,
            "figure": row.key,
            "title": row.title,
            "unit": row.unit,
            "median": ours.median * row.factor,
            "least": ours.least * row.factor,
            "greatest": ours.greatest * row.factor,
            "raw": list(ours.values),
        }
        if row.target is not None:
            told |= {"target": row.target, "at_least": row.at_least, "met": row.met(ours.median)}
        if peer is not None:
            told["peer"] = {
                "name": row.peer,
                "median": peer.median * row.factor,
                "ratio_to_lash": round(peer.median / ours.median, 4),
                "raw": list(peer.values),
            }
        rows.append(told)
    blocked = {name: [value * 1e3 for value in sample.values] for name, sample in blocked_of(found).items()}
    return {
        "machine": info,
        "runs": runs,
        "rows": rows,
        "event_loop_blocked_ms": {"target": BLOCKED_TARGET_MS, "jobs": blocked},
        "failed": dict(failed),
    }
