"""The items of `history`: what counts, in which order, and how programs read them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

import lashlang
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.history import History
from lash.modes.rlm.types import RlmGlobalsPatch, RlmSeed, as_event
from lash.runtime.sansio.messages import AttachmentRef, Message, Part, PruneState, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolFailure, ToolOutput
from tests.modes.rlm.sample import called, diagnostic, message, project, said, step, texts


def kinds(events: Sequence[SessionEventRecord]) -> list[str]:
    return [str(item.to_json()["kind"]) for item in History.of(events)]


def test_messages_steps_and_calls_of_other_modes_count_in_their_order() -> None:
    events = [said("m1", "user", "hi"), called("c1"), step(0), said("m2", "assistant", "done")]
    assert kinds(events) == ["message", "tool_call", "rlm_step", "message"]


def test_diagnostics_seeds_patches_and_plugin_records_do_not_count() -> None:
    events = [
        as_event(RlmSeed(globals={"x": 1})),
        as_event(RlmGlobalsPatch(set_default={"y": 2})),
        diagnostic(),
        SessionEvent.Plugin("notes", {}),
        said("m1", "user", "hi"),
    ]
    assert kinds(events) == ["message"]


def test_transient_messages_do_not_count() -> None:
    assert kinds([SessionEvent.Conversation(message("m1", "user", "hi", transient=True))]) == []


def test_calls_of_a_block_belong_to_its_step() -> None:
    events = [called("c1"), called("c2"), step(0, tool_call_ids=("c1", "c2", "c3"))]
    (item,) = History.of(events).to_json()
    assert isinstance(item, dict)
    assert item["tool_calls"] == [
        {"id": "c1", "tool": "fetch", "status": "ok"},
        {"id": "c2", "tool": "fetch", "status": "ok"},
    ]


def test_the_record_of_calls_beyond_the_most_belongs_to_its_step_too() -> None:
    assert kinds([called("overflow:t1:4", "(more calls)"), step(4)]) == ["rlm_step"]


def test_a_call_that_was_recorded_twice_counts_once() -> None:
    record = ToolCallRecord("c1", "fetch", {}, ToolOutput.Success(1))
    assert kinds([SessionEvent.Tool("a", record), SessionEvent.Tool("b", record)]) == ["tool_call"]


def test_a_message_is_read_with_its_texts_and_attachments() -> None:
    parts = (
        Part("p0", "text", " one "),
        Part("p1", "reasoning", "secret"),
        Part("p2", "prose", "two"),
        Part("p3", "image", attachment=AttachmentRef("sha", "image/png", 9, label="chart")),
        Part("p4", "text", "gone", prune=PruneState.Deleted("old notes")),
    )
    (item,) = History.of([SessionEvent.Conversation(Message("m1", "user", parts))]).to_json()
    assert item == {
        "kind": "message",
        "id": "m1",
        "role": "user",
        "content": "one\n\ntwo\n\n[text deleted: old notes]",
        "attachments": [{"id": "sha", "media_type": "image/png", "label": "chart", "reference": "sha"}],
    }


def test_a_step_is_read_with_what_it_has() -> None:
    event = step(
        2,
        "print 1",
        prose="Look.",
        reasoning="hm",
        output=("1",),
        images=({"id": "i", "media_type": "image/png", "byte_len": 7},),
        duration_ms=5,
    )
    (item,) = History.of([event]).to_json()
    assert item == {
        "kind": "rlm_step",
        "id": "step:t1:2",
        "turn_index": 1,
        "mode_iteration": 2,
        "prose": "Look.",
        "reasoning": "hm",
        "code": "print 1",
        "output": ["1"],
        "tool_calls": [],
        "images": [{"id": "i", "media_type": "image/png", "bytes": 7}],
        "duration_ms": 5,
    }


def test_an_error_and_a_final_value_are_there_only_where_the_step_has_them() -> None:
    failed, submitted = History.of([step(0, error="bad"), step(1, final_output={"value": None})]).to_json()
    assert isinstance(failed, dict)
    assert isinstance(submitted, dict)
    assert (failed["error"], "final_output" in failed) == ("bad", False)
    assert ("error" in submitted, submitted["final_output"]) == (False, None)


def test_a_call_is_read_with_its_result_or_the_text_of_its_failure() -> None:
    failure = ToolOutput.Failure(ToolFailure("execution", "broken", "it broke"))
    outputs = [ToolOutput.Success({"n": 1}), failure, ToolOutput.Cancelled("stopped")]
    events = [SessionEvent.Tool(str(n), ToolCallRecord(f"c{n}", "fetch", {}, o, 3)) for n, o in enumerate(outputs)]
    items = [item for item in History.of(events).to_json() if isinstance(item, dict)]
    assert [(item["status"], item["result"]) for item in items] == [
        ("ok", {"n": 1}),
        ("error", "it broke"),
        ("cancelled", "stopped"),
    ]
    assert items[0] == {
        "kind": "tool_call",
        "id": "c0",
        "tool": "fetch",
        "args": {},
        "result": {"n": 1},
        "status": "ok",
        "duration_ms": 3,
    }


# --- agreement of prompt and binding ---------------------------------------------------------------

EVENT_KINDS = st.lists(
    st.sampled_from(["message", "step", "diagnostic", "owned", "call", "transient", "seed", "plugin"]), max_size=20
)


def events_of(kinds_of_events: list[str]) -> list[SessionEventRecord]:
    """Events of those kinds; each print, message and result says which event it is of."""
    events: list[SessionEventRecord] = []
    for n, kind in enumerate(kinds_of_events):
        match kind:
            case "message":
                events.append(said(f"m{n}", "user", f"[message {n}]" + "x" * 300))
            case "transient":
                events.append(SessionEvent.Conversation(message(f"m{n}", "user", "now", transient=True)))
            case "step":
                prints = (f"[print {n}]" + "y" * 300, "short")
                events += [called(f"own{n}"), step(n, f"x = {n}", output=prints, tool_call_ids=(f"own{n}",))]
            case "call":
                events.append(called(f"free{n}", value=f"[result {n}]" + "z" * 300))
            case "owned":
                events += [called(f"own{n}"), step(n, "", tool_call_ids=(f"own{n}",))]
            case "seed":
                events.append(as_event(RlmSeed()))
            case "plugin":
                events.append(SessionEvent.Plugin("p", None))
            case _:
                events.append(diagnostic())
    return events


@settings(max_examples=60, deadline=None)
@given(EVENT_KINDS)
def test_every_index_in_a_prompt_is_the_one_of_the_binding(kinds_of_events: list[str]) -> None:
    events = events_of(kinds_of_events)
    items = History.of(events).to_json()
    machine = lashlang.Machine()
    prompt = "\n".join(texts(project(events, RlmConfig(max_output_chars=100)).messages))
    handles = set(re.findall(r"history\[\d+\](?:\.\w+(?:\[\d+\])?)?", prompt))
    visible = sum(kind in ("message", "step", "call") for kind in kinds_of_events)
    assert len({handle.split(".")[0] for handle in handles}) == visible
    for handle in handles:
        outcome = machine.run(f"submit {handle}", projected={"history": lashlang.JsonSource(items)})
        assert outcome.error is None, handle
        value = outcome.value if isinstance(outcome.value, str) else json.dumps(outcome.value, separators=(",", ":"))
        # What stands behind the handle is what the prompt shows the beginning of.
        shown = re.search(rf"{re.escape(handle)}(?: \(\d+ chars\))?:\n(.*)", prompt)
        before = re.search(rf"(.*)\n\[… \d+ chars hidden; whole: {re.escape(handle)} …\]", prompt)
        found = shown or before
        assert found is not None, handle
        assert value.startswith(found[1][:50]), handle
    assert f"- history: list, {len(items)} items" in prompt
