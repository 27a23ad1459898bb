"""What was entered before, in a file for its owner only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from lashlang.repl.files import history_file


class PrivateHistory(FileHistory):
    """A history in a file that nobody else can read. Where it cannot be written, that is told once."""

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        super().__init__(str(file))
        self._file = file
        self._tell: Callable[[str], None] | None = tell

    def load_history_strings(self) -> list[str]:
        """What the file holds, the newest first; nothing where it cannot be read."""
        try:
            return list(super().load_history_strings())
        except OSError as error:
            self._complain(error)
            return []

    def store_string(self, string: str) -> None:
        """Add a text to the file."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            super().store_string(string)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if self._tell is not None:
            self._tell(f"what is entered is not remembered: {self._file}: {error.strerror or error}")
            self._tell = None


def open_history(tell: Callable[[str], None]) -> History:
    """The history of earlier sessions, or an empty one where none is to be kept."""
    file = history_file()
    return InMemoryHistory() if file is None else PrivateHistory(file, tell)
