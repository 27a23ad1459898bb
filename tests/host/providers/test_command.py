from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lash.host.providers.command import CommandProvider
from lash.host.system import SystemClock
from lash.runtime.errors import ConfigError
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmMessage, LlmRequest, LlmStreamEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.clock import FakeClock

T = TypeVar("T")

MODEL = str(Path(__file__).with_name("model.py"))
AT_ONCE = ProviderOptions(reliability=ProviderReliability(base_delay_ms=0))


PATIENT = ProviderOptions(reliability=ProviderReliability(enabled=False, idle_timeout_ms=None, attempt_timeout_ms=None))


def request(text: str) -> LlmRequest:
    return LlmRequest("m", (LlmMessage("user", (Block.Text(text),)),))


def provider_of(*arguments: str, concurrent: bool = True) -> CommandProvider:
    argv = [sys.executable, "-S", "-E", MODEL, *arguments]
    return CommandProvider(argv, concurrent=concurrent, options=AT_ONCE)


@pytest.fixture
async def provider() -> AsyncIterator[CommandProvider]:
    started = provider_of()
    yield started
    await started.aclose()


async def ask(provider: CommandProvider, text: str) -> str:
    return (await provider.complete(request(text))).full_text


async def fails(provider: CommandProvider, text: str) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await provider.complete(request(text))
    return raised.value


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def moving(clock: FakeClock, work: Coroutine[Any, Any, T]) -> T:
    """Run work that waits for a process and for the clock, which moves on all the time."""
    task = asyncio.create_task(work)
    while not task.done():
        await clock.advance(1)
    return await task


async def until_gone(pid: int) -> None:
    while not is_gone(pid):
        await asyncio.sleep(0.01)


async def test_deltas_come_before_the_text_with_its_usage_and_end(provider: CommandProvider) -> None:
    events = list[AnyStreamEvent]()
    response = await provider.complete(request("stream abc"), events.append)
    assert events == [LlmStreamEvent.TextDelta(letter, 0) for letter in "abc"]
    assert (response.full_text, response.parts) == ("abc", (Block.Text("abc"),))
    assert (response.usage, response.terminal_reason) == (TokenUsage(3, 2, 1), "output_limit")


async def test_replies_may_come_in_any_order(provider: CommandProvider) -> None:
    started = asyncio.Event()
    first = asyncio.create_task(provider.complete(request("hold"), lambda event: started.set()))
    await started.wait()
    assert await ask(provider, "release") == "released"
    assert (await first).full_text == "late 1"


async def test_one_process_serves_all_calls(provider: CommandProvider) -> None:
    assert await ask(provider, "pid") == await ask(provider, "pid")


async def test_one_at_a_time_means_that_the_second_request_waits() -> None:
    provider = provider_of(concurrent=False)
    started = asyncio.Event()
    first = asyncio.create_task(provider.complete(request("hold"), lambda event: started.set()))
    await started.wait()
    second = asyncio.create_task(provider.complete(request("cancelled")))
    await asyncio.sleep(0)
    first.cancel()
    # It was sent after the first was withdrawn, so the program knows of that.
    assert (await second).full_text == "1"
    await provider.aclose()


async def test_an_error_may_be_a_text(provider: CommandProvider) -> None:
    failure = await fails(provider, 'error "no idea"')
    assert (failure.kind, failure.message, failure.retryable) == ("unknown", "no idea", False)


async def test_an_error_may_say_that_trying_again_helps(provider: CommandProvider) -> None:
    failure = await fails(provider, 'error {"message": "busy", "retryable": true, "code": "later"}')
    assert (failure.retryable, failure.code, len(failure.attempts)) == (True, "later", 4)


async def test_an_error_that_says_trying_again_does_not_help_is_believed(provider: CommandProvider) -> None:
    failure = await fails(provider, 'error {"message": "busy", "retryable": false, "code": "rate_limit_error"}')
    assert (failure.kind, failure.retryable, len(failure.attempts)) == ("rate_limit", False, 1)


async def test_an_exit_in_mid_call_is_retried_on_a_fresh_process(provider: CommandProvider, tmp_path: Path) -> None:
    response = await provider.complete(request(f"exit-once {tmp_path / 'mark'}"))
    assert response.full_text == "again"
    assert [(record.kind, record.code) for record in response.attempts] == [("transport", "command_ended")]
    assert "status 4" in response.attempts[0].message


async def test_a_program_that_always_exits_is_given_up_with_its_status_and_stderr(provider: CommandProvider) -> None:
    failure = await fails(provider, "exit 3")
    assert (failure.kind, failure.retryable, len(failure.attempts)) == ("transport", False, 3)
    assert "status 3" in failure.message
    assert "last words" in failure.message


async def test_a_line_that_is_no_json_fails_the_call_and_is_quoted(provider: CommandProvider) -> None:
    failure = await fails(provider, "raw " + "g" * 300)
    assert (failure.kind, failure.code) == ("stream", "malformed_reply")
    assert "g" * 200 in failure.message
    assert "g" * 201 not in failure.message


@pytest.mark.parametrize("line", ["[1]", '{"text": "x"}', '{"id": "99", "text": "x"}', '{"id": "01", "text": "x"}'])
async def test_a_line_for_nobody_fails_the_call(provider: CommandProvider, line: str) -> None:
    assert (await fails(provider, f"raw {line}")).code == "malformed_reply"


@pytest.mark.parametrize(
    "answer",
    [
        '{"id": "1"}',
        '{"id": "1", "text": 3}',
        '{"id": "1", "error": 3}',
        '{"id": "1", "text": "", "stop": "why"}',
        '{"id": "1", "text": "", "usage": 3}',
        '{"id": "1", "error": {"message": "m", "retryable": 1}}',
    ],
)
async def test_a_reply_of_the_wrong_form_fails_its_call(answer: str) -> None:
    provider = provider_of()
    provider.set_options(ProviderOptions(reliability=ProviderReliability.disabled()))
    assert (await fails(provider, f"raw {answer}")).code == "malformed_reply"
    await provider.aclose()


@pytest.mark.parametrize("word", ["long", "endless"])
async def test_a_line_that_is_too_long_fails_the_call(word: str) -> None:
    clock = FakeClock()
    provider = CommandProvider([sys.executable, "-S", "-E", MODEL], options=PATIENT, clock=clock)
    failure = await fails(provider, word)
    assert (failure.code, "16,777,216" in failure.message) == ("malformed_reply", True)
    assert (await moving(clock, provider.complete(request("stream x")))).full_text == "x"
    await moving(clock, provider.aclose())


async def test_blank_lines_say_nothing(provider: CommandProvider) -> None:
    assert await ask(provider, "raw ") == "after"


async def test_a_cancelled_call_is_withdrawn_and_its_late_reply_ignored(provider: CommandProvider) -> None:
    started = asyncio.Event()
    running = asyncio.create_task(provider.complete(request("hold"), lambda event: started.set()))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await ask(provider, "cancelled") == "1"
    assert await ask(provider, "release") == "released"
    assert await ask(provider, "stream x") == "x"


async def test_what_a_listener_raises_ends_its_call_alone(provider: CommandProvider) -> None:
    def broken(event: AnyStreamEvent) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError):
        await provider.complete(request("hold"), broken)
    assert await ask(provider, "cancelled") == "1"


async def test_the_request_line_is_plain_text_with_model_and_bound(provider: CommandProvider) -> None:
    line = json.loads(await ask(provider, "echo"))
    assert line == {
        "id": "1",
        "system": "",
        "messages": [{"role": "user", "content": "echo"}],
        "max_output_tokens": 32768,
        "model": "m",
    }


async def test_a_command_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    provider = CommandProvider([str(tmp_path / "nothing")])
    failure = await fails(provider, "x")
    assert (failure.kind, failure.code, failure.retryable) == ("validation", "command_not_started", False)
    assert "nothing" in failure.message


async def test_closing_ends_the_process_and_its_children() -> None:
    provider = provider_of()
    pid, child = int(await ask(provider, "pid")), int(await ask(provider, "child"))
    await provider.aclose()
    assert is_gone(pid)
    await until_gone(child)


async def test_what_a_process_that_exits_leaves_behind_is_ended_too(provider: CommandProvider) -> None:
    child = int(await ask(provider, "child"))
    await fails(provider, "exit 0")
    await until_gone(child)


async def test_who_has_left_the_group_and_holds_the_pipes_keeps_nobody_waiting(tmp_path: Path) -> None:
    clock = FakeClock()
    provider = CommandProvider([sys.executable, "-S", "-E", MODEL], options=PATIENT, clock=clock)
    stray = int(await ask(provider, "stray"))
    try:
        with pytest.raises(ProviderFailure, match="status 2"):
            await moving(clock, provider.complete(request("exit 2")))
    finally:
        os.kill(stray, signal.SIGKILL)


async def test_a_process_that_listens_to_nothing_is_killed() -> None:
    clock = FakeClock()
    provider = CommandProvider([sys.executable, "-S", "-E", MODEL, "deaf"], clock=clock)
    pid = int(await ask(provider, "pid"))
    await ask(provider, "ignore-signals")
    await moving(clock, provider.aclose())
    assert is_gone(pid)
    assert clock.slept.count(5) >= 2


async def test_a_process_that_stops_reading_is_replaced() -> None:
    clock = FakeClock()
    provider = CommandProvider([sys.executable, "-S", "-E", MODEL], clock=clock)
    await ask(provider, "close-stdin")
    assert (await moving(clock, provider.complete(request("stream x")))).full_text == "x"
    await provider.aclose()


async def test_closing_fails_open_calls_and_later_ones() -> None:
    provider = provider_of()
    started = asyncio.Event()
    running = asyncio.create_task(provider.complete(request("hold"), lambda event: started.set()))
    await started.wait()
    await provider.aclose()
    with pytest.raises(ProviderFailure, match="closed"):
        await running
    assert (await fails(provider, "x")).code == "provider_closed"
    await provider.aclose()


async def test_the_end_of_stderr_that_is_told_begins_with_a_line() -> None:
    program = "import sys; sys.stderr.write('x' * 5000 + '\\nlast words\\n'); sys.exit(3)"
    provider = CommandProvider([sys.executable, "-S", "-E", "-c", program], options=AT_ONCE)
    failure = await fails(provider, "hello")
    await provider.aclose()
    assert "its stderr ends: last words" in failure.message
    assert "x" * 10 not in failure.message


async def test_stderr_goes_to_the_log(provider: CommandProvider, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lash.providers.command"):
        await fails(provider, "exit 1")
    assert any("last words" in record.getMessage() for record in caplog.records)


class Peer:
    """The program's end of a pair of byte streams."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.sent: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.closed = False

    def write(self, data: bytes, /) -> None:
        for line in data.splitlines():
            self.sent.put_nowait(json.loads(line))

    async def drain(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True

    def say(self, data: str) -> None:
        self.reader.feed_data(data.encode())


async def test_a_pair_of_streams_serves_as_well() -> None:
    peer = Peer()
    provider = CommandProvider(reader=peer.reader, writer=peer)
    running = asyncio.create_task(provider.complete(request("x")))
    assert (await peer.sent.get())["id"] == "1"
    for piece in ('{"id": "1", "te', 'xt": "gr', 'üß"}\n'):
        peer.say(piece)
    assert (await running).full_text == "grüß"
    await provider.aclose()
    assert peer.closed


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_lines_may_arrive_in_any_pieces(size: int) -> None:
    peer, events = Peer(), list[AnyStreamEvent]()
    provider = CommandProvider(reader=peer.reader, writer=peer)
    running = asyncio.create_task(provider.complete(request("x"), events.append))
    await peer.sent.get()
    data = '{"id": "1", "delta": "gr"}\r\n\n{"id": "1", "delta": "üß"}\n{"id": "1", "text": "grüß"}\n'.encode()
    for start in range(0, len(data), size):
        peer.reader.feed_data(data[start : start + size])
        await asyncio.sleep(0)
    assert (await running).full_text == "grüß"
    assert events == [LlmStreamEvent.TextDelta("gr", 0), LlmStreamEvent.TextDelta("üß", 0)]
    await provider.aclose()


async def test_a_pair_of_streams_that_has_ended_cannot_be_started_again() -> None:
    peer = Peer()
    provider = CommandProvider(reader=peer.reader, writer=peer, clock=SystemClock())
    running = asyncio.create_task(provider.complete(request("x")))
    await peer.sent.get()
    peer.reader.feed_eof()
    with pytest.raises(ProviderFailure) as raised:
        await running
    assert (raised.value.kind, raised.value.retryable) == ("transport", False)
    assert (await fails(provider, "x")).retryable is False


async def test_bytes_of_an_unfinished_line_count_for_the_only_open_call() -> None:
    peer, clock = Peer(), FakeClock()
    provider = CommandProvider(reader=peer.reader, writer=peer, clock=clock)
    running = asyncio.create_task(provider.complete(request("x")))
    await peer.sent.get()
    for piece in ('{"id": ', '"1", ', '"text": ', '"slow"}\n'):
        await clock.advance(200)
        peer.say(piece)
    response = await running
    assert (response.full_text, response.attempts) == ("slow", ())
    await provider.aclose()


async def test_bytes_for_another_call_do_not_count() -> None:
    peer, clock = Peer(), FakeClock()
    provider = CommandProvider(reader=peer.reader, writer=peer, clock=clock)
    one, two = (asyncio.create_task(provider.complete(request(word))) for word in ("one", "two"))
    await peer.sent.get()
    await peer.sent.get()
    await clock.advance(200)
    peer.say('{"id": "2", "delta": "x"}\n')
    await clock.advance(200)
    # The first was silent for 300 s and is withdrawn; the second was not.
    assert await peer.sent.get() == {"id": "1", "cancel": True}
    peer.say('{"id": "2", "text": "xy"}\n{"id": "3", "text": "second try"}\n')
    assert (await two).attempts == ()
    assert [record.code for record in (await one).attempts] == ["idle_timeout"]
    await provider.aclose()


@pytest.mark.parametrize(
    "arguments",
    [{}, {"argv": ["x"], "reader": asyncio.StreamReader}, {"reader": asyncio.StreamReader}],
)
async def test_a_provider_is_either_a_command_or_a_pair_of_streams(arguments: dict[str, object]) -> None:
    made = {name: value() if callable(value) else value for name, value in arguments.items()}
    with pytest.raises(ConfigError) as raised:
        CommandProvider(**made)  # pyright: ignore[reportArgumentType]
    assert raised.value.code == "contradictory_options"


@pytest.mark.parametrize("argv", ["cat", []])
def test_a_command_is_a_list_of_texts(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="argv"):
        CommandProvider(argv)
