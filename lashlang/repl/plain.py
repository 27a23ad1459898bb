"""Lines without an editor: from a pipe or a file, or from a terminal that can do no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from lashlang.repl.front import Front
from lashlang.repl.reading import entries, is_finished


def read_stream(front: Front) -> None:
    """Carry out all that standard input holds, going on after errors. Raises KeyboardInterrupt where Ctrl-C stops it.

    A block is complete when the line after it is known not to continue it. Bytes that are no UTF-8 are refused by
    the lexer, where they stand.
    """
    for line, text in entries(_lines()):
        front.enter(text, line)
        if front.interrupted:
            raise KeyboardInterrupt
        if front.over:
            break


def converse(front: Front) -> None:
    """The same for a person: with prompts on standard error, and every block run as soon as it is complete."""
    lines: list[str] = []
    while not front.over:
        try:
            print(". " if lines else "> ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.buffer.readline()
            if line:
                lines.append(_text(line))
                if not is_finished("\n".join(lines)):
                    continue
            elif not lines:
                break
            text, lines = "\n".join(lines).rstrip(), []
            front.enter(text)
        except KeyboardInterrupt:
            lines = []
            print(file=sys.stderr)
    print(file=sys.stderr)


def _lines() -> Iterator[str]:
    return map(_text, sys.stdin.buffer)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").decode("utf-8", "surrogateescape")
