"""Knowing when a turn does nothing any more but wait for people's answers (runtime.md 2.5).

Such a turn can be put aside. It is *still* when every call that was begun waits for an answer, and the program that
made the calls, where there is one, can go no further without them. A program may wait for other things than calls
(its prints have to be shown), and a call of a serial tool may not have begun because another one waits: so the program
says how many requests it has open, and the calls that are held back are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

PASSES = 16
"""Passes of the event loop for which nothing may stir: whoever has just been woken needs some of them to show it."""


class Stillness:
    """What of a turn runs and what waits. All is told from the turn's event loop."""

    def __init__(self) -> None:
        self._calls = 0
        self._waiting: list[str] = []
        self._behind = 0
        self._runs_program = False
        self._requests: int | None = None
        self._stirred = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()

    # --- what is told ----------------------------------------------------------------------------

    @contextmanager
    def call(self) -> Generator[None]:
        """Inside, a call runs."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._stirred.set()

    @contextmanager
    def waiting(self, approval_id: str) -> Generator[None]:
        """Inside, a call waits for the answer to this question."""
        self._waiting.append(approval_id)
        self._stirred.set()
        try:
            yield
        finally:
            self._waiting.remove(approval_id)

    @contextmanager
    def behind(self) -> Generator[None]:
        """Inside, a call of a program is held back until others are over."""
        self._behind += 1
        self._stirred.set()
        try:
            yield
        finally:
            self._behind -= 1

    @contextmanager
    def program(self) -> Generator[None]:
        """Inside, a program runs."""
        self._runs_program, self._requests = True, None
        try:
            yield
        finally:
            self._runs_program = False

    def program_waits(self, requests: int | None) -> None:
        """The program goes no further until one of so many requests is answered; None: it goes on."""
        self._requests = requests
        self._stirred.set()

    # --- what is asked ---------------------------------------------------------------------------

    @property
    def questions(self) -> tuple[str, ...]:
        """The ids of the questions that are being waited for."""
        return tuple(self._waiting)

    @property
    def is_still(self) -> bool:
        """Whether nothing runs and something waits for an answer."""
        if not self._waiting or self._calls != len(self._waiting):
            return False
        return not self._runs_program or self._requests == len(self._waiting) + self._behind

    async def until_still(self) -> None:
        """Wait until the turn is still, and stays so for as long as it takes what was woken to stir."""
        while True:
            while not self.is_still:
                self._stirred.clear()
                await self._stirred.wait()
            for _ in range(PASSES):
                await asyncio.sleep(0)
                if not self.is_still:
                    break
            else:
                return

    # --- keeping it so ---------------------------------------------------------------------------

    def hold(self) -> None:
        """Have answers that come from now on be kept back."""
        self._free.clear()

    def release(self) -> None:
        """Let them through."""
        self._free.set()

    async def may_go_on(self) -> None:
        """Wait while answers are kept back."""
        await self._free.wait()
