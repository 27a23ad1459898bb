"""One running block: the kernel's answers turned into steps, the host's responses into commands.

A `Block` moves through these states; a method called in the wrong one raises `MachineMisuse` and
changes nothing:

    new ── begin ──► running ──► Yielded   → go_on
                             ├─► Requests  → deliver (any non-empty subset of what is pending)
                             ├─► Reads     → deliver
                             └─► Done      (over; the machine is idle again)

`interrupt` ends it from any of them. `Machine.start` and `resume` hide `Yielded`; runners that must
keep an event loop live work on the block itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lashlang.errors import HostValueError, KernelFault, LanguageError, MachineClosed, MachineMisuse
from lashlang.projection import Projected, Projection, ProjectionUnavailable, Unsupported, error_text
from lashlang.values import Value
from lashlang.vm.diagnose import Fault, diagnose
from lashlang.vm.outcome import Outcome
from lashlang.vm.protocol import HEAVY_ALLOWED, AnswerStatus, Command, ReadStatus, RequestKind, Status
from lashlang.vm.steps import (
    Call,
    Done,
    Print,
    Read,
    ReadResponse,
    Reads,
    Request,
    Requests,
    Response,
    Start,
    Yielded,
    make_request,
)
from lashlang.vm.wire import Codec, TooDeep, explain
from lashlang.workers import COMPUTE

if TYPE_CHECKING:
    from lashlang.compiler.program import Program
    from lashlang.vm.engine import Instance

Perform = Callable[[int, Any, Any, bool], tuple[int, Value]]
"""Answers one request, given its kind, its two operands and whether they may hold projections: status and value."""

BlockStep = Requests | Reads | Done | Yielded

_NO_RESPONSES: Mapping[int, Response] = {}
_NO_READS: Mapping[int, ReadResponse] = {}
_GO_ON = (b"\x93\x00\x90\x90", bytes((0x93, HEAVY_ALLOWED, 0x90, 0x90)))
"""STEP without answers, and the same with the flag for a large operation."""
_INTERRUPTED = "interrupted"
_FEW = 300


class Block:
    """A block between its start and its outcome. Machines make them (`Machine.open_block`).

    `on_end` is called once, when the block is over however it ended; `names` gives the names bound then,
    for hints. With `serve_with` a block answers its requests itself, and no step is ever `Requests`.
    """

    __slots__ = (
        "_codec",
        "_instance",
        "_largest",
        "_names",
        "_on_end",
        "_perform",
        "_prints",
        "outcome",
        "over",
        "pending",
        "program",
        "projected",
        "reads",
    )

    def __init__(
        self,
        instance: Instance,
        codec: Codec,
        program: Program,
        *,
        largest: int,
        on_end: Callable[[], None],
        names: Callable[[], list[str]],
    ) -> None:
        self._instance = instance
        self._codec = codec
        self._largest = largest
        self._on_end = on_end
        self._names = names
        self._perform: Perform | None = None
        self._prints: dict[int, Print] = {}
        self.projected: tuple[str, ...] = ()
        self.program = program
        self.pending: dict[int, Request] = {}
        self.reads: dict[int, Read] = {}
        self.over = False
        self.outcome: Outcome | None = None

    def serve_with(self, perform: Perform) -> None:
        """Answer every request at once by calling `perform`, in issue order: the way of the synchronous runner.

        An exception out of `perform` leaves the block waiting and comes out of the method that ran it.
        """
        self._perform = perform

    @property
    def heap_used(self) -> int:
        """Bytes of the machine's heap in use."""
        return self._instance.heap_used

    # --- commands ------------------------------------------------------------------------------

    def begin(self, projected: Mapping[str, Value], *, bulky: bool = False) -> BlockStep:
        """Load the program with its projected values and run the first slice; HostValueError where one cannot cross.

        `bulky` says that the values are large and others should get their turns while they are packed.
        """
        self.projected = tuple(projected)
        self._instance.ask_to_stop(False)
        bound = {
            name: Projected(name, value) if isinstance(value, Projection) else value
            for name, value in projected.items()
        }
        data = b"".join((b"\x92", self._codec.pack(bound, bulky=bulky), self.program.packed))
        status, reply = self._command(Command.RUN, data)
        if status == Status.REFUSED:
            explain(bound)
        return self._step(status, reply)

    def take_up(self, projected: Iterable[str], prints: Iterable[Print]) -> None:
        """Be the block that the kernel runs already, restored from a snapshot: learn what it waits for."""
        self.projected = tuple(projected)
        self._instance.ask_to_stop(False)
        self._prints = {seen.id: seen for seen in prints}
        self.look()

    def look(self) -> BlockStep:
        """What the block waits for, all that is open; a slice's end where it waits for nothing.

        LanguageError where the machine's memory has no room for saying it.
        """
        status, reply = self._command(Command.DESCRIBE, b"")
        if status == Status.FAILED:
            raise LanguageError("limit_exceeded: what the block waits for is larger than the machine's memory")
        return self._step(status, reply)

    @property
    def prints(self) -> tuple[Print, ...]:
        """The observations made so far, in order."""
        return tuple(self._prints[number] for number in sorted(self._prints))

    def go_on(self, *, heavy: bool) -> BlockStep:
        """Run the next slice; `heavy` lets it do a large operation, which `hurry` can stop."""
        return self._step(*self._command(Command.STEP, _GO_ON[heavy]))

    def go_on_watched(self, timeout: float | None = None) -> BlockStep:
        """As `go_on` with `heavy`, but in a worker, so that signals and the clock reach the thread that waits here.

        After `timeout` seconds, and when an exception such as KeyboardInterrupt arrives, the operation is stopped.
        """
        future = Future[tuple[int, Any]]()
        try:
            COMPUTE.submit(lambda: self._command(Command.STEP, _GO_ON[True]), future)
            wait([future], timeout)
        finally:
            while not (future.done() or future.cancel()):
                self.hurry()
                with suppress(KeyboardInterrupt):  # the first is on its way already
                    wait([future])
        return Yielded(heavy=True) if future.cancelled() else self._step(*future.result())

    def hurry(self) -> None:
        """From any thread: let the large operation under way give up soon. The block can only be ended after that."""
        self._instance.ask_to_stop()

    def deliver(
        self,
        responses: Mapping[int, Response] = _NO_RESPONSES,
        reads: Mapping[int, ReadResponse] = _NO_READS,
        *,
        lenient: bool = False,
        bulky: bool = False,
    ) -> BlockStep:
        """Answer some of what is pending and run on.

        A response whose value is too deep or too large becomes the error the language has for that.
        One that is no Lashlang value at all raises HostValueError and changes nothing; `lenient`
        makes it a failure of its request in place. `bulky` is as for `begin`.
        Unknown ids and statuses raise MachineMisuse, what is no response TypeError.
        """
        if not responses.keys() <= self.pending.keys() or not reads.keys() <= self.reads.keys():
            unknown = sorted((responses.keys() - self.pending.keys()) | (reads.keys() - self.reads.keys()))
            raise MachineMisuse(f"nothing is pending under id {unknown[0]}")
        if not responses and not reads:
            raise MachineMisuse("an empty set of answers does not resume a block")
        status, reply = self._exchange(_sorted(responses), _sorted(reads), self._origin if lenient else None, bulky)
        if status == Status.REFUSED:
            raise _refused(reply)
        for number, response in responses.items():
            request = self.pending.pop(number)
            if isinstance(request, Print) and response.status == AnswerStatus.OK:
                self._prints[number] = request
        for number in reads:
            del self.reads[number]
        return self._step(status, reply)

    def interrupt(self, message: str = _INTERRUPTED) -> Done:
        """Stop the block where it stands; what it assigned and did so far stays."""
        status, reply = self._command(Command.INTERRUPT, self._codec.pack([message]))
        if status == Status.REFUSED:
            raise _refused(reply)
        step = self._step(status, reply)
        if not isinstance(step, Done):
            raise self._broken(f"the kernel went on after an interrupt (status {status})")
        return step

    def abandon(self) -> None:
        """Stop the block whatever its state, when its run is torn down; a fault of the kernel shows at the next use."""
        if not self.over:
            with suppress(KernelFault, MachineClosed):
                self._command(Command.INTERRUPT, self._codec.pack([_INTERRUPTED]))
            self._end()

    def take_seen_projection(self) -> bool:
        """Whether a message since the last call held a projection, so that arguments must be searched for some."""
        seen, self._codec.seen_projection = self._codec.seen_projection, False
        return seen

    def read_local(self, step: Reads) -> tuple[dict[int, ReadResponse], tuple[Read, ...]]:
        """Answer the reads whose projections have a source here: their responses, and the reads that remain."""
        answered: dict[int, ReadResponse] = {}
        rest: list[Read] = []
        for read in step.reads:
            if read.target.source is None:
                rest.append(read)
            else:
                answered[read.id] = answer_read(read)
        return answered, tuple(rest)

    # --- the kernel's side -----------------------------------------------------------------------

    def _command(self, command: int, data: bytes) -> tuple[int, Any]:
        if self.over:
            raise MachineMisuse("the block is over")
        return self._instance.command(command, data, self._codec.unpack)

    def _exchange(
        self,
        answers: list[list[Any]],
        reads: list[list[Any]],
        origin: Callable[[int, bool], str] | None,
        bulky: bool,
    ) -> tuple[int, Any]:
        """Give answers to the kernel and let it run on; see `deliver`. `origin` names where a value came from."""
        try:
            status, reply = self._send(self._codec.pack([0, answers, reads], bulky=bulky))
            if status != Status.REFUSED:
                return status, reply
        except (HostValueError, MemoryError):
            pass  # looked into below
        try:
            return self._send(self._careful(answers, reads, origin))
        except MemoryError:
            return self._give_up(answers, reads)

    def _give_up(self, answers: list[list[Any]], reads: list[list[Any]]) -> tuple[int, Any]:
        """Say of every answer that it does not fit, which ends the block with the limit `memory`.

        Of one alone would not do: its branch may wait for others. The messages are short, since the
        kernel has room for a short one always.
        """
        status, reply = int(Status.WAITING), None
        for group, too_large, is_read in (
            (answers, AnswerStatus.TOO_LARGE, False),
            (reads, ReadStatus.TOO_LARGE, True),
        ):
            for first in range(0, len(group), _FEW):
                refused = [[number, too_large, None] for number, _, _ in group[first : first + _FEW]]
                message = [0, [], refused] if is_read else [0, refused, []]
                status, reply = self._command(Command.STEP, self._codec.pack(message))
                if status == Status.FAILED:
                    return status, reply
        return status, reply

    def _send(self, message: bytes) -> tuple[int, Any]:
        """A STEP command; MemoryError, with nothing changed, where the machine's memory cannot take the message."""
        if len(message) > self._largest:
            raise MemoryError
        return self._command(Command.STEP, message)

    def _serve(self, requests: list[list[Any]], perform: Perform) -> tuple[int, Any]:
        """Answer a wave of requests by `perform` and let the kernel run on."""
        if not requests:
            raise self._broken("the kernel waits for nothing")
        has_projections = self.take_seen_projection()
        answers: list[list[Any]] = []
        for number, kind, first, second in requests:
            status, value = perform(kind, first, second, has_projections)
            if kind == RequestKind.PRINT and status == AnswerStatus.OK:
                self._prints[number] = Print(number, first if second is None else second, first)
            answers.append([number, status, value])

        def origin(number: int, is_read: bool) -> str:
            return _teller(next(first for request, _, first, _ in requests if request == number))

        return self._exchange(answers, [], origin, False)

    def _step(self, status: int, reply: Any) -> BlockStep:
        """The step that a status and its output mean; anything unforeseen is a defect of the kernel."""
        if reply is None:
            raise self._broken(f"the kernel gave no answer (status {status})")
        while status == Status.WAITING and self._perform is not None:
            status, reply = self._serve(reply[2], self._perform)
        if status == Status.WAITING:
            return self._waiting(reply[2])
        if status == Status.SLICE:
            return Yielded(heavy=False)
        if status == Status.HEAVY:
            return Yielded(heavy=True)
        if status == Status.READS:
            reads = tuple(Read(number, target, question, tuple(args)) for number, target, question, args in reply[2])
            self.reads.update((read.id, read) for read in reads)
            return Reads(reads)
        if status == Status.SUBMITTED:
            return self._done(Outcome("submitted", _as_json(reply[2]), *self._record(reply)))
        if status == Status.CONTINUED:
            return self._done(Outcome("continued", None, *self._record(reply)))
        if status == Status.FAILED:
            fault = Fault(*reply[2:])
            names = [*self.projected, *self._names()]
            error = diagnose(self.program, fault, names)
            how = "interrupted" if error.kind == _INTERRUPTED else "failed"
            return self._done(Outcome(how, None, error, *self._record(reply)[1:]))
        if status == Status.REFUSED:
            raise self._broken(f"the kernel refused a command: {reply[0]}")
        raise self._broken(f"the kernel answered with status {status}")

    def _waiting(self, requests: list[Value]) -> Requests:
        pending = self.pending
        new: list[Request] = []
        for fields in requests:
            request = make_request(fields)
            pending[request.id] = request
            new.append(request)
        if not pending:
            raise self._broken("the kernel waits for nothing")
        return Requests(tuple(new), tuple(pending.values()))

    def _record(self, reply: Any) -> tuple[None, tuple[Print, ...], int, int, str]:
        """The common part of every outcome: no error, prints, fuel, requests, source."""
        return None, self.prints, reply[0], reply[1], self.program.source

    def _done(self, outcome: Outcome) -> Done:
        self.outcome = outcome
        self._end()
        return Done(outcome)

    def _end(self) -> None:
        self.over = True
        self.pending.clear()
        self.reads.clear()
        self._on_end()

    def _broken(self, reason: str) -> KernelFault:
        fault = self._instance.retire(reason)
        self._end()
        return fault

    # --- answers that do not fit -------------------------------------------------------------------

    def _careful(
        self,
        answers: list[list[Any]],
        reads: list[list[Any]],
        origin: Callable[[int, bool], str] | None,
    ) -> bytes:
        """The message of a step in which every answer has been looked at; HostValueError without an `origin`.

        Only called when the plain message could not be packed, did not fit, or was refused.
        """
        parts = [b"\x93\x00"]
        for group, misfits in ((answers, _ANSWER_MISFITS), (reads, _READ_MISFITS)):
            parts.append(b"\xdd" + len(group).to_bytes(4, "big"))
            for number, status, value in group:
                try:
                    explain(value)
                    packed = self._codec.pack([number, status, value])
                except TooDeep:
                    packed = self._codec.pack([number, *misfits.too_deep])
                except HostValueError as error:
                    if origin is None:
                        raise
                    reason = f"{origin(number, group is reads)} gave no JSON value: {error}"
                    packed = self._codec.pack([number, misfits.failed, reason])
                parts.append(packed)
        return b"".join(parts)

    def _origin(self, number: int, is_read: bool) -> str:
        if is_read:
            return f"reading `{self.reads[number].target.name}`"
        request = self.pending[number]
        return _teller(request.tool if isinstance(request, Call | Start) else getattr(request, "handle", None))


def _refused(reply: Any) -> MachineMisuse:
    """What to raise for a command that the kernel refused, changing nothing: the host filled in its own nonsense."""
    return MachineMisuse(f"the kernel refused the command: {reply[0]}")


def _teller(origin: Value) -> str:
    """Who answered a request, in words: its tool, given by name or by the handle of a start, else the host."""
    tool: Value = cast("dict[str, Value]", origin).get("tool") if isinstance(origin, dict) else origin
    return f"tool `{tool}`" if isinstance(tool, str) else "the host"


def _sorted(responses: Mapping[int, Response] | Mapping[int, ReadResponse]) -> list[list[Any]]:
    """Answers as the kernel takes them: by ascending id."""
    try:
        answers = [[number, response.status, response.value] for number, response in responses.items()]
    except AttributeError:
        raise TypeError("requests are answered by a Response each, reads by a ReadResponse") from None
    if len(answers) > 1:
        answers.sort(key=lambda answer: answer[0])
    return answers


class _Misfits(NamedTuple):
    """What is said in place of a value that cannot be: the status of a failure, and status and value for depth."""

    failed: int
    too_deep: tuple[int, Value]


_ANSWER_MISFITS = _Misfits(AnswerStatus.FAILED, (AnswerStatus.TOO_DEEP, None))
_READ_MISFITS = _Misfits(ReadStatus.FAILED, (ReadStatus.FAILED, "it is nested too deeply"))


def answer_read(read: Read) -> ReadResponse:
    """Ask a projection's own source; whatever it raises becomes a failed read."""
    source = read.target.source
    if source is None:
        return ReadResponse.failed("it has no source that could be read")
    try:
        return ReadResponse.ok(source.answer(read.target, read.question, read.args))
    except Unsupported:
        return ReadResponse.unsupported()
    except ProjectionUnavailable as error:
        return ReadResponse.failed(str(error))
    except Exception as error:
        return ReadResponse.failed(error_text(error))


def _as_json(value: Value) -> Value:
    """A submitted value; projections in it have been read by the kernel already."""
    return value.read() if isinstance(value, Projected) else value
