"""The REPL's files: snapshots, written whole or not at all, and the place of its history."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, data: bytes) -> None:
    """Put `data` in the place of a file's contents, so that at no moment the file holds a part of it.

    A new file is for its owner only; one that is replaced keeps its permissions. Raises OSError, with the file as
    it was.
    """
    file = file.resolve()
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
        try:
            draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
            with suppress(FileNotFoundError):
                Path(draft.name).chmod(file.stat().st_mode & 0o777)
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


def history_file() -> Path | None:
    """Where what was entered is remembered: LASHLANG_HISTORY, else a file in the user's folder for state.

    None where LASHLANG_HISTORY is set and empty, or there is no home: nothing is to be remembered then.
    """
    chosen = os.environ.get("LASHLANG_HISTORY")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the standard for these folders says to ignore relative ones
        try:
            state = str(Path.home() / ".local" / "state")
        except RuntimeError:
            return None
    return Path(state) / "lashlang" / "history"
