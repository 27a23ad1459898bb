"""All fuzz targets by name."""

from __future__ import annotations

from tests.fuzz import compiler, execution, snapshots, source, values
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (source.TARGET, compiler.TARGET, execution.TARGET, snapshots.TARGET, values.TARGET)
}
"""The targets of this folder."""
