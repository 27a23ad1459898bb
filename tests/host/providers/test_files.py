from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lash.host.providers.command import CommandProvider, FilesProvider
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmMessage, LlmRequest, LlmResponse
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.clock import FakeClock, settle
from lash.testing.scripted import surviving_text


def request(text: str) -> LlmRequest:
    return LlmRequest("m", (LlmMessage("user", (Block.Text(text),)),))


def provider_of(directory: Path, clock: FakeClock) -> FilesProvider:
    return CommandProvider.files(directory, clock=clock)


async def asked(provider: FilesProvider, text: str) -> asyncio.Task[LlmResponse]:
    task = asyncio.create_task(provider.complete(request(text)))
    await settle()
    return task


async def killed(task: asyncio.Task[LlmResponse]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def requests(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith(("request", ".request")))


async def test_a_request_is_a_pretty_printed_file_and_its_reply_a_text(tmp_path: Path) -> None:
    clock, directory = FakeClock(), tmp_path / "deep" / "down"
    running = await asked(provider_of(directory, clock), "grüß")
    text = (directory / "request-1.json").read_text(encoding="utf-8")
    assert '\n  "messages"' in text
    assert json.loads(text)["messages"] == [{"role": "user", "content": "grüß"}]
    assert json.loads(text)["id"] == "1"
    (directory / "reply-1.txt").write_text("Gott\n", encoding="utf-8")
    await clock.advance(2)
    assert (await running).full_text == "Gott\n"


async def test_a_reply_may_be_json_with_its_usage(tmp_path: Path) -> None:
    clock = FakeClock()
    running = await asked(provider_of(tmp_path, clock), "x")
    (tmp_path / "reply-1.json").write_text('{"text": "y", "usage": {"input": 2, "output": 1}}')
    await clock.advance(2)
    assert ((await running).full_text, (await running).usage) == ("y", TokenUsage(2, 1))


async def test_the_whole_reply_is_told_to_a_listener(tmp_path: Path) -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = provider_of(tmp_path, clock)
    (tmp_path / "request-1.json").write_text("taken")
    running = asyncio.create_task(provider.complete(request("x"), events.append))
    await settle()
    (tmp_path / "reply-2.txt").write_text("y")
    await clock.advance(2)
    await running
    assert surviving_text(events) == "y"


async def test_a_reply_that_is_written_in_two_halves_is_read_once_and_whole(tmp_path: Path) -> None:
    clock = FakeClock()
    running = await asked(provider_of(tmp_path, clock), "x")
    with (tmp_path / "reply-1.txt").open("w") as file:
        file.write("first ")
        file.flush()
        await clock.advance(0.9)
        file.write("second")
        file.flush()
        await clock.advance(0.9)
        assert not running.done()
    await clock.advance(0.5)
    assert (await running).full_text == "first second"


async def test_an_empty_reply_file_is_not_written_yet(tmp_path: Path) -> None:
    clock = FakeClock()
    running = await asked(provider_of(tmp_path, clock), "x")
    (tmp_path / "reply-1.txt").touch()
    await clock.advance(100)
    assert not running.done()
    await killed(running)


async def test_after_a_kill_the_same_request_file_is_used_again(tmp_path: Path) -> None:
    clock = FakeClock()
    await killed(await asked(provider_of(tmp_path, clock), "x"))
    running = await asked(provider_of(tmp_path, clock), "x")
    assert requests(tmp_path) == ["request-1.json"]
    (tmp_path / "reply-1.txt").write_text("y")
    await clock.advance(2)
    assert (await running).full_text == "y"


async def test_a_reply_that_came_while_nobody_waited_is_taken(tmp_path: Path) -> None:
    clock = FakeClock()
    await killed(await asked(provider_of(tmp_path, clock), "x"))
    (tmp_path / "reply-1.txt").write_text("y")
    running = await asked(provider_of(tmp_path, clock), "x")
    await clock.advance(2)
    assert (await running).full_text == "y"
    assert requests(tmp_path) == ["request-1.json"]


async def test_a_request_that_was_answered_is_asked_again_when_it_is_made_again(tmp_path: Path) -> None:
    clock = FakeClock()
    provider = provider_of(tmp_path, clock)
    (await asked(provider, "x")).add_done_callback(lambda task: None)
    (tmp_path / "reply-1.txt").write_text("y")
    await clock.advance(2)
    again = await asked(provider, "x")
    assert requests(tmp_path) == ["request-1.json", "request-2.json"]
    await killed(again)


async def test_another_request_gets_a_file_of_its_own(tmp_path: Path) -> None:
    clock = FakeClock()
    await killed(await asked(provider_of(tmp_path, clock), "x"))
    running = await asked(provider_of(tmp_path, clock), "other")
    assert requests(tmp_path) == ["request-1.json", "request-2.json"]
    await killed(running)


async def test_equal_requests_at_the_same_time_are_asked_apart(tmp_path: Path) -> None:
    clock = FakeClock()
    provider = provider_of(tmp_path, clock)
    one, two = await asked(provider, "x"), await asked(provider, "x")
    (tmp_path / "reply-2.txt").write_text("b")
    (tmp_path / "reply-1.txt").write_text("a")
    await clock.advance(2)
    assert [(await one).full_text, (await two).full_text] == ["a", "b"]


@pytest.mark.parametrize("name", ["request-4.json", "reply-4.txt", "reply-4.taken"])
async def test_numbers_that_were_used_are_not_free(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    clock = FakeClock()
    running = await asked(provider_of(tmp_path, clock), "x")
    assert (tmp_path / "request-5.json").exists()
    await killed(running)


async def test_a_number_that_another_process_is_about_to_use_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / ".request-1.tmp").write_text("other")
    running = await asked(provider_of(tmp_path, FakeClock()), "x")
    assert requests(tmp_path) == [".request-1.tmp", "request-2.json"]
    await killed(running)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("reply-1.json", b'{"error": {"message": "no", "code": "tired"}}', "tired"),
        ("reply-1.json", b"not json", "malformed_reply"),
        ("reply-1.json", b'{"delta": "x"}', "malformed_reply"),
        ("reply-1.txt", b"\xff\xfe", "malformed_reply"),
    ],
)
async def test_a_reply_may_be_a_failure_or_none_at_all(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    clock = FakeClock()
    provider = provider_of(tmp_path, clock)
    running = await asked(provider, "x")
    (tmp_path / name).write_bytes(data)
    await clock.advance(1.5)
    await clock.advance(3)
    if running.done():
        with pytest.raises(ProviderFailure) as raised:
            await running
        assert raised.value.code == code
    else:
        # A malformed reply is retried, with a request of its own.
        assert requests(tmp_path) == ["request-1.json", "request-2.json"]
        (tmp_path / "reply-2.txt").write_text("y")
        await clock.advance(2)
        assert [record.code for record in (await running).attempts] == [code]


async def test_a_person_has_a_day(tmp_path: Path) -> None:
    clock = FakeClock()
    provider = provider_of(tmp_path, clock)
    assert (provider.options.reliability.idle_timeout_ms, provider.options.reliability.attempt_timeout_ms) == (
        86_400_000,
        None,
    )
    assert provider.to_spec() == {"type": "files", "dir": str(tmp_path)}


async def test_the_deadline_of_a_call_does_not_hurry_a_person(tmp_path: Path) -> None:
    clock = FakeClock()
    running = asyncio.create_task(provider_of(tmp_path, clock).complete(request("x"), deadline_s=5))
    await clock.advance(60)
    (tmp_path / "reply-1.txt").write_text("at last")
    await clock.advance(2)
    assert (await running).full_text == "at last"


async def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProviderFailure, match="file") as raised:
        await provider_of(tmp_path / "file", FakeClock()).complete(request("x"))
    assert (raised.value.kind, raised.value.code) == ("validation", "files_directory")
