"""The live variables of a session as the iteration tail shows them (rlm.md 6.5).

`describe` looks at one value and can be remembered until the variable changes; `variables_view` puts the descriptions
together, with names for record shapes that several of them share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from lash.modes.rlm.prompt.preview import inline, preview
from lash.modes.rlm.prompt.types_text import Shape, definition, label, names_of_shared, names_used, shape_of
from lash.modes.rlm.view import TypeView, VariablesView, VariableView
from lashlang.values import Value

MOST_VARIABLES = 60
"""Variables that are described; of more only the names are told."""

LONGEST_INLINE = 200
"""Characters of compact JSON up to which a value is shown whole."""


@dataclass(frozen=True, slots=True)
class Described:
    """What is told of one variable, its type not yet in words."""

    name: str
    shape: Shape
    inline: str | None
    size: str | None
    preview: str | None


def describe(name: str, value: Value, length: int | None = None) -> Described:
    """A variable in short; `length` is that of the text, list or record of which `value` is only the beginning."""
    shape = shape_of(value)
    whole = length is None or length == len(cast("str", value))
    text = inline(value, LONGEST_INLINE) if whole else None
    if text is not None:
        return Described(name, shape, text, None, None)
    return Described(name, shape, None, _size(value, length), preview(value))


def variables_view(described: Iterable[Described], names: Iterable[str] = ()) -> VariablesView:
    """The view of these variables, and of others of which only the `names` are told; all sorted by name."""
    ordered = sorted(described, key=lambda one: one.name)
    told = ordered[:MOST_VARIABLES]
    rest = sorted({*names, *(one.name for one in ordered[MOST_VARIABLES:])} - {one.name for one in told})
    shared = names_of_shared((one.name, one.shape) for one in told)
    return VariablesView(
        described=tuple(
            VariableView(
                name=one.name,
                type=label(one.shape, shared),
                inline=one.inline,
                size=one.size,
                preview=one.preview,
                uses=tuple(sorted(names_used(one.shape, shared))),
            )
            for one in told
        ),
        types=tuple(TypeView(name=name, definition=definition(record, shared)) for record, name in shared.items()),
        rest=tuple(rest),
    )


def _size(value: Value, length: int | None) -> str | None:
    if not isinstance(value, str | list | dict):
        return None
    count = len(cast("str", value)) if length is None else length
    unit = "chars" if isinstance(value, str) else "items" if isinstance(value, list) else "keys"
    return f"{count} {unit}"
