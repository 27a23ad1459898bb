"""Simple case mappings of Unicode 16.0.0, from the table that ships with the product (chapter 10.2).

It is the one file of data the oracle shares with the kernel: the specification wants every means of
checking to read the same table.
"""

from __future__ import annotations

import json
from pathlib import Path

import lashlang

TABLE = Path(lashlang.__file__).parent / "kernel" / "unicode_case.json"


def read_table(which: str) -> dict[int, int]:
    """The mapping `lower` or `upper`, as `str.translate` takes it."""
    pairs: list[tuple[int, int]] = json.loads(TABLE.read_text(encoding="utf-8"))[which]
    return dict(pairs)


LOWER = read_table("lower")
UPPER = read_table("upper")
