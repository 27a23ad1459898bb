"""Values as the compiler knows them: those of literals and folded constants."""

from __future__ import annotations

from typing import Final

Scalar = None | bool | int | float | str
Value = Scalar | list["Value"] | dict[str, "Value"]


class Unknown:
    """The type of `UNKNOWN`, which stands for a value not known at compile time."""


UNKNOWN: Final = Unknown()
