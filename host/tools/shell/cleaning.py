"""From the bytes that a command prints to text for a model: whole characters, and nothing that steers a terminal.

It works on a stream: a character, an escape sequence or a line end may be split between two reads, and a backspace
reaches back into what an earlier read brought.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

OPEN_LINE: Final = 4096
"""How many characters of the line that is being written a backspace can reach."""

OPEN_SEQUENCE: Final = 4096
"""How much of an escape sequence is waited for; of a longer one only the beginning is taken for one."""

_STRING: Final = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
"""What begins a string for the terminal: a title, a link, a device's setting.

It ends with BEL, ST (one character, or ESC and backslash) or where it is given up: by CAN, SUB or another control.
"""

_IN_STRING: Final = rf"[^\x07\x18\x1a\x1b\x80-\x9f]{{0,{OPEN_SEQUENCE}}}"
_IN_CSI: Final = rf"(?:\x1b\[|\x9b)[0-?]{{0,{OPEN_SEQUENCE}}}[ -/]{{0,{OPEN_SEQUENCE}}}"
_IN_ESCAPE: Final = rf"\x1b[ -/]{{0,{OPEN_SEQUENCE}}}"

_SEQUENCE: Final = re.compile(
    rf"{_STRING}(?:{_IN_STRING}(?:\x1b\\|[\x07\x18\x1a\x9c]|(?=[\x1b\x80-\x9f])|\Z))?"
    rf"|{_IN_CSI}[@-~]?|{_IN_ESCAPE}[0-~]?"
)
"""Escape sequences (ECMA-48, 5.4 to 5.6, and xterm's BEL); one that breaks off loses what there is of it."""

_UNFINISHED: Final = re.compile(rf"(?:{_STRING}{_IN_STRING}\x1b?|{_IN_CSI}|{_IN_ESCAPE})\Z")
_LINE_END: Final = re.compile(r"\r+\n?")
_CONTROLS: Final = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Cleaner:
    """Cleans the output of one command.

    `feed` gives the text that can no longer change; `take_open` the rest of the line that is being written, which
    counts as shown from then on; `finish` what was still held when the output has ended.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: str = ""
        self._line_end: str = ""
        self._line: str = ""

    def feed(self, data: bytes) -> str:
        """Take more output."""
        return self._settle(self._clean(self._decoder.decode(data)))

    def take_open(self) -> str:
        """The line that is being written, as far as it is."""
        line, self._line = self._line, ""
        return line

    def finish(self) -> str:
        """The output has ended: an unfinished character is shown as such, an unfinished sequence is dropped."""
        text = self._clean(self._decoder.decode(b"", final=True))
        last = "\n" if self._line_end else ""
        self._held, self._line_end = "", ""
        return self._settle(text + last) + self.take_open()

    def _clean(self, text: str) -> str:
        """The text without sequences and controls; what may go on in the next read is held back."""
        text = self._held + text
        self._held = ""
        unfinished = _UNFINISHED.search(text)
        if unfinished is not None:
            text, self._held = text[: unfinished.start()], text[unfinished.start() :]
        text = self._line_end + _CONTROLS.sub("", _SEQUENCE.sub("", text))
        self._line_end = ""
        if text.endswith("\r"):
            text, self._line_end = text.rstrip("\r"), "\r"
        return _LINE_END.sub("\n", text)

    def _settle(self, text: str) -> str:
        """Put text behind the open line, apply backspaces, and give what they can no longer reach."""
        text = self._line + text
        if "\b" in text:
            text = "\n".join(_without_backspaces(line) if "\b" in line else line for line in text.split("\n"))
        end = max(text.rfind("\n") + 1, len(text) - OPEN_LINE)
        self._line = text[end:]
        return text[:end]


def _without_backspaces(line: str) -> str:
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)
