"""What the runtime half of RLM mode tells the projector beside messages and events: the mode view, as JSON.

It is made anew before every iteration and is part of turn snapshots, so it holds descriptions of values, never values.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lash.runtime.sansio.values import JsonValue


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VariableView(_View):
    """A variable: all of it as compact JSON in `inline` where it is small, else its size and a `preview`.

    `uses` are the named types that its label leads to.
    """

    name: str
    type: str
    inline: str | None = None
    size: str | None = None
    preview: str | None = None
    uses: tuple[str, ...] = ()


class TypeView(_View):
    """A record shape that several variables share; `definition` is the line that says what the name stands for."""

    name: str
    definition: str


class VariablesView(_View):
    """The live variables: described ones and, where there are too many, the names of the rest, both sorted."""

    described: tuple[VariableView, ...] = ()
    types: tuple[TypeView, ...] = ()
    rest: tuple[str, ...] = ()


class RlmView(_View):
    """The mode view.

    `queued` has a line for each event that came since the last block, `budgets` one for each budget that is nearly
    used up. `answer_format` is the session's: `markdown`, `raw` or what the host says of the form itself.
    """

    variables: VariablesView = VariablesView()
    queued: tuple[str, ...] = ()
    answer_format: str = "markdown"
    budgets: tuple[str, ...] = ()

    def as_json(self) -> JsonValue:
        """The view as the machine carries it."""
        return self.model_dump(mode="json")


class ProjectedView(_View):
    """A projected binding as the system prompt shows it; what is None or empty is not told.

    `item_chars` are the lengths of the texts in a list of texts, `chars` is their sum there.
    """

    name: str
    type: str
    chars: int | None = Field(default=None, ge=0)
    lines: int | None = Field(default=None, ge=0)
    items: int | None = Field(default=None, ge=0)
    keys: int | None = Field(default=None, ge=0)
    item_chars: tuple[int, ...] = ()
    preview: str | None = None
