"""The settings of RLM mode (rlm.md 1.2, 20.4)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lash.runtime.sansio.values import JsonValue


class ObserveBudget(BaseModel):
    """How much of a print displays and metrics get; the program and the model's history are not concerned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["bytes", "tokens"] = "bytes"
    limit: int = Field(default=16_384, ge=0)
    max_lines: int = Field(default=400, ge=0)


class PromptFeatures(BaseModel):
    """Which parts of the execution prompt are there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: bool = True
    common_patterns: bool = True
    type_literals: bool = True
    decomposition: bool = True


class RlmLimits(BaseModel):
    """Bounds of a turn beyond those of the runtime; None is unlimited.

    `block_timeout_s` counts the time that the machine computes, not what tools and people take. `kernel` overrides
    limits of the language by name, those of `lashlang.Limits`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_iterations: int | None = Field(default=None, ge=1)
    max_consecutive_errors: int | None = Field(default=None, ge=1)
    block_timeout_s: float | None = Field(default=300.0, gt=0)
    kernel: dict[str, int] = Field(default_factory=dict)


class RlmConfig(BaseModel):
    """How RLM mode behaves; lengths are code points.

    `max_output_chars` bounds each print, message and reasoning text in prompts, `max_step_output_chars` all prints of
    one step; 0 is no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_output_chars: int = Field(default=10_000, ge=0)
    max_step_output_chars: int = Field(default=40_000, ge=0)
    observe_budget: ObserveBudget = ObserveBudget()
    prompt_features: PromptFeatures = PromptFeatures()
    default_max_turns: int = Field(default=50, ge=1)
    max_handoffs: int = Field(default=64, ge=0)
    output_limit_retries: int = Field(default=0, ge=0)
    limits: RlmLimits = RlmLimits()
    answer_format: str = "markdown"
    on_incompatible_snapshot: Literal["fail", "reset"] = "fail"

    @model_validator(mode="after")
    def _agree(self) -> RlmConfig:
        iterations = self.limits.max_iterations
        if iterations is not None and "default_max_turns" in self.model_fields_set:
            raise ValueError("`default_max_turns` and `limits.max_iterations` say the same thing: give one of them")
        return self

    @property
    def max_turns(self) -> int:
        """Model calls of a turn where the session's policy says nothing."""
        return self.limits.max_iterations or self.default_max_turns


class RlmTermination(BaseModel):
    """How a turn may end: by `submit` alone, with a schema for its value or without, or by prose as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["submit_required", "prose_or_submit"] = "submit_required"
    output_schema: dict[str, JsonValue] | bool | None = None

    @model_validator(mode="after")
    def _agree(self) -> RlmTermination:
        if self.kind == "prose_or_submit" and self.output_schema is not None:
            raise ValueError("a schema needs `submit_required`: prose has none")
        return self
