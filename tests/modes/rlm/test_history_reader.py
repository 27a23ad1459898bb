"""Reading a history again and again: what it tells stays the same, and what is known is not read again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lash
import lashlang
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.history import History, HistoryReader, HistorySource, MessageItem, StepItem
from lash.modes.rlm.projector import RlmContextProjector
from lash.modes.rlm.prompt.history_text import ItemTexts
from lash.modes.rlm.types import RlmEvent, read_event
from lash.runtime.sansio.messages import SessionEventRecord
from lash.testing.scripted import ScriptedProvider
from tests.modes.rlm.sample import called, diagnostic, projection_input, said, step

POOL: tuple[SessionEventRecord, ...] = (
    said("m1", "user", "hi"),
    said("m1", "user", "hi again"),
    said("m2", "assistant", "done"),
    called("c1"),
    called("c1"),
    called("c2"),
    called("overflow:t1:1", "(more calls)"),
    step(0, tool_call_ids=("c1",)),
    step(1, tool_call_ids=("c1", "c2")),
    step(2, final_output={"value": 1}),
    step(3, error="bad"),
    step(4, error="bad"),
    diagnostic(),
)
PATHS = st.lists(st.lists(st.sampled_from(POOL), max_size=8), min_size=1, max_size=6)


class Counter:
    """Reads events, and counts how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, record: object) -> RlmEvent | None:
        self.reads += 1
        return read_event(record)


def test_a_path_that_grows_is_read_only_where_it_is_new() -> None:
    counter = Counter()
    reader = HistoryReader(counter)
    events: list[SessionEventRecord] = []
    for number in range(50):
        events.append(step(number))
        assert len(reader.read(events)) == number + 1
        reader.read(events)
    assert counter.reads == 50


def test_items_that_are_known_stay_the_same_objects() -> None:
    reader = HistoryReader()
    events = [said("m1", "user", "hi"), step(0)]
    before = reader.read(events).items
    after = reader.read([*events, step(1)]).items
    assert all(one is other for one, other in zip(before, after, strict=False))


def test_a_path_that_was_cut_and_goes_on_elsewhere_tells_what_it_says_now() -> None:
    counter = Counter()
    reader = HistoryReader(counter)
    first, dropped, other = step(0), step(1, code="y = 1"), step(1, code="y = 2")
    reader.read([first, dropped])
    items = reader.read([first, other]).items
    assert [item.entry.code for item in items if isinstance(item, StepItem)] == ["x = 1", "y = 2"]
    assert counter.reads == 3


def test_a_message_in_the_place_of_another_is_told() -> None:
    reader = HistoryReader()
    reader.read([said("m1", "user", "before"), step(0)])
    first = reader.read([said("m1", "user", "after"), step(0)]).items[0]
    assert isinstance(first, MessageItem)
    assert first.message.text() == "after"


def test_the_record_of_a_call_that_comes_behind_its_step_belongs_to_it() -> None:
    reader = HistoryReader()
    owner = step(0, tool_call_ids=("c1",))
    reader.read([owner])
    (item,) = reader.read([owner, called("c1")]).items
    assert isinstance(item, StepItem)
    assert [call.call_id for call in item.calls] == ["c1"]


def test_a_call_that_a_later_step_claims_is_no_item_any_more() -> None:
    reader = HistoryReader()
    call = called("c1")
    assert len(reader.read([call])) == 1
    assert len(reader.read([call, step(0, tool_call_ids=("c1",))])) == 1


def test_a_path_with_a_broken_event_can_be_read_without_it_afterwards() -> None:
    reader = HistoryReader()
    first, broken = step(0), step(1)
    broken.payload["code"] = 7
    reader.read([first])
    with pytest.raises(ValueError, match="code"):
        reader.read([first, broken])
    assert len(reader.read([first, step(2)])) == 2


def test_a_reader_does_not_keep_what_no_path_has_any_more() -> None:
    reader = HistoryReader()
    for number in range(100):
        reader.read([step(number), said(f"m{number}", "user", "hi")])
    assert len(reader._known) <= 6  # pyright: ignore[reportPrivateUsage]


@settings(max_examples=200, deadline=None)
@given(PATHS)
def test_a_reader_that_has_seen_other_paths_tells_what_a_new_one_does(paths: list[list[SessionEventRecord]]) -> None:
    reader = HistoryReader()
    path: list[SessionEventRecord] = []
    for number, more in enumerate(paths):
        path = [*path, *more] if number % 3 else [*path[: len(path) // 2], *more]
        assert reader.read(path).items == History.of(path).items


@settings(max_examples=100, deadline=None)
@given(PATHS)
def test_a_projector_that_has_made_other_requests_makes_the_same_as_a_new_one(
    paths: list[list[SessionEventRecord]],
) -> None:
    projector = RlmContextProjector(RlmConfig())
    path: list[SessionEventRecord] = []
    for number, more in enumerate(paths):
        path = [*path, *more] if number % 3 else [*path[: len(path) // 2], *more]
        wanted = RlmContextProjector(RlmConfig()).project(projection_input(path), use_tools=False)
        assert projector.project(projection_input(path), use_tools=False) == wanted


def test_a_step_is_rendered_once_for_its_place() -> None:
    texts = ItemTexts(RlmConfig())
    item = HistoryReader().read([step(0)]).items[0]
    assert isinstance(item, StepItem)
    assert texts.step(item.entry, 3, ())[0] is texts.step(item.entry, 3, ())[0]
    assert texts.step(item.entry, 4, ("a note",)) != texts.step(item.entry, 4, ())


# --- the binding ---------------------------------------------------------------------------------


EVENTS = [said("m1", "user", "hi"), step(0, output=("a", "b")), called("c1"), said("m2", "assistant", "done")]


@pytest.mark.parametrize(
    "expression",
    [
        "history",
        "len(history)",
        "history[0]",
        "history[-1].content",
        "history[1].output[1]",
        "history[1].tool_calls",
        "history[9]",
        "history[-9]",
        "history[0].nothing",
        "history[0]?.nothing",
        "history ? 1 : 2",
        "[h.kind for h in history]",
        "slice(history, 1, 3)",
        "type_of(history)",
        "type_of(history[1])",
        "history.content",
        'history["content"]',
        "history[1.5]",
        "history[true]",
        "keys(history)",
        "keys(history[2])",
        "history == history",
        "history[2].args.q",
    ],
)
def test_programs_read_the_lazy_binding_as_they_read_the_list(expression: str) -> None:
    history = History.of(EVENTS)
    given_lists = (HistorySource(history), lashlang.JsonSource(history.to_json()), history.to_json())
    outcomes = [lashlang.Machine().run(f"submit {expression}", projected={"history": one}) for one in given_lists]
    told = [(one.status, one.value, one.error and (one.error.kind, one.error.message)) for one in outcomes]
    assert told[0] == told[1]
    assert told[0][:2] == told[2][:2]


def test_only_items_that_a_program_reads_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    to_json = StepItem.to_json

    def counted(item: StepItem) -> dict[str, object]:
        made.append(item.entry.id)
        return to_json(item)  # type: ignore[return-value]

    monkeypatch.setattr(StepItem, "to_json", counted)
    source = HistorySource(History.of([step(number) for number in range(100)]))
    outcome = lashlang.Machine().run("submit [len(history), history[7].code]", projected={"history": source})
    assert outcome.value == [100, "x = 1"]
    assert set(made) == {"step:t1:7"}


# --- sessions ------------------------------------------------------------------------------------


async def read_by_a_session(replies: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a turn of these replies reads an event for its history."""
    counter = Counter()
    monkeypatch.setattr("lash.modes.rlm.mode.HistoryReader", lambda: HistoryReader(counter))
    core = lash.LashCore.rlm(provider=ScriptedProvider(replies), model="m", max_context_tokens=100_000, max_turns=None)
    async with core, core.session("one") as session:
        await session.turn("Go.")
        return counter.reads


async def test_iterations_of_a_turn_read_each_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [f"```lashlang\nx = {number}\n```" for number in range(40)]
    reads = await read_by_a_session([*replies, "```lashlang\nsubmit len(history)\n```"], monkeypatch)
    # A diagnostic and a step for each program, and the user's message.
    assert reads <= 2 * 41 + 1
