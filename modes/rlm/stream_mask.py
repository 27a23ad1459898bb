"""What of a reply may be shown while it streams (rlm.md 4): its prose, never its program.

The mask holds back what may still become an opener, shows the prose before one, swallows the rest, and asks for the
stream to be stopped once the program is closed. It runs on the scanner of fence.py, so both agree for every way in
which a reply is cut into pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

from lash.modes.rlm.fence import LABEL, Scanner, code_of


@dataclass(frozen=True, slots=True)
class Masked:
    """What a piece of the reply comes to: prose to be shown, whether a program has just begun, whether to stop."""

    prose: str = ""
    fence_started: bool = False
    abort: bool = False


class StreamMask:
    """The mask of one reply; `reset` begins the next one, or the same one anew after a failed attempt."""

    __slots__ = ("_carriage", "_scanner", "_started")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the reply."""
        self._scanner = Scanner()
        self._started = False
        self._carriage = False

    def feed(self, more: str) -> Masked:
        """Take the next piece of the reply."""
        was_closed = self._scanner.span is not None
        return self._result(self._scanner.feed(self._lines(more)), was_closed)

    def finish(self) -> Masked:
        """The reply is over: what was held back and is no opener is shown."""
        was_closed = self._scanner.span is not None
        prose = ""
        if self._carriage:
            self._carriage = False
            prose = self._scanner.feed("\r")
        return self._result(prose + self._scanner.finish(), was_closed)

    def _lines(self, more: str) -> str:
        """The piece with CRLF as LF, also where it is cut in between."""
        if self._carriage:
            more = "\r" + more
        self._carriage = more.endswith("\r")
        return (more[:-1] if self._carriage else more).replace("\r\n", "\n")

    def _result(self, prose: str, was_closed: bool) -> Masked:
        scanner = self._scanner
        started = scanner.opened is not None and not self._started
        self._started = self._started or started
        closed = scanner.span is not None and scanner.span.closed and not was_closed
        return Masked(prose, started, closed)

    @property
    def text(self) -> str:
        """The reply as far as it has come, with LF line ends."""
        return self._scanner.text

    def rebuilt(self) -> str:
        """The reply as the driver has to see it: prose, then the program in fences of the model's own length.

        A closing fence is added where the model had none. What came after the program stays: nobody is shown it, but
        the driver tells the model of further programs in it.
        """
        span = self._scanner.span
        if span is None:
            return self._scanner.text
        text = self._scanner.text
        fence = "`" * span.ticks
        body = text[span.body : span.body_end]
        if body and not body.endswith("\n"):
            body += "\n"
        return f"{text[: span.start]}{fence}{LABEL}\n{body}{fence}{text[span.end :]}"

    def code(self) -> str | None:
        """The program, once its opener is complete."""
        span = self._scanner.span
        return None if span is None else code_of(self._scanner.text, span)
