"""The settings of standard mode (providers.md 14)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StandardConfig(BaseModel):
    """How standard mode behaves.

    `default_max_turns` bounds the model calls of a turn where the session's policy says nothing. With
    `turn_limit_grace` the model gets one reply beyond the limit, in which it can call nothing. `batch` offers the tool
    of that name, for models that make one call at a time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default_max_turns: int = Field(default=100, ge=1)
    turn_limit_grace: bool = False
    batch: bool = True
