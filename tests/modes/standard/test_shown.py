"""One tool in both modes: what the model is shown of it, and that the same arguments arrive."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

import lash
from lash import ModePreset
from lash.modes.rlm.prompt.tools import tool_doc as rlm_doc
from lash.modes.standard.prompt import tool_doc as standard_doc
from lash.runtime.sansio.tools import ToolSpec
from lash.testing.scripted import AnyStep, ScriptedProvider
from tests.modes.standard.goldens import FOLDER, Card, Cash, Folder, Line, Options, Order, Place, State, goldens
from tests.modes.standard.playing import call, calls, completed, core_with

MODES = ("standard", "rlm")


@pytest.mark.parametrize("name", goldens())
def test_a_tool_is_shown_as_its_golden_file_says(name: str) -> None:
    assert goldens()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_no_golden_file_without_a_tool() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(goldens())


@pytest.mark.parametrize("doc", [standard_doc, rlm_doc])
def test_a_tool_whose_calls_need_a_person_says_so(doc: Any) -> None:
    schema: Any = {"type": "object", "properties": {}, "additionalProperties": False}
    plain = ToolSpec("pay", "Pay.", schema)
    assert "needs approval" not in doc(plain)
    assert doc(ToolSpec("pay", "Pay.", schema, needs_approval=True)).splitlines()[1:] == [
        "Pay.",
        "needs approval: a person may be asked first, and may refuse",
    ]


ORDER = {
    "id": "A-1",
    "lines": [{"item": "tea", "count": 2}, {"item": "oil"}],
    "to": {"street": "Lane 1", "zip": "10115"},
    "state": "shipped",
}
GIVEN: dict[str, Any] = {
    "order": ORDER,
    "root": {"name": "a", "inside": [{"name": "b", "inside": [{"name": "c"}]}]},
    "by": {"kind": "cash", "note": "exact"},
    "since": "2026-05-02",
    "options": {"most": 3},
    "words": ["x", "y"],
}
WANTED: dict[str, Any] = {
    "order": Order(
        id="A-1",
        lines=[Line(item="tea", count=2), Line(item="oil")],
        to=Place(street="Lane 1", zip="10115"),
        state=State.SHIPPED,
    ),
    "root": Folder(name="a", inside=[Folder(name="b", inside=[Folder(name="c")])]),
    "by": Cash("cash", "exact"),
    "since": date(2026, 5, 2),
    "options": {"most": 3},
    "words": ["x", "y"],
    "state": State.OPEN,
    "deepest": None,
}


def core_of(mode: str, tool: Any, given: dict[str, Any]) -> Any:
    """A core whose model makes one call with these arguments."""
    step: AnyStep = calls(call(tool.name, **given))
    end: AnyStep = "Done."
    if mode == "rlm":
        step = f"```lashlang\nr = call {tool.name} {json.dumps(given)}\nprint r.ok ? r.value : r.error\n```"
        end = "```lashlang\nsubmit 1\n```"
    preset = ModePreset.standard() if mode == "standard" else ModePreset.rlm()
    return core_with(provider=ScriptedProvider([step, end]), modes=[preset], tools=[tool])


@pytest.mark.parametrize("mode", MODES)
async def test_the_same_arguments_arrive_as_the_same_values(mode: str) -> None:
    got: dict[str, Any] = {}

    @lash.tool
    async def take(
        order: Order,
        root: Folder,
        by: Card | Cash,
        since: date,
        options: Options,
        words: str | list[str],
        state: State = State.OPEN,
        deepest: int | None = None,
    ) -> Order:
        """Take everything."""
        got.update(
            order=order, root=root, by=by, since=since, options=options, words=words, state=state, deepest=deepest
        )
        return order

    async with core_of(mode, take, GIVEN) as core, core.session("s") as session:
        (done,) = completed(await session.run("Go."))
    assert got == WANTED
    assert done.output.type == "success"
    assert done.output.value == {
        **ORDER,
        "lines": [{"item": "tea", "count": 2, "tags": []}, {"item": "oil", "count": 1, "tags": []}],
        "to": {"street": "Lane 1", "zip": "10115", "country": "DE"},
    }


WRONG = [
    ({**ORDER, "state": "lost"}, "order.state: expected one of"),
    ({**ORDER, "to": {"street": "Lane 1"}}, "order.to.zip: required property missing"),
    ({**ORDER, "lines": [{"item": "tea", "count": 100}]}, "order.lines[0].count: expected integer <= 99, got 100"),
    ({**ORDER, "colour": "red"}, "order.colour: unexpected property"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("order", "says"), WRONG)
async def test_what_does_not_fit_is_told_in_the_same_words(mode: str, order: dict[str, Any], says: str) -> None:
    @lash.tool
    async def take(order: Order) -> None:
        """Never called."""
        raise AssertionError

    async with core_of(mode, take, {"order": order}) as core, core.session("s") as session:
        (done,) = completed(await session.run("Go."))
    assert done.output.type == "failure"
    assert done.output.failure.code == "invalid_tool_args"
    assert done.output.failure.message.startswith(says)
