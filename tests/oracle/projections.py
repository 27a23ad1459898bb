"""Reading projections (chapter 14). Only lazily read ones are special; inline ones are ordinary values."""

from __future__ import annotations

from .limits import Meter
from .values import LazyValue, ListValue, RecordValue, Value, holds_lazy, size


class Reader:
    """Reads projections as the operations of a fiber need them, and charges each read."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def read_top(self, v: Value) -> Value:
        """A value with a projection in its place read; those inside it stay."""
        if not isinstance(v, LazyValue):
            return v
        self.meter.bulk(size(v.value))
        return v.value

    def read(self, v: Value) -> Value:
        """A value with every projection in it read, depth-first."""
        return self._read_parts(v, {}) if holds_lazy(v) else v

    def _read_parts(self, v: Value, known: dict[int, Value]) -> Value:
        if not holds_lazy(v):
            return v
        if isinstance(v, LazyValue):
            return self.read_top(v)
        if id(v) not in known:
            if isinstance(v, ListValue):
                known[id(v)] = ListValue([self._read_parts(x, known) for x in v])
            elif isinstance(v, RecordValue):
                known[id(v)] = RecordValue([(key, self._read_parts(x, known)) for key, x in v.items()])
        return known[id(v)]
