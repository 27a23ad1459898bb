"""The texts of the hints of chapter 17 that belong to errors found before running, or to unbound names.

A hint says in one line what to write instead. Which hint applies to a misplaced token is decided in
`lashlang.syntax.misuse`; here stand the texts and the choices that need only names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lashlang.syntax import tree
from lashlang.syntax.kinds import FOREIGN_WORDS

FSTRING: Final = 'strings have no prefix but `r`; build text with `format("{}", x)`'
BACKTICK: Final = 'put text in `"` or `\'` quotes, and build it with `format("{}", x)`'
NUMBER: Final = "a number is plain digits, at most one dot, and an optional exponent: `1000000`, `2.5`, `1e6`"
AMP: Final = "there are no bit operators; combine conditions with `and` and `or`"
COMMENT: Final = "divide whole numbers with `floor_div(a, b)`; if a comment is meant, begin it with `#`"
CALL: Final = "tools are called with braces and without parentheses: `call name { key: value }`"
ARROW: Final = "there are no functions; use a comprehension such as `[f(x) for x in xs]`, or write the loop out"
INLINE_IF: Final = "`if` is a statement; choose a value with `cond ? a : b`"
INLINE_FOR: Final = "`for` is a statement; to make a list put it in brackets: `[f(x) for x in xs]`"
SLICE: Final = "take a part with `slice(xs, a, b)`"
SPREAD: Final = "nothing is spread with `...` or `*`; join records with `merge(r, { k: v })` and lists with `xs + ys`"
KEY: Final = "a computed key is assigned: `r = {}`, then `r[k] = v`"
PARALLEL: Final = (
    "branches stand in braces: `parallel { call a {} call b {} }`; "
    "for a list of calls write `await [start call t { x: x } for x in xs]`"
)
CHAIN: Final = "comparisons do not chain; write `a < b and b < c`"
NOT: Final = "`not` binds loosely; put it in parentheses, or write `!x`"
INCREMENT: Final = "write `x += 1` or `x -= 1`"
EQUAL: Final = (
    "compare with `==`; an assignment is a statement of its own, to a variable or a path on one such as `x.a[0]`"
)
NAMED_ARGUMENT: Final = "arguments of builtins have no names: `sort(xs, true)`; compare with `==`"
POWER: Final = "powers are written `pow(x, y)`"
TUPLE: Final = "there are no tuples; give one value, such as the list `[a, b]` or the record `{ a: a, b: b }`"
LOOP_NAMES: Final = "a loop has one name or two: `for x in xs`, `for k, v in r`; take longer lists apart in its body"
LOOP_HEAD: Final = (
    "write `for x in xs { … }` or `for k, v in r { … }`, no parentheses; to count, `for i in range(n) { … }`"
)
RECORD: Final = "separate entries with commas, and close the braces after the last one"
TYPE: Final = "inside a type write `Type { … }` for a record and `list[str]` for a list"

_NO_FUNCTIONS: Final = "there are no functions or classes; write the steps out, or use a comprehension"
_NO_EXCEPTIONS: Final = "there are no exceptions; a failed `call` gives a record with `.ok` and `.error` to look at"
_NO_VARIABLE_WORD: Final = "variables need no keyword: `x = 1`"
_NO_IMPORTS: Final = "there are no imports; builtins are always there, tools are used with `call name { key: value }`"
_CASES: Final = "choose with `if … { } else if … { } else { }`"

_FOREIGN: Final[dict[str, str]] = {
    **dict.fromkeys(("let", "const", "var"), _NO_VARIABLE_WORD),
    **dict.fromkeys(("def", "function", "fn", "class", "lambda"), _NO_FUNCTIONS),
    "return": "end the block with `submit x`",
    **dict.fromkeys(("import", "from"), _NO_IMPORTS),
    **dict.fromkeys(("try", "except", "finally", "raise", "throw"), _NO_EXCEPTIONS),
    "with": "there is no `with`; call the tool and use its result",
    "pass": "there is no `pass`; a block may be empty: `{ }`",
    "del": "nothing is deleted; `r = without(r, key)` leaves a key out",
    "elif": "write `else if`",
    **dict.fromkeys(("match", "switch", "case"), _CASES),
    "async": "run tools side by side with `parallel { … }`, or `h = start call t { … }` and later `await h`",
    "do": "there is no `do`; loop with `while cond { … }`",
}

_METHODS: Final[dict[str, str]] = {
    **dict.fromkeys(("append", "push"), "`xs = push(xs, v)`"),
    **dict.fromkeys(("extend", "concat"), "`xs + ys`"),
    **dict.fromkeys(("map", "filter"), "a comprehension: `[f(x) for x in xs if cond]`"),
    "forEach": "a loop: `for x in xs { … }`",
    "join": "`join(xs, sep)`, the list first",
    **dict.fromkeys(("substring", "substr"), "`slice(s, a, b)`"),
    **dict.fromkeys(("index", "indexOf"), "`find(s, part)`"),
    "toString": "`to_string(x)`",
    **dict.fromkeys(("length", "size"), "`len(x)`"),
    "strip": "`trim(s)`",
    "startswith": "`starts_with(s, prefix)`",
    "endswith": "`ends_with(s, suffix)`",
    **dict.fromkeys(("includes", "has"), "`x in xs`"),
    "get": "`rec[key]`, or `rec[key] ?? default`",
    "entries": "`items(r)`",
    "splitlines": "`lines(s)`",
    "toLowerCase": "`lower(s)`",
    "toUpperCase": "`upper(s)`",
    **dict.fromkeys(("padStart", "rjust", "zfill"), "`pad_left(s, n, fill)`"),
    **dict.fromkeys(("padEnd", "ljust"), "`pad_right(s, n, fill)`"),
    "toFixed": "`to_fixed(x, digits)`",
    "pop": "`slice(xs, 0, -1)`",
    "update": "`merge(r, other)`",
}

_OTHER_NAMES: Final[dict[str, str]] = {
    "str": "to_string",
    "int": "to_int",
    "parseInt": "to_int",
    "float": "to_float",
    "length": "len",
    "size": "len",
    "append": "push",
    "json_loads": "json_parse",
    "json_dumps": "json_text",
    "sorted": "sort",
    "reversed": "reverse",
    "set": "unique",
    "type": "type_of",
    "typeof": "type_of",
    "isinstance": "type_of",
}
"""Names that builtins have in other languages."""

_CONSTANTS: Final[dict[str, str]] = {
    "True": "true",
    "False": "false",
    **dict.fromkeys(("None", "undefined", "nil", "NULL"), "null"),
}


def foreign_word(word: str) -> str:
    """H-WORD: what takes the place of a statement that other languages begin with this word."""
    return _FOREIGN[word]


def method(name: str) -> str:
    """H-METHOD: what takes the place of the method `name`."""
    if name in _METHODS:
        return f"values have no methods; write {_METHODS[name]}"
    if name in _builtins():
        return f"values have no methods; write `{name}(value, …)`"
    return "values have no methods; builtins take the value as an argument, as in `len(x)`"


def unknown_builtin(name: str, args: Sequence[tree.Expr]) -> str | None:
    """H-CALL or H-BUILTIN for a call of `name`, which is no builtin; None if nothing comes near."""
    if len(args) == 1 and isinstance(args[0], tree.RecordLiteral):
        return CALL
    if name in _OTHER_NAMES:
        return f"the builtin is `{_OTHER_NAMES[name]}`"
    if name in ("map", "filter"):
        return "use a comprehension: `[f(x) for x in xs if cond]`"
    if name == "reduce":
        return "write a loop: `total = 0`, then `for x in xs { total += x }`"
    near = nearest(name, _builtins())
    return None if near is None else f"did you mean `{near}`?"


def unknown_name(name: str, bound_names: Iterable[str]) -> str | None:
    """H-CONST or H-NAMES for the unbound variable `name`; None if nothing comes near."""
    if name in _CONSTANTS:
        return f"write `{_CONSTANTS[name]}`"
    if name in FOREIGN_WORDS:
        return f"there is no such statement; {_FOREIGN[name]}"
    if name in _builtins():
        return f"`{name}` is a builtin and no value; call it: `{name}(…)`"
    near = nearest(name, bound_names)
    if near is not None:
        return f"did you mean `{near}`?"
    near = nearest(name, _builtins())
    return None if near is None else f"did you mean the builtin `{near}(…)`?"


def _builtins() -> Iterable[str]:
    # The compiler's package imports this one; by now it is complete.
    from lashlang.compiler.builtins import BY_NAME

    return BY_NAME.keys()


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate with the least edit distance from `name`, 2 at most; the first of several.

    Names that share nothing are no candidates: every name of one letter is one edit away from any other.
    """
    best, best_distance = None, 3
    for candidate in candidates:
        shorter, longer = sorted((len(name), len(candidate)))
        if longer - shorter < best_distance:
            distance = _distance(name, candidate)
            if distance < best_distance and distance <= shorter and distance < longer:
                best, best_distance = candidate, distance
    return best


def _distance(one: str, other: str) -> int:
    """The number of code points to insert, delete or replace to make one text of the other; 3 if over 2."""
    row = list(range(len(other) + 1))
    for at, char in enumerate(one, 1):
        last, row = row, [at]
        for to, goal in enumerate(other, 1):
            row.append(min(last[to] + 1, row[-1] + 1, last[to - 1] + (char != goal)))
        if min(row) > 2:
            return 3
    return row[-1]
