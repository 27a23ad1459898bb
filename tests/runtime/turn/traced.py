"""What tests of traces share: turns through the facade, written to a file that is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lash
from lash import LashCore
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.testing.scripted import AnyStep, ScriptedProvider
from lash.tracing import TraceRecord, encode_record, read_trace

AT_ONCE = ProviderOptions(reliability=ProviderReliability(base_delay_ms=0, max_attempts=3))
"""Retries without a wait."""


@lash.tool
async def lookup(item: str) -> dict[str, int]:
    """The price of an item.

    Args:
        item: what is asked for
    """
    return {"price": {"tea": 12, "oil": 30}[item]}


def block(code: str) -> str:
    """A reply that is a program."""
    return f"```lashlang\n{code}\n```"


CALL = 'r = (call lookup { item: "tea" })?\nprint r'


def busy(message: str = "try later", **more: Any) -> ProviderFailure:
    """A failure that is tried again."""
    return ProviderFailure("overloaded", message, retryable=True, **more)


def core_with(*steps: AnyStep, **knobs: Any) -> LashCore:
    """A core in RLM mode whose model says these things; retries do not wait."""
    given: dict[str, Any] = {"max_context_tokens": 100_000, "model": "m", "tools": [lookup]} | knobs
    provider = ScriptedProvider(list(steps), options=AT_ONCE, clock=knobs.get("clock"))
    return LashCore.rlm(provider=provider, **given)


def records_of(path: Path) -> list[TraceRecord]:
    """The records of a file. Every line has to be a record of a known type that is written again as it stands."""
    found: list[TraceRecord] = []
    for entry in read_trace(path, strict=True):
        assert isinstance(entry.record, TraceRecord), entry.raw
        assert encode_record(entry.record).decode() == entry.raw + "\n"
        found.append(entry.record)
    return found


def types(records: list[TraceRecord]) -> list[str]:
    """The types of records, in order."""
    return [record.event.type for record in records]


def of_type(records: list[TraceRecord], kind: str) -> list[Any]:
    """The events of a type, in order."""
    return [record.event for record in records if record.event.type == kind]
