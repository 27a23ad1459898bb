"""`TextSource`: a long text that programs search and slice without its entering the VM.

It answers the text builtins of chapter 10 for a projected text, and gives exactly what they give on
the whole text. All offsets count code points, as Python's own string operations do, so the text is
held as a `str` and every answer is one or a few of them. Lists of more than a million elements are
left to the VM, whose limits then decide.
"""

from __future__ import annotations

import os
import re
import threading
from bisect import bisect_right
from pathlib import Path

from lashlang.projection import Answers, Unsupported
from lashlang.values import Value

_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space of chapter 1, without `;`. Python's own notion has four control characters more."""

_WORD = re.compile(f"[^{_SPACE}]+")
_PARAGRAPH = re.compile(r"(?:\A|\n)\r?\n(?=[^\n])(?!\r\n)")
_LONGEST = 1_000_000
_AT_ONCE = 1 << 18


class TextSource(Answers):
    """A text as a projection: `machine.run(source, projected={"doc": TextSource.from_file(path)})`."""

    answered = frozenset(
        "whole len truthy index contains find count starts_with ends_with "
        "trim slice split lines grep_text chunk_spans".split()
    )

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- bytes are an easy mistake
            raise TypeError(f"a TextSource is made of text, not {type(text).__name__}; see `from_bytes`")
        self._text: str | None = text
        self._file: Path | None = None
        self._encoding = "utf-8"
        self._loading = threading.Lock()
        self.blocking = len(text) > _AT_ONCE

    @classmethod
    def from_bytes(cls, data: bytes, encoding: str = "utf-8") -> TextSource:
        """The text that the bytes encode; UnicodeDecodeError where they do not."""
        return cls(str(data, encoding))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], encoding: str = "utf-8") -> TextSource:
        """The text of a file, read when first asked for and then kept; line endings stay as they are.

        A file that cannot be read or decoded then makes the program's error `projection_unavailable`.
        """
        source = cls("")
        source._text = None
        source._file = Path(path)
        source._encoding = encoding
        source.blocking = True
        return source

    @property
    def text(self) -> str:
        """The whole text; OSError or UnicodeDecodeError where its file cannot be read."""
        text = self._text
        if text is not None:
            return text
        with self._loading:
            if self._text is None:
                assert self._file is not None
                try:
                    self._text = str(self._file.read_bytes(), self._encoding)
                except UnicodeDecodeError as error:
                    raise ValueError(f"{self._file} is no {self._encoding} text (byte {error.start})") from error
                self.blocking = len(self._text) > _AT_ONCE
            return self._text

    def whole(self) -> str:
        """The whole text."""
        return self.text

    def len(self) -> int:
        """Code points."""
        return len(self.text)

    def truthy(self) -> bool:
        """False for the empty text."""
        return self.text != ""

    def index(self, index: Value) -> str | None:
        """The code point at an offset, negative from the end, None outside."""
        text, at = self.text, _whole(index)
        return text[at] if -len(text) <= at < len(text) else None

    def contains(self, needle: Value) -> bool:
        """Whether the needle occurs."""
        return _string(needle) in self.text

    def find(self, needle: Value, start: Value = 0) -> int | None:
        """Offset of the first occurrence at or after `start`, else None."""
        at = _whole(start)
        if at < 0:
            raise Unsupported
        found = self.text.find(_string(needle), at)
        return None if found < 0 else found

    def count(self, needle: Value) -> int:
        """Occurrences that do not overlap."""
        return self.text.count(_string(needle, empty=False))

    def starts_with(self, prefix: Value) -> bool:
        """Whether the text begins with `prefix`."""
        return self.text.startswith(_string(prefix))

    def ends_with(self, suffix: Value) -> bool:
        """Whether the text ends with `suffix`."""
        return self.text.endswith(_string(suffix))

    def trim(self) -> str:
        """The text without white space at both ends."""
        return self.text.strip(_SPACE)

    def slice(self, start: Value, end: Value = None) -> str:
        """Code points from `start` to `end`, both negative from the end or None for the default."""
        return self.text[None if start is None else _whole(start) : None if end is None else _whole(end)]

    def split(self, separator: Value = None) -> list[str]:
        """The pieces between separators; between runs of white space where it is None."""
        text = self.text
        if separator is None:
            pieces: list[str] = []
            for word in _WORD.finditer(text):
                pieces.append(word.group())
                if len(pieces) > _LONGEST:
                    raise Unsupported
            return pieces
        between = _string(separator)
        if (text.count(between) if between else len(text)) > _LONGEST:
            raise Unsupported
        return text.split(between) if between else list(text)

    def lines(self) -> list[str]:
        """The lines as `grep_text` has them: ended by LF, one CR before it dropped."""
        text = self.text
        if text.count("\n") > _LONGEST:
            raise Unsupported
        lines = text.split("\n")
        last = lines.pop()
        ended = [line[:-1] if line.endswith("\r") else line for line in lines] if "\r" in text else lines
        return [*ended, last] if last else ended

    def grep_text(self, needle: Value) -> list[dict[str, Value]]:
        """One record for each line that contains the needle; see chapter 10.1."""
        wanted = _string(needle, empty=False)
        text, found = self.text, list[dict[str, Value]]()
        if "\n" in wanted:
            return found
        number, begin = 1, 0
        at = text.find(wanted)
        while at >= 0:
            start = text.rfind("\n", begin, at) + 1 or begin
            number += text.count("\n", begin, start)
            stop = text.find("\n", at)
            line = text[start:] if stop < 0 else text[start : stop - (text[stop - 1] == "\r" and stop > start)]
            offset = line.find(wanted)
            if offset >= 0:  # else it was the CR of the line ending
                if len(found) == _LONGEST:
                    raise Unsupported
                end = offset + len(wanted)
                found.append({"line": number, "text": line, "match": wanted, "start": offset, "end": end})
            if stop < 0:
                break
            begin, number = stop + 1, number + 1
            at = text.find(wanted, begin)
        return found

    def chunk_spans(self, size: Value, overlap: Value = 0, by: Value = "char") -> list[dict[str, int]]:
        """Spans that cover the text, cut at boundaries where there are any; see chapter 10.2."""
        width, back = _whole(size), 0 if overlap is None else _whole(overlap)
        unit = "char" if by is None else by
        if width < 1 or not 0 <= back < width or unit not in ("char", "line", "paragraph"):
            raise Unsupported
        text = self.text
        boundaries = [match.end() for match in _PARAGRAPH.finditer(text)] if unit == "paragraph" else []
        spans: list[dict[str, int]] = []
        start = 0
        while start < len(text):
            end = start + width
            if end >= len(text):
                spans.append({"start": start, "end": len(text)})
                break
            if unit == "line":
                end = text.rfind("\n", start + back, end) + 1 or end
            elif boundaries:
                nearest = bisect_right(boundaries, end) - 1
                if nearest >= 0 and boundaries[nearest] > start + back:
                    end = boundaries[nearest]
            if len(spans) == _LONGEST:
                raise Unsupported
            spans.append({"start": start, "end": end})
            start = end - back
        return spans


def _whole(value: Value) -> int:
    """An offset; anything but a whole number is left to the VM, which knows the error."""
    if isinstance(value, bool):
        raise Unsupported
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Unsupported


def _string(value: Value, *, empty: bool = True) -> str:
    """A text argument; anything else, or an empty one where that is an error, is left to the VM."""
    if not isinstance(value, str) or not (value or empty):
        raise Unsupported
    return value
