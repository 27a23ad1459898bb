"""Asking a person before a tool runs: on the terminal, or by the rule of `--approve` (cli_and_examples.md 2)."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO, cast

from lash import Approve, Deny, Edit, PendingApproval
from lash.cli.exits import CliError
from lash.cli.live import LiveView, brief
from lash.cli.screen import cut
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.approvals import ApproveCallback

Way = Literal["ask", "allow", "deny", "park"]

SHOWN_LINES: Final = 40
"""Lines of arguments that are shown with a question; the editor has all of them."""

LONGEST_LINE: Final = 1000
"""Characters that are shown of one of these lines: a text of megabytes is one, and would hide what is asked."""

ARGUMENTS: Final = 200
"""Characters of arguments that are shown with a question in a line."""

DENIED: Final = "nobody can be asked in this run"
"""What the model is told where the answer is no because of `--approve deny`, or of nothing."""


def way_of(wanted: str | None, stdin: TextIO | None, stderr: TextIO | None) -> Way:
    """How approvals are answered: as wanted, else by asking where there is a terminal, else by no.

    Raises CliError where a person is to be asked who is not there.
    """
    terminal = has_terminal(stdin, stderr)
    if wanted == "ask" and not terminal:
        raise CliError(
            "--approve ask needs a terminal on standard input and standard error; without one, --approve park lets you"
            " answer later, and --approve allow or deny answers everything"
        )
    return cast("Way", wanted) if wanted is not None else "ask" if terminal else "deny"


def has_terminal(stdin: TextIO | None, stderr: TextIO | None) -> bool:
    """Whether a person can be asked."""
    return _is_terminal(stdin) and _is_terminal(stderr)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that was closed before the start is none."""
    try:
        return stream is not None and os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


def approver(way: Way, view: LiveView, environment: Mapping[str, str], *, told: bool) -> ApproveCallback | None:
    """What answers questions; None where they wait for `lash approvals`.

    `told` is whether a person chose the way; where nobody did, a denial names the flag that changes it.
    """
    if way == "park":
        return None
    if way == "ask":
        return _Asking(view, environment).answer

    hints = [] if told else ["; --approve allow says yes to all, --approve park lets you answer later"]

    async def answer(pending: PendingApproval) -> Approve | Deny | Edit:
        if way == "allow":
            return Approve()
        view.warn(f"{pending.tool} needs approval and was denied{hints.pop() if hints else ''}")
        return Deny(DENIED)

    return answer


class _Asking:
    """Asks at the terminal."""

    def __init__(self, view: LiveView, environment: Mapping[str, str]) -> None:
        self._view = view
        self._editor = environment.get("VISUAL") or environment.get("EDITOR") or "vi"

    async def answer(self, pending: PendingApproval) -> Approve | Deny | Edit:
        """The person's answer to a question."""
        import termios  # not there on Windows

        with self._view.question() as say:
            # What was typed before the question could be read answers nothing.
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
            for line in described(pending):
                say(f"{line}\n")
            args: dict[str, JsonValue] = pending.args
            while True:
                say("run it? [y]es, [n]o, [e]dit the arguments: ")
                line = await read_line(sys.stdin.fileno())
                if line is None:
                    say("\n")
                    return Deny("the question was closed without an answer")
                word, _, rest = line.strip().partition(" ")
                match word.lower():
                    case "y" | "yes":
                        return Approve() if args == pending.args else Edit(args)
                    case "n" | "no":
                        return Deny(rest.strip() or await self._reason(say))
                    case "e" | "edit":
                        try:
                            args = await edited(args, self._editor)
                        except CliError as error:
                            say(f"{error}\n")
                            continue
                        say("".join(f"{row}\n" for row in _rows(args)))
                    case _:
                        say("answer y, n (a reason may follow) or e\n")

    async def _reason(self, say: Any) -> str:
        say("why not? the model is told (empty: no reason): ")
        return (await read_line(sys.stdin.fileno()) or "").strip()


async def agreed(view: LiveView, lines: list[str]) -> bool:
    """A person's yes or no, at the terminal, to what these lines say; no at the end of input."""
    import termios  # not there on Windows

    with view.question() as say:
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
        say("".join(f"{line}\n" for line in lines))
        while True:
            say("agreed? You are asked once for this content. [y]es, [n]o: ")
            line = await read_line(sys.stdin.fileno())
            word = (line or "n").strip().lower()
            if word in ("y", "yes"):
                return True
            if word in ("n", "no"):
                return False


def described(pending: PendingApproval) -> list[str]:
    """A question in lines: tool, why it is asked, where in the program, and the arguments."""
    place = "" if pending.position is None else f", line {pending.position[0]}, column {pending.position[1]}"
    lines = [f"? {pending.tool} needs your approval{place}"]
    if pending.reason:
        lines += _bounded(pending.reason, "")
    return lines + _rows(pending.args)


def in_short(pending: PendingApproval) -> str:
    """A question in a line: tool, arguments, reason."""
    reason = f"  ({pending.reason})" if pending.reason else ""
    return f"{pending.tool} {cut(brief(pending.args), ARGUMENTS)}{reason}"


def _rows(args: Mapping[str, JsonValue]) -> list[str]:
    return _bounded(json.dumps(args, ensure_ascii=False, indent=2), "; e shows all in the editor")


def _bounded(text: str, way: str) -> list[str]:
    """The lines of a text as they are shown; `way` is how to see what was left out."""
    # Other separators of lines are for the screen to leave out: a text cannot begin a line that looks like ours.
    lines = text.rstrip("\n").split("\n")
    rows = [
        f"  {line[:LONGEST_LINE]}"
        + (f" ({len(line) - LONGEST_LINE:,} more characters{way})" if len(line) > LONGEST_LINE else "")
        for line in lines[:SHOWN_LINES]
    ]
    more = len(lines) - SHOWN_LINES
    return [*rows, f"  ({more} more lines{way})"] if more > 0 else rows


async def read_line(descriptor: int) -> str | None:
    """A line that is typed; None at the end of input. Nothing is read any more once this is cancelled."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()

    def ready() -> None:
        if typed.done():
            return
        try:
            # A terminal gives a line at a time.
            typed.set_result(os.read(descriptor, 65536))
        except OSError as error:
            typed.set_exception(error)

    loop.add_reader(descriptor, ready)
    try:
        data = await typed
    finally:
        loop.remove_reader(descriptor)
    return data.decode(errors="replace") if data else None


async def edited(args: Mapping[str, JsonValue], editor: str) -> dict[str, JsonValue]:
    """The arguments as they were changed in an editor. Raises CliError where it fails, or leaves what is no object."""
    try:
        argv = shlex.split(editor)
    except ValueError as error:
        raise CliError(f"the editor {editor!r} cannot be split into words: {error}") from error
    with tempfile.TemporaryDirectory(prefix="lash-") as folder:
        file = Path(folder) / "arguments.json"
        file.write_text(json.dumps(args, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        try:
            process = await asyncio.create_subprocess_exec(*argv, str(file))
            code = await process.wait()
        except (OSError, ValueError, IndexError) as error:
            raise CliError(f"the editor {editor!r} cannot be started: {error}; EDITOR names another") from error
        if code:
            raise CliError(f"the editor ended with status {code}: nothing was changed")
        return arguments(file.read_bytes())


def arguments(text: str | bytes) -> dict[str, JsonValue]:
    """The arguments of a call, written as JSON. Raises CliError where they are none."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CliError(f"that is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise CliError(f"arguments are a JSON object, not {type(value).__name__}")
    return value
