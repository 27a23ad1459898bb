"""The term of a query: a literal text or a regular expression that every engine reads in the same way.

`rg` and Python have different expressions: the one knows no look-around and no references back, the other reads a
brace that begins no repetition as a brace. A search must not depend on which of them is installed. So a term is taken
for an expression only as far as both agree; any other is looked for as it is written, and the result says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import regex

METACHARACTERS: Final = frozenset("\\.^$*+?{}[]|()")
_MOST_REPEATS: Final = 1000
_MOST_GROUPS: Final = 100
_MOST_SIZE: Final = 50_000
"""How many parts an expression may have with its repetitions written out: nothing can stop its compilation."""

_ESCAPE: Final = re.compile(
    r"\\(?:[dDwWsSbBtrfva]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[pP](?:[A-Z]|\{\^?\w+\})|[!-/:;=?@\[-`{-~ ])"
)
_NO_LETTERS: Final = re.compile(r"\\[^p]|\(\?P?<\w*>")
"""What is no letter to be found: \\S, or a group's name. But \\p{Lu} asks for capitals."""

_CLASSES: Final = frozenset("dDwWsSpP")
"""The escapes that stand for many characters."""

_REPETITION: Final = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_GROUP: Final = re.compile(r"\((?:\?(?:i?:|P?<[A-Za-z_]\w*>))?(?!\?)")
_OPTIONS: Final = re.compile(r"\(\?i\)")


class NotPortable(ValueError):
    """A term is no expression that all engines read alike; the text says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """What is looked for. `error` says why an expression is looked for as a literal text."""

    text: str
    literal: bool
    ignore_case: bool
    error: str | None = None

    @property
    def pattern(self) -> regex.Pattern[str]:
        """The term for Python."""
        text = regex.escape(self.text) if self.literal else self.text
        return regex.compile(text, regex.IGNORECASE if self.ignore_case else 0)

    def as_literal(self, error: str) -> Term:
        """The same text, not as an expression."""
        return Term(self.text, True, _smart_case(self.text), error)


def parse_term(text: str) -> Term:
    """A term by its text: an expression where it has metacharacters and is one. Case counts where it has capitals."""
    if not METACHARACTERS.intersection(text):
        return Term(text, True, _smart_case(text))
    term = Term(text, False, _smart_case(_NO_LETTERS.sub("", text)))
    try:
        check_portable(text)
        _ = term.pattern
    except NotPortable as error:
        return term.as_literal(str(error))
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        return term.as_literal(str(error) or type(error).__name__)
    return term


def _smart_case(text: str) -> bool:
    return not any(letter.isupper() for letter in text)


def check_portable(pattern: str) -> None:
    """Nothing for an expression that all engines read alike; NotPortable for any other."""
    at = _match(_OPTIONS, pattern, 0)
    sizes = [0]  # how large the expression and each group that is open are so far
    last = 0  # how large is what a repetition would repeat
    repeatable = False
    while at < len(pattern):
        begun, sign = at, pattern[at]
        match sign:
            case "\\":
                at = _escape(pattern, at)
                repeatable = pattern[begun + 1] not in "bB"
                last = 1
            case "[":
                at = _class(pattern, at)
                repeatable = True
                last = 1
            case "(":
                at = _match(_GROUP, pattern, at)
                if at == begun:
                    raise NotPortable(f"the group at {begun} is of a kind that is not supported, like look-around")
                sizes.append(0)
                if len(sizes) > _MOST_GROUPS + 1:
                    raise NotPortable(f"more than {_MOST_GROUPS} groups are within each other")
                repeatable = False
                last = 1
            case ")":
                if len(sizes) == 1:
                    raise NotPortable(f"the ) at {begun} closes no group")
                at += 1
                repeatable = True
                last = sizes.pop()
            case "*" | "+" | "?" | "{":
                if not repeatable:
                    raise NotPortable(f"the {sign} at {begun} repeats nothing; a {sign} itself is written \\{sign}")
                at, times = _repetition(pattern, at)
                repeatable = False
                last *= times - 1  # once it is counted already
            case _:
                at += 1
                repeatable = sign not in "|^$"
                last = 1
        sizes[-1] += last
        if sizes[-1] > _MOST_SIZE:
            raise NotPortable(f"its repetitions written out have more than {_MOST_SIZE} parts")
    depth = len(sizes) - 1
    if depth:
        raise NotPortable(f"{depth} group{'s are' if depth > 1 else ' is'} not closed; a ( itself is written \\(")


def _match(wanted: re.Pattern[str], pattern: str, at: int) -> int:
    """Where a part ends; where it begins if it is not there."""
    found = wanted.match(pattern, at)
    return found.end() if found else at


def _escape(pattern: str, at: int) -> int:
    end = _match(_ESCAPE, pattern, at)
    if end == at:
        shown = pattern[at : at + 2]
        reason = "refers back to a group" if shown[1:].isdigit() or shown in ("\\k", "\\g") else "is not supported"
        raise NotPortable(f"the {shown} at {at} {reason}")
    if pattern[at + 1] in "bB" and pattern.startswith("{", end):
        raise NotPortable(f"the {pattern[at : end + 1]} at {at} is not supported")
    return end


def _class(pattern: str, begun: int) -> int:
    at = begun + 1
    if pattern.startswith("^", at):
        at += 1
    first = at
    while at < len(pattern):
        if pattern[at] == "]" and at > first:
            return at + 1
        if pattern[at] == "\\":
            kind = pattern[at + 1 : at + 2]
            if kind in ("b", "B"):
                raise NotPortable(f"the \\{kind} at {at} stands in a class")
            from_range = at > first + 1 and pattern[at - 1] == "-"
            at = _escape(pattern, at)
            if kind in _CLASSES and (from_range or (pattern.startswith("-", at) and not pattern.startswith("-]", at))):
                raise NotPortable(f"the \\{kind} before {at} is no end of a range; a - itself is written \\-")
        elif pattern[at] == "[" or pattern[at : at + 2] in ("&&", "--", "~~", "||"):
            raise NotPortable(f"the {pattern[at]} at {at} in a class is written \\{pattern[at]}")
        else:
            at += 1
    raise NotPortable(f"the [ at {begun} is not closed; a [ itself is written \\[")


def _repetition(pattern: str, begun: int) -> tuple[int, int]:
    """Where a repetition ends, the ? of a lazy one included, and how often it repeats at most, 1 for any number.

    What follows must not be another.
    """
    at, times = begun + 1, 1
    if pattern[begun] == "{":
        found = _REPETITION.match(pattern, begun)
        if found is None:
            raise NotPortable(f"the {{ at {begun} begins no repetition; a {{ itself is written \\{{")
        times = max(1, int(found[1]), int(found[2] or 0))
        if times > _MOST_REPEATS:
            raise NotPortable(f"the repetition at {begun} is of more than {_MOST_REPEATS} times")
        at = found.end()
    if pattern.startswith("?", at):
        at += 1
    if pattern.startswith(("*", "+", "?"), at):
        raise NotPortable(f"the {pattern[at]} at {at} repeats a repetition")
    return at, times
