"""The oracle's own table of builtins and how many arguments each takes (chapter 10)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arity:
    """The least and the greatest number of arguments; `most` None means any number."""

    least: int
    most: int | None

    def accepts(self, count: int) -> bool:
        """Whether a call with that many arguments is right."""
        return self.least <= count and (self.most is None or count <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least} argument{'s' if self.least > 1 else ''}"
        joiner = " or " if self.most == self.least + 1 else " to "
        numbers = str(self.least) if self.most == self.least else f"{self.least}{joiner}{self.most}"
        return f"{numbers} argument{'' if numbers == '1' else 's'}"


ONE = (
    "len empty keys values trim to_string to_int to_float json_parse type_of "
    "sum abs floor ceil reverse unique lower upper lines items flatten enumerate json_text try_json try_number "
    "any all sqrt log"
)
TWO = (
    "contains grep_text starts_with ends_with join ceil_div floor_div push validate "
    "count merge without zip group_by try_validate to_fixed pow"
)

ARITIES: dict[str, Arity] = {
    **{name: Arity(1, 1) for name in ONE.split()},
    **{name: Arity(2, 2) for name in TWO.split()},
    **{name: Arity(1, 2) for name in ("split", "round", "sort")},
    **{name: Arity(2, 3) for name in ("find", "slice", "sort_by", "pad_left", "pad_right")},
    "range": Arity(1, 3),
    "replace": Arity(3, 3),
    "format": Arity(1, None),
    "min": Arity(1, None),
    "max": Arity(1, None),
    "chunk_spans": Arity(2, 4),
}
"""Every builtin of 10.1 and 10.2."""
