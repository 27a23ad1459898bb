"""What a block and its host say to each other: requests, responses, steps.

A machine's `start` and `resume` give a *step*: `Requests` (answer some, then `resume`), `Reads`
(projections only the tool host can read), or `Done`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lashlang.projection import Projected, images_in
from lashlang.values import Image, Value
from lashlang.vm.outcome import Outcome
from lashlang.vm.protocol import AnswerStatus, ReadStatus, RequestKind


@dataclass(frozen=True, slots=True)
class Call:
    """`call tool { … }`: run the tool, answer with its value or its failure."""

    id: int
    tool: str
    args: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Start:
    """`start call tool { … }`: begin the tool, answer with a handle record."""

    id: int
    tool: str
    args: dict[str, Value]


@dataclass(frozen=True, slots=True)
class AwaitHandle:
    """`await handle`: answer with the outcome of what was started."""

    id: int
    handle: dict[str, Value]


@dataclass(frozen=True, slots=True)
class CancelHandle:
    """`cancel handle`: stop what was started; the answer's value is what `cancel` gives."""

    id: int
    handle: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Print:
    """`print value`: one observation. `text` is the value's text form, `value` the value itself."""

    id: int
    text: str
    value: Value

    @property
    def images(self) -> tuple[Image, ...]:
        """The images inside the value, depth first, each once."""
        return () if isinstance(self.value, str) else images_in(self.value)


Request: TypeAlias = Call | Start | AwaitHandle | CancelHandle | Print


def make_request(fields: Sequence[Value]) -> Request:
    """A request from the kernel's `[id, kind, a, b]`."""
    number, kind, first, second = fields
    if kind == RequestKind.CALL:
        return Call(number, first, second)
    if kind == RequestKind.PRINT:
        return Print(number, first if second is None else second, first)
    if kind == RequestKind.START:
        return Start(number, first, second)
    if kind == RequestKind.AWAIT:
        return AwaitHandle(number, first)
    if kind == RequestKind.CANCEL:
        return CancelHandle(number, first)
    raise ValueError(f"unknown request kind {kind}")


@dataclass(frozen=True, slots=True)
class Response:
    """The host's answer to a request: `Response.ok(value)` or `Response.failed(error)`."""

    status: int
    value: Value

    @classmethod
    def ok(cls, value: Value = None) -> Response:
        """Success with a value."""
        return cls(AnswerStatus.OK, value)

    @classmethod
    def failed(cls, error: Value) -> Response:
        """Failure; the error is normally text, any other value reaches the program as its JSON text."""
        return cls(AnswerStatus.FAILED, error)


@dataclass(frozen=True, slots=True)
class Read:
    """A question about a projected value that has no source in this process (chapter 14)."""

    id: int
    target: Projected
    question: str
    args: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """The answer to a `Read`: a value, `unsupported()` (the whole is then asked for), or a failure with its text."""

    status: int
    value: Value = None

    @classmethod
    def ok(cls, value: Value) -> ReadResponse:
        """The answer itself."""
        return cls(ReadStatus.VALUE, value)

    @classmethod
    def unsupported(cls) -> ReadResponse:
        """The host does not answer this question."""
        return cls(ReadStatus.UNSUPPORTED)

    @classmethod
    def failed(cls, reason: str) -> ReadResponse:
        """The value cannot be read."""
        return cls(ReadStatus.FAILED, reason)


@dataclass(frozen=True, slots=True)
class Requests:
    """The block waits. `new` are the requests issued since the last step, `pending` all that are open."""

    new: tuple[Request, ...]
    pending: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """The block waits for reads of projections; `resume(reads={…})` answers some of them."""

    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The block is over."""

    outcome: Outcome


Step: TypeAlias = Requests | Reads | Done


@dataclass(frozen=True, slots=True)
class Yielded:
    """A slice is used up, or (`heavy`) a large operation is next. Only runners see it; `start` and `resume` go on."""

    heavy: bool
