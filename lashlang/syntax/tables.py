"""The LALR(1) tables: made by Lark from the grammar, kept in a file that is read in about a millisecond.

Lark reads the grammar and analyses it; what the parser needs of the result is a few lists of integers.
The package build writes them to `tables.bin` (JSON) beside this module, under a key made of Lark's
version and the grammar's text. Where that file is missing or has another key, the tables are made in
memory instead, once per process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from lashlang.syntax.kinds import NAMES

GRAMMAR: Final = Path(__file__).parents[1] / "grammar" / "lashlang.lark"
"""The grammar, package data."""

CACHE: Final = Path(__file__).with_name("tables.bin")
"""Where the tables are kept."""

FORMAT: Final = 1
"""Version of what the file holds; part of the key."""


EAGER: Final = frozenset(
    "open_prefix open_ternary else_if two_names names_open branch_key field_key assign_open foreign_word".split()
)
"""Actions that are taken as soon as their tokens have been read, without a look at the next one: those that check."""


class Rule(NamedTuple):
    """An alternative of the grammar: the non-terminal it makes, of how many symbols, by which method of the builder.

    `action` is None where the value of the only symbol is passed on.
    """

    origin: int
    size: int
    action: str | None


class Tables(NamedTuple):
    """What the parser runs on. States, rules and non-terminals are numbers; state 0 is the start.

    `actions[state][kind]` is positive to shift and go to that state, negative to reduce by the rule of
    that number negated, and 0 where the token does not fit. `gotos[state][origin]` is the state after a
    reduction. `symbols[state]` is the name of the symbol that leads to the state. A state that waits for
    nothing but an eager reduction makes it whatever the token.
    """

    actions: list[list[int]]
    gotos: list[dict[int, int]]
    symbols: list[str]
    rules: list[Rule]
    accept: int


def build_tables(path: Path) -> None:
    """Make the tables and write them to `path`, for the package build; equal inputs give equal bytes. Needs Lark."""
    path.write_text(json.dumps({"key": _key(), **_analyse()}, separators=(",", ":")) + "\n", encoding="utf-8")


@cache
def load_tables() -> Tables:
    """The tables, from the file if it was made of this grammar by the installed Lark, else made anew."""
    return _decode(_stored() or _analyse())


def _stored() -> dict[str, Any] | None:
    """What the file holds, or None if it cannot be read or is not for this grammar and Lark."""
    try:
        data = json.loads(CACHE.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("key") == _key() else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- JSON is untyped


def _key() -> str:
    """Names everything the tables depend on."""
    grammar = hashlib.sha256(GRAMMAR.read_bytes()).hexdigest()
    kinds = hashlib.sha256(" ".join(NAMES).encode()).hexdigest()
    return f"{FORMAT} lark-{_lark_version()} {grammar} {kinds}"


def _lark_version() -> str:
    """The version of the installed Lark, taken from its source: importing it would cost more than all the rest."""
    spec = importlib.util.find_spec("lark")
    if spec is None or spec.origin is None:
        return "none"
    found = re.search(r'__version__[^=\n]*=\s*"([^"]+)"', Path(spec.origin).read_text(encoding="utf-8"))
    return found[1] if found else "unknown"


def _analyse() -> dict[str, Any]:
    """The tables in the form that is stored: per state the pairs of its row, flat."""
    from lark import load_grammar
    from lark.common import ParserConf
    from lark.grammar import Rule as LarkRule
    from lark.parsers.lalr_analysis import LALR_Analyzer, Shift

    reader: Any = load_grammar  # which has no complete annotations
    grammar, _ = reader.load_grammar(GRAMMAR.read_text(encoding="utf-8"), GRAMMAR.name, [], False)
    lark_rules: list[LarkRule] = grammar.compile(["program"], "*")[1]
    analysis = LALR_Analyzer(ParserConf(lark_rules, {}, ["program"]))
    analysis.compute_lalr()
    table: Any = analysis.parse_table

    origins = list(dict.fromkeys(rule.origin.name for rule in lark_rules))
    rules: list[tuple[int, int, str | None]] = [(0, 0, None)]  # rule 0 is none, so that 0 can mean "does not fit"
    numbers: dict[Any, int] = {}
    for rule in lark_rules:
        if rule.alias is None and len(rule.expansion) != 1:
            raise ValueError(f"the alternative `{rule}` of the grammar names no action")
        numbers[rule] = len(rules)
        rules.append((origins.index(rule.origin.name), len(rule.expansion), rule.alias))

    # Lark numbers states in no fixed order: number them as they are met from the start state.
    start, end = table.start_states["program"], table.end_states["program"]
    order: dict[int, int] = {start: 0}
    symbols = ["program"]
    rows: list[list[int]] = []
    gotos: list[list[int]] = []
    queue: list[int] = [start]
    for state in queue:  # which grows meanwhile
        row: list[int] = []
        goto: list[int] = []
        entries: dict[str, tuple[Any, Any]] = table.states[state]
        for symbol, (action, target) in sorted(entries.items()):
            if action is not Shift:
                row += (_kind(symbol), -numbers[target])
                continue
            if target not in order:
                order[target] = len(order)
                symbols.append(symbol)
                queue.append(target)
            if symbol in origins:
                goto += (origins.index(symbol), order[target])
            else:
                row += (_kind(symbol), order[target])
        rows.append(row)
        gotos.append(goto)
    return {"rows": rows, "gotos": gotos, "symbols": symbols, "rules": rules, "accept": order[end]}


def _kind(terminal: str) -> int:
    return NAMES.index("END" if terminal == "$END" else terminal)


def _decode(data: dict[str, Any]) -> Tables:
    rules = [Rule(*rule) for rule in data["rules"]]
    actions: list[list[int]] = []
    for row in data["rows"]:
        whats: list[int] = row[1::2]
        eager = len(set(whats)) == 1 and whats[0] < 0 and rules[-whats[0]].action in EAGER
        full = [whats[0] if eager else 0] * len(NAMES)
        for kind, what in zip(row[::2], whats, strict=True):
            full[kind] = what
        actions.append(full)
    gotos = [dict(zip(row[::2], row[1::2], strict=True)) for row in data["gotos"]]
    return Tables(actions, gotos, data["symbols"], rules, data["accept"])
