"""What the types of records say of their fields, for all that walk over records: limits, redaction, serialisation."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class TraceField:
    """One field of a record type.

    `kind` is `json` for values of tools, programs and hosts, `constant` for a choice of given words, and `typed` for
    texts, numbers and further record types. `limit` names the limit of `TraceLimits` that it is under. `empty` is the
    empty JSON value that is its default and therefore not written, None where there is none.
    """

    name: str
    kind: Literal["json", "constant", "typed"]
    limit: str | None
    empty: object
    required: bool


@cache
def trace_fields(kind: type[Any]) -> tuple[TraceField, ...]:
    """The fields of a record type in the order they are written in: `type` first, then as declared."""
    described = [_described(item) for item in fields(kind)]
    return tuple(sorted(described, key=lambda item: item.name != "type"))


def _described(item: Field[Any]) -> TraceField:
    # Annotations are texts in these modules; only the words that stand in them matter here.
    annotation = str(item.type)
    kind = "json" if "JsonValue" in annotation else "constant" if "Literal[" in annotation else "typed"
    default = item.default_factory() if item.default_factory is not MISSING else item.default
    empty: object = {} if default == {} else [] if default == () else None
    return TraceField(item.name, kind, item.metadata.get("limit"), empty, required=default is MISSING)
