"""Tool hosts: who answers a block's requests.

`ToolHost` is the seam: six coroutines. `FunctionHost` is the ready one for plain functions,
`{"name": function}`, which may be ordinary or `async`. A tool gets its argument record as keyword
arguments and answers by returning a value or raising; whatever it does, the program sees a result
wrapper with a value or with a text, never the host's own objects.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Protocol, cast

from lashlang.errors import LashlangError
from lashlang.projection import Projected, error_text
from lashlang.syntax.hints import nearest
from lashlang.values import Value
from lashlang.vm.limits import check_timeout
from lashlang.workers import TOOLS, in_worker

GRACE = 1.0
"""Seconds that cancelled tools get to end before they are left to themselves."""


class ToolFailure(LashlangError):
    """Raised by a tool or host to fail a request with exactly this error: text, or any JSON value."""

    def __init__(self, error: Value) -> None:
        super().__init__(error if isinstance(error, str) else repr(error))
        self.error = error


class ToolHost(Protocol):
    """What answers requests. Every method returns the value, or raises: `ToolFailure`, or anything else as its text.

    Projected values in the arguments of tools are read first. A host with an attribute `keeps_projections` that is true
    gets them as they are (`Projected`). One with a method `waits(requests: int | None)` is told when the block can go
    no further until one of so many open requests is answered, and None when one is. Only the asyncio runner does both.
    """

    async def call(self, name: str, args: dict[str, Value]) -> Value:
        """`call name { … }`: run the tool to its end."""
        ...

    async def start(self, name: str, args: dict[str, Value]) -> Value:
        """`start call name { … }`: begin the tool and return its handle, a record with a key `__handle__`."""
        ...

    async def await_handle(self, handle: dict[str, Value]) -> Value:
        """`await handle`: the outcome of what was started, the same each time."""
        ...

    async def cancel(self, handle: dict[str, Value]) -> Value:
        """`cancel handle`: stop what was started, as well as can be."""
        ...

    async def print(self, value: Value, text: str) -> None:
        """`print value`: take one observation, the value and its text form."""
        ...

    async def read_projection(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """Answer for a projected value that has no source of its own; see `lashlang.projection.Projection.answer`."""
        ...


class _Tool:
    """One function with what must be known to call it by a record of arguments."""

    __slots__ = ("accepts", "any_name", "function", "is_async", "name", "required")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        if not isinstance(cast("object", name), str):
            raise TypeError(f"a tool's name is text, not {type(name).__name__}")
        if not callable(function):
            raise TypeError(f"tool `{name}` is no function but {type(function).__name__}")
        self.name = name
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 -- the method itself is wanted, not whether there is one
        )
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            # Some built-in functions do not tell their parameters; they check for themselves.
            parameters = [inspect.Parameter("args", inspect.Parameter.VAR_KEYWORD)]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        unnamed = [p for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
        if unnamed:
            raise TypeError(
                f"tool `{name}` has the positional-only parameter `{unnamed[0].name}`; arguments come by name"
            )
        self.accepts = frozenset(p.name for p in named)
        self.required = frozenset(p.name for p in named if p.default is p.empty)
        self.any_name = any(p.kind is p.VAR_KEYWORD for p in parameters)

    def check(self, args: Mapping[str, Value]) -> None:
        """ToolFailure where the arguments' names do not fit, naming what is missing and what is unknown."""
        names = args.keys()
        if self.required <= names and (self.any_name or names <= self.accepts):
            return
        parts = [f"argument `{name}` is missing" for name in sorted(self.required - names)]
        if not self.any_name:
            for name in sorted(names - self.accepts):
                near = nearest(name, self.accepts)
                parts.append(f"there is no argument `{name}`" + (f" (did you mean `{near}`?)" if near else ""))
        raise ToolFailure(f"tool `{self.name}`: {', '.join(parts)}")


@dataclass(slots=True)
class _Started:
    """What a handle stands for: the running task, or the outcome (its value, or the failure to raise)."""

    tool: str
    task: asyncio.Task[Value] | None = None
    value: Value = None
    failure: ToolFailure | None = None


class FunctionHost:
    """A tool host over plain functions.

    `tools` maps tool names to functions, ordinary or `async`; ordinary ones run in worker threads when
    the block runs asynchronously, so they may block. `timeout` in seconds bounds each call; the call
    then fails, and an ordinary function is left to end by itself. `on_print` is called with value and
    text of each observation. Handles live as long as the host, so one host for many blocks keeps them.
    Raises TypeError for a tool that cannot be called by argument names, and TypeError or ValueError for a
    timeout that is no number of seconds.
    """

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        *,
        timeout: float | None = None,
        on_print: Callable[[Value, str], None] | None = None,
    ) -> None:
        self._tools = {name: _Tool(name, function) for name, function in (tools or {}).items()}
        self._timeout = check_timeout(timeout)
        self._on_print = on_print
        self._started: dict[str, _Started] = {}

    @property
    def needs_loop(self) -> bool:
        """Whether any tool is asynchronous, so that a synchronous run needs an event loop."""
        return any(tool.is_async for tool in self._tools.values())

    # --- asynchronous: the ToolHost methods --------------------------------------------------------

    async def call(self, name: str, args: dict[str, Value]) -> Value:
        """See `ToolHost.call`."""
        tool = self._find(name, args)
        if self._timeout is None:
            return await self._perform(tool, args)
        scope = asyncio.timeout(self._timeout)
        try:
            async with scope:
                return await self._perform(tool, args)
        except TimeoutError as error:
            if not scope.expired():
                raise  # the tool's own
            raise self._late(name) from error

    async def _perform(self, tool: _Tool, args: dict[str, Value]) -> Value:
        if tool.is_async:
            return await tool.function(**args)
        result = await in_worker(TOOLS, lambda: tool.function(**args))
        if inspect.isawaitable(result):
            return await result
        return result

    async def start(self, name: str, args: dict[str, Value]) -> Value:
        """See `ToolHost.start`."""
        self._find(name, args)
        task = asyncio.create_task(self.call(name, args))
        # A failure that nobody awaits is nobody's error.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return self._handle(_Started(name, task))

    async def await_handle(self, handle: dict[str, Value]) -> Value:
        """See `ToolHost.await_handle`."""
        started = self._lookup(handle)
        if started.task is None:
            return self._outcome(started)
        # Shielded: another block, or a later `await`, may want the outcome when this wait is given up.
        return await asyncio.shield(started.task)

    async def cancel(self, handle: dict[str, Value]) -> Value:
        """See `ToolHost.cancel`."""
        task = self._forget(handle)
        if task is not None:
            task.cancel()

    async def print(self, value: Value, text: str) -> None:
        """See `ToolHost.print`."""
        self.print_now(value, text)

    async def read_projection(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `ToolHost.read_projection`; this host knows no projections."""
        raise ToolFailure("nothing answers for it")

    async def close(self) -> None:
        """Cancel what was started on this event loop and has not ended; it gets a moment to end."""
        loop = asyncio.get_running_loop()
        tasks = [started.task for started in self._started.values() if started.task is not None]
        tasks = [task for task in tasks if not task.done() and task.get_loop() is loop]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)

    # --- synchronous ---------------------------------------------------------------------------------

    def call_now(self, name: str, args: dict[str, Value]) -> Value:
        """`call`, in this thread (in a worker where a timeout is set)."""
        tool = self._find(name, args)
        if self._timeout is None:
            result = tool.function(**args)
        else:
            future = TOOLS.submit(lambda: tool.function(**args))
            try:
                result = future.result(self._timeout)
            except TimeoutError as error:
                if future.done():
                    raise
                raise self._late(name) from error
        if isinstance(result, CoroutineType):
            result.close()
            raise ToolFailure(f"tool `{name}` is asynchronous and needs `run_async`")
        return result

    def start_now(self, name: str, args: dict[str, Value]) -> Value:
        """`start`, which here runs the tool at once and keeps its outcome for `await`."""
        self._find(name, args)
        started = _Started(name)
        try:
            started.value = self.call_now(name, args)
        except FAILURES as error:
            started.failure = as_failure(error)
        return self._handle(started)

    def await_now(self, handle: dict[str, Value]) -> Value:
        """`await_handle` of what `start_now` started, or of what an asynchronous run did and has ended since."""
        started = self._lookup(handle)
        if started.task is None:
            return self._outcome(started)
        if not started.task.done():
            raise ToolFailure(f"`{started.tool}` is still running, and waiting for it needs `run_async`")
        return started.task.result()

    def cancel_now(self, handle: dict[str, Value]) -> Value:
        """`cancel`: what `start_now` started has ended, and its outcome is forgotten."""
        task = self._forget(handle)
        if task is not None:
            with suppress(RuntimeError):  # its loop is closed, so that it does not run either
                task.get_loop().call_soon_threadsafe(task.cancel)

    def print_now(self, value: Value, text: str) -> None:
        """`print`, in this thread."""
        if self._on_print is not None:
            self._on_print(value, text)

    # --- both ------------------------------------------------------------------------------------------

    def _find(self, name: str, args: Mapping[str, Value]) -> _Tool:
        tool = self._tools.get(name)
        if tool is None:
            near = nearest(name, self._tools)
            known = ", ".join(f"`{known}`" for known in list(self._tools)[:20])
            hint = f"; did you mean `{near}`?" if near else f"; the tools are {known}" if known else ""
            raise ToolFailure(f"there is no tool `{name}`{hint}")
        tool.check(args)
        return tool

    def _handle(self, started: _Started) -> Value:
        number = f"h{len(self._started) + 1}"
        self._started[number] = started
        return {"__handle__": "tool", "id": number, "tool": started.tool}

    def _lookup(self, handle: Mapping[str, Value]) -> _Started:
        number = handle.get("id")
        started = self._started.get(number) if isinstance(number, str) else None
        if started is None:
            raise ToolFailure(f"unknown handle `{number}`")
        return started

    def _forget(self, handle: Mapping[str, Value]) -> asyncio.Task[Value] | None:
        """Make the handle's outcome a failure; its task, if any, remains to be cancelled."""
        started = self._lookup(handle)
        task, started.task = started.task, None
        started.failure = ToolFailure(f"`{started.tool}` was cancelled")
        return task

    def _outcome(self, started: _Started) -> Value:
        if started.failure is not None:
            raise started.failure
        return started.value

    def _late(self, name: str) -> ToolFailure:
        return ToolFailure(f"tool `{name}` gave no answer within {self._timeout:g} s")


FAILURES = (Exception, asyncio.CancelledError)
"""What a tool may raise to fail its request. Anything else (KeyboardInterrupt, SystemExit) leaves the run."""


def as_failure(error: BaseException) -> ToolFailure:
    """What an exception says to the program."""
    if isinstance(error, asyncio.CancelledError):
        return ToolFailure("the tool was cancelled")
    return error if isinstance(error, ToolFailure) else ToolFailure(error_text(error))
