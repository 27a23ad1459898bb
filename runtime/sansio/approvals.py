"""What is said to a question about a tool call, and what is kept of it (runtime.md 2.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.values import JsonValue


@dataclass(frozen=True, slots=True)
class Approve:
    """The tool may run as asked."""

    type: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True)
class Deny:
    """The tool must not run; the reason reaches the model."""

    reason: str = ""
    type: Literal["deny"] = "deny"


@dataclass(frozen=True, slots=True)
class Edit:
    """The tool may run with these arguments instead."""

    args: dict[str, JsonValue]
    type: Literal["edit"] = "edit"


Answer: TypeAlias = Annotated[Approve | Deny | Edit, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as the effect host keeps it; `code` is set where it is a denial that nobody spoke."""

    answer: Answer
    by: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the outcome of an effect has it: what is asked, and the schema that edited arguments have to fit.

    The schema goes along because whoever answers may be a process that does not have the tool.
    """

    approval: PendingApproval
    schema: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


ApprovalState = Literal["pending", "answered", "expired", "withdrawn"]
"""Whether a question is open; expired is one that nobody answered in time, withdrawn one whose turn is over."""


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """A question with what has become of it; answer, answerer and time (milliseconds since the epoch) once it has."""

    approval: PendingApproval
    state: ApprovalState
    answer: Answer | None = None
    answered_by: str | None = None
    answered_ms: int | None = None
