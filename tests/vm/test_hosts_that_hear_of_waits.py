"""A host with a method `waits` hears when its program can go no further, and for how many requests."""

from __future__ import annotations

import asyncio
from typing import Any

from lashlang import Machine


class Host:
    """Answers calls when their gate is opened; prints at once."""

    def __init__(self) -> None:
        self.heard: list[int | None] = []
        self.gates: dict[int, asyncio.Event] = {}

    def waits(self, requests: int | None) -> None:
        self.heard.append(requests)

    async def call(self, name: str, args: dict[str, Any]) -> Any:
        gate = self.gates.setdefault(args["n"], asyncio.Event())
        await gate.wait()
        return args["n"]

    async def print(self, value: Any, text: str) -> None:
        """Take it."""

    async def open(self, number: int) -> None:
        """Have a call answered, and the program go on as far as it can."""
        self.gates[number].set()
        for _ in range(50):
            await asyncio.sleep(0)


async def test_a_lone_call_is_waited_for_and_then_not() -> None:
    host = Host()
    task = asyncio.ensure_future(Machine().run_async("submit (call f { n: 1 })?", host=host))  # type: ignore[arg-type]  # pyright: ignore
    for _ in range(50):
        await asyncio.sleep(0)
    assert host.heard == [1]
    await host.open(1)
    assert (await task).value == 1
    assert host.heard == [1, None]


async def test_the_host_hears_of_every_standstill_with_the_requests_that_are_open() -> None:
    host = Host()
    code = "rs = parallel {\n  (call f { n: 1 })?\n  (call f { n: 2 })?\n  (call f { n: 3 })?\n}\nsubmit rs"
    task = asyncio.ensure_future(Machine().run_async(code, host=host))  # type: ignore[arg-type]  # pyright: ignore
    for _ in range(50):
        await asyncio.sleep(0)
    assert host.heard == [3]
    await host.open(2)
    assert host.heard == [3, None, 2]
    await host.open(1)
    await host.open(3)
    assert (await task).value == [1, 2, 3]
    assert host.heard == [3, None, 2, None, 1, None]
