"""Builtins on lists and records, and those that give wrappers (chapters 10.1, 10.2 and 11)."""

from __future__ import annotations

import math
from typing import Any

from .arguments import Built, Builtin, need_comparable, need_flag, need_list, need_record, optional, wrong
from .failure import Failure, type_error, value_error
from .json_forms import parse_json
from .limits import Meter
from .text import as_offset, as_text
from .types import Validation, failure_of
from .values import Comparison, ListValue, RecordValue, Value, truthy, type_name, weight


def keys(meter: Meter, args: list[Value]) -> Built:
    """`keys(r)`."""
    r = need_record("keys", args[0])
    return ListValue(r), len(r)


def values(meter: Meter, args: list[Value]) -> Built:
    """`values(r)`."""
    r = need_record("values", args[0])
    return ListValue(r.values()), len(r)


def items(meter: Meter, args: list[Value]) -> Built:
    """`items(r)`."""
    r = need_record("items", args[0])
    return ListValue(ListValue(entry) for entry in r.items()), len(r)


def merge(meter: Meter, args: list[Value]) -> Built:
    """`merge(a, b)`."""
    a, b = (need_record("merge", v) for v in args)
    merged = RecordValue({**a, **b}.items())
    return merged, len(merged)


def without(meter: Meter, args: list[Value]) -> Built:
    """`without(r, key)`."""
    r = need_record("without", args[0])
    dropped = as_text(args[1])
    kept = RecordValue((key, v) for key, v in r.items() if key != dropped)
    return kept, len(kept)


def slice_builtin(meter: Meter, args: list[Value]) -> Built:
    """`slice(x, a, b?)`; the bounds are looked at first."""
    given = [args[1], optional(args, 2)]
    bounds = [None if v is None else as_offset(v, "`slice` bound") for v in given]
    x = args[0]
    if not isinstance(x, str | ListValue):
        raise wrong("slice", "a string or list", x)
    part = x[bounds[0] : bounds[1]]
    return (part if isinstance(part, str) else ListValue(part)), len(part)


def push(meter: Meter, args: list[Value]) -> Built:
    """`push(xs, v)`."""
    if args[0] is None:
        return ListValue([args[1]]), 0
    if not isinstance(args[0], ListValue):
        raise wrong("push", "a list or null", args[0])
    return ListValue([*args[0], args[1]]), 0


def reverse(meter: Meter, args: list[Value]) -> Built:
    """`reverse(x)`."""
    x = args[0]
    if isinstance(x, str):
        return x[::-1], len(x)
    if isinstance(x, ListValue):
        return ListValue(x[::-1]), len(x)
    raise wrong("reverse", "a list or string", x)


def unique(meter: Meter, args: list[Value]) -> Built:
    """`unique(xs)`; its price is known beforehand and may be far beyond the fuel left."""
    xs = need_list("unique", args[0])
    work = weight(xs)
    if not meter.can_pay(work):
        meter.bulk(work)
    comparison = Comparison()
    kept = ListValue()
    for x in xs:
        if not any(comparison.compare(x, other)[0] for other in kept):
            kept.append(x)
    return kept, work


def count(meter: Meter, args: list[Value]) -> Built:
    """`count(x, needle)`."""
    x = args[0]
    if x is None:
        return 0, 0
    if isinstance(x, str):
        needle = as_text(args[1])
        if not needle:
            raise value_error("`count` needs a text to count")
        return x.count(needle), len(x)
    if not isinstance(x, ListValue):
        raise wrong("count", "a string, list or null", x)
    comparison = Comparison()
    results = [comparison.compare(element, args[1]) for element in x]
    return sum(same for same, _ in results), sum(units for _, units in results)


def flatten(meter: Meter, args: list[Value]) -> Built:
    """`flatten(xs)`."""
    xs = need_list("flatten", args[0])
    meter.check_entries(sum(len(x) if isinstance(x, ListValue) else 1 for x in xs))
    flat = ListValue(y for x in xs for y in (x if isinstance(x, ListValue) else [x]))
    return flat, len(xs) + len(flat)


def zip_builtin(meter: Meter, args: list[Value]) -> Built:
    """`zip(xs, ys)`."""
    xs, ys = (need_list("zip", v) for v in args)
    pairs = ListValue(ListValue(pair) for pair in zip(xs, ys, strict=False))
    return pairs, len(pairs)


def enumerate_builtin(meter: Meter, args: list[Value]) -> Built:
    """`enumerate(xs)`."""
    xs = need_list("enumerate", args[0])
    return ListValue(ListValue(pair) for pair in enumerate(xs)), len(xs)


def any_builtin(meter: Meter, args: list[Value]) -> Built:
    """`any(xs)`."""
    xs = need_list("any", args[0])
    return any(truthy(x) for x in xs), len(xs)


def all_builtin(meter: Meter, args: list[Value]) -> Built:
    """`all(xs)`."""
    xs = need_list("all", args[0])
    return all(truthy(x) for x in xs), len(xs)


# --- sorting and grouping ------------------------------------------------------------------------


def is_nan(v: Value) -> bool:
    """Whether a value is the number NaN."""
    return isinstance(v, float) and math.isnan(v)


def sorted_positions(name: str, sort_keys: list[Value], descending: bool) -> list[int]:
    """The positions of the keys in sorted order; NaN stands last in both directions, then null."""
    given = [at for at, key in enumerate(sort_keys) if key is not None]
    comparable = need_comparable(name, [sort_keys[at] for at in given])
    ordered: list[tuple[Any, int]] = [(key, at) for key, at in zip(comparable, given, strict=True) if not is_nan(key)]
    ordered.sort(key=lambda entry: entry[0], reverse=descending)
    nan = [at for at in given if is_nan(sort_keys[at])]
    missing = [at for at, key in enumerate(sort_keys) if key is None]
    return [at for _, at in ordered] + nan + missing


def sort(meter: Meter, args: list[Value]) -> Built:
    """`sort(xs, desc?)`."""
    xs = need_list("sort", args[0])
    need_comparable("sort", xs)
    positions = sorted_positions("sort", xs, need_flag("sort", optional(args, 1)))
    return ListValue(xs[at] for at in positions), weight(xs) * len(xs).bit_length()


class Keyed:
    """A list of records or lists with the key by which a builtin looks at them."""

    def __init__(self, name: str, xs: Value, key: Value) -> None:
        self.name = name
        self.xs = need_list(name, xs)
        self.key = key if isinstance(key, str) else as_offset(key, f"`{name}` key")
        for at, x in enumerate(self.xs):
            if not isinstance(x, RecordValue if isinstance(key, str) else ListValue):
                wanted = "records" if isinstance(key, str) else "lists"
                raise type_error(f"`{name}` needs {wanted} for this key, got {type_name(x)} at index {at}")

    def has_key(self, x: Value) -> bool:
        """Whether an element has the key at all."""
        if isinstance(x, RecordValue):
            return self.key in x
        return isinstance(x, ListValue) and isinstance(self.key, int) and -len(x) <= self.key < len(x)

    def check_key(self) -> None:
        """Refuse a key that no element has."""
        if self.xs and not any(self.has_key(x) for x in self.xs):
            what = (
                f"record has the field `{self.key}`" if isinstance(self.key, str) else f"list has an element {self.key}"
            )
            raise value_error(f"`{self.name}`: no {what}")

    def values(self) -> list[Value]:
        """The value of every element at the key, missing as null."""
        return [self.value(x) for x in self.xs]

    def value(self, x: Value) -> Value:
        """The value of one element."""
        if isinstance(x, RecordValue) and isinstance(self.key, str):
            return x.get(self.key)
        if isinstance(x, ListValue) and isinstance(self.key, int) and self.has_key(x):
            return x[self.key]
        return None


def sort_by(meter: Meter, args: list[Value]) -> Built:
    """`sort_by(xs, key, desc?)`."""
    keyed = Keyed("sort_by", args[0], args[1])
    descending = need_flag("sort_by", optional(args, 2))
    keyed.check_key()
    sort_keys = ListValue(keyed.values())
    positions = sorted_positions("sort_by", sort_keys, descending)
    return ListValue(keyed.xs[at] for at in positions), weight(sort_keys) * len(sort_keys).bit_length()


def group_by(meter: Meter, args: list[Value]) -> Built:
    """`group_by(xs, key)`."""
    keyed = Keyed("group_by", args[0], args[1])
    keyed.check_key()
    groups: dict[str, list[Value]] = {}
    for x in keyed.xs:
        groups.setdefault(as_text(keyed.value(x)), []).append(x)
    return RecordValue((key, ListValue(xs)) for key, xs in groups.items()), len(keyed.xs)


# --- validate, and wrappers instead of errors ----------------------------------------------------


def validate(meter: Meter, args: list[Value]) -> Built:
    """`validate(v, T)`."""
    run = Validation(meter)
    mismatch = run.run(args[0], args[1], "validate")
    if mismatch:
        raise failure_of(mismatch)
    return args[0], run.checks


def try_validate(meter: Meter, args: list[Value]) -> Built:
    """`try_validate(v, T)`."""
    run = Validation(meter)
    mismatch = run.run(args[0], args[1], "try_validate")
    if mismatch:
        return failed(meter.check_string(mismatch.message)), run.checks
    return RecordValue([("ok", True), ("value", args[0])]), run.checks


def try_json(meter: Meter, args: list[Value]) -> Built:
    """`try_json(s)`."""
    s = as_text(args[0])
    try:
        v = parse_json(s)
    except Failure:
        return failed("the text is not valid JSON"), len(s)
    meter.check_received(v)
    return RecordValue([("ok", True), ("value", v)]), len(s)


def failed(error: str) -> RecordValue:
    """The wrapper of a failure."""
    return RecordValue([("ok", False), ("error", error)])


LIST_BUILTINS: dict[str, Builtin] = {
    "keys": keys,
    "values": values,
    "items": items,
    "merge": merge,
    "without": without,
    "slice": slice_builtin,
    "push": push,
    "reverse": reverse,
    "unique": unique,
    "count": count,
    "flatten": flatten,
    "zip": zip_builtin,
    "enumerate": enumerate_builtin,
    "any": any_builtin,
    "all": all_builtin,
    "sort": sort,
    "sort_by": sort_by,
    "group_by": group_by,
    "validate": validate,
    "try_validate": try_validate,
    "try_json": try_json,
}
"""The builtins of this module by name."""
