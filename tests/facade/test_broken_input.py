"""Input that would poison a session: text that is no Unicode, blank input in the queue, keywords of the wrong shape."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import lash
import lash.persistence
from lash import (
    ConfigError,
    InvalidInput,
    LashCore,
    LashError,
    RuntimeConfig,
    SessionSpec,
    Text,
    TurnInput,
    TurnOutcome,
    TurnStop,
)
from lash.config import ModePreset
from lash.durability import JournalEffectHost
from lash.runtime.errors import TurnError
from lash.testing.scripted import ScriptedProvider, reply
from tests.facade.support import GIF, block, core_with, stored

HALF = "\ud83d"

NO_TEXT: Any = 5

STRANGE: list[Any] = [object(), -1.5, {1: 2}]

WRONG: list[Any] = [-1, 1.5, float("nan"), "", HALF, b"x", ["x"], {1: 2}, object(), int]


# --- text that is none -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [HALF, "", [Text("")], [Text(NO_TEXT)], TurnInput([NO_TEXT])])
async def test_input_that_no_turn_could_take_is_not_queued(given: Any) -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        with pytest.raises(InvalidInput):
            await session.queue(given)
        assert (await session.turn("Go.")).submitted_value() == 1


@pytest.mark.parametrize("given", [HALF, [Text(HALF)], [Text(NO_TEXT)], [lash.ImageBlob("a", NO_TEXT)]])
async def test_a_turn_refuses_input_that_cannot_be_recorded_and_the_next_one_runs(tmp_path: Path, given: Any) -> None:
    journal = JournalEffectHost(tmp_path / "journal.db")
    async with (
        core_with(block("submit 1"), effect_host=journal, **stored(tmp_path)) as core,
        core.session("s") as session,
    ):
        refused = await session.turn(given)
        assert isinstance(refused.outcome, TurnOutcome.Stopped)
        assert isinstance(refused.outcome.stop, TurnStop.InvalidInput)
        assert (await session.turn("Go.")).submitted_value() == 1


@pytest.mark.parametrize("given", [None, 5, {}, (part for part in "ab"), b"text", [1]])
async def test_what_is_no_input_is_refused_and_named(given: Any) -> None:
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(TurnError, match="input is a text"):
            session.turn(given)


async def test_queued_input_whose_image_is_gone_is_named_with_the_way_out() -> None:
    attachments = lash.persistence.InMemoryAttachmentStore()
    async with core_with(block("submit 1"), attachments=attachments) as core, core.session("s") as session:
        image = await attachments.put(GIF)
        queued = await session.queue([lash.ImageRef(image.id)])
        await attachments.delete(image.id)
        refused = await session.turn("Go.")
        assert f"cancel_input({queued.draft.input_id!r})" in refused.errors[0].message
        await session.cancel_input(queued.draft.input_id)
        assert (await session.turn("Go.")).submitted_value() == 1


@pytest.mark.parametrize("durable", [False, True])
async def test_half_a_character_in_a_reply_is_replaced_and_two_halves_are_joined(tmp_path: Path, durable: bool) -> None:
    knobs = {"effect_host": JournalEffectHost(tmp_path / "journal.db"), **stored(tmp_path)} if durable else {}
    replies = (reply("Well \ud83d", chunk=1), reply("\ud83d\ude00", chunk=1), block(f'submit "{HALF}"'))
    async with core_with(*replies, **knobs) as core, core.session("s", allow_prose_or_submit=True) as session:
        assert (await session.turn("Go.")).assistant_message() == "Well \ufffd"
        assert (await session.turn("Go.")).assistant_message() == "\U0001f600"
        assert (await session.turn("Go.")).submitted_value() == "\ufffd"


# --- keywords of the wrong shape -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LashCore.__init__.__kwdefaults__ or {}))
def test_a_keyword_of_a_core_takes_its_own_kind_or_is_refused_by_an_error_of_lash(name: str) -> None:
    for value in STRANGE:
        knobs: dict[str, Any] = {"modes": [ModePreset.rlm()], "provider": ScriptedProvider([]), "model": "m"}
        knobs |= {"max_context_tokens": 1000, name: value}
        with pytest.raises(LashError):
            LashCore(**knobs)


@pytest.mark.parametrize(
    "name",
    "mode provider model model_variant max_context_tokens max_turns spec prompt_template prompt_slots prompt_layer "
    "parent owner bindings projected globals require_submit allow_prose_or_submit approve".split(),
)
async def test_a_keyword_of_a_session_takes_its_own_kind_and_nothing_is_stored_where_it_does_not(name: str) -> None:
    async with core_with() as core:
        for value in STRANGE:
            with pytest.raises(LashError):
                await core.session("s", **{name: value})
        assert await core.list_sessions() == []


@pytest.mark.parametrize(
    "name",
    "provider model model_variant prompt_template prompt prompt_slots prompt_layer plugin_inputs projected sink cancel "
    "effects approve wait_if_busy trace_turn_id turn_id require_submit allow_prose_or_submit "
    "tool_result_projectors".split(),
)
async def test_a_keyword_of_a_turn_takes_its_own_kind_and_the_session_goes_on(name: str) -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        for value in STRANGE:
            with pytest.raises(LashError):
                await session.turn("Go.", **{name: value})
        assert (await session.turn("Go.")).revision == 1


@pytest.mark.parametrize("value", [v for v in WRONG if v != 1.5] + [1.5, 0, True])
def test_a_limit_of_model_calls_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ConfigError):
        SessionSpec(max_turns=value)


@pytest.mark.parametrize("given", [{"keep_checkpoints": 0}, {"tool_timeout_s": float("nan")}, {"iterator_queue": None}])
def test_bounds_of_the_runtime_that_bound_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RuntimeConfig(**given)


@pytest.mark.parametrize("given", [{"a b": 1}, {"if": 1}, {"a": object()}, {"a": HALF}, {1: 2}])
async def test_variables_that_no_program_could_have_are_refused_and_named(given: Any) -> None:
    async with core_with() as core:
        with pytest.raises(LashError):
            await core.session("s", globals=given)
        with pytest.raises(LashError):
            await core.session("s", projected=given)


async def test_a_secret_that_is_given_under_the_wrong_keyword_is_not_told() -> None:
    async with core_with() as core:
        with pytest.raises(ConfigError) as refused:
            core.session("s", provider="sk-very-secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["", HALF, 5, b"s", ["s"]])
async def test_an_id_that_is_none_is_refused_wherever_one_is_given(wrong: Any) -> None:
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(ConfigError):
            core.session(wrong)
        with pytest.raises(ConfigError):
            await core.delete_session(wrong)
        with pytest.raises(ConfigError):
            await core.fork_session(wrong)
        with pytest.raises(TurnError):
            await session.queue("Later.", id=wrong)
        with pytest.raises(TurnError):
            await session.cancel_input(wrong)


async def test_a_session_cannot_be_configured_into_another_mode() -> None:
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(lash.SessionError) as refused:
            await session.configure(SessionSpec(mode="standard"))
        assert refused.value.code == "session_mode_mismatch"


# --- what tools and hosts raise --------------------------------------------------------------------------


class Unspeakable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(
    "error",
    [OSError(f"no file {HALF}"), lash.ToolError(f"no file {HALF}"), Unspeakable()],
    ids=["os", "tool", "no text"],
)
async def test_a_tool_s_error_fails_its_call_whatever_its_text_holds(
    tmp_path: Path, error: Exception, durable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    # What is captured is written as UTF-8, which such a text cannot be.
    caplog.set_level(logging.CRITICAL, "lash")

    @lash.tool
    async def fail() -> None:
        """Fail."""
        raise error

    knobs = {"effect_host": JournalEffectHost(tmp_path / "journal.db"), **stored(tmp_path)} if durable else {}
    replies = (block("r = call fail {}\nprint r\n"), block("submit r.ok"))
    async with core_with(*replies, tools=[fail], **knobs) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.submitted_value() is False
        assert len(result.tool_calls) == 1
