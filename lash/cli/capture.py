"""What others write while a turn runs, tools to standard output and lash to its logs, shown among the turn's rows."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Final, TextIO

from lash.cli.live import LiveView

STANDARD_OUTPUT: Final = 1


@contextmanager
def captured(view: LiveView, *, logs: bool) -> Generator[None]:
    """Show in the view what tools print, and with `logs` what is logged; else logs go nowhere.

    What a tool prints is never the answer, so it must not reach standard output.
    """
    log = logging.getLogger("lash")
    handler = _ViewHandler(view) if logs else logging.NullHandler()
    propagated, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        with redirect_stdout(_Printed(view)):
            yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagated


def own_output() -> TextIO:
    """Standard output for the answer alone.

    Where it is the process's own, its descriptor leads to standard error from now on: what the children of tools write
    there is no more the answer than what tools print.
    """
    try:
        if sys.stdout.fileno() != STANDARD_OUTPUT:
            return sys.stdout
    except (OSError, ValueError):
        return sys.stdout
    sys.stdout.flush()
    kept = os.dup(STANDARD_OUTPUT)
    os.dup2(sys.stderr.fileno(), STANDARD_OUTPUT)
    return os.fdopen(kept, "w", encoding=sys.stdout.encoding, errors="backslashreplace")


class _ViewHandler(logging.Handler):
    """Shows records in a view."""

    def __init__(self, view: LiveView) -> None:
        super().__init__()
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._view.foreign(self.format(record))


class _Printed(io.TextIOBase):
    """Stands for standard output."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._rest = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Show every line that is complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._view.foreign(line)
        return len(text)
