"""Two reports of the runtime side by side: `python -m benchmarks.runtime_compare before.json after.json`.

A figure that is worse by more than a fifth is a regression, and the exit status is then 1. Reports of different
machines, or of one that had other things to do, are not worth comparing: their load averages are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import shown, table

TOLERANCE = 0.2
"""By how much a figure may be worse."""


def worse_by(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """By which part of itself a figure has become worse; below zero where it has become better."""
    ratio = after["median"] / before["median"]
    return 1 / ratio - 1 if after.get("at_least") else ratio - 1


def compared(before: Mapping[str, Any], after: Mapping[str, Any], markdown: bool) -> tuple[str, list[str]]:
    """The table of the figures that both reports have, and the titles of those that have become worse."""
    known = {(row["job"], row["figure"]): row for row in before["rows"]}
    body: list[list[str]] = []
    regressions: list[str] = []
    for row in after["rows"]:
        old = known.get((row["job"], row["figure"]))
        if old is None:
            continue
        worse = worse_by(old, row)
        verdict = "regression" if worse > TOLERANCE else ""
        if verdict:
            regressions.append(row["title"])
        change = f"{worse:+.0%}"
        body.append([f"{row['title']} ({row['unit']})", shown(old["median"]), shown(row["median"]), change, verdict])
    return table(["measure", "before", "after", "worse by", ""], body, markdown), regressions


def main(arguments: list[str] | None = None) -> int:
    """Compare two files; 1 where something has become worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtime_compare", description="Compare two reports.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    args = parser.parse_args(arguments)
    before, after = (json.loads(file.read_text(encoding="utf-8")) for file in (args.before, args.after))
    for name, report in (("before", before), ("after", after)):
        print(f"{name}: {report['machine'].get('processor')}, load average {report['machine'].get('load_average')}")
    text, regressions = compared(before, after, args.markdown)
    print(text)
    print(f"worse by more than {TOLERANCE:.0%}: {', '.join(regressions) or 'nothing'}")
    return 1 if regressions else 0


if __name__ == "__main__":
    sys.exit(main())
