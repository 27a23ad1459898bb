"""What `:help` tells: the texts of `builtins.txt` and `topics.txt`, whose examples the tests run."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class BuiltinHelp(NamedTuple):
    """A builtin. `signature` has optional arguments in brackets; `shown` is what the REPL shows for `example`."""

    name: str
    signature: str
    text: str
    example: str
    shown: str
    group: str


class Topic(NamedTuple):
    """A page about the language. `also` are other words that lead to it; in `text` lines of `> ` are input, and what
    stands below them is what is shown, `| ` for prints and `! ` for the kind of an error."""

    name: str
    also: tuple[str, ...]
    text: str


_HEAD = re.compile(r"^=== (.*)\n", re.MULTILINE)


@cache
def builtins() -> dict[str, BuiltinHelp]:
    """The builtins by name, in groups."""
    found: dict[str, BuiltinHelp] = {}
    for head, body in _sections("builtins.txt"):
        group = head.removeprefix("builtins: ")
        for entry in body.split("\n\n"):
            signature, text, example, shown = entry.split("\n")
            name = signature.partition("(")[0]
            found[name] = BuiltinHelp(name, signature, text, example.removeprefix("> "), shown, group)
    return found


@cache
def topics() -> dict[str, Topic]:
    """The pages by name, in the order in which to read them."""
    found: dict[str, Topic] = {}
    for head, body in _sections("topics.txt"):
        name, _, also = head.partition(": ")
        found[name] = Topic(name, tuple(also.split()), body)
    return found


def topic_of(word: str) -> Topic | None:
    """The page of that name, or the first that the word leads to."""
    pages = topics()
    return pages.get(word) or next((page for page in pages.values() if word in page.also), None)


def _sections(file: str) -> list[tuple[str, str]]:
    """The parts of a file, each with its heading."""
    text = files("lashlang.repl").joinpath(file).read_text(encoding="utf-8")
    parts = _HEAD.split(text)[1:]
    return [(head, body.strip("\n")) for head, body in zip(parts[::2], parts[1::2], strict=True)]
