"""Hostile texts: growth, patterns made to be slow, JSON bombs, and regular-looking text of 256 KiB and more."""

from __future__ import annotations

from lashlang import Limits

from .program import LONG, SHORT, Hostile, between, text

LINES = "s = ''\nfor i in range(4096) { s += 'the quick brown fox jumps over the lazy dog, and away it goes\\n' }\n"
"""A regular-looking text of 256 KiB."""

WIDE = text("s", 20, "äb")

GROWTH = {
    "a text that doubles": Hostile("string_size", "x = 'x'\nwhile true { x += x }", SHORT),
    "a text that doubles by format": Hostile("string_size", "x = 'x'\nwhile true { x = format('{0}{0}', x) }", SHORT),
    "a text that doubles by join": Hostile("string_size", "x = 'x'\nwhile true { x = join([x, x], x) }", SHORT),
    "a text that doubles by replace": Hostile(
        "string_size", "x = 'x'\nwhile true { x = replace(x, 'x', 'xx') }", SHORT
    ),
    "a text that doubles by its own escapes": Hostile(
        "string_size", "x = '\"'\nwhile true { x = json_text([x, x]) }", SHORT
    ),
    "a text that doubles by its own quotes": Hostile(
        "string_size", "x = '\"'\nwhile true { x = to_string([x]) }", SHORT
    ),
    "a text that doubles by padding": Hostile(
        "string_size", "x = 'x'\nwhile true { x = pad_right(x, len(x) * 2) }", SHORT
    ),
    "a text that is replaced by a larger one": Hostile(
        "string_size", LONG + "submit replace(s, 'a', slice(s, 0, 1000))"
    ),
    "a join that is too large": Hostile("string_size", LONG + "submit join([s for i in range(99)], s)"),
    "a separator that is too large": Hostile("string_size", LONG + "submit join(range(99999), s)"),
    "endless padding": Hostile("string_size", "submit pad_left('x', 9223372036854775807, '€')"),
    "endless padding at the end": Hostile("string_size", "submit pad_right('x', 1e300)"),
    "a template that repeats": Hostile("string_size", LONG + "submit format('" + "{0}" * 99 + "', s)", SHORT),
    "digits without end": Hostile("value_error", "submit to_fixed(1, 9223372036854775807)"),
    "the text of a long list": Hostile("value_size", "x = range(999999)\nsubmit '' + [x, x, x, x, x]"),
}
"""Texts that grow until a limit says no."""

PIECES = {
    "too many pieces": Hostile("list_size", LONG + "submit split(s, '')"),
    "too many words": Hostile("list_size", text("s", 20, "a ") + "submit split(s)"),
    "too many separators": Hostile("list_size", text("s", 20, "a,") + "submit split(s, ',')"),
    "too many lines": Hostile("list_size", text("s", 20, "a\\n") + "submit lines(s)"),
    "too many lines found": Hostile("list_size", text("s", 20, "a\\n") + "submit grep_text(s, 'a')", Limits()),
    "too many spans": Hostile("list_size", LONG + "submit chunk_spans(s + s, 2, 1)", Limits()),
    "too many spans by line": Hostile("list_size", LONG + "submit chunk_spans(s + s, 1000, 999, 'line')", Limits()),
    "lines that do not fit the memory": Hostile(
        "memory", text("s", 18, "a\\n") + "x = [grep_text(s, 'a') for i in range(9)]"
    ),
    "one line of 256 KiB found again and again": Hostile("fuel", text("s", 17) + "while true { grep_text(s, 'b') }"),
    "regular lines found again and again": Hostile(
        "fuel", LINES + "while true { grep_text(s, 'lazy') }", Limits(fuel=500_000)
    ),
    "regular lines split again and again": Hostile("fuel", LINES + "while true { split(s) }", Limits(fuel=500_000)),
    "regular lines made again and again": Hostile("fuel", LINES + "while true { lines(s) }", Limits(fuel=500_000)),
    "regular lines replaced again and again": Hostile(
        "fuel", LINES + "while true { s = replace(replace(s, 'fox', 'dog'), 'dog', 'fox') }", Limits(fuel=500_000)
    ),
    "regular lines chunked again and again": Hostile(
        "fuel", LINES + "while true { chunk_spans(s, 999, 998, 'paragraph') }", Limits(fuel=100_000)
    ),
    "a needle that nearly fits everywhere": Hostile(
        "fuel", text("s", 19, "aa") + "n = pad_left('b', 9999, 'a')\nwhile true { find(s, n) }"
    ),
    "a needle that differs in its middle": Hostile(
        "fuel",
        text("s", 19, "aa") + "h = pad_left('', 9999, 'a')\nn = h + 'b' + h\nwhile true { count(s, n) }",
        Limits(fuel=2_000_000),
    ),
    "a pattern that nearly fits everywhere": Hostile(
        "fuel",
        text("s", 19, "aa") + "n = pad_left('b', 9999, 'a')\nwhile true { replace(s, n, 'x') }",
        Limits(fuel=2_000_000),
    ),
    "a separator that nearly fits everywhere": Hostile(
        "fuel",
        text("s", 19, "aa") + "n = pad_left('b', 9999, 'a')\nwhile true { split(s, n) }",
        Limits(fuel=2_000_000),
    ),
    "wide text read from its far end": Hostile("fuel", WIDE + "while true { s[-1]  s[0] }", Limits(fuel=100_000)),
    "wide text read here and there": Hostile(
        "fuel", WIDE + "i = 0\nn = len(s)\nwhile true { s[i * 999983 % n]  i += 1 }", Limits(fuel=10_000)
    ),
    "long texts read as numbers": Hostile("fuel", text("s", 19, "12") + "while true { s * 1 }", Limits(fuel=2_000_000)),
    "a long fraction read as a number": Hostile(
        "fuel", text("s", 17, "12") + "s = '0.' + s\nwhile true { s * 1 }", Limits(fuel=500_000)
    ),
    "a long text that is no number": Hostile("type_error", text("s", 19, "12") + "submit (s + 'x') * 1"),
}
"""Searching and cutting, with needles and texts chosen to hurt."""

JSON = {
    "JSON too deep": Hostile("value_error", "submit json_parse(join(['[' for i in range(100000)], ''))"),
    "JSON too deep and well formed": Hostile(
        "value_error", "n = range(129)\nsubmit json_parse(join(['[' for i in n], '') + join([']' for i in n], ''))"
    ),
    "JSON records too deep": Hostile("value_error", "submit json_parse(join(['{\"a\":' for i in range(100000)], ''))"),
    "JSON that is deep and wide": Hostile(
        "memory",
        "n = range(127)\nt = ',' + join(['[' for i in n], '') + join([']' for i in n], '')\n"
        "for i in range(14) { t += t }\nsubmit json_parse('[0' + t + ']')",
    ),
    "JSON that is wide": Hostile("list_size", text("s", 20, ",0") + "submit json_parse('[0' + s + ']')"),
    "JSON of empty lists": Hostile("list_size", text("s", 20, "[],") + "submit json_parse('[' + s + '0]')", Limits()),
    "JSON of many keys": Hostile(
        "list_size",
        "x = join(['\"k' + i + '\":0' for i in range(99999)], ',')\nsubmit json_parse('{' + x + '}')",
        Limits(list_size=99_998),
    ),
    "JSON of one key again and again": Hostile(
        "memory", text("s", 21, ',"k":0') + "submit json_parse('{\"k\":0' + s + '}')"
    ),
    "JSON of a number that is too large": Hostile("value_error", text("s", 19, "99") + "submit json_parse(s + '')"),
    "JSON of an exponent that is too large": Hostile(
        "value_error", "submit json_parse('1e' + pad_left('', 99999, '9'))"
    ),
    "JSON of a number without an end": Hostile(
        "value_error", text("s", 19, "99") + "submit json_parse('0.' + s + 'e')"
    ),
    "JSON of half escapes": Hostile("value_error", text("s", 17, "\\\\ud800") + "submit json_parse('\"' + s + '\"')"),
    "JSON of a text that never closes": Hostile("value_error", LONG + "submit json_parse('\"' + s)"),
    "JSON of backslashes": Hostile("value_error", text("s", 20, "\\\\") + "submit json_parse('\"' + s + '\"\"')"),
    "JSON in JSON in JSON": Hostile(
        "value_size",
        "x = [1]\nwhile true { x = [json_parse(json_text(x)), json_parse(json_text(x))]\nx = flatten([x, x]) }",
        Limits(value_size=1_000_000),
    ),
    "JSON parsed again and again": Hostile(
        "fuel", "s = json_text(range(9999))\nwhile true { json_parse(s) }", Limits(fuel=200_000)
    ),
    "JSON refused again and again": Hostile("fuel", LONG + "while true { try_json('[' + s) }", Limits(fuel=200_000)),
}
"""JSON made to cost more than it looks."""

FINE = {
    "text that grows": Hostile("submitted", "x = ''\nfor i in range(200000) { x = x + 'ä' }\nsubmit len(x)"),
    "text put in front": Hostile("submitted", "x = ''\nfor i in range(20000) { x = 'a' + x }\nsubmit len(x)"),
    "an index into wide text": Hostile(
        "continued", "x = 'äb'\nfor i in range(16) { x += x }\nfor i in range(len(x)) { y = x[i] }"
    ),
    "a needle made to be slow": Hostile("submitted", LONG + "submit find(s, slice(s, 0, 400000) + 'bb')"),
    "a pattern made to be slow": Hostile("submitted", LONG + "submit len(replace(s, slice(s, 0, 100000) + 'bb', 'x'))"),
    "JSON that never closes": Hostile("submitted", "submit try_json(join(['[' for i in range(100000)], '')).ok"),
    "JSON of a long number": Hostile("submitted", text("s", 19, "12") + "submit json_parse('0.' + s)"),
    "JSON of long escapes": Hostile(
        "submitted", text("s", 18, "\\\\u0041") + "submit len(json_parse('\"' + s + '\"'))"
    ),
    "JSON as deep as it may be": Hostile("submitted", "submit json_parse('" + between("[", "", "]", 128) + "')"),
}
"""Texts that only look dangerous."""
