"""`lash models`: the table, and one tiny call to each provider."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from lash.cli.screen import Screen, cells
from tests.cli.conftest import Lash, Ran
from tests.host.providers.dialects import ANTHROPIC, CHAT
from tests.host.providers.sse_server import Reply, SseServer
from tests.host.providers.test_turn_on_the_wire import chunks


def test_the_table_joins_models_with_providers(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a")
    rows = {row["id"]: row for row in lash("models", "--json").json}
    opus, gpt = rows["anthropic/claude-opus-4-7"], rows["openai/gpt-5.4"]
    assert (opus["provider"], opus["context"], opus["credential"], opus["source"]) == (
        "anthropic",
        200_000,
        True,
        "bundled",
    )
    assert opus["variants"] == ["low", "medium", "high", "xhigh"]
    assert opus["default_variant"] == "xhigh"
    assert (gpt["provider"], gpt["credential"]) == ("openai", False)


def test_a_gateway_serves_what_its_vendor_has_no_key_for(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "r")
    (row,) = lash("models", "gpt-5.4", "--json").json
    assert (row["provider"], row["credential"]) == ("openrouter", True)


def test_models_of_the_configuration_are_listed(lash: Lash) -> None:
    text = '[models."own/model"]\ncontext = 5000\n[providers.own]\ntype = "openai-compatible"\nbase_url = "http://x/v1"'
    lash.write("home/config.toml", text)
    (row,) = lash("models", "own/", "--json").json
    assert (row["source"], row["context"], row["provider"], row["credential"]) == ("config", 5000, "own", True)


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("OPUS-4.7", ["anthropic/claude-opus-4-7"]),
        ("claude-opus-4-[67]", ["anthropic/claude-opus-4-7", "anthropic/claude-opus-4-6"]),
        ("openai/gpt-5.?", ["openai/gpt-5.5", "openai/gpt-5.4", "openai/gpt-5.2", "openai/gpt-5.1"]),
    ],
)
def test_a_pattern_is_a_part_or_a_glob(lash: Lash, pattern: str, ids: list[str]) -> None:
    assert [row["id"] for row in lash("models", pattern, "--json").json] == ids


def test_a_pattern_without_models_is_told_with_the_nearest(lash: Lash) -> None:
    ran = lash("models", "sonet-4.6")
    assert (ran.code, ran.out) == (0, "")
    assert "no model is like 'sonet-4.6'; the nearest are anthropic/claude-sonnet-4-6" in ran.err


def test_the_table_is_for_people(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a")
    head, row = lash("models", "opus-4.7").out.splitlines()
    assert head.split() == ["ID", "PROVIDER", "CONTEXT", "OUTPUT", "SOURCE", "KEY", "VARIANTS"]
    assert row.split() == [*"anthropic/claude-opus-4-7 anthropic 200,000 - bundled yes low medium high (xhigh)".split()]


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_narrow_table_leaves_columns_out(lash: Lash, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(Screen, "width", width)
    lines = lash("models").out.splitlines()
    assert max(map(cells, lines)) <= width
    assert all(word in lines[0] for word in ("ID", "CONTEXT", "KEY"))


def test_a_wrong_entry_of_a_provider_does_not_hide_the_table(lash: Lash) -> None:
    lash.write("home/config.toml", '[providers.anthropic]\ntype = "nothing"')
    assert lash("models", "opus-4.7").code == 0


# --- --check -----------------------------------------------------------------------------------------


async def check(lash: Lash, *also: str) -> Ran:
    """`lash models --check` beside a server on this loop."""
    process = await asyncio.create_subprocess_exec(
        *lash.argv("models", "--check", *also),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def test_each_provider_is_asked_for_next_to_nothing(lash: Lash) -> None:
    refusal = Reply(
        [b'{"error": {"message": "invalid key"}}'], status=401, headers={"content-type": "application/json"}
    )
    async with SseServer(Reply(chunks(ANTHROPIC, "ok"))) as good, SseServer(refusal) as bad:
        lash.write(
            "home/config.toml",
            f'[providers.good]\ntype = "anthropic"\nbase_url = "{good.url}"\napi_key = "very-secret"\n'
            f'[providers.bad]\ntype = "openai-compatible"\nbase_url = "{bad.url}/v1"\napi_key = "very-secret"\n'
            '[model_defaults.bad]\nmodel = "llama"\n[models.llama]\ncontext = 8000\n',
        ).chmod(0o600)
        ran = await check(lash)
    assert ran.code == 1
    assert ran.out.startswith("✓ good (claude-opus-4-7) answered in ")
    assert "✗ bad (llama) " in ran.out
    assert "invalid key" in ran.out
    assert "very-secret" not in ran.out + ran.err
    (asked,) = good.asked
    assert asked.body["max_tokens"] <= 16 + 20_000
    assert len(json.dumps(asked.body["messages"])) < 300


async def test_a_check_can_be_of_one_provider_and_as_json(lash: Lash) -> None:
    async with SseServer(Reply(chunks(CHAT, "ok"))) as server:
        lash.write(
            "home/config.toml",
            f'[providers.one]\ntype = "openai-compatible"\nbase_url = "{server.url}/v1"\n'
            '[providers.two]\ntype = "openai"\n'
            '[model_defaults.one]\nmodel = "llama"\n[models.llama]\ncontext = 8000\n',
        )
        ran = await check(lash, "one", "--json")
    assert ran.code == 0, ran.out
    (row,) = ran.json
    assert (row["provider"], row["model"], row["ok"], row["error"]) == ("one", "llama", True, None)


def test_a_provider_without_its_key_fails_the_check(lash: Lash) -> None:
    lash.write("home/config.toml", '[providers.one]\ntype = "openai"')
    ran = lash("models", "--check", "--json")
    assert (ran.code, ran.json[0]["ok"]) == (1, False)
    assert "OPENAI_API_KEY" in ran.json[0]["error"]


def test_without_any_provider_a_check_says_how_to_set_one_up(lash: Lash) -> None:
    ran = lash("models", "--check")
    assert (ran.code, ran.out) == (3, "")
    assert "no model is set up" in ran.err


def test_a_pattern_without_providers_is_told(lash: Lash) -> None:
    lash.write("home/config.toml", '[providers.one]\ntype = "openai"')
    ran = lash("models", "two", "--check")
    assert ran.code == 2
    assert "no provider that is set up is like 'two'; there are one" in ran.err
