"""`--mode`: sessions of programs and sessions of tool calls, and what belongs to one of them only."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

import pytest

from tests.cli.conftest import Lash, Ran, block
from tests.host.providers.dialects import CHAT
from tests.host.providers.sse_server import Reply, SseServer
from tests.host.providers.test_turn_on_the_wire import chunks

TOOLS = '''
import lash

@lash.tool
async def price(item: str) -> int:
    """The price of an item."""
    return {"tea": 12, "oil": 30}[item]
'''


def calls(text: str, *wanted: tuple[str, dict[str, Any]]) -> Reply:
    """A reply with prose and native tool calls."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    for at, (name, args) in enumerate(wanted):
        call = {
            "index": at,
            "id": f"c{at}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(args)},
        }
        choices.append({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None})
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    events: list[dict[str, Any]] = [
        *({"id": "c", "choices": [choice]} for choice in choices),
        {"id": "c", "choices": []},
    ]
    return Reply([b"data: " + json.dumps(event).encode() + b"\n\n" for event in events])


def says(text: str) -> Reply:
    """A reply of prose."""
    return Reply(chunks(CHAT, text))


def ask(lash: Lash, *arguments: str, replies: tuple[Reply, ...]) -> Ran:
    """A turn of a process of its own, with a server that gives these replies."""
    return asyncio.run(_ask(lash, arguments, replies))


async def _ask(lash: Lash, arguments: tuple[str, ...], replies: tuple[Reply, ...]) -> Ran:
    async with SseServer(*replies) as server:
        return await process(lash, "-p", "How much?", *flags(server), *arguments)


def flags(server: SseServer) -> tuple[str, ...]:
    """What names the server's model."""
    return ("--model", "llama", "--max-context-tokens", "90000", "--base-url", f"{server.url}/v1")


async def process(lash: Lash, *arguments: str) -> Ran:
    """A command in a process of its own, beside a server on this loop."""
    made = await asyncio.create_subprocess_exec(
        *lash.argv(*arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    out, err = await made.communicate()
    return Ran(made.returncode or 0, out.decode(), err.decode())


BOTH = calls("I look.", ("price", {"item": "tea"}), ("price", {"item": "gold"}))


def test_a_session_of_tool_calls_shows_them_live_and_afterwards(lash: Lash) -> None:
    tools = str(lash.write("tools.py", TOOLS))
    ran = ask(lash, "--mode", "standard", "--tools", tools, "--name", "it", replies=(BOTH, says("Twelve.")))
    assert (ran.code, ran.out) == (0, "Twelve.\n"), ran.err
    rows = ran.err.splitlines()
    assert rows[0] == "I look."
    assert re.match(r'✓ price \{"item": "tea"\} +→ 12|✓ price \{"item": "tea"\} → 12', rows[1])
    assert rows[2].startswith('✗ price {"item": "gold"} → KeyError')
    (row,) = lash("sessions", "list", "--json").json
    assert row["mode"] == "standard"
    assert lash("sessions", "show", "it").out.endswith(
        "turn 1  answered\n> How much?\n  2 calls, 1 failed\n= Twelve.\n"
    )
    whole = lash("sessions", "show", "it", "--turn", "1").out.splitlines()
    assert whole[:4] == ["turn 1  answered", "> How much?", "  I look.", '✓ price {"item": "tea"} → 12']
    assert whole[4].startswith('✗ price {"item": "gold"} → ')
    assert whole[5] == "= Twelve."
    (step,) = lash("sessions", "show", "it", "--json").json["turns"][0]["steps"]
    assert (step["code"], [call["tool"] for call in step["calls"]]) == (None, ["price", "price"])


def test_calls_of_a_batch_are_shown(lash: Lash) -> None:
    tools = str(lash.write("tools.py", TOOLS))
    wanted = [{"tool": "price", "parameters": {"item": item}} for item in ("tea", "oil")]
    replies = (calls("", ("batch", {"tool_calls": wanted})), says("So much."))
    assert ask(lash, "--mode", "standard", "--tools", tools, "--name", "it", replies=replies).code == 0
    whole = lash("sessions", "show", "it", "--turn", "1").out.splitlines()
    assert whole[2:4] == ['✓ price {"item": "tea"} → 12', '✓ price {"item": "oil"} → 30']


def test_calls_whose_ids_come_again_are_kept_apart(lash: Lash) -> None:
    tools = str(lash.write("tools.py", TOOLS))
    how = ("--mode", "standard", "--tools", tools)
    first, second = calls("", ("price", {"item": "tea"})), calls("", ("price", {"item": "oil"}))
    ask(lash, *how, "--name", "it", replies=(first, second, says("So.")))
    ask(lash, *how, "--session", "it", replies=(second, says("So.")))
    turns = lash("sessions", "show", "it", "--json").json["turns"]
    shown = [[call["args"]["item"] for step in turn["steps"] for call in step["calls"]] for turn in turns]
    assert shown == [["tea", "oil"], ["oil"]]


def test_a_session_keeps_its_mode(lash: Lash) -> None:
    assert ask(lash, "--mode", "standard", "--name", "it", replies=(says("One."),)).code == 0
    again = ask(lash, "--session", "it", replies=(says("Two."),))
    assert (again.code, again.out) == (0, "Two.\n"), again.err
    differs = ask(lash, "--session", "it", "--mode", "rlm", replies=())
    assert (differs.code, differs.out) == (2, "")
    assert "session it is in mode standard" in differs.err
    assert "leave --mode out" in differs.err


def test_the_configuration_chooses_the_mode_of_new_sessions(lash: Lash) -> None:
    lash.ask(block("submit 1"), also=("--name", "programs"))
    lash.write("home/config.toml", 'mode = "standard"')
    assert ask(lash, "--name", "calls", replies=(says("One."),)).out == "One.\n"
    modes = {row["name"]: row["mode"] for row in lash("sessions", "list", "--json").json}
    assert modes == {"programs": "rlm", "calls": "standard"}
    assert lash.ask(block("submit 2"), also=("--session", "programs")).out == "2\n"
    assert lash.ask(block("submit 3"), also=("--mode", "rlm")).out == "3\n"


@pytest.mark.parametrize("ephemeral", [(), ("--ephemeral",)])
@pytest.mark.parametrize("flags", [("--context", "data.txt"), ("--output-schema", "data.txt"), ("--var", "x=1")])
def test_what_is_for_programs_is_a_usage_error_where_none_run(
    lash: Lash, flags: tuple[str, ...], ephemeral: tuple[str, ...]
) -> None:
    lash.write("data.txt", "{}")
    ran = lash.ask("x", also=(*flags, *ephemeral, "--mode", "standard"))
    assert (ran.code, ran.out) == (2, "")
    assert flags[0] in ran.err
    assert "mode rlm" in ran.err
    assert lash("sessions", "list", "--json").json == []


def test_a_program_as_the_model_has_no_tool_calls(lash: Lash) -> None:
    ran = lash.ask(
        "x",
        also=(
            "--mode",
            "standard",
        ),
    )
    assert (ran.code, ran.out) == (2, "")
    assert "command" in ran.err
    assert "--mode rlm" in ran.err


def test_a_fork_keeps_the_mode(lash: Lash) -> None:
    ask(lash, "--mode", "standard", "--name", "it", replies=(says("One."),))
    lash("sessions", "fork", "it", "--name", "twin")
    assert {row["mode"] for row in lash("sessions", "list", "--json").json} == {"standard"}


def test_what_stopped_a_turn_is_shown_afterwards(lash: Lash) -> None:
    ran = lash.ask({"error": "no more money"}, also=("--name", "it"))
    assert ran.code == 1
    shown = lash("sessions", "show", "it").out
    assert "✗ the model could not answer: no more money" in shown
    assert lash("sessions", "show", "it", "--json").json["turns"][0]["why"].startswith("the model could not answer")


async def test_a_turn_of_tool_calls_waits_for_an_approval_and_goes_on(lash: Lash) -> None:
    lash.write("home/config.toml", '[approvals]\ntools = ["price"]')
    lash.write("tools.py", TOOLS)
    how = ("--mode", "standard", "--tools", "tools.py", "--approve", "park")
    async with SseServer(calls("", ("price", {"item": "tea"})), says("Twelve.")) as server:
        ran = await process(lash, "-p", "How much?", *flags(server), *how)
        assert ran.code == 6, ran.err
        (asked,) = (await process(lash, "approvals", "list", "--json")).json
        assert (asked["tool"], asked["args"]) == ("price", {"item": "tea"})
        ran = await process(lash, "approvals", "allow", asked["approval_id"], "--edit", '{"item": "oil"}')
        assert (ran.code, ran.out) == (0, "Twelve.\n"), ran.err
        assert "30" in json.dumps(server.asked[-1].body["messages"][-1])
