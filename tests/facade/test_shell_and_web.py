"""The shell and the tools of the web in whole turns, in both modes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lash import LashCore, ModePreset, TurnEvent
from lash.plugins import PluginStack, StandardShellPluginFactory
from lash.runtime.sansio.llm import Block
from lash.runtime.tools.approvals import Approve, Deny
from lash.testing.scripted import AnyStep, ScriptedProvider, reply
from lash.tools import FetchUrl, TavilyBackend, WebSearch
from lash.tracing import TraceLevel
from tests.facade.support import block
from tests.host.tools.shell.support import file_text, open_files, runs

KEY = "tvly-0123456789abcdef"


def core_with(folder: Path, *steps: AnyStep, needs_approval: bool = False, **knobs: Any) -> LashCore:
    """A core with both modes and the shell, which works in a folder."""
    shell = StandardShellPluginFactory(needs_approval, workdir=folder, spill_dir=folder / "spill")
    given: dict[str, Any] = {
        "modes": [ModePreset.standard(), ModePreset.rlm()],
        "plugins": [*PluginStack.runtime(), shell],
        "provider": ScriptedProvider(list(steps)),
        "model": "m",
        "max_context_tokens": 100_000,
    }
    return LashCore(**(given | knobs))


def asks(tool: str, **args: Any) -> AnyStep:
    return reply(tool_calls=[Block.ToolCall("1", tool, json.dumps(args))])


@pytest.fixture(autouse=True)
def bash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "bash")


async def test_the_model_of_standard_mode_runs_a_command(tmp_path: Path) -> None:
    async with core_with(tmp_path, asks("exec_command", cmd="echo $((6 * 7))"), "It is 42.") as core:
        async with core.session("s") as session:
            output = await session.run("What is six times seven?")
    (call,) = output.result.tool_calls
    told = json.loads(call.model_return)
    assert (told["output"], told["exit_code"]) == ("42\n", 0)
    live = [one.event.payload for one in output.activities if isinstance(one.event, TurnEvent.PluginRuntime)]
    assert live == [{"call_id": "1", "text": "42\n"}]


async def test_the_model_of_standard_mode_sees_what_a_failed_command_has_printed(tmp_path: Path) -> None:
    async with core_with(tmp_path, asks("exec_command", cmd="echo why; exit 3"), "It failed.") as core:
        async with core.session("s") as session:
            (call,) = (await session.turn("Go.")).tool_calls
    assert call.model_return == "[Tool execution failed]\nCommand exited with code 3\nwhy"


async def test_how_a_command_failed_is_told_however_much_it_has_printed(tmp_path: Path) -> None:
    async with core_with(tmp_path, asks("exec_command", cmd="seq 1 90000; exit 3"), "It failed.") as core:
        async with core.session("s") as session:
            (call,) = (await session.turn("Go.")).tool_calls
    assert call.model_return.startswith("[Tool execution failed]\nCommand exited with code 3\n[truncated] the whole")
    assert call.model_return.endswith("90000")
    assert len(call.model_return) < 16_384


async def test_a_program_runs_commands_and_reads_their_records(tmp_path: Path) -> None:
    program = block(
        'r = (call exec_command { cmd: "echo 42" })?\n'
        'bad = call exec_command { cmd: "echo why; exit 3" }\n'
        "submit [r.output, r.exit_code, bad.ok, bad.error]"
    )
    async with core_with(tmp_path, program) as core, core.session("s", mode="rlm") as session:
        result = await session.turn("Go.")
    assert result.submitted_value() == ["42\n", 0, False, "Command exited with code 3\nwhy"]


async def test_a_program_answers_a_command_that_asks(tmp_path: Path) -> None:
    program = block(
        "r = (call start_command { cmd: \"read -p 'Name? ' n; echo Hello $n\", poll_ms: 0 })?\n"
        'w = (call write_stdin { session_id: r.session_id, chars: "Ada\\n", poll_ms: 60000 })?\n'
        "submit [r.running, r.output + w.output, w.exit_code]"
    )
    async with core_with(tmp_path, program) as core, core.session("s", mode="rlm") as session:
        result = await session.turn("Go.")
    assert result.submitted_value() == [True, "Name? Hello Ada\n", 0]


async def test_commands_outlive_turns_and_end_with_the_session(tmp_path: Path) -> None:
    fds = open_files()
    start = asks("start_command", cmd="echo $$ > pids; exec sleep 600", poll_ms=0)
    async with core_with(tmp_path, start, "Started.", asks("write_stdin", session_id=1, poll_ms=0), "It runs.") as core:
        async with core.session("s") as session:
            await session.turn("Start.")
            pid = int(await file_text(tmp_path / "pids"))
            (call,) = (await session.turn("Does it run?")).tool_calls
            assert json.loads(call.model_return)["running"] is True
            assert runs(pid)
        assert not runs(pid)
    assert open_files() == fds


async def test_commands_end_with_the_core(tmp_path: Path) -> None:
    start = asks("start_command", cmd="trap '' TERM; echo $$ > pids; while :; do sleep 600; done", poll_ms=0)
    core = core_with(tmp_path, start, "Started.")
    session = await core.session("s")
    await session.turn("Start.")
    pid = int(await file_text(tmp_path / "pids"))
    assert runs(pid)
    await core.aclose()
    assert not runs(pid)


@pytest.mark.parametrize("mode", ["standard", "rlm"])
async def test_cancelling_a_turn_ends_its_command_with_all_it_has_started(tmp_path: Path, mode: str) -> None:
    cmd = "sh -c 'echo $$ > pids; exec sleep 600' & wait"
    step = asks("exec_command", cmd=cmd) if mode == "standard" else block(f'call exec_command {{ cmd: "{cmd}" }}')
    async with core_with(tmp_path, step) as core, core.session("s", mode=mode) as session:
        turn = session.turn("Go.")
        running = asyncio.ensure_future(turn.result())
        pid = int(await file_text(tmp_path / "pids"))
        turn.cancel("enough")
        result = await running
        assert result.outcome.type == "stopped"
        assert not runs(pid)
        assert [call.output.type for call in result.tool_calls] in ([], ["cancelled"])


@pytest.mark.parametrize("mode", ["standard", "rlm"])
async def test_a_shell_that_needs_approval_asks(tmp_path: Path, mode: str) -> None:
    asked: list[Any] = []

    async def approve(pending: Any) -> Any:
        asked.append(pending.args["cmd"])
        return Approve() if len(asked) == 1 else Deny("not this")

    if mode == "standard":
        steps = [asks("exec_command", cmd="echo a"), asks("exec_command", cmd="touch made"), "Done."]
    else:
        program = 'call exec_command { cmd: "echo a" }\nr = call exec_command { cmd: "touch made" }\nsubmit r.error'
        steps = [block(program)]
    async with core_with(tmp_path, *steps, needs_approval=True, approve=approve) as core:
        async with core.session("s", mode=mode) as session:
            result = await session.turn("Go.")
    assert asked == ["echo a", "touch made"]
    assert not (tmp_path / "made").exists()
    if mode == "rlm":
        assert result.submitted_value() == "denied by the user: not this"


@pytest.mark.parametrize("make", [LashCore.rlm, LashCore.standard])
async def test_without_being_asked_for_there_is_no_shell_and_no_web(make: Any) -> None:
    provider = ScriptedProvider(["Hello."] if make == LashCore.standard else [block("submit 1")])
    async with make(provider=provider, model="m", max_context_tokens=100_000) as core, core.session("s") as session:
        await session.turn("Go.")
    seen = json.dumps([dataclasses.asdict(tool) for tool in provider.requests[0].tools], default=str)
    seen += "".join(getattr(part, "text", "") for one in provider.requests[0].messages for part in one.blocks)
    assert not any(name in seen for name in ("exec_command", "start_command", "search_web", "fetch_url"))


@pytest.mark.parametrize("mode", ["standard", "rlm"])
async def test_the_prompt_says_which_tool_to_use_and_that_nothing_confines_commands(tmp_path: Path, mode: str) -> None:
    provider = ScriptedProvider(["Hello."] if mode == "standard" else [block("submit 1")])
    async with core_with(tmp_path, provider=provider) as core, core.session("s", mode=mode) as session:
        await session.turn("Hi.")
    prompt = "".join(getattr(part, "text", "") for part in provider.requests[0].messages[0].blocks)
    assert "### Shell" in prompt
    assert "`write_stdin` to answer such a program" in prompt
    assert "not bound by the file policy" in prompt


async def test_the_prompt_is_silent_on_a_tool_that_cannot_be_called(tmp_path: Path) -> None:
    from lash.plugins import PluginSpec, StaticPluginFactory, SurfaceContribution
    from lash.tools import Availability

    off = PluginSpec(surface=[lambda ctx: SurfaceContribution(availability={"write_stdin": Availability.OFF})])
    provider = ScriptedProvider(["Hello."])
    core = core_with(tmp_path, provider=provider)
    async with core.replace(plugins=[StandardShellPluginFactory(), StaticPluginFactory("off", off)]) as changed:
        async with changed.session("s") as session:
            await session.turn("Hi.")
    prompt = "".join(getattr(part, "text", "") for part in provider.requests[0].messages[0].blocks)
    assert "### Shell" in prompt
    assert "`start_command` for servers" in prompt
    assert "`write_stdin` to answer such a program" not in prompt


@pytest.mark.parametrize("mode", ["standard", "rlm"])
async def test_a_model_searches_and_reads_the_web(httpserver: HTTPServer, tmp_path: Path, mode: str) -> None:
    hit = {"title": "Tea", "url": "https://tea.test/", "content": "Leaves"}
    httpserver.expect_request("/search").respond_with_json({"results": [hit], "answer": None})
    page = {"url": "https://tea.test/", "raw_content": "All of it"}
    httpserver.expect_request("/extract").respond_with_json({"results": [page]})
    backend = TavilyBackend(KEY, base_url=httpserver.url_for(""))
    if mode == "standard":
        steps = [asks("search_web", query="tea"), asks("fetch_url", url="https://tea.test"), "Tea is leaves."]
    else:
        program = 'r = (call search_web { query: "tea" })?\np = (call fetch_url { url: r.results[0].url })?\n'
        steps = [block(program + "submit [r.results[0].title, r.answer, p.content]")]
    trace = tmp_path / "trace.jsonl"
    async with core_with(
        tmp_path,
        *steps,
        tools=[WebSearch(backend), FetchUrl(backend)],
        trace_jsonl_path=trace,
        trace_level=TraceLevel.EXTENDED,
    ) as core:
        async with core.session("s", mode=mode) as session:
            result = await session.turn("What is tea?")
    if mode == "standard":
        shown = [json.loads(call.model_return) for call in result.tool_calls]
        assert shown == [{"results": [hit], "answer": None}, {"url": "https://tea.test/", "content": "All of it"}]
    else:
        assert result.submitted_value() == ["Tea", None, "All of it"]
    assert KEY not in trace.read_text()


async def test_a_url_that_is_none_is_told(tmp_path: Path) -> None:
    tools = [FetchUrl(TavilyBackend(KEY, base_url="http://127.0.0.1:9"))]
    async with core_with(tmp_path, asks("fetch_url", url="file:///etc/passwd"), "No.", tools=tools) as core:
        async with core.session("s") as session:
            (call,) = (await session.turn("Go.")).tool_calls
    assert call.model_return.endswith("the url has to begin with http:// or https://, not file")
