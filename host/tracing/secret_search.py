"""Finding secrets in a text (observability.md 5): known values in every spelling, patterns, values of secret keys.

Everything here gives `Found`s, stretches of one text; `redaction.py` decides what is put in their place. The searches
begin with a plain substring test, because most texts hold nothing of the kind and some are long.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from lash.runtime.seams.trace import CUT_MARK

SECRET_NAME: Final = re.compile(r"(?i)(key|token|secret|passw|credential|cookie|auth)")
"""Names of environment variables whose values are secret."""

LEAST_ENV_CHARS: Final = 8
"""Shorter values of such variables are switches and names, not secrets."""

LEAST_VALUE_CHARS: Final = 4
"""Shorter values that are said to be secret are let be: they stand in every other word."""

LEAST_PART_CHARS: Final = 6
"""How much of a known value has to be left at a cut to be recognised."""

SECRET_KEYS: Final = frozenset(
    (
        "authorization proxyauthorization xapikey apikey accesstoken refreshtoken idtoken clientsecret password passwd "
        "secret cookie setcookie privatekey"
    ).split()
)
"""Keys of maps whose values are secret, in lower case and without `-` and `_`."""

# Expressions are written so that no part of a text is scanned again for each place where a match could begin: the
# texts are anybody's, and long.
_START: Final = r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
"""Where a key can begin: not inside a word; after an escape, whose letters are no word."""

_SPACE: Final = r"(?: |\+|%20)"
_END: Final = rf"-----END[ +%0-9A-Za-z]*PRIVATE{_SPACE}KEY(?:{_SPACE}BLOCK)?-----"


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a text that is secret: what kind of secret, and the secret itself where its spelling is another."""

    start: int
    end: int
    kind: str
    secret: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a kind of secret looks like. A text without one of the `hints` need not be searched.

    Where the expression has a group of the name `secret`, only that is replaced.
    """

    kind: str
    expression: re.Pattern[str]
    hints: tuple[str, ...] = ()

    def find(self, text: str) -> Iterator[Found]:
        """The places where the text looks so."""
        if self.hints and not any(hint in text for hint in self.hints):
            return
        group = "secret" if "secret" in self.expression.groupindex else 0
        for match in self.expression.finditer(text):
            if match[group]:
                yield Found(*match.span(group), self.kind, match[group])


PATTERNS: Final = (
    Pattern("anthropic_key", re.compile(rf"{_START}sk-ant-[A-Za-z0-9_-]{{6,}}"), ("sk-ant-",)),
    Pattern("api_key", re.compile(rf"{_START}sk-[A-Za-z0-9_-]{{8,}}"), ("sk-",)),
    Pattern("google_key", re.compile(r"AIza[A-Za-z0-9_-]{10,}"), ("AIza",)),
    Pattern(
        "github_token",
        re.compile(r"(?:gh[pousr]_[A-Za-z0-9]{10,}|github_pat_[A-Za-z0-9_]{10,})"),
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    Pattern("slack_token", re.compile(r"xox[bpars]-[A-Za-z0-9-]{8,}"), ("xox",)),
    Pattern("aws_key", re.compile(r"AKIA[0-9A-Z]{12,}"), ("AKIA",)),
    Pattern("jwt", re.compile(rf"{_START}eyJ[A-Za-z0-9_-]{{5,}}\.[A-Za-z0-9_-]{{5,}}\.[A-Za-z0-9_-]*"), ("eyJ",)),
    Pattern("private_key", re.compile(_END.replace("END", "BEGIN") + rf"(?s:.*?)(?:{_END}|\Z)"), ("-----BEGIN",)),
    Pattern("url_password", re.compile(r""":(?:\\*/){2}[^\s/:@"'<>?#\\]*:(?P<secret>[^\s/"'<>?#]+)@"""), ("@",)),
    Pattern(
        "url_password",
        re.compile(
            r"%3[Aa]%2[Ff]%2[Ff](?:(?!%3[Aa]|%2[Ff]|%40)[^\s/:@])*%3[Aa](?P<secret>(?:(?!%2[Ff]|%40)[^\s/:@])+)%40"
        ),
        ("%40",),
    ),
)
"""What keys and tokens of well-known services look like, and passwords in addresses."""

_REST_OF_PRIVATE_KEY: Final = re.compile(rf"\A(?s:.*?){_END}")
"""The end of a private key whose beginning was cut off."""


def plain_key(key: str) -> str:
    """A key of a map as `SECRET_KEYS` has it."""
    return key.lower().replace("-", "").replace("_", "")


def environment_secrets(environment: Mapping[str, str] | None = None) -> list[str]:
    """Values of environment variables (of this process, if none are given) that have a secret's name and length."""
    variables = os.environ if environment is None else environment
    return [value for name, value in variables.items() if SECRET_NAME.search(name) and len(value) >= LEAST_ENV_CHARS]


def spellings(value: str) -> set[str]:
    """A value as it may stand in a text: plain, escaped as in JSON (once or twice), percent-encoded."""
    value = value.encode("utf-8", "replace").decode()
    found = {value, value.replace("/", "\\/")}
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        found |= {once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    encoded = {quote(value), quote(value, safe=""), quote_plus(value)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in encoded}
    return found | encoded | lower


class KnownValues:
    """Secrets whose text is known, to be found in any spelling."""

    def __init__(self) -> None:
        self._spellings: dict[str, str] = {}

    def add(self, values: Iterable[str]) -> None:
        """Know more values; very short ones are let be."""
        known = dict(self._spellings)
        for value in values:
            if len(value) >= LEAST_VALUE_CHARS:
                known.update({spelling: value for spelling in spellings(value) if spelling not in known})
        # Replaced as a whole, so that another thread that searches meanwhile sees one or the other.
        self._spellings = known

    def find(self, text: str) -> Iterator[Found]:
        """Where the values stand in a text."""
        for spelling, value in self._spellings.items():
            start = text.find(spelling)
            while start >= 0:
                end = start + len(spelling)
                yield Found(start, end, "value", value)
                start = text.find(spelling, end)

    def find_beginning(self, text: str) -> Iterator[Found]:
        """A value that the text breaks off in."""
        for spelling, value in self._spellings.items():
            for length in range(min(len(spelling) - 1, len(text)), LEAST_PART_CHARS - 1, -1):
                if text.endswith(spelling[:length]):
                    yield Found(len(text) - length, len(text), "value", value)
                    break

    def find_end(self, text: str) -> Iterator[Found]:
        """A value whose end the text begins with."""
        for spelling, value in self._spellings.items():
            for length in range(min(len(spelling) - 1, len(text)), LEAST_PART_CHARS - 1, -1):
                if text.startswith(spelling[-length:]):
                    yield Found(0, length, "value", value)
                    break


class KeyedValues:
    """Values of secret keys in texts that hold JSON, escaped any number of times, or the `repr` of Python objects."""

    def __init__(self, keys: Iterable[str]) -> None:
        # Between the letters of a key there may be separators, as in maps.
        words = "|".join("[-_]*".join(map(re.escape, key)) for key in sorted(keys, key=len, reverse=True))
        self._keys = re.compile(rf"""["'][-_]*(?:{words})[-_]*(\\*)["']\s*:\s*""", re.IGNORECASE)

    def find(self, text: str) -> Iterator[Found]:
        """The values, without the quotes round them. A text that ends in a value ends that value."""
        place = 0
        while key := self._keys.search(text, place):
            start, end = _value(text, key.end(), len(key[1]))
            # `null`, `true` and `false` say nothing that is secret, an empty text neither.
            if end > start and text[start:end] not in ("null", "true", "false", "None", "True", "False"):
                yield Found(start, end, "key", text[start:end])
            place = max(end, key.end())


_SCALAR = re.compile(r"""[^\s,}\]"'\\]*""")
_TOKEN = re.compile(r"""(\\*)(["'])|[\[\]{}]""")


def _value(text: str, start: int, depth: int) -> tuple[int, int]:
    """Begin and end of the value at `start` in a text where quotes have `depth` backslashes before them."""
    token = _TOKEN.match(text, start)
    if token is None:
        scalar = _SCALAR.match(text, start)
        return start, scalar.end() if scalar else start
    if token[2]:
        return token.end(), _end_of_text(text, token.end(), depth, token[2])
    open_brackets, place = 0, start
    while token := _TOKEN.search(text, place):
        place = token.end()
        if token[0] in "[{":
            open_brackets += 1
        elif token[0] in "]}":
            open_brackets -= 1
            if open_brackets == 0:
                return start, place
        elif len(token[1]) <= depth:
            place = min(len(text), _end_of_text(text, place, depth, token[2]) + depth + 1)
    return start, len(text)


def _end_of_text(text: str, start: int, depth: int, mark: str) -> int:
    """Where a quoted text ends: before the first of its quotes that no more than `depth` backslashes stand before."""
    for token in _TOKEN.finditer(text, start):
        if token[2] == mark and len(token[1]) <= depth:
            return token.start()
    return len(text)


def pieces(text: str) -> Iterator[tuple[int, str, bool, bool]]:
    """A text in the pieces that the marks of cuts leave: offset, piece, and whether a cut is before and after it."""
    if "…[cut " not in text:
        yield 0, text, False, False
        return
    start = 0
    for mark in CUT_MARK.finditer(text):
        yield start, text[start : mark.start()], start > 0, True
        start = mark.end()
    yield start, text[start:], start > 0, False


def rest_of_private_key(text: str) -> Iterator[Found]:
    """A private key that the text, which follows a cut, begins inside of."""
    if (match := _REST_OF_PRIVATE_KEY.match(text)) and "BEGIN" not in match[0]:
        yield Found(0, match.end(), "private_key", match[0])
