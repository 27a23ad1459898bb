"""Builtins on texts (chapters 10.1 and 10.2)."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from .arguments import Built, Builtin, need_number, need_string, optional, wrong
from .case_table import LOWER, UPPER
from .failure import type_error, value_error
from .json_forms import parse_json
from .limits import Meter
from .numbers import Number, fixed_text
from .operators import contains, text_to_number
from .text import WHITE_SPACE, as_offset, as_text, json_text, split_lines, split_words, text
from .values import ListValue, RecordValue, Value, is_number, type_name, utf8

MOST_DIGITS = 100
"""Decimals `to_fixed` and `format` accept."""


def texts(args: list[Value]) -> list[str]:
    """STR of every argument, in order."""
    return [as_text(v) for v in args]


def contains_builtin(meter: Meter, args: list[Value]) -> Built:
    """`contains(h, x)`."""
    return contains("contains", args[0], args[1])


def find(meter: Meter, args: list[Value]) -> Built:
    """`find(s, n, start?)`."""
    s, needle = texts(args[:2])
    start = as_offset(args[2], "`find` start") if len(args) > 2 else 0
    if start < 0:
        raise type_error(f"`find` start must not be negative, got {start}")
    if start > len(s):
        return None, 0
    at = s.find(needle, start)
    return (at, at + len(needle) - start) if at >= 0 else (None, len(s) - start)


def grep_text(meter: Meter, args: list[Value]) -> Built:
    """`grep_text(s, n)`."""
    s, needle = texts(args)
    if not needle:
        raise value_error("`grep_text` needs a text to look for")
    found: list[Value] = []
    for number, line in enumerate(split_lines(s), start=1):
        at = line.find(needle)
        if at >= 0:
            entry = [("line", number), ("text", line), ("match", needle), ("start", at), ("end", at + len(needle))]
            found.append(RecordValue(entry))
    return ListValue(found), len(s)


def starts_with(meter: Meter, args: list[Value]) -> Built:
    """`starts_with(s, p)`."""
    s, part = texts(args)
    return s.startswith(part), len(part)


def ends_with(meter: Meter, args: list[Value]) -> Built:
    """`ends_with(s, p)`."""
    s, part = texts(args)
    return s.endswith(part), len(part)


def split(meter: Meter, args: list[Value]) -> Built:
    """`split(s, sep?)`."""
    s = as_text(args[0])
    separator = optional(args, 1)
    if separator is None:
        return ListValue(split_words(s)), len(s)
    mark = as_text(separator)
    return ListValue(s.split(mark) if mark else s), len(s)


def join(meter: Meter, args: list[Value]) -> Built:
    """`join(xs, sep)`."""
    if not isinstance(args[0], ListValue):
        raise wrong("join", "a list first", args[0])
    separator = as_text(args[1])
    pieces = texts(args[0])
    meter.check_bytes(sum(map(utf8, pieces)) + utf8(separator) * max(0, len(pieces) - 1))
    joined = separator.join(pieces)
    return joined, len(pieces) + len(joined)


def trim(meter: Meter, args: list[Value]) -> Built:
    """`trim(s)`."""
    s = as_text(args[0])
    return s.strip(WHITE_SPACE), len(s)


def to_string(meter: Meter, args: list[Value]) -> Built:
    """`to_string(x)`."""
    meter.check_leaving(args[0])
    made = meter.check_string(text(args[0]))
    return made, len(made)


def json_text_builtin(meter: Meter, args: list[Value]) -> Built:
    """`json_text(x)`."""
    meter.check_leaving(args[0])
    made = meter.check_string(json_text(args[0]))
    return made, len(made)


def json_parse(meter: Meter, args: list[Value]) -> Built:
    """`json_parse(s)`."""
    s = as_text(args[0])
    v = parse_json(s)
    meter.check_received(v)
    return v, len(s)


def replace(meter: Meter, args: list[Value]) -> Built:
    """`replace(s, old, new)`."""
    s, old, new = texts(args)
    if not old:
        raise value_error("`replace` needs a text to replace")
    meter.check_bytes(utf8(s) + s.count(old) * (utf8(new) - utf8(old)))
    made = s.replace(old, new)
    return made, len(s) + len(made)


def lines(meter: Meter, args: list[Value]) -> Built:
    """`lines(s)`."""
    s = as_text(args[0])
    return ListValue(split_lines(s)), len(s)


def lower(meter: Meter, args: list[Value]) -> Built:
    """`lower(s)`."""
    made = meter.check_string(as_text(args[0]).translate(LOWER))
    return made, len(made)


def upper(meter: Meter, args: list[Value]) -> Built:
    """`upper(s)`."""
    made = meter.check_string(as_text(args[0]).translate(UPPER))
    return made, len(made)


def padding(meter: Meter, name: str, args: list[Value]) -> tuple[str, str]:
    """The text to pad and what to put beside it."""
    s = as_text(args[0])
    wanted = as_offset(args[1], f"`{name}` length")
    given = optional(args, 2)
    fill = " " if given is None else need_string(name, given)
    if len(fill) != 1:
        raise value_error(f"`{name}` needs one character to fill with, got {len(fill)}")
    missing = max(0, wanted - len(s))
    meter.check_bytes(utf8(s) + missing * utf8(fill))
    return s, fill * missing


def pad_left(meter: Meter, args: list[Value]) -> Built:
    """`pad_left(s, n, fill?)`."""
    s, fill = padding(meter, "pad_left", args)
    return fill + s, len(fill + s)


def pad_right(meter: Meter, args: list[Value]) -> Built:
    """`pad_right(s, n, fill?)`."""
    s, fill = padding(meter, "pad_right", args)
    return s + fill, len(s + fill)


def to_fixed(meter: Meter, args: list[Value]) -> Built:
    """`to_fixed(x, digits)`."""
    x = need_number("to_fixed", args[0])
    digits = as_offset(args[1], "`to_fixed` digits")
    if not 0 <= digits <= MOST_DIGITS:
        raise value_error(f"`to_fixed` digits must be from 0 to {MOST_DIGITS}, got {digits}")
    made = meter.check_string(fixed_text(x, digits))
    return made, len(made)


def try_number(meter: Meter, args: list[Value]) -> Built:
    """`try_number(x)`."""
    v = args[0]
    work = len(v) if isinstance(v, str) else 0
    x: Number | None = None
    if is_number(v):
        x = v
    elif isinstance(v, str) and v.strip(WHITE_SPACE):
        x = text_to_number(v)
    if x is not None:
        return RecordValue([("ok", True), ("value", x)]), work
    met = "text that is not one" if isinstance(v, str) else type_name(v)
    return RecordValue([("ok", False), ("error", f"expected a number, got {met}")]), work


# --- format --------------------------------------------------------------------------------------

PLACE = re.compile(r"([0-9]*)(?::(,)?(?:\.([0-9]+)f)?)?")
"""What may stand between braces: an index, and how to write a number. An empty `:` is refused apart."""


def with_commas(made: str) -> str:
    """The text of a number with commas between the thousands of its whole part."""
    integral, point, fraction = made.partition(".")
    return re.sub(r"(?<=[0-9])(?=([0-9]{3})+$)", ",", integral) + point + fraction


class Format:
    """One run of `format`: the template is scanned once, then the texts are made."""

    def __init__(self, meter: Meter, template: str, args: list[Value]) -> None:
        self.meter = meter
        self.template = template
        self.args = args
        self.pieces: list[str | Place] = []
        self.numbered: bool | None = None
        self.used = 0

    def scan(self) -> None:
        """Take the template apart; errors come in the order in which they are met."""
        at, template = 0, self.template
        while at < len(template):
            pair = template[at : at + 2]
            if pair in ("{{", "}}"):
                self.pieces.append(pair[0])
                at += 2
            elif template[at] == "{":
                closing = template.find("}", at)
                if closing < 0:
                    raise value_error("`format`: a `{` is never closed")
                self.pieces.append(self.place(template[at + 1 : closing]))
                at = closing + 1
            elif template[at] == "}":
                raise value_error("`format`: a lone `}`; write `}}`")
            else:
                self.pieces.append(template[at])
                at += 1
        used = {piece.argument for piece in self.pieces if not isinstance(piece, str)}
        for argument in range(len(self.args)):
            if argument not in used:
                raise value_error(f"`format`: argument {argument} is never used")

    def place(self, content: str) -> Place:
        """What stands between two braces."""
        match = PLACE.fullmatch(content)
        if not match or content.endswith(":"):
            raise value_error(f"`format`: `{{{content}}}` is not understood")
        if match[3] and number_below(match[3], MOST_DIGITS + 1) is None:
            raise value_error(f"`format`: more than {MOST_DIGITS} digits in `{{{content}}}`")
        numbered = match[1] != ""
        if self.numbered not in (None, numbered):
            raise value_error("`format`: `{}` and `{0}` cannot be mixed")
        self.numbered = numbered
        argument = number_below(match[1], len(self.args)) if numbered else self.used
        self.used += 1
        if argument is None or argument >= len(self.args):
            raise value_error(f"`format`: there is no argument {match[1] if numbered else argument}")
        spec = match[2] or match[3]
        if spec and not is_number(self.args[argument]):
            raise type_error(f"`format`: `{{{content}}}` needs a number, got {type_name(self.args[argument])}")
        return Place(argument, match[2] is not None, int(match[3]) if match[3] else None)

    def make(self) -> str:
        """The text; every value is measured before it is made into text."""
        known: dict[Place, str] = {}
        for piece in self.pieces:
            if not isinstance(piece, str) and piece not in known:
                self.meter.check_leaving(self.args[piece.argument])
                known[piece] = piece.text(self.args[piece.argument])
        made = [piece if isinstance(piece, str) else known[piece] for piece in self.pieces]
        self.meter.check_bytes(sum(map(utf8, made)))
        return "".join(made)


@dataclass(frozen=True, slots=True)
class Place:
    """A value to insert: which argument, and how a number is written."""

    argument: int
    commas: bool
    digits: int | None

    def text(self, v: Value) -> str:
        """The text to insert for the argument."""
        if not is_number(v):
            return text(v)
        made = text(v) if self.digits is None else fixed_text(v, self.digits)
        return with_commas(made) if self.commas else made


def number_below(digits: str, beyond: int) -> int | None:
    """The value of a run of digits if it is below a bound; runs of any length are looked at safely."""
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(beyond)):
        return None
    return int(significant) if int(significant) < beyond else None


def format_builtin(meter: Meter, args: list[Value]) -> Built:
    """`format(t, …)`."""
    run = Format(meter, need_string("format", args[0]), args[1:])
    run.scan()
    made = run.make()
    return made, len(made)


# --- chunk_spans ---------------------------------------------------------------------------------


def boundaries(s: str, by: str) -> list[int]:
    """Where chunks may end, in order."""
    if by == "char":
        return []
    starts = [at + 1 for at, c in enumerate(s) if c == "\n"]
    if by == "line":
        return starts
    kept: list[int] = []
    begin, after_empty = 0, False
    for line in s.split("\n"):
        is_last = begin + len(line) == len(s)
        empty = (line if is_last else line.removesuffix("\r")) == ""
        if after_empty and not empty:
            kept.append(begin)
        after_empty = empty
        begin += len(line) + 1
    return kept


def chunk_spans(meter: Meter, args: list[Value]) -> Built:
    """`chunk_spans(s, size, overlap?, by?)`."""
    s = need_string("chunk_spans", args[0])
    span = as_offset(args[1], "`chunk_spans` size")
    if span < 1:
        raise value_error(f"`chunk_spans` size must be at least 1, got {span}")
    overlap = 0 if optional(args, 2) is None else as_offset(args[2], "`chunk_spans` overlap")
    if not 0 <= overlap < span:
        raise value_error(f"`chunk_spans` overlap must be from 0 to less than the size, got {overlap}")
    by = "char" if optional(args, 3) is None else need_string("chunk_spans", args[3])
    if by not in ("char", "line", "paragraph"):
        raise value_error(f"`chunk_spans` goes by `char`, `line` or `paragraph`, got `{by}`")
    marks = boundaries(s, by)
    spans: list[Value] = []
    start = 0
    while s:
        end = len(s)
        if start + span < len(s):
            last = bisect_right(marks, start + span) - 1
            end = marks[last] if last >= 0 and marks[last] > start + overlap else start + span
        spans.append(RecordValue([("start", start), ("end", end)]))
        meter.check_entries(len(spans))
        if end == len(s):
            break
        start = end - overlap
    return ListValue(spans), len(s)


TEXT_BUILTINS: dict[str, Builtin] = {
    "contains": contains_builtin,
    "find": find,
    "grep_text": grep_text,
    "starts_with": starts_with,
    "ends_with": ends_with,
    "split": split,
    "join": join,
    "trim": trim,
    "to_string": to_string,
    "json_text": json_text_builtin,
    "json_parse": json_parse,
    "replace": replace,
    "lines": lines,
    "lower": lower,
    "upper": upper,
    "pad_left": pad_left,
    "pad_right": pad_right,
    "to_fixed": to_fixed,
    "try_number": try_number,
    "format": format_builtin,
    "chunk_spans": chunk_spans,
}
"""The builtins of this module by name."""
