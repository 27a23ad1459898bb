"""Hostile sources: up to and beyond 256 KiB of one thing, nested, chained, unclosed, or not even text."""

from __future__ import annotations

from lashlang import Limits

from .program import Hostile, between, numbered

REFUSED = {
    "digits": Hostile("lex_error", "x = " + "1" * 250_000),
    "letters after digits": Hostile("lex_error", "x = " + "1a" * 120_000),
    "open brackets": Hostile("nesting_too_deep", "x = " + "[" * 250_000),
    "open braces": Hostile("nesting_too_deep", "x = " + "{" * 250_000),
    "open parentheses": Hostile("nesting_too_deep", "x = " + "(" * 250_000),
    "all kinds of open brackets": Hostile("nesting_too_deep", "x = " + "[(" * 120_000),
    "closing brackets": Hostile("syntax_error", "]" * 250_000),
    "signs": Hostile("nesting_too_deep", "x = " + "-" * 250_000 + "1"),
    "exclamation marks": Hostile("nesting_too_deep", "x = " + "!" * 250_000 + "1"),
    "negations": Hostile("nesting_too_deep", "x = " + "not " * 60_000 + "1"),
    "awaits": Hostile("nesting_too_deep", "x = " + "await " * 40_000 + "1"),
    "ternaries": Hostile("nesting_too_deep", "x = " + "1 ? 1 : " * 30_000 + "1"),
    "ternaries in the first arm": Hostile("nesting_too_deep", "x = " + "1 ? " * 60_000 + "1" + " : 1" * 2),
    "calls inside calls": Hostile("nesting_too_deep", "x = " + between("abs(", "1", ")", 65)),
    "blocks inside blocks": Hostile("nesting_too_deep", between("if true { ", "", " }", 20_000)),
    "loops inside loops": Hostile("nesting_too_deep", between("while true { ", "", " }", 15_000)),
    "branches inside too many branches": Hostile("nesting_too_deep", "x = " + between("parallel { ", "1", " }", 65)),
    "comprehensions inside comprehensions": Hostile(
        "nesting_too_deep", "x = " + between("[", "1", " for i in []]", 65)
    ),
    "types inside types": Hostile("nesting_too_deep", "x = Type { a: " + between("list[", "str", "]", 65) + " }"),
    "a mixture of nesting": Hostile("nesting_too_deep", "x = " + ("(" + "-" * 60) * 5 + "1" + ")" * 5),
    "else if": Hostile("nesting_too_deep", "if 1 == 2 {}" + " else if 1 == 2 {}" * 257),
    "question marks": Hostile("syntax_error", "x = { ok: true }" + "?" * 200_000),
    "nothing but question marks": Hostile("syntax_error", "?" * 262_144),
    "question marks apart": Hostile("type_error", "x = 1" + " ? " * 80_000),
    "comparisons": Hostile("syntax_error", "x = 1" + " < 1" * 60_000),
    "a string that never closes": Hostile("lex_error", "x = '" + "a" * 260_000),
    "many strings that never close": Hostile("lex_error", "x = '" + "\n'" * 130_000),
    "a string of backslashes": Hostile("lex_error", "x = '" + "\\" * 260_001),
    "quotes": Hostile("lex_error", "'" * 262_144),
    "backquotes": Hostile("lex_error", "`" * 262_144),
    "zero bytes": Hostile("lex_error", "\0" * 262_144),
    "invisible letters": Hostile("lex_error", "x\u200b = 1\n" * 20_000),
    "letters of another script": Hostile("lex_error", "ж" * 131_072),
    "dots": Hostile("syntax_error", "." * 262_144),
    "commas": Hostile("syntax_error", "x = [" + "," * 262_000),
    "one field of a type again and again": Hostile("duplicate_name", "x = Type {" + "a: int, " * 30_000 + "}"),
    "one branch again and again": Hostile("duplicate_name", "x = parallel {" + "a: 1, " * 40_000 + "}"),
    "let after let": Hostile("syntax_error", "let x = 1\n" * 20_000),
    "words": Hostile("syntax_error", "in " * 80_000),
    "a builtin that nearly exists": Hostile("unknown_builtin", "x = " + "l" * 250_000 + "en(1)"),
    "names that nearly exist": Hostile("unknown_name", numbered("v{0} = 1", 14_000) + "\nsubmit v14001"),
    "a name that is too long to be near any": Hostile(
        "unknown_name", numbered("v{0} = 1", 4_000) + "\nsubmit " + "v" * 200_000
    ),
    "a submit in a branch": Hostile("submit_in_parallel", "parallel { " + "1\n" * 50_000 + "submit 1 }"),
    "a continue in a branch": Hostile("loop_control", "while true { parallel { " + "1\n" * 50_000 + "continue } }"),
    "a break in a branch in a branch": Hostile("loop_control", "for i in [1] { parallel { parallel { break } } }"),
    "arguments": Hostile("source_too_large", "x = max(" + "1," * 100_000 + "1)"),
    "more than fits": Hostile("source_too_large", " " * 262_145),
    "much more than fits": Hostile("source_too_large", "(" * 20_000_000),
    "more bytes than fit": Hostile("source_too_large", "# " + "€" * 87_381),
}
"""Sources that do not compile, and one or two that fail at their first step."""

FINE = {
    "brackets to the limit": Hostile("continued", "x = " + between("[", "1", "]", 64)),
    "many variables": Hostile("continued", numbered("v{0}x = {0}", 16_000)),
    "many constants": Hostile("submitted", "x = [" + numbered("{0}.5", 30_000, ",") + "]\nsubmit len(x)"),
    "many constants in use": Hostile("continued", "x = 0\n" + numbered("x += {0}.5", 15_000)),
    "a long chain of operators": Hostile("continued", "x = 1" + " + 1" * 60_000),
    "a long chain of both signs": Hostile("continued", "x = 1" + " - -1" * 50_000),
    "a long chain of conjunctions": Hostile("continued", "x = 1" + " and 1" * 40_000),
    "a long chain of fields": Hostile("continued", "x = null" + ".a" * 100_000),
    "a long chain of indexes": Hostile("continued", "x = null" + "[0]" * 80_000),
    "a long chain of defaults": Hostile("continued", "x = null" + " ?? null" * 30_000),
    "a long list": Hostile("continued", "x = [" + "1," * 120_000 + "]"),
    "a long record": Hostile("continued", "x = {" + numbered("k{0}: 1", 20_000, ",") + "}"),
    "a record of one field again and again": Hostile("continued", "x = {" + "a: 1, " * 40_000 + "}"),
    "a long name": Hostile("continued", "a" * 250_000 + " = 1"),
    "a long text": Hostile("continued", "x = '" + "€" * 80_000 + "'"),
    "a text of escapes": Hostile("submitted", "x = '" + "\\n" * 120_000 + "'\nsubmit len(x)"),
    "a long comment": Hostile("continued", "# " + "a" * 250_000),
    "comments of nothing": Hostile("continued", "#\n" * 131_072),
    "a source of spaces": Hostile("continued", " " * 262_144),
    "a source of lines": Hostile("continued", "\n" * 262_144),
    "a source of line endings of two": Hostile("continued", "\r\n" * 131_072),
    "a source of semicolons": Hostile("continued", ";" * 100_000),
    "many statements": Hostile("continued", "x = 1\n" * 40_000),
    "many empty blocks": Hostile("continued", "if true {}\n" * 20_000),
    "a long chain of else if": Hostile("continued", "if 0 == 1 {}" + numbered(" else if {0} == -1 {{}}", 256, "")),
    "many types": Hostile("continued", numbered("t{0} = Type {{ a: int?, b: list[str] }}", 6_000)),
    "a type of many variants": Hostile("continued", "t = Type { a: " + "int | " * 40_000 + "str }"),
    "branches inside branches": Hostile("continued", "x = " + between("parallel { 1, ", "2", " }", 60)),
    "many branches": Hostile("submitted", "x = parallel { " + "1, " * 20_000 + "}\nsubmit len(x)", Limits()),
}
"""Sources that only look dangerous."""
