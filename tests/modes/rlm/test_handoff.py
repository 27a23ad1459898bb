"""`continue_as`: the turn goes on in a fresh session, with what the seed names and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lash
from lash import TurnOutcome, TurnStop
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.types import RlmSeed, read_event
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.seams.persistence import SessionRelation
from lash.testing.scripted import ScriptedProvider, reply
from lashlang import TextSource
from tests.modes.rlm.playing import block, core_with, said, steps_of

HAND_ON = block('x = 5\ncall continue_as { task: "Add to n.", seed: { n: 1, xs: [x] } }\nprint "never"')


async def test_the_turn_goes_on_in_the_successor_and_so_do_later_turns() -> None:
    first = reply(HAND_ON, usage=TokenUsage(10, 1))
    second = reply(block("m = n + xs[0]\nsubmit m"), usage=TokenUsage(20, 2))
    model = ScriptedProvider([first, second, block("submit m")])
    async with core_with(provider=model) as core, core.session("s") as session:
        output = await session.run("Begin.", turn_id="t-1")
        result = output.result
        assert result.submitted_value() == 6
        assert (result.turn_index, result.turn_id, result.handoff_count()) == (1, "t-1", 1)
        assert result.usage == TokenUsage(30, 3)
        parent = result.turns[0]
        assert parent.session_id == "s"
        assert parent.outcome == TurnOutcome.Handoff(result.session_id)
        assert parent.usage == TokenUsage(10, 1)
        assert result.session_id.startswith("h:")
        assert len(result.session_id) == 22
        switch = [one for one in output.activities if isinstance(one.event, lash.TurnEvent.SessionSwitched)]
        assert [(one.event.from_session_id, one.event.to_session_id) for one in switch] == [("s", result.session_id)]  # type: ignore[union-attr]
        assert {one.session_id for one in output.activities} == {"s", result.session_id}
        assert [one.seq for one in output.activities] == list(range(1, len(output.activities) + 1))
        assert session.session_id == result.session_id
        again = await session.turn("Again.")
        assert (again.submitted_value(), again.turn_index, again.session_id) == (6, 2, result.session_id)
        assert [m.text() for m in session.read_view().messages] == ["Add to n.", "Again."]
    told = said(model.requests[1])
    assert "Add to n." in told
    assert "Begin." not in told
    assert "x = 5" not in told


async def test_the_stored_successor_says_where_it_comes_from(tmp_path: Path) -> None:
    async with core_with(HAND_ON, block("submit n"), folder=tmp_path) as core, core.session("s") as session:
        await session.turn("Begin.")
        metas = {meta.session_id: meta for meta in await core.list_sessions()}
        relation = metas[session.session_id].relation
        assert relation == SessionRelation.Handoff("s", "continue_as")
        seeds = [read_event(event) for event in session.read_view().active_events]
        assert isinstance(seeds[0], RlmSeed)
        assert seeds[0].globals == {"n": 1, "xs": [5]}


async def test_opening_the_first_session_again_goes_on_with_the_last(tmp_path: Path) -> None:
    steps = [HAND_ON, block('call continue_as { task: "And on.", seed: { n: n + 1 } }'), block("submit n")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s") as session:
        assert (await session.turn("Begin.")).handoff_count() == 2
        leaf = session.session_id
    async with core_with(block("submit [n, len(history)]"), folder=tmp_path) as core, core.session("s") as session:
        assert session.session_id == leaf
        assert session.read_view().turn_index == 1
        assert (await session.turn("And?")).submitted_value() == [2, 3]


async def test_how_the_turn_may_end_goes_along_and_stays_the_default(tmp_path: Path) -> None:
    schema: dict[str, Any] = {"type": "integer"}
    steps = [HAND_ON, block('submit "no"'), block("submit n")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s") as session:
        assert (await session.turn("Begin.", require_submit=schema)).submitted_value() == 1
    steps = [block('submit "no"'), block("submit 3")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s") as session:
        assert (await session.turn("Again.")).submitted_value() == 3
        assert "is not of type" in (steps_of(session)[-2].error or "")


async def test_neither_projected_values_nor_variables_of_the_host_go_along() -> None:
    look = block("submit [outer]"), block("submit [inner]"), block("submit [given]"), block("submit n")
    async with core_with(HAND_ON, *look) as core:
        async with core.session("s", projected={"outer": [1]}, globals={"given": 1}) as session:
            result = await session.turn("Begin.", projected={"inner": [2]})
            assert result.submitted_value() == 1
            errors = [step.error or "" for step in steps_of(session)[:3]]
            assert all("unknown_name" in error for error in errors)


async def test_projected_values_in_the_seed_stay_projected_and_survive_a_restart(tmp_path: Path) -> None:
    text = "abcdefghij" * 20_000
    given: dict[str, object] = {"context": TextSource(text), "data": {"items": ["small", {"deep": "y" * 70_000}]}}
    hand_on = block(
        'call continue_as { task: "Go.", seed: '
        "{ c: context, s: data.items[0], d: data.items[1].deep, n: [data.items[0]] } }"
    )
    look = "submit [len(c), slice(c, 0, 3), s, len(d), n]"
    expected: list[object] = [200_000, "abc", "small", 70_000, ["small"]]
    model = ScriptedProvider([hand_on, block(look), block("c = 1"), block(look)])
    async with core_with(provider=model, folder=tmp_path) as core, core.session("s", projected=given) as session:
        assert (await session.turn("Begin.")).submitted_value() == expected
        seed = read_event(session.read_view().active_events[0])
        assert isinstance(seed, RlmSeed)
        kinds = {name: sorted(entry) for name, entry in seed.projected}
        assert kinds == {"c": ["ref"], "d": ["ref"], "s": ["value"]}
        assert seed.globals == {"n": ["small"]}
    assert "200000 chars" in said(model.requests[1])
    again = ScriptedProvider([block("c = 1"), block(look)])
    async with core_with(provider=again, folder=tmp_path) as core, core.session("s", projected=given) as session:
        assert (await session.turn("Again.")).submitted_value() == expected
        assert "read_only" in (steps_of(session)[-2].error or "")


async def test_a_projected_value_that_is_not_given_again_is_named_when_it_is_read(tmp_path: Path) -> None:
    given = {"context": TextSource("x" * 100_000)}
    hand_on = block('call continue_as { task: "Go.", seed: { c: context } }')
    async with core_with(hand_on, block("submit 1"), folder=tmp_path) as core:
        async with core.session("s", projected=given) as session:
            await session.turn("Begin.")
    steps = [block("x = 1\nprint len(c)"), block("submit x")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s") as session:
        assert (await session.turn("Again.")).submitted_value() == 1
        error = steps_of(session)[-2].error or ""
        assert error.startswith("error[projection_unavailable]: ")
        assert "the projected value `c` cannot be read" in error
        assert "the session was opened without `context`: give it again in `projected`" in error


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("{}", "task: required property missing"),
        ('{ task: " " }', "task: blank"),
        ('{ task: "t", seed: [1] }', "seed"),
        ('{ task: "t", sead: {} }', "did you mean `seed` for `sead`?"),
        ('{ task: "t", seed: { history: 1 } }', "seed.history"),
        ('{ task: "t", seed: json_parse("{\\"a b\\": 1}") }', "seed.a b"),
        ('{ task: "t", seed: { a: [{ __handle__: "task", id: "h1", tool: "x" }] } }', "'h1' is no live handle"),
    ],
)
async def test_what_cannot_be_handed_on_is_told_and_no_session_is_made(args: str, told: str) -> None:
    async with core_with(block(f"r = call continue_as {args}\nsubmit r")) as core, core.session("s") as session:
        value = (await session.turn("Go.")).submitted_value()
        assert isinstance(value, dict)
        assert value["ok"] is False
        assert told in str(value["error"])
        assert [meta.session_id for meta in await core.list_sessions()] == ["s"]


async def test_a_large_value_of_the_turn_alone_cannot_be_handed_on() -> None:
    code = 'r = call continue_as { task: "t", seed: { c: big } }\nsubmit r.error'
    async with core_with(block(code)) as core, core.session("s") as session:
        result = await session.turn("Go.", projected={"big": TextSource("x" * 100_000)})
        assert "seed.c: the projected value `big` is too large" in str(result.submitted_value())


@pytest.mark.parametrize(
    ("knobs", "most"),
    [
        ({"runtime": lash.RuntimeConfig(max_handoffs=2)}, 2),
        ({"config": RlmConfig(max_handoffs=1)}, 1),
        ({"config": RlmConfig(max_handoffs=0)}, 0),
    ],
)
async def test_a_turn_is_handed_on_so_often_at_most(knobs: dict[str, Any], most: int) -> None:
    again = block('call continue_as { task: "Once more." }')
    async with core_with(*[again] * 5, **knobs) as core, core.session("s") as session:
        output = await session.run("Go.")
        assert output.result.outcome == TurnOutcome.Stopped(TurnStop.LimitExceeded("handoffs", most, most + 1))
        switched = [one for one in output.activities if isinstance(one.event, lash.TurnEvent.SessionSwitched)]
        assert len(switched) == most


async def test_each_link_has_the_whole_limit_of_model_calls() -> None:
    steps = [block("y = 1"), HAND_ON, block("z = 1"), block("submit n")]
    async with core_with(*steps, max_turns=2) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 1


async def test_the_last_of_several_calls_side_by_side_that_ends_the_turn_is_the_first_in_the_source() -> None:
    code = 'parallel { call continue_as { task: "A" }, call continue_as { task: "B" } }'
    async with core_with(block(code), block("submit history[0].content")) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == "A"


async def test_an_iterating_host_sees_all_links() -> None:
    async with core_with(HAND_ON, block("submit n")) as core, core.session("s") as session:
        turn = session.turn("Go.")
        names = [activity.event.type async for activity in turn]
        assert names.index("session_switched") < names.index("submitted_value")
        assert (await turn).submitted_value() == 1


async def test_a_store_that_lost_the_successor_is_told_by_name(tmp_path: Path) -> None:
    async with core_with(HAND_ON, block("submit n"), folder=tmp_path) as core, core.session("s") as session:
        await session.turn("Go.")
        leaf = session.session_id
    async with core_with(folder=tmp_path) as core:
        assert await core.delete_session(leaf)
        with pytest.raises(lash.SessionError) as lost:
            await core.session("s")
        assert lost.value.code == "handoff_successor_missing"
        assert leaf in lost.value.message


async def test_a_turn_that_breaks_between_its_links_goes_on_with_what_the_successor_was_told(tmp_path: Path) -> None:
    class Broken(BaseException):
        pass

    def breaks(request: object) -> str:
        raise Broken

    async with core_with(HAND_ON, breaks, folder=tmp_path) as core, core.session("s") as session:
        with pytest.raises(Broken):
            await session.turn("Go.")
    async with core_with(block("submit [n, history[0].content]"), folder=tmp_path) as core:
        async with core.session("s") as session:
            assert session.session_id.startswith("h:")
            result = await session.queued_turn()
            assert result is not None
            assert result.submitted_value() == [1, "Add to n."]
            assert result.turn_index == 1


async def test_under_a_journal_the_broken_link_is_resumed_and_the_successor_is_made_once(tmp_path: Path) -> None:
    class Broken(BaseException):
        pass

    def breaks(request: object) -> str:
        raise Broken

    def journal() -> JournalEffectHost:
        return JournalEffectHost(tmp_path / "journal.db", clock=SystemClock(), ids=RandomIds())

    host = journal()
    steps = [HAND_ON, block("y = n"), breaks]
    async with core_with(*steps, folder=tmp_path, effect_host=host) as core, core.session("s") as session:
        with pytest.raises(Broken):
            await session.turn("Go.", turn_id="t-1")
    await host.aclose()
    host = journal()
    async with core_with(block("submit y"), folder=tmp_path, effect_host=host) as core, core.session("s") as session:
        result = await session.resume_turn()
        assert result.submitted_value() == 1
        assert [step.code for step in steps_of(session)] == ["y = n", "submit y"]
        assert len(await core.list_sessions()) == 2
    await host.aclose()
