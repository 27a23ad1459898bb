"""One turn as an application sees it: awaited, iterated, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

from lash.runtime.errors import TurnError, TurnSuspended
from lash.runtime.sansio.activity import TurnActivity
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.result import TurnOutput, TurnResult
from lash.sync import BoundLoop

R_co = TypeVar("R_co", bound="TurnResult[Any] | None", covariant=True)

TurnState = Literal["new", "running", "suspended", "done"]


class Turn(Generic[R_co]):
    """A turn that begins when it is first awaited, iterated, or asked for its result.

    However often it is awaited, it runs once and gives the same result; what it raises is raised each time. Broken off
    in the middle, the iteration lets the turn run on; leaving it as a context asks it to stop and waits for its commit.
    """

    def __init__(
        self,
        run: Callable[[ActivityStream, CancelToken], Awaitable[R_co]],
        stream: ActivityStream,
        token: CancelToken,
        loop: BoundLoop,
    ) -> None:
        self._run = run
        self._stream = stream
        self._token = token
        self._loop = loop
        self._task: asyncio.Task[R_co] | None = None
        self._iterated = False

    @property
    def turn_id(self) -> str:
        """The turn's id; empty while a turn that is to be resumed has not begun."""
        return self._stream.turn_id

    @property
    def state(self) -> TurnState:
        """Whether it has begun, and whether it is over, or put aside until people have answered."""
        task = self._task
        if task is None:
            return "new"
        if not task.done():
            return "running"
        waits = not task.cancelled() and isinstance(task.exception(), TurnSuspended)
        return "suspended" if waits else "done"

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.result().__await__()

    async def result(self) -> R_co:
        """The turn's result. Cancelling the first task that waits for it cancels the turn without a commit.

        Raises TurnError (turn_waits_for_itself) in a sink of the turn, besides what the turn raises.
        """
        if self._stream.in_sink():
            raise TurnError("turn_waits_for_itself", "the turn waits for this sink: wait for the turn somewhere else")
        begins = self._task is None
        task = self._begin()
        if begins:
            return await task
        return await asyncio.shield(task)

    def result_sync(self) -> R_co:
        """The same, blocking. Ctrl+C asks the turn to stop and waits for its commit, a second one raises at once.

        Raises TurnError (sync_in_own_loop) besides, where it would wait for its own loop.
        """
        return self._loop.run(self.result, self._token.cancel)

    async def output(self) -> TurnOutput[Any]:
        """The result with all activities.

        Raises TurnError: turn_not_collected once the activities are being iterated over, no_queued_input where the
        turn was to take queued input and there is none.
        """
        if self._iterated:
            raise TurnError("turn_not_collected", "the activities of this turn go to its iterator: collect them there")
        result = await self.result()
        if result is None:
            raise TurnError("no_queued_input", "nothing is queued for a turn")
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

    async def __aenter__(self) -> Turn[R_co]:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None and not self._task.done():
            self._token.cancel("the turn's context was left")
            self._stream.stop_listening()
            await asyncio.wait([self._task])

    def _begin(self) -> asyncio.Task[R_co]:
        if self._task is None:
            self._loop.bind()
            self._task = asyncio.ensure_future(self._guarded())
        return self._task

    async def _guarded(self) -> R_co:
        try:
            return await self._run(self._stream, self._token)
        finally:
            # Also where the turn could not begin: whoever iterates must not wait for ever.
            await self._stream.close()
