"""What the model is told of the place it works in, in both modes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore, ModePreset
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.plugins import PromptContextPluginFactory
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.testing.clock import FakeClock
from lash.testing.scripted import AnyStep, ScriptedProvider, reply
from lash.tools import ToolError
from tests.facade.plugins import journal
from tests.facade.support import said, stored

DAY = "2023-11-14"
"""Of the clock's first moment."""

MODES = {"standard": ModePreset.standard, "rlm": ModePreset.rlm}


class Source:
    """Instructions that a test gives: for the project, and for files by their paths."""

    def __init__(self, project: str | None = None, **files: str) -> None:
        self.project = project
        self.files = files

    def system_instructions(self) -> str | None:
        return self.project

    def context_instructions_for_reads(self, paths: Iterable[str]) -> Iterable[str]:
        return [self.files[path] for path in paths if path in self.files]


@lash.tool
async def read_file(path: str) -> str:
    """Read a file.

    Args:
        path: which one
    """
    if path == "missing":
        raise ToolError("there is none")
    return f"text of {path}"


@pytest.fixture(params=["standard", "rlm"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def reading(mode: str, *paths: str) -> AnyStep:
    """A step of the model that reads files."""
    if mode == "standard":
        calls = [
            Block.ToolCall(f"c{number}", "read_file", f'{{"path": "{path}"}}') for number, path in enumerate(paths)
        ]
        return reply("", tool_calls=calls)
    return "```lashlang\n" + "\n".join(f'x = call read_file {{ path: "{path}" }}' for path in paths) + "\n```"


def done(mode: str) -> AnyStep:
    return "Done." if mode == "standard" else '```lashlang\nsubmit "Done."\n```'


def core_with(provider: ScriptedProvider, mode: str, factory: PromptContextPluginFactory, **knobs: Any) -> LashCore:
    given: dict[str, Any] = {
        "provider": provider,
        "model": "m",
        "max_context_tokens": 100_000,
        "modes": [MODES[mode]()],
        "plugins": [factory],
        "tools": [read_file],
    }
    return LashCore(**(given | knobs))


def factory(source: Source | None = None, folder: Path | None = None, **options: Any) -> PromptContextPluginFactory:
    return PromptContextPluginFactory(source or Source(), folder=folder, clock=FakeClock(), **options)


def texts(request: LlmRequest, *roles: str) -> list[str]:
    """The texts of a request's messages of these roles."""
    return [
        "\n".join(block.text for block in message.blocks if isinstance(block, Block.Text))
        for message in request.messages
        if message.role in roles
    ]


def said_apart(request: LlmRequest, text: str) -> int:
    """How many messages behind the system prompt end with a text. RLM mode says what role such a message has."""
    return sum(one.strip().endswith(text) for one in texts(request, "system", "user")[1:])


async def asked(mode: str, made: PromptContextPluginFactory, *steps: AnyStep) -> list[LlmRequest]:
    """The requests of a turn."""
    provider = ScriptedProvider([*steps, done(mode)])
    async with core_with(provider, mode, made) as core, core.session("s") as session:
        await session.turn("Go.")
    return provider.requests


async def test_instructions_of_the_project_stand_in_the_system_prompt(mode: str) -> None:
    (request,) = await asked(mode, factory(Source("Write tests first.")))
    assert "Write tests first." in texts(request, "system")[0]


@pytest.mark.parametrize("project", [None, "", " \n"])
async def test_without_instructions_the_prompt_says_nothing_of_them(mode: str, project: str | None) -> None:
    (request,) = await asked(mode, factory(Source(project)))
    assert "Project instructions" not in texts(request, "system")[0]


async def test_what_holds_for_a_file_is_said_once_it_was_read(mode: str) -> None:
    first, second = await asked(mode, factory(Source(a="Mind the tests of a.")), reading(mode, "a"))
    assert "Mind the tests of a." not in str(first)
    assert said_apart(second, "Mind the tests of a.") == 1


async def test_files_that_a_batch_reads_count_too() -> None:
    inner = [{"tool": "read_file", "parameters": {"path": path}} for path in ("a", "b")]
    batch = Block.ToolCall("c", "batch", json.dumps({"tool_calls": inner}))
    source = Source(a="Of a.", b="Of b.")
    requests = await asked("standard", factory(source), reply("", tool_calls=[batch]))
    assert [said_apart(requests[-1], text) for text in ("Of a.", "Of b.")] == [1, 1]


async def test_each_text_is_said_once_in_a_session(mode: str, tmp_path: Path) -> None:
    source = Source(a="Of a and b.", b="Of a and b.", c="Of c.")
    steps = [reading(mode, "a", "b"), reading(mode, "a"), done(mode)]
    async with core_with(ScriptedProvider(steps), mode, factory(source), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
    steps = [reading(mode, "a", "c"), done(mode)]
    provider = ScriptedProvider(steps)
    async with core_with(provider, mode, factory(source), **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn("Again.")
    assert [said_apart(provider.requests[-1], text) for text in ("Of a and b.", "Of c.")] == [1, 1]


async def test_a_file_that_could_not_be_read_has_no_instructions(mode: str) -> None:
    requests = await asked(mode, factory(Source(missing="Never.")), reading(mode, "missing"))
    assert "Never." not in str(requests[-1])


async def test_blank_instructions_for_a_file_are_not_said() -> None:
    requests = await asked("standard", factory(Source(a=" ")), reading("standard", "a"))
    assert len(texts(requests[-1], "system")) == 1


async def test_instructions_may_be_left_out(mode: str) -> None:
    made = factory(Source("Project.", a="Of a."), include_project_instructions=False)
    requests = await asked(mode, made, reading(mode, "a"))
    assert "Project." not in str(requests)
    assert "Of a." not in str(requests)


async def test_standard_mode_is_reminded_of_day_and_place_last_and_nothing_is_stored(tmp_path: Path) -> None:
    provider = ScriptedProvider([reading("standard", "a"), "Done.", "Done."])
    async with core_with(provider, "standard", factory(folder=tmp_path)) as core, core.session("s") as session:
        await session.turn("Go.")
        await session.turn("Again.")
        kept = [message.text() for message in session.read_view().messages]
    reminder = f"<system-reminder>\nDate: {DAY} (UTC)\nWorking directory: {tmp_path}\n</system-reminder>"
    assert texts(provider.requests[0], "user") == ["Go.", reminder]
    # Within the turn it stays where it was; in the next one it is behind the new input.
    assert [text for text in texts(provider.requests[1], "user") if text] == ["Go.", reminder]
    assert [text for text in texts(provider.requests[2], "user") if text] == ["Go.", "Again.", reminder]
    assert not any("system-reminder" in text for text in kept)


@pytest.mark.parametrize("below", ["", "a/b"])
async def test_a_repository_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    (request,) = await asked("standard", factory(folder=tmp_path / below))
    assert "\nGit repository: yes\n" in texts(request, "user")[-1]


async def test_rlm_mode_is_not_reminded() -> None:
    (request,) = await asked("rlm", factory())
    assert "system-reminder" not in str(request)


async def test_the_reminder_may_be_left_out() -> None:
    (request,) = await asked("standard", factory(include_environment=False))
    assert texts(request, "user") == ["Go."]


async def test_without_a_source_the_files_of_the_working_directory_count(mode: str, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/AGENTS.md").write_text("Be brief.")
    made = PromptContextPluginFactory(folder=tmp_path, clock=FakeClock())
    first, second = await asked(mode, made, reading(mode, "sub/x.py"))
    assert "Be kind." in texts(first, "system")[0]
    assert "Be brief." not in str(first)
    assert said_apart(second, "Be brief.") == 1


async def test_a_turn_out_of_the_journal_has_the_context_that_it_had(mode: str, tmp_path: Path) -> None:
    def at(made: PromptContextPluginFactory, folder: str, host: JournalEffectHost, *steps: AnyStep) -> LashCore:
        return core_with(ScriptedProvider(list(steps)), mode, made, effect_host=host, **stored(tmp_path / folder))

    first, host = factory(Source("Old rules.", a="Old rules of a.")), journal(tmp_path)
    async with at(first, "one", host, reading(mode, "a"), done(mode)) as core, core.session("s") as session:
        output = await session.run("Go.", turn_id="t")
        kept = said(session)
    await host.aclose()
    # Driven again on another day, with other rules: what the journal has is what counts, and no model is asked.
    later = PromptContextPluginFactory(Source("New rules.", a="New rules of a."), clock=FakeClock(2_000_000_000_000))
    host = JournalEffectHost(tmp_path / "journal.db", clock=SystemClock(), ids=RandomIds(), replay="strict")
    async with at(later, "two", host) as core, core.session("s") as session:
        again = await session.run("Go.", turn_id="t")
        assert said(session) == kept
    await host.aclose()
    assert again.result.outcome == output.result.outcome
    assert "Old rules of a." in kept
