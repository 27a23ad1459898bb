"""The standard tools in whole turns: a stack with files in standard mode and in RLM mode, and what no stack has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lash import LashCore, ModePreset
from lash.plugins import PluginStack, StandardToolOptions
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.testing.scripted import ScriptedProvider, Step, reply
from lash.tools import FilePolicy, Ls
from tests.facade.support import GIF, block

FILE_TOOLS = {"read_file", "ls", "glob", "grep"}
WRITING = {"write_file", "apply_patch"}


def core_of(mode: str, plugins: PluginStack, *steps: Any) -> tuple[LashCore, list[LlmRequest]]:
    """A core in one mode, and the requests that its model will have seen."""
    provider = ScriptedProvider(list(steps))
    modes = [ModePreset.rlm() if mode == "rlm" else ModePreset.standard()]
    core = LashCore(modes=modes, provider=provider, model="m", max_context_tokens=100_000, plugins=plugins)
    return core, provider.requests


def call(name: str, **args: Any) -> Step:
    """A reply that calls a tool."""
    return reply("", tool_calls=[Block.ToolCall("c", name, json.dumps(args))])


def files(root: Path, **options: Any) -> PluginStack:
    """The stack of an application that gives its files to the model."""
    policy = FilePolicy([root], spill_dir=root.parent / "spill", **options)
    return PluginStack.standard_tools(StandardToolOptions(files=policy))


def results(request: LlmRequest) -> list[Block.ToolResult]:
    """The results of tools that a request tells."""
    return [one for message in request.messages for one in message.blocks if isinstance(one, Block.ToolResult)]


def images(request: LlmRequest) -> int:
    """How many images a request shows."""
    return len(request.attachments)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with files in it, beside a secret."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "notes.txt").write_text("one\ntwo\n")
    (folder / "dot.gif").write_bytes(GIF)
    (tmp_path / "secret.txt").write_text("the secret")
    return folder


async def test_standard_mode_writes_and_reads_files(root: Path) -> None:
    steps = [call("write_file", path="new.txt", content="made\n"), call("read_file", path="new.txt"), "Done."]
    core, requests = core_of("standard", files(root, allow_write=True), *steps)
    async with core, core.session("s") as session:
        await session.turn("Go.")
    assert (root / "new.txt").read_text() == "made\n"
    assert [one.content for one in results(requests[-1])] == ['{"path":"new.txt","bytes":5,"created":true}', "1: made"]


async def test_a_program_writes_and_reads_files(root: Path) -> None:
    program = """
w = (call write_file { path: "new.txt", content: "made" })?
r = (call read_file { path: "new.txt" })?
names = (call ls {})?
submit { w: w, r: r, names: names.items[1].path }
"""
    core, _ = core_of("rlm", files(root, allow_write=True), block(program))
    async with core, core.session("s") as session:
        output = await session.turn("Go.")
    assert output.submitted_value() == {
        "w": {"path": "new.txt", "bytes": 4, "created": True},
        "r": "1: made",
        "names": "new.txt",
    }


async def test_an_image_that_is_read_reaches_the_model_in_standard_mode(root: Path) -> None:
    core, requests = core_of("standard", files(root), call("read_file", path="dot.gif"), "A dot.")
    async with core, core.session("s") as session:
        await session.turn("Look.")
    assert "dot.gif (1KB 3x4)" in results(requests[-1])[0].content
    assert images(requests[-1]) == 1


async def test_an_image_that_a_program_prints_reaches_the_model(root: Path) -> None:
    look = block('print (call read_file { path: "dot.gif" })?')
    core, requests = core_of("rlm", files(root), look, block("submit 1"))
    async with core, core.session("s") as session:
        await session.turn("Look.")
    assert images(requests[-1]) == 1


@pytest.mark.parametrize("path", ["../secret.txt", "{outside}"])
async def test_a_refusal_is_told_to_the_model_and_nothing_of_what_lies_outside(root: Path, path: str) -> None:
    path = path.format(outside=root.parent / "secret.txt")
    core, requests = core_of("standard", files(root), call("read_file", path=path), "Pity.")
    async with core, core.session("s") as session:
        await session.turn("Go.")
    (told,) = results(requests[-1])
    assert told.is_error
    assert told.content.startswith(f"[Tool execution failed]\n{path} is not allowed")
    assert "the secret" not in told.content


async def test_a_program_handles_a_refusal(root: Path) -> None:
    program = 'r = call read_file { path: "../secret.txt" }\nsubmit r.ok'
    core, _ = core_of("rlm", files(root), block(program))
    async with core, core.session("s") as session:
        output = await session.turn("Go.")
    assert output.submitted_value() is False


async def test_what_is_cut_for_the_model_can_be_read_from_where_it_was_kept(root: Path) -> None:
    (root / "long.txt").write_text("".join(f"line {n}\n" for n in range(3000)))

    def read_on(request: LlmRequest) -> Step:
        told = results(request)[-1].content
        spilled = told.split("The whole output is in ")[1].split(": read")[0]
        return call("read_file", path=spilled, offset=1999, limit=1)

    core, requests = core_of("standard", files(root), call("read_file", path="long.txt"), read_on, "Done.")
    async with core, core.session("s") as session:
        await session.turn("Go.")
    assert results(requests[-1])[-1].content.startswith("1999: 1999: line 1998")


async def tool_names(plugins: PluginStack) -> set[str]:
    """The tools that a model is offered."""
    core, requests = core_of("standard", plugins, "Done.")
    async with core, core.session("s") as session:
        await session.turn("Go.")
    return {tool.name for tool in requests[0].tools} - {"batch"}


@pytest.mark.parametrize("stack", [PluginStack.runtime, PluginStack.standard_tools, PluginStack.autonomous])
async def test_a_stack_has_no_files_and_no_shell_unless_they_are_asked_for(stack: Any) -> None:
    assert await tool_names(stack()) == set()


@pytest.mark.parametrize("make", [LashCore.rlm, LashCore.standard])
async def test_a_core_has_no_files_and_no_shell_by_itself(make: Any) -> None:
    provider = ScriptedProvider(["Done."])
    async with make(provider=provider, model="m", max_context_tokens=100_000) as core, core.session("s") as session:
        await session.turn("Go.", **({"allow_prose_or_submit": True} if make == LashCore.rlm else {}))
    offered = str(provider.requests[0])
    assert not any(name in offered for name in ("exec_command", "call read_file", "call write_file", "apply_patch"))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, FILE_TOOLS),
        ({"allow_write": True}, FILE_TOOLS | WRITING),
        ({"allow_write": ["*.md"]}, FILE_TOOLS | WRITING),
        ({"allow_write": []}, FILE_TOOLS),
    ],
)
async def test_the_policy_says_which_file_tools_there_are(root: Path, options: Any, names: set[str]) -> None:
    assert await tool_names(files(root, **options)) == names


async def test_the_shell_and_the_web_are_there_when_they_are_asked_for() -> None:
    options = StandardToolOptions(shell=True, web_key="k")
    names = {"exec_command", "start_command", "write_stdin", "search_web", "fetch_url"}
    assert await tool_names(PluginStack.standard_tools(options)) == names
    assert "'k'" not in repr(options)


def test_a_single_tool_can_be_taken_out_of_a_stack(root: Path) -> None:
    stack = files(root)
    stack.remove("glob")
    assert [one.id for one in stack] == ["tool_output_budget", "read_file", "ls", "grep"]


async def test_a_tool_can_be_given_without_a_stack(root: Path) -> None:
    provider = ScriptedProvider([call("ls"), "Done."])
    tools = [Ls(policy=FilePolicy([root]))]
    async with (
        LashCore.standard(provider=provider, model="m", max_context_tokens=100_000, tools=tools) as core,
        core.session("s") as session,
    ):
        await session.turn("Go.")
    assert "notes.txt" in results(provider.requests[-1])[0].content
