"""The commands of a session, which begin with `:`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from lashlang.repl import pages
from lashlang.repl.completion import signature, summary
from lashlang.repl.display import preview
from lashlang.repl.session import Ran, Session, SessionError
from lashlang.syntax.hints import nearest
from lashlang.vm.limits import DEFAULT, check_limit
from lashlang.vm.steps import AwaitHandle, Call, CancelHandle, Request, Start

_PREVIEW: Final = 48


class Commands:
    """Carries out the commands of one session.

    `note` takes what a command has to say, `show` how a block went that it ran; `snapshot` is the file that `:save`
    writes where none is named. `over` turns True when somebody wants to leave; `timed` tells whether the time of
    every block is to be shown.
    """

    def __init__(
        self,
        session: Session,
        *,
        note: Callable[[str], None],
        show: Callable[[Ran], None],
        snapshot: Path | None = None,
    ) -> None:
        self.session = session
        self.note = note
        self.show = show
        self.snapshot = snapshot
        self.over = False
        self.timed = False

    def carry_out(self, line: str) -> None:
        """Carry out a line such as `:save FILE`. Raises SessionError, with nothing changed, where that cannot be."""
        word, *rest = line.strip().removeprefix(":").split(maxsplit=1)
        argument = rest[0].strip() if rest else ""
        command = COMMANDS.get(_SHORT.get(word, word))
        if command is None:
            near = nearest(word, COMMANDS)
            raise SessionError(
                f"there is no command `:{word}`; " + (f"did you mean `:{near}`?" if near else "`:help` lists them")
            )
        if argument and not command.argument:
            raise SessionError(f"`:{command.name}` takes nothing after it")
        command.carry_out(self, argument)


class Command(NamedTuple):
    """A command: `:name argument`, what it does in a line, more for `:help :name`, and how."""

    name: str
    argument: str
    text: str
    more: str
    carry_out: Callable[[Commands, str], None]

    @property
    def usage(self) -> str:
        """How it is written."""
        return f":{self.name} {self.argument}".rstrip()


# --- help and looking --------------------------------------------------------------------------------


def _help(at: Commands, word: str) -> None:
    found = pages.page(word, COMMANDS)
    if found is None:
        near = pages.near(word, COMMANDS)
        raise SessionError(
            f"there is no help on `{word}`; " + (f"did you mean `:help {near}`?" if near else "`:help` lists all")
        )
    at.note(found)


def _vars(at: Commands, name: str) -> None:
    at.session.need_idle()
    names = at.session.names()
    if name and name not in names:
        near = nearest(name, names)
        raise SessionError(f"there is no variable `{name}`" + (f"; did you mean `{near}`?" if near else ""))
    rows = [("name", "type", "size", "value")]
    for each in [name] if name else names:
        found = at.session.look(each)
        size = "" if found.size is None else f"{found.size:,}"
        rows.append((each, found.type_name, size, preview(found.value, _PREVIEW, found.size) if found.seen else "…"))
    if not name:
        rows += [(each, "read-only", "", "given on the command line") for each in at.session.projected]
    if len(rows) == 1:
        at.note("there are no variables yet; `x = 1` makes one")
    else:
        at.note(_table(rows, right=2))


def _tools(at: Commands, _: str) -> None:
    tools = at.session.tools
    if not tools:
        at.note("there are no tools; `lashlang repl --tools FILE.py` offers the functions of a Python file")
        return
    at.note(_table([(f"call {name} {signature(tool)}", summary(tool)) for name, tool in tools.items()]))


def _table(rows: list[tuple[str, ...]], right: int = -1) -> str:
    """Rows in columns, of which one stands to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            f"{cell:>{width}}" if column == right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


# --- states ------------------------------------------------------------------------------------------


def _save(at: Commands, name: str) -> None:
    file = Path(name).expanduser() if name else at.snapshot
    if file is None:
        raise SessionError("`:save` needs a file's name")
    size = at.session.save(file)
    at.note(f"saved to {file}, {size:,} bytes" + (", with the suspended block" if at.session.suspended else ""))


def _load(at: Commands, name: str) -> None:
    if not name:
        raise SessionError("`:load` needs a file's name")
    file = Path(name).expanduser()
    at.session.load(file)
    at.note(loaded(at.session, file))


def loaded(session: Session, file: Path) -> str:
    """What to say of a snapshot that was loaded."""
    if session.suspended:
        return f"loaded {file}\n{suspension(session)}"
    names = session.names()
    return f"loaded {file}: {len(names):,} {'variable' if len(names) == 1 else 'variables'}"


def suspension(session: Session) -> str:
    """What to say of the suspended block."""
    waits = ", ".join(f"`{_in_words(request)}`" for request in session.pending[:5])
    more = len(session.pending) - 5
    where = f" at {waits}" if waits else ""
    return (
        f"a block is suspended{where}{f' and {more} more' if more > 0 else ''}\n"
        ":resume runs it on with the tools of this session, :abandon gives it up"
    )


def _in_words(request: Request) -> str:
    if isinstance(request, Call):
        return f"call {request.tool}"
    if isinstance(request, Start):
        return f"start call {request.tool}"
    if isinstance(request, AwaitHandle):
        return "await"
    return "cancel" if isinstance(request, CancelHandle) else "print"


def _fork(at: Commands, name: str) -> None:
    made = at.session.fork(name)
    at.note(f"fork `{made}`: :back gives up what is done from now on, :keep takes it over")


def _back(at: Commands, _: str) -> None:
    at.note(f"back; what was done in `{at.session.back()}` is gone")


def _keep(at: Commands, _: str) -> None:
    at.note(f"kept what was done in `{at.session.keep()}`")


def _forks(at: Commands, _: str) -> None:
    forks = at.session.forks
    at.note(" > ".join(["the session", *forks]) if forks else "no fork is open; `:fork` makes one")


def _undo(at: Commands, _: str) -> None:
    deed = at.session.undo()
    first, *more = deed.strip().split("\n")
    at.note(f"undone: {first}{' …' if more else ''}")


def _resume(at: Commands, _: str) -> None:
    at.show(at.session.resume())


def _abandon(at: Commands, _: str) -> None:
    at.session.abandon()
    at.note("the block is given up; what it assigned stays")


# --- figures -----------------------------------------------------------------------------------------


def _fuel(at: Commands, word: str) -> None:
    session = at.session
    if word == "off":
        session.fuel = None
    elif word:
        try:
            fuel = int(word.replace(",", "").replace("_", ""))
            check_limit("fuel", fuel)
        except ValueError:
            raise SessionError(f"`:fuel` takes a whole number of at least 0, or `off`, not `{word}`") from None
        session.fuel = fuel
    limit = DEFAULT.fuel if session.fuel is None else session.fuel
    last = session.last.outcome if session.last is not None else None
    used = "" if last is None else f"last block {last.fuel:,}, "
    at.note(f"fuel: {used}session {session.fuel_used:,}, limit for a block {limit:,}")


def _time(at: Commands, word: str) -> None:
    if word in ("on", "off"):
        at.timed = word == "on"
        at.note("the time of every block is shown" if at.timed else "times are not shown")
    elif word:
        raise SessionError(f"`:time` takes `on`, `off` or nothing, not `{word}`")
    elif at.session.last is None:
        at.note("nothing has run yet")
    else:
        at.note(f"last block: {in_seconds(at.session.last.seconds)}")


def in_seconds(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _quit(at: Commands, _: str) -> None:
    at.over = True


_ALL: Final = (
    Command("help", "[WORD]", "tell about a command, a builtin or the language", "", _help),
    Command("vars", "[NAME]", "list the variables", "", _vars),
    Command("tools", "", "list the tools that `call` reaches", "", _tools),
    Command(
        "undo",
        "",
        "take back what the last block changed",
        "Several times in a row it goes further back. Calls of tools are not taken back, only variables.",
        _undo,
    ),
    Command(
        "fork",
        "[NAME]",
        "try something in a copy of the session",
        "`:back` gives the copy up, `:keep` puts it in the place of the original. Forks can be made of forks.",
        _fork,
    ),
    Command("back", "", "give the fork up and return to where it was made", "", _back),
    Command("keep", "", "take over what was done in the fork", "`:undo` takes that back as one step.", _keep),
    Command("forks", "", "tell which forks are open", "", _forks),
    Command(
        "save",
        "[FILE]",
        "write the variables to a snapshot",
        "Without a name, to the one of `--snapshot`. The file is replaced as a whole or not at all.",
        _save,
    ),
    Command(
        "load",
        "FILE",
        "take the variables from a snapshot",
        "Those of now go; `:undo` brings them back. A file that is no good changes nothing.",
        _load,
    ),
    Command("resume", "", "run a block on that came suspended with a snapshot", "", _resume),
    Command("abandon", "", "give up the suspended block", "What it assigned so far stays.", _abandon),
    Command("fuel", "[N]", "tell what was used; set a limit for each block", "`:fuel off` sets the usual one.", _fuel),
    Command("time", "[on|off]", "tell how long the last block took; after each", "", _time),
    Command("quit", "", "leave (Ctrl-D does, too)", "", _quit),
)

COMMANDS: Final[dict[str, Command]] = {command.name: command for command in _ALL}
"""The commands by name, in the order in which help lists them."""

_SHORT: Final = {"?": "help", "h": "help", "q": "quit", "exit": "quit", "u": "undo"}
