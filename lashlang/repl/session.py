"""The session behind a REPL: machines, tools, files; nothing of keyboard and screen.

A session runs one event loop for all its blocks, so that what `start call` began in one block can be awaited in a
later one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, TypeVar

from lashlang.errors import KernelFault
from lashlang.projection import Projection
from lashlang.repl.blocks import compile_block
from lashlang.repl.branches import Branch
from lashlang.repl.files import write_whole
from lashlang.repl.looking import Look, as_look, keys_of, look
from lashlang.syntax.diagnostics import CompileError, LashlangError
from lashlang.toolhost import FunctionHost
from lashlang.values import Value
from lashlang.vm.machine import Machine
from lashlang.vm.outcome import Outcome
from lashlang.vm.steps import Request

Result = TypeVar("Result")

_SMALL_STATE = 8 << 20


class SessionError(LashlangError):
    """What was asked cannot be done now; nothing has changed. The text is one line for the person who asked."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a block went. `value` is what it has to show, if anything; there is no outcome where Ctrl-C stopped it."""

    outcome: Outcome | None
    value: Look | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it came to its end without an error."""
        return self.outcome is not None and self.outcome.ok


class Session:
    """Variables, tools and what was done with them. To be used in the main thread, which is where Ctrl-C arrives.

    `projected` are read-only names that every block sees, `fuel` the limit for each block (None: the default),
    `on_print` takes the text of every `print`. Raises TypeError for a tool that cannot be called by argument names.
    """

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        *,
        projected: Mapping[str, Projection] | None = None,
        fuel: int | None = None,
        on_print: Callable[[str], None] | None = None,
    ) -> None:
        self.tools = dict(tools or {})
        self.projected = dict(projected or {})
        self.fuel = fuel
        self.last: Ran | None = None
        self.fuel_used = 0
        self._on_print = on_print
        self._host = FunctionHost(self.tools, on_print=self._print)
        self._loop = asyncio.new_event_loop()
        self._branches = [Branch("", Machine())]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what still runs in the background and free the machines."""
        try:
            self._loop.run_until_complete(self._host.close())
        finally:
            self._loop.close()
            for branch in self._branches:
                branch.close()

    @property
    def machine(self) -> Machine:
        """The machine of the present branch."""
        return self._branches[-1].machine

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something else on the session's event loop: the prompt, so that background tools run meanwhile."""
        return self._loop.run_until_complete(work)

    # --- running -----------------------------------------------------------------------------------

    def run(self, text: str) -> Ran:
        """Run a block to its end, or until Ctrl-C. Raises SessionError while another block is suspended."""
        self.need_idle()
        branch = self._branches[-1]
        machine = branch.machine
        try:
            block = compile_block(text, [*machine.globals, *self.projected])
        except CompileError as error:
            return self._done(Ran(Outcome("failed", error=error.diagnostic, source=text)))
        # A small state is copied for safety's sake; to copy a large one takes time that only `:undo` is worth.
        before = branch.checkpoint() if block.assigns or machine.heap_used < _SMALL_STATE else None
        started = perf_counter()
        outcome = self._drive(
            machine.run_async(block.program, host=self._host, projected=self.projected, fuel=self.fuel), before
        )
        value = None
        if block.kept is not None and block.kept in machine.globals:
            value = look(machine, block.kept)
            del machine.globals[block.kept]
        if block.assigns:
            branch.remember(before, text)
        elif before is not None:
            before.close()
        return self._done(_ran(outcome, value, perf_counter() - started))

    def resume(self) -> Ran:
        """Run the suspended block on. Raises SessionError where there is none."""
        if not self.machine.running:
            raise SessionError("no block is suspended")
        branch = self._branches[-1]
        before = branch.checkpoint()
        started = perf_counter()
        outcome = self._drive(branch.machine.finish_async(host=self._host), before)
        branch.remember(before, ":resume")
        return self._done(_ran(outcome, None, perf_counter() - started))

    def abandon(self) -> None:
        """Stop the suspended block where it is. Raises SessionError where there is none."""
        if not self.machine.running:
            raise SessionError("no block is suspended")
        branch = self._branches[-1]
        branch.remember(branch.checkpoint(), ":abandon")
        branch.machine.interrupt()

    @property
    def pending(self) -> tuple[Request, ...]:
        """What the suspended block waits for; empty where none is suspended."""
        return self.machine.pending

    @property
    def suspended(self) -> bool:
        """Whether a block is suspended: it came with a snapshot and has to be resumed or abandoned."""
        return self.machine.running

    def need_idle(self) -> None:
        """Raise SessionError while a block is suspended."""
        if self.suspended:
            raise SessionError("a block is suspended: `:resume` runs it on, `:abandon` gives it up")

    def _drive(self, work: Coroutine[Any, Any, Outcome], before: Machine | None) -> Outcome | None:
        """Run a block's coroutine; None where Ctrl-C stopped it. The machine is at rest afterwards in any case.

        `before` takes the machine's place where its kernel fails, which is told by a SessionError.
        """
        task = self._loop.create_task(work)
        try:
            with self._on_interrupt(task.cancel):
                return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            return None
        except KernelFault as error:
            branch = self._branches[-1]
            branch.machine.close()
            branch.machine = before or Machine()
            state = "from before the block are back" if before else "are lost, but those that `:undo` finds"
            raise SessionError(f"a defect of lash: {error}; the variables {state}") from error

    @contextmanager
    def _on_interrupt(self, stop: Callable[[], object]) -> Generator[None]:
        """Have Ctrl-C call `stop` on the event loop, instead of raising KeyboardInterrupt in the middle of anything."""
        former = signal.getsignal(signal.SIGINT)
        try:
            # The loop's own way wakes it up, wherever the signal finds it.
            self._loop.add_signal_handler(signal.SIGINT, stop)
        except NotImplementedError:  # on Windows, whose loops wake up for every signal

            def interrupted(number: int, frame: FrameType | None) -> None:
                self._loop.call_soon_threadsafe(stop)

            signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            with suppress(NotImplementedError):
                self._loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, former)

    def _done(self, ran: Ran) -> Ran:
        self.last = ran
        if ran.outcome is not None:
            self.fuel_used += ran.outcome.fuel
        return ran

    def _print(self, value: Value, text: str) -> None:
        if self._on_print is not None:
            self._on_print(text)

    # --- looking -----------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The variables, in the order they were first bound; none while a block is suspended."""
        return [] if self.suspended else list(self.machine.globals)

    def look(self, name: str) -> Look:
        """What a variable holds. Raises SessionError while a block is suspended."""
        self.need_idle()
        return look(self.machine, name)

    def keys_of(self, expression: str) -> list[str]:
        """The first keys of the record that a path such as `a.b[0]` leads to, if it does."""
        return [] if self.suspended else keys_of(self.machine, expression)

    # --- states ------------------------------------------------------------------------------------

    @property
    def forks(self) -> list[str]:
        """The names of the forks that are open, the present one last."""
        return [branch.name for branch in self._branches[1:]]

    def fork(self, name: str = "") -> str:
        """Go on in a copy, which gets a name; the original waits. Raises SessionError for a name in use."""
        name = name or f"fork{len(self._branches)}"
        if name in self.forks:
            raise SessionError(f"there is a fork `{name}` already")
        self._branches.append(Branch(name, self.machine.fork()))
        return name

    def back(self) -> str:
        """Give up the present fork and go back to what it was made from; the name of the fork."""
        self._need_fork()
        branch = self._branches.pop()
        branch.close()
        return branch.name

    def keep(self) -> str:
        """Put the present fork in the place of what it was made from; the name of the fork."""
        self._need_fork()
        branch = self._branches.pop()
        self._branches[-1].replace(branch.machine.fork(), f":keep of {branch.name}")
        branch.close()
        return branch.name

    def _need_fork(self) -> None:
        if len(self._branches) == 1:
            raise SessionError("no fork is open; `:fork` makes one")

    def undo(self) -> str:
        """Return to the state before the last block or command that changed something: its text.

        Raises SessionError where no other state is kept.
        """
        deed = self._branches[-1].undo()
        if deed is None:
            raise SessionError("there is nothing to undo")
        return deed

    def save(self, file: Path) -> int:
        """Write variables, and the suspended block if there is one, to a file; its size in bytes.

        Raises SessionError, with the file as it was.
        """
        try:
            data = self.machine.snapshot()
            write_whole(file, data)
        except OSError as error:
            raise SessionError(f"{file}: {error.strerror or error}") from error
        except LashlangError as error:
            raise SessionError(f"{file}: {error}") from error
        return len(data)

    def load(self, file: Path) -> None:
        """Take the state that a file holds in the place of the present one, which `:undo` brings back.

        Raises SessionError where it cannot be read or is refused; the session is as it was then.
        """
        try:
            machine = Machine.restore(file.read_bytes(), projections=self._find)
        except OSError as error:
            raise SessionError(f"{file}: {error.strerror or error}") from error
        except LashlangError as error:
            raise SessionError(f"{file}: {error}") from error
        self._branches[-1].replace(machine, f":load {file}")

    def _find(self, ref: str, type_name: str) -> Projection | None:
        """A projection of a snapshot, by the name that the command line gave it."""
        return self.projected.get(ref)


def _ran(outcome: Outcome | None, value: Look | None, seconds: float) -> Ran:
    if outcome is not None and outcome.status == "submitted":
        value = as_look(outcome.value)
    return Ran(outcome, value, seconds)
