"""Models behind HTTP: the command against a server on the loopback."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.cli.conftest import Lash, Ran, block
from tests.host.providers.dialects import ANTHROPIC, CHAT, Dialect
from tests.host.providers.sse_server import Reply, SseServer
from tests.host.providers.test_turn_on_the_wire import chunks


async def ask(lash: Lash, *arguments: str, **environment: str) -> Ran:
    """`lash -p` in a process of its own, beside the server's loop."""
    process = await asyncio.create_subprocess_exec(
        *lash.argv("-p", "How much?", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.mark.parametrize(
    ("dialect", "flags", "key"),
    [
        (CHAT, ("--model", "llama", "--max-context-tokens", "8000"), "OPENAI_COMPATIBLE_API_KEY"),
        (ANTHROPIC, ("--provider", "anthropic", "--model", "claude-sonnet-4.6"), "ANTHROPIC_API_KEY"),
    ],
    ids=["chat", "anthropic"],
)
async def test_a_base_url_reaches_a_model(lash: Lash, dialect: Dialect, flags: tuple[str, ...], key: str) -> None:
    async with SseServer(Reply(chunks(dialect, "I comp", "ute.\n", block("submit 6 * 7")))) as server:
        url = f"{server.url}/v1" if dialect is CHAT else server.url
        ran = await ask(lash, *flags, "--base-url", url, "--max-output-tokens", "99", **{key: "the-key"})
    assert (ran.code, ran.out) == (0, "42\n"), ran.err
    assert ran.err.startswith("I compute.\n│ submit 6 * 7\n")
    (asked,) = server.asked
    assert asked.body["model"] in ("llama", "claude-sonnet-4-6")
    assert 99 in (asked.body.get("max_tokens"), asked.body.get("max_completion_tokens"))
    assert "the-key" in {asked.headers.get("x-api-key"), asked.headers.get("authorization", "").removeprefix("Bearer ")}


async def test_a_key_that_is_refused_is_told_without_the_key(lash: Lash) -> None:
    refusal = Reply(
        [b'{"error": {"message": "invalid key"}}'], status=401, headers={"content-type": "application/json"}
    )
    async with SseServer(refusal) as server:
        flags = ("--model", "llama", "--max-context-tokens", "8000", "--base-url", f"{server.url}/v1")
        ran = await ask(lash, *flags, OPENAI_COMPATIBLE_API_KEY="the-secret-key")
    assert (ran.code, ran.out) == (1, "")
    assert "invalid key" in ran.err
    assert "the-secret-key" not in ran.err
