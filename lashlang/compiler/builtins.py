"""The builtins of Lashlang: one table of names and arities for the checks, the compiler and the kernel.

The number of a builtin is its index in `BUILTINS`; the kernel's enumeration is generated from this
table, so the two cannot disagree. Behaviour is specified in chapter 10 of the specification.
"""

from __future__ import annotations

from typing import NamedTuple


class Builtin(NamedTuple):
    """A builtin: its name, and the least and greatest number of arguments (`most` None: no upper bound)."""

    name: str
    least: int
    most: int | None

    def accepts(self, count: int) -> bool:
        """Whether the builtin takes this many arguments."""
        return self.least <= count and (self.most is None or count <= self.most)

    def arity_text(self) -> str:
        """The numbers it takes, as error messages word them: `2`, `2 or 3`, `1 to 3`, `at least 1`."""
        if self.most is None:
            return f"at least {self.least}"
        if self.least == self.most:
            return str(self.least)
        joiner = " or " if self.most == self.least + 1 else " to "
        return f"{self.least}{joiner}{self.most}"


BUILTINS: tuple[Builtin, ...] = (
    # 10.1 core
    Builtin("len", 1, 1),
    Builtin("empty", 1, 1),
    Builtin("keys", 1, 1),
    Builtin("values", 1, 1),
    Builtin("contains", 2, 2),
    Builtin("find", 2, 3),
    Builtin("grep_text", 2, 2),
    Builtin("starts_with", 2, 2),
    Builtin("ends_with", 2, 2),
    Builtin("split", 1, 2),
    Builtin("join", 2, 2),
    Builtin("trim", 1, 1),
    Builtin("slice", 2, 3),
    Builtin("to_string", 1, 1),
    Builtin("to_int", 1, 1),
    Builtin("to_float", 1, 1),
    Builtin("json_parse", 1, 1),
    Builtin("format", 1, None),
    Builtin("range", 1, 3),
    Builtin("ceil_div", 2, 2),
    Builtin("floor_div", 2, 2),
    Builtin("push", 2, 2),
    Builtin("type_of", 1, 1),
    Builtin("validate", 2, 2),
    # 10.2 data
    Builtin("sum", 1, 1),
    Builtin("min", 1, None),
    Builtin("max", 1, None),
    Builtin("abs", 1, 1),
    Builtin("floor", 1, 1),
    Builtin("ceil", 1, 1),
    Builtin("round", 1, 2),
    Builtin("sort", 1, 2),
    Builtin("sort_by", 2, 3),
    Builtin("reverse", 1, 1),
    Builtin("unique", 1, 1),
    Builtin("count", 2, 2),
    Builtin("lower", 1, 1),
    Builtin("upper", 1, 1),
    Builtin("replace", 3, 3),
    Builtin("lines", 1, 1),
    Builtin("items", 1, 1),
    Builtin("merge", 2, 2),
    Builtin("without", 2, 2),
    Builtin("flatten", 1, 1),
    Builtin("zip", 2, 2),
    Builtin("enumerate", 1, 1),
    Builtin("group_by", 2, 2),
    Builtin("json_text", 1, 1),
    Builtin("try_json", 1, 1),
    Builtin("try_number", 1, 1),
    Builtin("try_validate", 2, 2),
    Builtin("to_fixed", 2, 2),
    Builtin("pad_left", 2, 3),
    Builtin("pad_right", 2, 3),
    Builtin("any", 1, 1),
    Builtin("all", 1, 1),
    Builtin("sqrt", 1, 1),
    Builtin("log", 1, 1),
    Builtin("pow", 2, 2),
    Builtin("chunk_spans", 2, 4),
)
"""All builtins, in the order of chapters 10.1 and 10.2."""

BY_NAME: dict[str, int] = {builtin.name: number for number, builtin in enumerate(BUILTINS)}
"""Number of a builtin by its name."""
