"""One turn as an application sees it: awaited, iterated, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

from lash.runtime.errors import TurnError
from lash.runtime.sansio.activity import TurnActivity
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.result import TurnOutput, TurnResult

T = TypeVar("T")

TurnState = Literal["new", "running", "done"]


class Turn(Generic[T]):
    """A turn that begins when it is first awaited, iterated, or asked for its result.

    However often it is awaited, it runs once and gives the same result; what it raises is raised each time. Broken off
    in the middle, the iteration lets the turn run on; leaving it as a context asks it to stop and waits for its commit.
    """

    def __init__(
        self,
        turn_id: str,
        run: Callable[[ActivityStream, CancelToken], Awaitable[TurnResult[Any]]],
        stream: ActivityStream,
        token: CancelToken,
    ) -> None:
        self.turn_id = turn_id
        self._run = run
        self._stream = stream
        self._token = token
        self._task: asyncio.Task[TurnResult[Any]] | None = None
        self._iterated = False

    @property
    def state(self) -> TurnState:
        """Whether it has begun, and whether it is over."""
        if self._task is None:
            return "new"
        return "done" if self._task.done() else "running"

    def __await__(self) -> Generator[Any, None, TurnResult[T]]:
        return self.result().__await__()

    async def result(self) -> TurnResult[T]:
        """The turn's result. Cancelling the first task that waits for it cancels the turn without a commit."""
        begins = self._task is None
        task = self._begin()
        if begins:
            return await task
        return await asyncio.shield(task)

    async def output(self) -> TurnOutput[T]:
        """The result with all activities; TurnError (turn_not_collected) once they are being iterated over."""
        if self._iterated:
            raise TurnError("turn_not_collected", "the activities of this turn go to its iterator: collect them there")
        result = await self.result()
        return TurnOutput(result, tuple(self._stream.activities))

    def __aiter__(self) -> AsyncIterator[TurnActivity]:
        if self._iterated:
            raise TurnError("turn_already_iterated", "a turn has one iterator, and this one has it already")
        self._iterated = True
        return self._activities()

    async def _activities(self) -> AsyncIterator[TurnActivity]:
        activities = self._stream.listen()
        task = self._begin()
        async for activity in activities:
            yield activity
        await asyncio.shield(task)

    def cancel(self, reason: str | None = None) -> None:
        """Ask the turn to stop; callable from any task or thread. It then commits what it has as cancelled."""
        self._token.cancel(reason)

    async def __aenter__(self) -> Turn[T]:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None and not self._task.done():
            self._token.cancel("the turn's context was left")
            await asyncio.wait([self._task])

    def _begin(self) -> asyncio.Task[TurnResult[Any]]:
        if self._task is None:
            self._task = asyncio.ensure_future(self._guarded())
        return self._task

    async def _guarded(self) -> TurnResult[Any]:
        try:
            return await self._run(self._stream, self._token)
        finally:
            # Also where the turn could not begin: whoever iterates must not wait for ever.
            await self._stream.close()
