"""A turn while it runs, on standard error: prose as it comes, a row for the rest, a progress line while it waits.

Rows are lines of their own and stay. The progress line is on a terminal only: it is drawn over itself, and taken away
before anything else is written.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from lash import TurnActivity, TurnEvent
from lash.cli.screen import LEAST_WIDTH, Cleaner, Screen, cells, clean, cut, one_line
from lash.runtime.sansio.values import JsonValue

Detail = Literal["quiet", "normal", "verbose"]
"""How much is shown: nothing, rows of one line, or everything."""

CODE_LINES: Final = 30
"""Lines of a program that are shown without `-v`."""

SLOW_MS: Final = 100
"""What takes longer is told with its time."""

ROOM_FOR_BOTH: Final = 32
"""Columns below which a call's arguments are left out; the program above has them."""

PRINTS: Final = 10
"""Prints of a program that are shown without `-v`."""

START: Final = "start"
"""The row of what comes before a turn."""

FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

BEFORE_PROGRESS_S: Final = 0.3
"""What takes less than this needs no progress line."""


@dataclass(slots=True)
class _Waiting:
    """Something under way."""

    label: str
    since: float


class LiveView:
    """Writes what a turn does to a screen; a `TurnActivitySink`.

    `seconds` is a monotonic clock. A stream whose reader has gone is not written to any more. `last_prose` is the
    prose of the newest model reply, as it was shown.
    """

    def __init__(self, screen: Screen, detail: Detail, seconds: Callable[[], float]) -> None:
        self._screen = screen
        self._detail: Detail = detail
        self._seconds = seconds
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.RLock()
        self._in_line = False
        self._kind: Literal["prose", "reasoning"] | None = None
        self._drawn = False
        self._frame = 0
        self._prints = 0
        self._gone = False
        self._held: list[Callable[[], None]] | None = None
        self._cleaner = Cleaner()
        self.last_prose = ""

    async def emit(self, activity: TurnActivity) -> None:
        """Show one activity; while a question is open, after it."""
        with self._lock:
            if self._held is not None:
                self._held.append(lambda: self._show(activity))
            elif self._detail != "quiet":
                self._show(activity)

    @contextmanager
    def question(self) -> Generator[Callable[[str], None]]:
        """What writes a question and its answer, whatever the detail; rows of the turn wait until it is closed."""
        with self._lock:
            self._end_line()
            self._held = []

        def say(text: str) -> None:
            with self._lock:
                self._write(self._screen.signs(clean(text)))
                self._in_line = not text.endswith("\n")

        try:
            yield say
            self._in_line = False  # the answer ended the line; without one the next row does
        finally:
            with self._lock:
                held, self._held = self._held or [], None
                for show in held if self._detail != "quiet" else ():
                    show()

    def waits_for(self, label: str) -> None:
        """Something has to come before the turn begins; its first activity ends that."""
        with self._lock:
            self._waiting[START] = _Waiting(label, self._seconds())

    def note(self, text: str, *, whole: bool = False) -> None:
        """A line of status, cut to the screen unless all of it is needed."""
        with self._lock:
            if self._detail != "quiet":
                text = self._screen.signs(text)
                self._row(self._screen.dim(clean(text) if whole else one_line(text, self._screen.width)))

    def warn(self, text: str) -> None:
        """Something that is said whatever the detail, line by line and whole."""
        with self._lock:
            self._row(clean(text))

    def foreign(self, text: str) -> None:
        """Text that a tool writes to the standard output of this process."""
        with self._lock:
            for line in text.splitlines():
                row = self._screen.dim(clean(line))
                if self._held is not None:
                    self._held.append(partial(self._row, row))
                else:
                    self._row(row)

    def tick(self) -> None:
        """Draw the progress line as it is now."""
        with self._lock:
            if self._detail == "quiet" or not self._screen.moves or self._in_line or self._held is not None:
                return
            line = self._progress()
            if line is None:
                self._erase_progress()
            else:
                self._frame += 1
                self._write(f"\r\x1b[K{self._screen.dim(line)}")
                self._drawn = True

    def finish(self) -> None:
        """Leave the cursor at the beginning of an empty line."""
        with self._lock:
            self._waiting.clear()
            self._end_line()

    # --- activities --------------------------------------------------------------------------------

    def _show(self, activity: TurnActivity) -> None:
        screen, width = self._screen, self._screen.width
        row, verbose = activity.correlation_id, self._detail == "verbose"
        self._waiting.pop(START, None)
        match activity.event:
            case TurnEvent.ModelRequestStarted():
                self.last_prose = ""
                self._waiting["model"] = _Waiting("model", self._seconds())
            case TurnEvent.AssistantProseDelta(text=text):
                self.last_prose += text
                self._stream("prose", text)
            case TurnEvent.ReasoningDelta(text=text) if verbose:
                self._stream("reasoning", text)
            case TurnEvent.ModelAttemptReset(prose_ids=prose) if prose:
                self.last_prose = ""
                self._row(screen.dim("(the reply broke off; what was shown of it is void)"))
            case TurnEvent.RetryStatus() as retry:
                told = f"; next try in {retry.wait_seconds:g} s ({retry.attempt} of {retry.max_attempts})"
                reason = one_line(retry.reason, max(20, width - len(f"model: {told}")))
                self._row(screen.dim(f"model: {reason}{told}"))
            case TurnEvent.Usage() as used:
                self._waiting.pop("model", None)
                if verbose:
                    counted = used.usage
                    self._row(
                        screen.dim(f"model call: {counted.total():,} tokens, {counted.output_tokens:,} of them new")
                    )
            case TurnEvent.CodeBlockStarted(code=code):
                self._waiting.pop("model", None)
                self._waiting[row] = _Waiting("program", self._seconds())
                self._code(code)
            case TurnEvent.CodeOutput(text=text):
                self._print(text)
            case TurnEvent.CodeBlockCompleted() as block:
                self._waiting.pop(row, None)
                self._end_prints()
                if block.error is not None:
                    shown = clean(block.error) if verbose else _in_short(block.error, width - 2)
                    self._row(screen.bad(screen.signs("✗ ") + shown))
            case TurnEvent.ToolCallStarted(name=name, args=args):
                self._waiting[row] = _Waiting(f"{name} {brief(args)}", self._seconds())
            case TurnEvent.ToolCallCompleted() as call:
                self._waiting.pop(row, None)
                self._tool(call)
            case TurnEvent.ApprovalRequested(approval=approval):
                self._waiting[row] = _Waiting(f"approval of {approval.tool}", self._seconds())
            case TurnEvent.ApprovalAnswered() as answered:
                self._answered(answered, row)
            case TurnEvent.SessionSwitched(reason=reason):
                self._row(screen.dim(one_line(f"goes on in a new session: {reason}", width)))
            case TurnEvent.Error(message=message) if verbose:
                self._row(screen.bad(one_line(message, width)))
            case _:
                return

    def _stream(self, kind: Literal["prose", "reasoning"], text: str) -> None:
        if self._kind != kind:
            self._end_line()
        text = self._cleaner.feed(text)
        if self._kind != kind:
            text = text.lstrip("\n")
        if not text:
            return
        self._erase_progress()
        self._kind = kind
        self._write(self._screen.dim(text) if kind == "reasoning" else text)
        self._in_line = not text.endswith("\n")

    def _code(self, code: str) -> None:
        lines = clean(code).strip("\n").split("\n")
        shown = lines if self._detail == "verbose" else lines[:CODE_LINES]
        bar, width = self._screen.signs("│ "), self._screen.width
        for line in shown:
            self._row(self._screen.accent(bar) + cut(line.replace("\t", "  "), width - 2))
        if len(lines) > len(shown):
            self._row(
                self._screen.accent(bar) + self._screen.dim(f"({len(lines) - len(shown)} more lines; -v shows all)")
            )

    def _print(self, text: str) -> None:
        sign = self._screen.dim(self._screen.signs("· "))
        self._prints += 1
        if self._detail == "verbose":
            for line in clean(text).split("\n"):
                self._row(sign + line)
        elif self._prints <= PRINTS:
            self._row(sign + one_line(text, self._screen.width - 2))

    def _end_prints(self) -> None:
        """A program has ended: tell how much of what it printed was not shown."""
        more, self._prints = self._prints - PRINTS, 0
        if more > 0 and self._detail != "verbose":
            self._row(self._screen.dim(f"{self._screen.signs('· ')}({more} more {_prints(more)}; -v shows all)"))

    def _tool(self, call: TurnEvent.ToolCallCompleted) -> None:
        took = f" {_duration(call.duration_ms / 1000)}" if call.duration_ms >= SLOW_MS else ""
        self._row(call_row(self._screen, call.name, call.args, call.result, worked=call.success, behind=took))

    def _answered(self, answered: TurnEvent.ApprovalAnswered, row: str) -> None:
        """An answer; the row of the call itself tells of denials."""
        waited = self._waiting.get(row)
        if waited is not None:
            waited.label = waited.label.removeprefix("approval of ")
        by = f" by {answered.answered_by}" if answered.answered_by else ""
        if answered.answer == "approve":
            self._row(self._screen.dim(f"approved{by}"))
        elif answered.answer == "edit":
            self._row(self._screen.dim(one_line(f"approved{by} with {brief(answered.args)}", self._screen.width)))

    # --- the screen --------------------------------------------------------------------------------

    def _progress(self) -> str | None:
        now = self._seconds()
        going = [one for one in self._waiting.values() if one.label != "program"]
        going = going or list(self._waiting.values())
        if not going or now - going[0].since < BEFORE_PROGRESS_S:
            return None
        oldest = going[0]
        more = f" +{len(going) - 1} more" if len(going) > 1 else ""
        tail = f"{more} {_duration(now - oldest.since)}"
        room = max(4, self._screen.width - 3 - len(tail))
        frame = FRAMES[self._frame % len(FRAMES)] if self._screen.signs("…") == "…" else "*"
        return f"{frame} {one_line(oldest.label, room)}{tail}"

    def _row(self, text: str) -> None:
        self._end_line()
        self._write(f"{text}\n")

    def _end_line(self) -> None:
        self._erase_progress()
        if self._in_line:
            self._write("\n")
            self._in_line = False
        self._kind = None
        self._cleaner.reset()

    def _erase_progress(self) -> None:
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            self._screen.stream.write(text)
            self._screen.stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more. The turn and its answer do not depend on it.
            self._gone = True


def call_row(screen: Screen, name: str, args: JsonValue, result: JsonValue, *, worked: bool, behind: str = "") -> str:
    """A tool call in one line: what was asked, where there is room for it, and what came of it."""
    room = screen.width - cells(name) - len(behind) - len("✓  → ")
    asked = f" {one_line(brief(args), room // 2)}" if room >= ROOM_FOR_BOTH else ""
    told = one_line(brief(result), max(ROOM_FOR_BOTH // 4, room - cells(asked)))
    sign = screen.good(screen.signs("✓")) if worked else screen.bad(screen.signs("✗"))
    shown = told if worked else screen.bad(told)
    return f"{sign} {screen.accent(name)}{asked} {screen.signs('→')} {shown}{screen.dim(behind)}"


def brief(value: JsonValue) -> str:
    """A value as text of one line or more: text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_PLACE: Final = re.compile(r"^ *--> (line \d+, column \d+)", re.MULTILINE)


def _in_short(error: str, width: int) -> str:
    """What went wrong in a program, and where, in one line without the drawing of the place."""
    found = _PLACE.search(error)
    place = f" ({found.group(1)})" if found else ""
    return one_line(error.partition("\n")[0], max(LEAST_WIDTH, width - len(place))) + place


def _prints(number: int) -> str:
    return "print" if number == 1 else "prints"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s"
