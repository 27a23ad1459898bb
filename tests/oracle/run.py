"""Running one block: parse, check, evaluate, and say what came of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from lashlang.syntax import parse, tree
from lashlang.syntax.diagnostics import CompileError

from .checks import check
from .evaluator import Fiber, Submitted
from .failure import Failure, OracleError, report, statement
from .host import Host, Request, Response
from .json_forms import Json, from_json, to_json
from .limits import Meter
from .scope import Scope
from .values import LazyValue, Value

STACK_BYTES = 256 * 1024 * 1024
FRAMES = 100_000

Status = Literal["submitted", "continued", "failed"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lazy:
    """A projected value to be read on demand; the oracle answers every question about it itself."""

    value: object


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a block: `value` is the submitted JSON, `requests` those that reached the host."""

    status: Status
    value: Json
    error: OracleError | None
    prints: list[str]
    fuel: int
    requests: list[Request]


def run(
    source: str,
    *,
    state: dict[str, object],
    host: Host,
    projected: Mapping[str, object] | None = None,
    limits: Mapping[str, int] | None = None,
) -> Outcome:
    """Run one block on a state, which it changes as the specification says.

    Values of the state and of `projected` may be plain JSON data; `projected` may also hold `Lazy`.
    `limits` replaces defaults of chapter 16 by code.
    """
    try:
        program = parse(source)
    except CompileError as refused:
        return failed(compile_error(source.removeprefix("\ufeff"), refused))
    source = source.removeprefix("\ufeff")
    refusal = check(program)
    if refusal:
        return failed(report(source, refusal.kind, refusal.message, refusal.span))
    block = Block(source, program, host, Meter(limits or {}))
    names = {name: from_json(value) for name, value in state.items()}
    scope = Scope(names, {name: project(value) for name, value in (projected or {}).items()})
    try:
        return with_room(lambda: block.run(scope))
    finally:
        state.clear()
        state.update(names)


@dataclass
class Block:
    """A block that may run, and what it has handed to its host."""

    source: str
    program: tree.Program
    host: Host
    meter: Meter
    requests: list[Request] = field(default_factory=list[Request])
    prints: list[str] = field(default_factory=list[str])

    def run(self, scope: Scope) -> Outcome:
        """Run it to its end."""
        try:
            self.drive(Fiber(self.meter, scope))
        except Submitted as end:
            return self.outcome("submitted", to_json(end.value))
        except Failure as failure:
            span = failure.span or (0, len(self.source))
            return self.outcome("failed", error=report(self.source, failure.kind, failure.message, span, failure.code))
        return self.outcome("continued")

    def outcome(self, status: Status, value: Json = None, error: OracleError | None = None) -> Outcome:
        """What came of it."""
        return Outcome(status, value, error, self.prints, self.meter.fuel, self.requests)

    def drive(self, fiber: Fiber) -> None:
        """Run the statements one after the other, and have the host answer their waves."""
        for node in self.program.statements:
            with statement(node.start, node.end):
                running = fiber.run_statement(node)
                try:
                    wave = next(running)
                    while True:
                        wave = running.send(self.answers(wave))
                except StopIteration:
                    pass

    def answers(self, wave: list[Request]) -> list[Response]:
        """Hand a wave to the host."""
        self.requests.extend(wave)
        answers = self.host.answer(wave)
        for request, answer in zip(wave, answers, strict=True):
            if request.kind == "print" and answer.ok:
                self.prints.append(request.text or "")
        return answers


def project(value: object) -> Value:
    """The value of a projected name: inline data is an ordinary value under a read-only name."""
    return LazyValue(from_json(value.value)) if isinstance(value, Lazy) else from_json(value)


def failed(error: OracleError) -> Outcome:
    """The outcome of a block of which nothing ran."""
    return Outcome("failed", None, error, [], 0, [])


def compile_error(source: str, refused: CompileError) -> OracleError:
    """The parser's error in the oracle's form."""
    found = refused.diagnostic
    starts = [0, *(at + 1 for at, c in enumerate(source) if c == "\n")]
    start = starts[found.line - 1] + found.column - 1
    end = starts[found.end_line - 1] + found.end_column - 1
    where = (found.line, found.column, found.end_line, found.end_column)
    return OracleError(found.kind, found.code, found.message, start, end, *where)


def with_room(work: Callable[[], T]) -> T:
    """Do something that recurses deeply in a thread with a large stack; results and errors pass through."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    frames, stack = sys.getrecursionlimit(), threading.stack_size(STACK_BYTES)
    sys.setrecursionlimit(max(frames, FRAMES))
    try:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(frames)
        threading.stack_size(stack)
    if errors:
        raise errors[0]
    return results[0]
