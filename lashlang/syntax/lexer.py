"""From a source text to tokens (chapter 1 of the specification).

One compiled regular expression does the work: white space, then one token, again and again. Every
part of it is possessive or ends at a fixed character, so no text makes it go back, and the time is
linear in the length of the source. Lexing is complete before parsing, and of several lexical errors
the first by position is reported.
"""

from __future__ import annotations

import re
from typing import Final

from lashlang.syntax import hints
from lashlang.syntax.diagnostics import CompileError
from lashlang.syntax.kinds import CLOSERS, END, IDENT, LAST_OPENER, NUMBER, SIGNS, STRING, WORDS
from lashlang.syntax.report import error_at
from lashlang.syntax.source import Source

MAX_SOURCE: Final = 256 * 1024
"""Longest source, in bytes of UTF-8 (a leading byte-order mark not counted)."""

MAX_BRACKETS: Final = 64
"""Most brackets that may be open at once."""

WHITE: Final = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000;"
"""White space and `;`, as the inside of a character class."""

# The groups of the expression below, by number.
_WORD, _STRING, _UNCLOSED, _NUMBER, _BAD_NUMBER, _COMMENT, _SIGN, _OTHER, _END = range(1, 10)

_TOKEN: Final = re.compile(
    rf"""
    [{WHITE}]*+
    (?:
      ( (?! [rR]["'] ) [A-Za-z_][A-Za-z0-9_]*+ )
    | ( [rR] (?: \"\"\" (?: [^"]++ | "(?!"") )*+ \"\"\"
               | '''    (?: [^']++ | '(?!'') )*+ '''
               | "(?!"") [^"]*+ "
               | '(?!'') [^']*+ ' )
      | \"\"\" (?: [^"\\]++ | \\. | "(?!"") )*+ \"\"\"
      | '''    (?: [^'\\]++ | \\. | '(?!'') )*+ '''
      | "(?!"") (?: [^"\\]++ | \\. )*+ "
      | '(?!'') (?: [^'\\]++ | \\. )*+ ' )
    | ( [rR]? (?: \"\"\" | ''' | " | ' ) )
    | ( [0-9]++ (?: \.[0-9]*+ )?+ (?: [eE][+-]?[0-9]++ )?+ (?! [\w.] ) )
    | ( [0-9] (?: [eE][+-] | [\w.] )*+ )
    | ( (?: \# | // ) [^\n]*+ )
    | ( [=!<>+\-*/%]= | && | \|\| | \?\? | [{{}}()\[\],:?.=!<>+\-*/%|] )
    | ( . )
    | ( \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)

_LIKE_DIVISION: Final = re.compile(r"//(?:=|[ \t]*[0-9])")
"""A comment that was probably meant as a division."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_PREFIXES: Final = frozenset("fFbBuU")
"""Identifiers that are string prefixes in other languages."""

_LONGEST_QUOTE: Final = 60
"""Most code points of a malformed number that its message repeats."""


class Tokens:
    """The tokens of a source, as parallel lists with one entry for each, the end of the source included.

    `kinds` is what the spelling says; `labels` and `seconds` are what the passes say: how the parser
    first reads the token and how it reads it where the first reading fits nowhere. `starts` and `ends`
    are offsets, `nl` tells whether a line feed or `;` lies before the token, and `depths` how many
    brackets are open after it.
    """

    __slots__ = ("depths", "ends", "kinds", "labels", "nl", "seconds", "source", "starts")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.kinds: list[int] = []
        self.labels: list[int] = []
        self.seconds: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.nl: list[bool] = []
        self.depths: list[int] = []

    def text(self, index: int) -> str:
        """The spelling of a token."""
        return self.source.text[self.starts[index] : self.ends[index]]

    def tight(self, index: int) -> bool:
        """Whether a token starts exactly where the one before it ended."""
        return index > 0 and self.starts[index] == self.ends[index - 1]


def read_source(source: str | bytes) -> Source:
    """The source as text, or `source_too_large`.

    Bytes that are not UTF-8 become lone surrogates, which the lexer refuses where they stand.
    """
    if isinstance(source, bytes):
        size = len(source.removeprefix(b"\xef\xbb\xbf"))
        result = Source(source[: MAX_SOURCE + 4].decode("utf-8", "surrogateescape"))
    else:
        result = Source(source)
        size = len(result.text)
        if size <= MAX_SOURCE and not result.text.isascii():
            size = len(result.text.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE:
        message = f"the source is over {MAX_SOURCE} bytes long"
        raise error_at(result, "source_too_large", message, 0, 0)
    return result


def lex(source: Source, *, from_bytes: bool = False) -> Tokens:
    """Split a source into tokens, without labels.

    `from_bytes` says that a lone surrogate stands for a byte that is not UTF-8, for the message.
    Raises `CompileError`: `lex_error`, or `nesting_too_deep` at the first bracket too many.
    """
    foul = _SURROGATE.search(source.text)
    try:
        tokens = _scan(source)
    except _LexError as error:
        if foul is None or error.start < foul.start():
            raise error.located(source) from None
    else:
        if foul is None:
            _check_brackets(tokens)
            return tokens
    raise _unexpected(foul.start(), foul.group(), from_bytes=from_bytes).located(source)


def _check_brackets(tokens: Tokens) -> None:
    """Raise `nesting_too_deep` at the first bracket too many."""
    if max(tokens.depths) > MAX_BRACKETS:
        start = tokens.starts[tokens.depths.index(MAX_BRACKETS + 1)]
        message = f"nesting is too deep: more than {MAX_BRACKETS} open brackets"
        raise error_at(tokens.source, "nesting_too_deep", message, start, start + 1)


def _scan(source: Source) -> Tokens:
    """The tokens of a source; raises `_LexError` for the first error, lone surrogates in strings and comments apart."""
    tokens = Tokens(source)
    text = source.text
    kinds, starts, ends, nl, depths = tokens.kinds, tokens.starts, tokens.ends, tokens.nl, tokens.depths
    words, signs = WORDS, SIGNS
    depth = 0
    last = 0  # where the last token ended
    commented = True  # a comment, or nothing at all, precedes the token, so that it begins a line
    for match in _TOKEN.finditer(text):
        group = match.lastindex
        assert group is not None
        start, end = match.span(group)
        if group == _WORD:
            kind = words.get(match[_WORD], IDENT)
        elif group == _SIGN:
            kind = signs[match[_SIGN]]
            if kind <= LAST_OPENER:
                depth += 1
            elif kind in CLOSERS and depth:
                depth -= 1
        elif group == _STRING:
            kind = STRING
            if start == last and kinds and text[starts[-1] : last] in _PREFIXES:
                raise _LexError("string_prefix", "a string cannot have this prefix", starts[-1], last, hints.FSTRING)
        elif group == _NUMBER:
            kind = NUMBER
            if end - start > 3 and number_value(match[_NUMBER]) is None:
                raise _bad_number(match[_NUMBER], start)
        elif group == _COMMENT:
            # Only the first comment after a token can stand on its line.
            if not commented and _LIKE_DIVISION.match(text, start) and text.find("\n", last, start) < 0:
                raise _LexError("ambiguous_comment", "`//` begins a comment", start, start + 2, hints.COMMENT)
            commented = True
            continue
        elif group == _END:
            break
        elif group == _UNCLOSED:
            raise _LexError("unterminated_string", "string is never closed", start, end)
        elif group == _BAD_NUMBER:
            raise _bad_number(match[_BAD_NUMBER], start)
        else:
            raise _unexpected(start, match[_OTHER])
        kinds.append(kind)
        starts.append(start)
        ends.append(end)
        depths.append(depth)
        if commented:
            nl.append(True)
            commented = False
        elif start == last:
            nl.append(False)
        else:
            gap = text[last:start]
            nl.append("\n" in gap or ";" in gap)
        last = end
    kinds.append(END)
    starts.append(len(text))
    ends.append(len(text))
    depths.append(depth)
    nl.append(True)
    return tokens


class _LexError(Exception):
    """A lexical error that has not been given lines and columns yet."""

    def __init__(self, code: str, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint

    def located(self, source: Source) -> CompileError:
        return error_at(source, "lex_error", self.message, self.start, self.end, code=self.code, hint=self.hint)


def _bad_number(text: str, start: int) -> _LexError:
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return _LexError("bad_number", f"malformed number `{shown}`", start, start + len(text), hints.NUMBER)


def _unexpected(start: int, char: str, *, from_bytes: bool = False) -> _LexError:
    """The error for a code point that begins no token, or that no source may hold."""
    hint = hints.BACKTICK if char == "`" else hints.AMP if char == "&" else None
    if _SURROGATE.match(char) and from_bytes:
        message = f"unexpected character `0x{ord(char) & 0xFF:02X}`: the source is not valid UTF-8"
    else:
        shown = char if char.isprintable() else f"U+{ord(char):04X}"
        message = f"unexpected character `{shown}`"
    return _LexError("unexpected_character", message, start, start + 1, hint)


# --- the values of literals ----------------------------------------------------------------------


def number_value(text: str) -> int | float | None:
    """The value of a number literal, or None if it rounds to infinity.

    Digits alone are an exact integer when 64 bits hold it; every other number is the nearest binary64,
    and the integer it equals when it is whole and at most 2^53 in size (chapter 3).
    """
    if text.isdigit():
        digits = text.lstrip("0")
        if len(digits) <= 19:  # as many as 2^63 - 1 has; Python refuses to convert thousands of digits
            value = int(digits or "0")
            if value < 2**63:
                return value
    number = float(text)
    if number == float("inf"):
        return None
    return int(number) if number.is_integer() and number <= 2**53 else number


_ESCAPE: Final = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u(?![dD][89a-fA-F])([0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}


def string_value(text: str) -> str:
    """The text that a string literal stands for; `text` is the whole token."""
    raw = text[0] in "rR"
    if raw:
        text = text[1:]
    width = 3 if text.startswith(text[0] * 3) else 1
    inner = text[width:-width]
    return inner if raw or "\\" not in inner else _ESCAPE.sub(_unescape, inner)


def _unescape(match: re.Match[str]) -> str:
    high, low, plain, char = match.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if plain is not None:
        return chr(int(plain, 16))
    return _ESCAPED.get(char, char)
