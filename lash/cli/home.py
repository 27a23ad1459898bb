"""Where the command line keeps things (cli_and_examples.md 2, Stores): `$LASH_HOME`, by default `~/.lash`.

config.toml    the person's configuration, which nothing here writes
sessions/      a SQLite file for each session
attachments/   images
contexts/      what was given with --context, by content
journal.db     effects of turns that run with --durable
trust.json     the MCP servers of projects that the person has agreed to
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lash.cli.exits import CliError
from lash.durability import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory


@dataclass(frozen=True, slots=True)
class Home:
    """The folder and what lies in it."""

    folder: Path

    @staticmethod
    def of(environment: Mapping[str, str]) -> Home:
        """The home that the environment names. Raises CliError where that is below a home directory nobody knows."""
        named = environment.get("LASH_HOME") or "~/.lash"
        try:
            return Home(Path(named).expanduser())
        except RuntimeError as error:
            raise CliError(f"it is not known where {named} is; set LASH_HOME to a folder") from error

    @property
    def journal_file(self) -> Path:
        """The journal of durable turns."""
        return self.folder / "journal.db"

    @property
    def contexts(self) -> Path:
        """Texts that sessions read lazily."""
        return self.folder / "contexts"

    @property
    def _sessions(self) -> Path:
        return self.folder / "sessions"

    @property
    def _attachments(self) -> Path:
        return self.folder / "attachments"

    def make(self) -> None:
        """Make the folder and those in it, for their owner alone. Raises CliError where that is impossible."""
        try:
            # Who has made the folder may have left it open to others.
            for folder in (self.folder, self._sessions, self._attachments, self.contexts):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise CliError(
                f"sessions cannot be kept in {self.folder}: {error.strerror or error}; set LASH_HOME to another folder,"
                " or use --ephemeral"
            ) from error

    def sessions(self) -> SqliteSessionStoreFactory:
        """The stored sessions."""
        return SqliteSessionStoreFactory(self._sessions)

    def attachments(self) -> FileAttachmentStore:
        """The images of stored sessions."""
        return FileAttachmentStore(self._attachments)

    def journal(self) -> JournalEffectHost:
        """The effect host of durable turns. Its file is made here, as others are not to read it."""
        if not self.journal_file.exists():
            self.journal_file.touch(mode=0o600)
        return JournalEffectHost(self.journal_file, clock=SystemClock(), ids=RandomIds())
