"""What every way of entering texts shares: a text is carried out, and what comes of it is shown."""

from __future__ import annotations

from pathlib import Path

from lashlang._version import __version__
from lashlang.repl.commands import Commands, in_seconds, loaded
from lashlang.repl.console import Console
from lashlang.repl.reading import is_blank, is_command
from lashlang.repl.session import Ran, Session
from lashlang.syntax.diagnostics import Diagnostic, LashlangError


class Front:
    """Carries out what is entered.

    `failed` turns True when something went wrong, `interrupted` when Ctrl-C stopped a block; `over` says that it is
    time to leave.
    """

    def __init__(self, session: Session, console: Console, snapshot: Path | None = None) -> None:
        self.session = session
        self.console = console
        self.commands = Commands(session, note=console.note, show=self._show, snapshot=snapshot)
        self.failed = False
        self.interrupted = False
        self._line_offset = 0

    @property
    def over(self) -> bool:
        """Whether somebody asked to leave."""
        return self.commands.over

    def enter(self, text: str, line: int = 1) -> None:
        """Carry out a block or a command that begins at this line of the stream."""
        self._line_offset = line - 1
        try:
            if is_command(text):
                self.commands.carry_out(text)
            elif not is_blank(text):
                self._show(self.session.run(text))
        except LashlangError as error:
            self.failed = True
            self.console.note(f"error: {error}")

    def _show(self, ran: Ran) -> None:
        outcome = ran.outcome
        if ran.value is not None:
            self.console.value(ran.value)
        if outcome is None:
            self.interrupted = True
            self.console.interrupted()
        elif outcome.error is not None:
            self.console.error(outcome.error, outcome.source, self._line_offset)
            if _is_lone_else(outcome.error, outcome.source):
                self.console.note("note: a whole `if` runs at once; `else` stands on the line of its `}`")
        self.failed = self.failed or not ran.ok
        if self.commands.timed:
            fuel = "" if outcome is None else f", fuel {outcome.fuel:,}"
            self.console.note(f"({in_seconds(ran.seconds)}{fuel})")

    def greet(self) -> None:
        """Say what this is, to a person."""
        self.console.note(f"lashlang {__version__}; `:help` tells more, Ctrl-D leaves")

    def open(self, file: Path) -> None:
        """Begin with the state of a snapshot, where the file exists. Raises SessionError where it is no good."""
        if file.exists():
            self.session.load(file)
            self.console.note(loaded(self.session, file))
        else:
            self.console.note(f"{file} does not exist yet; it is written on leaving")

    def leave(self) -> None:
        """Write the snapshot that was asked for. Raises SessionError where that cannot be."""
        if self.commands.snapshot is not None:
            self.commands.carry_out(":save")


def _is_lone_else(error: Diagnostic, source: str) -> bool:
    """Whether somebody went on with an `if` that has been run already."""
    return error.kind == "syntax_error" and (error.line, error.column) == (1, 1) and source.startswith("else")
