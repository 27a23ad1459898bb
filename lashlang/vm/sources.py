"""How a snapshot names the sources of projected values, and how a restored machine finds them again (chapter 15).

A `Projection` may say how it is found again: by an attribute `ref`, a text that means something to the host, and
`type_name`, what kind of thing it is. Restoring hands both to the host's resolver. A source that is not found, or
never said where it is, is replaced by a `Missing`, which fails every read and says the same of itself again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lashlang.errors import SnapshotError
from lashlang.projection import Projected, Projection, ProjectionUnavailable
from lashlang.values import Value

Resolve: TypeAlias = Callable[[str, str], Projection | None]
"""Finds a source by its `ref` and type name; None where there is none."""

_NAME, _REF = "type_name", "ref"


class Missing:
    """Stands for a source that could not be found: reading it is `projection_unavailable`."""

    blocking = False

    def __init__(self, type_name: str, ref: str | None) -> None:
        self.type_name = type_name
        self.ref = ref

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """Never an answer: raises ProjectionUnavailable."""
        where = "it was not kept with the snapshot" if self.ref is None else f"`{self.ref}` was not found"
        raise ProjectionUnavailable(where)


def describe(source: Projection | None) -> dict[str, Any] | None:
    """What a snapshot keeps of a source: its type name and, if it has one, its `ref`; None for the tool host's own."""
    if source is None:
        return None
    type_name: object = getattr(source, _NAME, None)
    ref: object = getattr(source, _REF, None)
    kept: dict[str, Any] = {_NAME: type_name if isinstance(type_name, str) else type(source).__name__}
    return kept | {_REF: ref} if isinstance(ref, str) else kept


def resolve(description: object, find: Resolve | None) -> Projection | None:
    """The source that a description of `describe` stands for; SnapshotError where it is none."""
    if description is None:
        return None
    if not isinstance(description, dict):
        raise SnapshotError("the snapshot describes a projection's source wrongly")
    type_name: object = description.get(_NAME)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    ref: object = description.get(_REF)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(type_name, str) or not (ref is None or isinstance(ref, str)):
        raise SnapshotError("the snapshot describes a projection's source wrongly")
    found = None if ref is None or find is None else find(ref, type_name)
    return Missing(type_name, ref) if found is None else found
