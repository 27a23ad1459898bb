"""Limits and fuel (chapter 16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .failure import Failure
from .values import ListValue, RecordValue, Value, depth, elements, expanded_size, utf8

BuiltT = TypeVar("BuiltT", bound=Value)

MEBIBYTE = 1024 * 1024

DEFAULTS = {
    "fuel": 100_000_000,
    "string_size": 64 * MEBIBYTE,
    "list_size": 1_000_000,
    "value_depth": 128,
    "value_size": 64 * MEBIBYTE,
    "requests": 10_000,
    "output": MEBIBYTE,
}
"""The normative defaults. `memory` is missing: it is outside the agreement between implementations."""


class Meter:
    """What one block has used up, and the checks against its limits. Every check raises `limit_exceeded`."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.limits = {**DEFAULTS, **limits}
        self.fuel = 0
        self.requests = 0
        self.output = 0

    def over(self, code: str) -> Failure:
        """The error for a limit that was hit."""
        return Failure("limit_exceeded", f"limit `{code}` of {self.limits[code]} exceeded", code)

    # --- fuel ------------------------------------------------------------------------------------

    def charge(self, amount: int) -> None:
        """Use fuel; a charge that would pass the limit is not made and reports the limit."""
        if self.fuel + amount > self.limits["fuel"]:
            self.fuel = self.limits["fuel"]
            raise self.over("fuel")
        self.fuel += amount

    def bulk(self, n: int) -> None:
        """Charge bulk work of n units, once per operation that has succeeded."""
        self.charge(n // 64)

    def can_pay(self, n: int) -> bool:
        """Whether bulk work of n units could still be charged."""
        return self.fuel + n // 64 <= self.limits["fuel"]

    # --- sizes -----------------------------------------------------------------------------------

    def check_bytes(self, count: int) -> None:
        """`string_size`, for a string about to be built."""
        if count > self.limits["string_size"]:
            raise self.over("string_size")

    def check_string(self, text: str) -> str:
        """`string_size`, for a string just built; returns it."""
        self.check_bytes(utf8(text))
        return text

    def check_entries(self, count: int) -> None:
        """`list_size`, for a list or record of that many entries."""
        if count > self.limits["list_size"]:
            raise self.over("list_size")

    def check_depth(self, v: Value) -> None:
        """`value_depth`."""
        if depth(v) > self.limits["value_depth"]:
            raise self.over("value_depth")

    def check_element(self, v: Value) -> None:
        """`value_depth`, for a list of which this is an element."""
        if depth(v) >= self.limits["value_depth"]:
            raise self.over("value_depth")

    def check_built(self, v: BuiltT) -> BuiltT:
        """The limits on a list or record just built, in their order; returns it."""
        if isinstance(v, ListValue | RecordValue):
            self.check_entries(len(v))
            self.check_depth(v)
        return v

    def check_leaving(self, v: Value) -> None:
        """`value_size`, for a value handed to the host, made into text, awaited or used as a type."""
        if expanded_size(v) > self.limits["value_size"]:
            raise self.over("value_size")

    def check_received(self, v: Value) -> None:
        """The limits on a value from outside, on every string, list and record in it, then its depth."""
        parts = list(every_part(v))
        for part in parts:
            if isinstance(part, str):
                self.check_bytes(utf8(part))
            elif isinstance(part, RecordValue):
                for key in part:
                    self.check_bytes(utf8(key))
        for part in parts:
            if isinstance(part, ListValue | RecordValue):
                self.check_entries(len(part))
        self.check_depth(v)

    # --- dealings with the host ------------------------------------------------------------------

    def count_requests(self, count: int) -> None:
        """`requests`, for requests about to be made."""
        if self.requests + count > self.limits["requests"]:
            raise self.over("requests")
        self.requests += count

    def count_output(self, text: str) -> None:
        """`output`, for a text about to be printed."""
        if self.output + utf8(text) > self.limits["output"]:
            raise self.over("output")
        self.output += utf8(text)


def every_part(v: Value) -> list[Value]:
    """A value and everything inside it, for values that share nothing (they come from JSON)."""
    parts = [v]
    for part in parts:
        if isinstance(part, ListValue | RecordValue):
            parts.extend(elements(part))
    return parts
