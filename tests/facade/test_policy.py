"""Which model answers: the core's, the session's, the turn's; and the layers of the prompt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import UNSET, LashCore, PromptContribution, PromptSlot, PromptTemplate, SessionSpec
from lash import PromptTemplateEntry as Entry
from lash import PromptTemplateSection as Section
from lash.testing.scripted import HANG, ScriptedProvider, Step
from tests.facade.support import block, core_with, stored


def guidance(title: str) -> PromptContribution:
    return PromptContribution.guidance(title, f"Text of {title}.")


def prompt_of(core_provider: ScriptedProvider, number: int) -> str:
    message = core_provider.requests[number].messages[0]
    return "".join(getattr(part, "text", "") for part in message.blocks)


@pytest.mark.parametrize(
    ("base", "over", "model", "variant"),
    [
        ({"model": "a", "model_variant": "high"}, {}, "a", "high"),
        ({"model": "a", "model_variant": "high"}, {"model": "b"}, "b", None),
        ({"model": "a", "model_variant": "high"}, {"model": "b", "model_variant": "low"}, "b", "low"),
        ({"model": "a", "model_variant": "high"}, {"model_variant": None}, "a", None),
        ({"model": "a", "model_variant": "high"}, {"model_variant": "low"}, "a", "low"),
        ({"model": "a", "model_variant": "high"}, {"max_turns": 3}, "a", "high"),
    ],
)
def test_an_overlay_keeps_what_it_does_not_name(
    base: dict[str, Any], over: dict[str, Any], model: str, variant: str | None
) -> None:
    combined = SessionSpec.new(**over).over(SessionSpec.new(**base))
    assert (combined.model, combined.model_variant) == (model, variant)
    assert SessionSpec.new(**over).over(combined) == combined


def test_a_provider_without_a_model_means_its_own_default_model() -> None:
    base = SessionSpec.new(provider=ScriptedProvider([]), model="a", model_variant="high", max_turns=None)
    combined = SessionSpec.new(provider=ScriptedProvider([])).over(base)
    assert (combined.model, combined.model_variant, combined.max_turns) == (UNSET, UNSET, None)


def test_a_field_that_there_is_not_is_named() -> None:
    with pytest.raises(lash.ConfigError, match="colour"):
        SessionSpec.new(colour="red")


async def test_core_session_and_turn_choose_the_model() -> None:
    provider = ScriptedProvider([block("submit 1")] * 4)
    async with LashCore.rlm(provider=provider, spec=SessionSpec.new(model="a", max_context_tokens=1000)) as core:
        async with core.session("s") as session:
            await session.turn("?")
        async with core.session("t", model="b") as session:
            await session.turn("?")
            await session.turn("?", model="c")
            await session.turn("?")
    assert [request.model for request in provider.requests] == ["a", "b", "c", "b"]


async def test_what_a_session_was_given_itself_is_kept_and_the_rest_follows_the_core(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), block("submit 1"), **stored(tmp_path)) as core:
        async with core.session("own", model="b", max_turns=7) as session:
            await session.turn("?")
        async with core.session("plain") as session:
            await session.turn("?")
    async with core_with(model="z", **stored(tmp_path)) as core:
        async with core.session("own") as session:
            assert (session.policy.model, session.policy.max_turns) == ("b", 7)
        async with core.session("plain") as session:
            assert session.policy.model == "z"
        async with core.session("own", model="c") as session:
            assert (session.policy.model, session.policy.max_turns) == ("c", 7)


async def test_configuring_a_session_is_stored_at_once(tmp_path: Path) -> None:
    async with core_with(block("x = 1\nsubmit x"), block("submit x"), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("?")
            await session.configure(SessionSpec.new(model="b", max_turns=None))
            assert session.read_view().revision == 2
        async with core.session("s") as session:
            assert (session.policy.model, session.policy.max_turns, session.policy.max_turns_set) == ("b", None, True)
            assert (await session.turn("?")).submitted_value() == 1


async def test_prompt_layers_of_core_session_and_turn_add_up() -> None:
    provider = ScriptedProvider([block("submit 1")] * 3)
    async with LashCore.rlm(provider=provider, model="m", max_context_tokens=9000, prompt=[guidance("Core")]) as core:
        async with core.session("s", prompt=[guidance("Session")]) as session:
            await session.turn("?", prompt=[guidance("Turn")])
            await session.turn("?")
        async with core.session("t", prompt_slots={PromptSlot.GUIDANCE: [guidance("Alone")]}) as session:
            await session.turn("?")
    shown = [
        [name for name in ("Core", "Session", "Turn", "Alone") if f"### {name}" in prompt_of(provider, n)]
        for n in range(3)
    ]
    assert shown == [["Core", "Session", "Turn"], ["Core", "Session"], ["Alone"]]


async def test_a_template_says_what_a_prompt_consists_of() -> None:
    template = PromptTemplate(
        [Section.titled("House rules", [Entry.text("Be kind."), Entry.slot(PromptSlot.GUIDANCE)])]
    )
    provider = ScriptedProvider([block("submit 1")])
    core = LashCore.rlm(
        provider=provider, model="m", max_context_tokens=9000, prompt_template=template, prompt=[guidance("Core")]
    )
    async with core, core.session("s") as session:
        await session.turn("?")
    assert prompt_of(provider, 0) == "## House rules\n\nBe kind.\n\n### Core\n\nText of Core."


def test_a_layer_beside_its_parts_is_refused() -> None:
    with pytest.raises(lash.ConfigError, match="prompt_layer"):
        core_with(prompt_layer=lash.PromptLayer(), prompt=[guidance("x")])


async def test_a_changed_copy_of_a_core_shares_its_stores() -> None:
    first = core_with(block("x = 4\nsubmit x"))
    async with first:
        async with first.session("s") as session:
            await session.turn("?")
        second = first.replace(model="n", provider=ScriptedProvider([block("submit x")]))
        async with second.session("s") as session:
            assert session.policy.model == "n"
            assert (await session.turn("?")).submitted_value() == 4
        with pytest.raises(lash.ConfigError, match="colour"):
            first.replace(colour="red")


async def test_lists_of_sessions_show_how_they_began_and_what_answers(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), block("submit 2"), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("How many? " * 50)
            await session.turn("And now?", model="other")
        (meta,) = await core.list_sessions()
        assert (meta.session_id, meta.model, meta.user_message_count) == ("s", "m", 2)
        assert meta.first_user_message == ("How many? " * 50)[:200]


async def test_a_session_can_have_a_parent_and_be_held_in_a_name(tmp_path: Path) -> None:
    async with core_with(Step([], HANG), **stored(tmp_path)) as core, core_with(**stored(tmp_path)) as other:
        mine = await core.session("child", parent="mother", owner=lash.LeaseOwner("worker-7", "a"))
        async with mine.turn("Go."):
            while not mine.running:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            async with other.session("child") as theirs:
                with pytest.raises(lash.SessionBusyError, match="worker-7"):
                    await theirs.turn("Me too.")
        (meta,) = await core.list_sessions()
        assert meta.relation == lash.SessionRelation.Child("mother")
