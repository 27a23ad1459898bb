"""The REPL: `lashlang repl`.

`session` is what is done, `commands` what `:` asks for, `front` shows what comes of it. Three ways lead there: a
terminal with an editor (`terminal`, the only module that knows prompt_toolkit), a terminal without (`plain.converse`),
and a pipe (`plain.read_stream`).
"""

from __future__ import annotations

import os
import sys

from lashlang.repl.console import Console
from lashlang.repl.front import Front
from lashlang.repl.session import Session

__all__ = ["Console", "Front", "Session", "talk"]


def talk(front: Front) -> bool:
    """Carry out what is entered until there is no more; whether all went well, which in a conversation it always does.

    Raises SessionError where the snapshot cannot be written in the end.
    """
    if not sys.stdin.isatty():
        from lashlang.repl.plain import read_stream

        read_stream(front)
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from lashlang.repl.terminal import converse

        converse(front)
    else:
        from lashlang.repl.plain import converse

        converse(front)
    front.leave()
    return sys.stdin.isatty() or not front.failed
