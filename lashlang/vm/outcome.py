"""How a block ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lashlang.errors import LanguageError
from lashlang.syntax.diagnostics import Diagnostic
from lashlang.values import Image, Value

if TYPE_CHECKING:
    from lashlang.vm.steps import Print

Status = Literal["submitted", "continued", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one block.

    `status` says how it ended: with `submit` (`value` is what was submitted), by running off its end,
    with an error, or stopped by the host (`error` says what and where in both cases). `prints` are the
    observations in the order the program made them, `fuel` what it cost (chapter 16.1), `requests` how
    many requests it made.
    """

    status: Status
    value: Value = None
    error: Diagnostic | None = None
    prints: tuple[Print, ...] = ()
    fuel: int = 0
    requests: int = 0
    source: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether the block ended without an error."""
        return self.error is None

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all prints, each `id` once."""
        found = {image.id: image for observation in reversed(self.prints) for image in reversed(observation.images)}
        return tuple(reversed(found.values()))

    def render_error(self) -> str:
        """The error as text with its source line and marker (chapter 17); empty where there is none."""
        return "" if self.error is None else self.error.render(self.source)

    def unwrap(self) -> Value:
        """The submitted value, None for a block that continued; LanguageError for one that failed or was stopped."""
        if self.error is not None:
            raise LanguageError(self.render_error(), self.error)
        return self.value
