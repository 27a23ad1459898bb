"""Servers that are programs and do harm: each harms one call, or nothing but itself."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from lash.plugins import McpConnectionError, McpPluginFactory, McpServerConfig
from tests.host.plugins.mcp.support import SMALL, Hurried, call, connected, failure, is_gone, names, raw, until, value

HARMLESS: list[tuple[str, dict[str, Any], object]] = [
    ("garbage", {"text": "150"}, "after garbage"),
    ("stderr", {}, "after noise"),
    ("progress", {}, "after progress"),
    ("no_content", {}, {"n": 1}),
]


@pytest.mark.parametrize(("tool", "args", "expected"), HARMLESS, ids=[case[0] for case in HARMLESS])
async def test_noise_round_an_answer_is_borne(tool: str, args: dict[str, Any], expected: object) -> None:
    async with connected(raw(), bounds=SMALL) as factory:
        assert await value(factory, f"mcp__x__{tool}", args) == expected


FAILING: list[tuple[str, dict[str, Any], str, str]] = [
    ("long_line", {"text": "2000000"}, "mcp_protocol_error", "is 1.9 MiB, the limit is 1 MiB"),
    ("unparsable", {}, "mcp_protocol_error", "is no JSON-RPC message"),
    ("unparsable_last", {}, "mcp_protocol_error", "is no JSON-RPC message"),
    ("null_result", {}, "mcp_protocol_error", ""),
    ("asks", {}, "mcp_input_required", "no input"),
    ("bad_image", {}, "mcp_unusable_content", "is no base64"),
    ("huge_error", {}, "mcp_tool_error", "eeee"),
    ("raises", {"text": "-32602"}, "mcp_invalid_params", "said the server"),
    ("raises", {"text": "-32001"}, "mcp_call_timeout", "said the server"),
    ("raises", {"text": "5"}, "mcp_protocol_error", "said the server"),
]


@pytest.mark.parametrize(("tool", "args", "code", "said"), FAILING, ids=[f"{c[0]} {c[1]}" for c in FAILING])
async def test_a_call_that_goes_wrong_fails_alone(tool: str, args: dict[str, Any], code: str, said: str) -> None:
    async with connected(raw(), bounds=SMALL) as factory:
        failed, other = await asyncio.gather(
            failure(factory, f"mcp__x__{tool}", args), value(factory, "mcp__x__echo", {"text": "fine"})
        )
        assert (failed.code, other) == (code, "fine")
        assert said in failed.message
        assert len(failed.message) < 20_000
        assert failed.raw is None or len(json.dumps(failed.raw)) <= SMALL.raw_bytes
        assert await value(factory, "mcp__x__echo", {"text": "still"}) == "still"


@pytest.mark.parametrize("tool", ["silent", "wrong_id"])
async def test_an_answer_that_never_comes_is_waited_for_no_longer_than_the_timeout(tool: str) -> None:
    async with connected(raw(call_timeout_ms=300)) as factory:
        slow, other = await asyncio.gather(
            failure(factory, f"mcp__x__{tool}"), value(factory, "mcp__x__echo", {"text": "fine"})
        )
        assert (slow.cls, slow.code, other) == ("timeout", "mcp_call_timeout", "fine")
        assert "did not answer within 0.3 s" in slow.message


@pytest.mark.parametrize("tool", ["die", "endless_line", "requests", "garbage"])
async def test_a_server_that_is_lost_in_a_call_is_started_again_for_the_next(tool: str) -> None:
    async with connected(raw(), bounds=SMALL, clock=Hurried()) as factory:
        first = int(await value(factory, "mcp__x__pid"))
        lost = await failure(factory, f"mcp__x__{tool}", {"text": "100000"})
        assert (lost.cls, lost.code) == ("unavailable", "mcp_connection_lost")
        second = int(await value(factory, "mcp__x__pid"))
        assert second != first
        assert is_gone(first)
    assert is_gone(second)


async def test_a_server_that_dies_at_its_start_is_named_with_what_it_said_and_without_its_secrets() -> None:
    with pytest.raises(McpConnectionError) as raised:
        await McpPluginFactory.connect({"x": raw("dies", env={"SERVER_TOKEN": "s3cr3t-value"})})
    assert "ended with status 4" in str(raised.value)
    assert "no licence for [redacted]" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(McpConnectionError, match=r"FileNotFoundError.*no-such-program"):
        await McpPluginFactory.connect({"x": McpServerConfig.stdio("no-such-program")})


async def test_a_server_that_says_nothing_is_given_up_at_its_startup_timeout() -> None:
    with pytest.raises(McpConnectionError, match=r"was not connected within 0\.3 s"):
        await McpPluginFactory.connect({"x": raw("silent", startup_timeout_ms=300)})


async def test_lines_before_the_first_message_are_ignored() -> None:
    async with connected(raw("noisy")) as factory:
        assert await value(factory, "mcp__x__echo", {"text": "hello"}) == "hello"


async def test_a_listing_without_end_is_read_for_a_hundred_pages() -> None:
    async with connected(raw("pages")) as factory:
        assert len(names(factory)) == 100


async def test_of_a_hundred_thousand_tools_a_thousand_are_taken() -> None:
    async with connected(raw("crowd")) as factory:
        assert len(names(factory)) == 1000
        assert factory.status()["x"].left_out[0][1].startswith("the server lists more than 1000 tools")


async def test_tools_that_could_spoil_a_prompt_are_left_out_with_a_reason_and_the_others_taken() -> None:
    async with connected(raw("odd")) as factory:
        left_out = dict(factory.status()["x"].left_out)
        assert set(names(factory)) == {
            "mcp__x__good",
            "mcp__x__boolean",
            "mcp__x__deep",
            "mcp__x__bad_output",
            "mcp__x__n_me_with_signs",
            "mcp__x__talkative",
            "mcp__x__odd_hints",
            "mcp__x__odd_properties",
        }
        spoilt = ("array", "broken", "cycle", "dangling", "remote", "huge", "list of properties", "no schema")
        assert set(spoilt) <= set(left_out)


async def test_a_flood_of_changes_lists_the_tools_again_and_stops() -> None:
    async with connected(raw()) as factory:
        assert await value(factory, "mcp__x__list_changed") == "changed"
        await until(lambda: "mcp__x__new" in names(factory))


async def test_what_a_program_left_behind_ends_with_it() -> None:
    async with connected(raw()) as factory:
        grandchild = int(await value(factory, "mcp__x__grandchild"))
        assert not is_gone(grandchild)
    await until(lambda: is_gone(grandchild))


async def test_stderr_goes_to_the_log_and_a_flood_of_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lash.mcp")
    async with connected(raw(), bounds=SMALL) as factory:
        await value(factory, "mcp__x__stderr")
    lines = [record for record in caplog.records if "all work and no play" in record.getMessage()]
    assert len(lines) == SMALL.stderr_lines


async def test_a_program_sees_its_own_environment_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_APPLICATION", "not for servers")
    monkeypatch.setenv("HIDDEN", "from-the-vault")
    config = raw(env={"GIVEN": "value of ${HIDDEN}"})
    async with connected(config) as factory:
        assert await value(factory, "mcp__x__env", {"text": "GIVEN"}) == "value of from-the-vault"
        assert await value(factory, "mcp__x__env", {"text": "OF_THE_APPLICATION"}) == "unset"


async def test_a_secret_of_the_environment_is_in_no_error_result_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lash.mcp")
    async with connected(raw(env={"SERVER_TOKEN": "s3cr3t-value"})) as factory:
        assert (await failure(factory, "mcp__x__secret")).message.count("[redacted]") == 1
        assert await value(factory, "mcp__x__env", {"text": "SERVER_TOKEN"}) == "[redacted]"
        assert (await call(factory, "mcp__x__secret")).error is not None
        assert "s3cr3t" not in f"{factory.status()}{caplog.text}"
