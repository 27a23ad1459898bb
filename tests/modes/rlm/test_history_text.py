"""The history as the model reads it: order, observations, notes, truncation, images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.modes.rlm.config import PromptFeatures, RlmConfig
from lash.modes.rlm.fence import code_of, first_block
from lash.modes.rlm.prompt import anchors
from lash.modes.rlm.prompt.history_text import KEPT_NOTE, fenced
from lash.runtime.sansio.llm import Block, LlmMessage
from lash.runtime.sansio.messages import AttachmentRef, Message, Part, PruneState, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from tests.modes.rlm.sample import message, messages_of, project, said, step, texts

NAME_ERROR = "error[unknown_name]: name `a` is not defined\n--> line {}, column 7\nprint a\n      ^"


def told(events: list[SessionEventRecord], config: RlmConfig | None = None, **more: object) -> list[LlmMessage]:
    """The history messages of a request: all but the system prompt and the tail."""
    return list(project(events, config, **more).messages[1:-1])


def observation(event: SessionEvent.Mode, config: RlmConfig | None = None) -> str:
    return texts(told([event], config))[1]


# --- messages --------------------------------------------------------------------------------------


def test_messages_are_shown_as_they_are_in_their_role() -> None:
    shown = told([said("m1", "user", "hi"), said("m2", "assistant", "hello")])
    assert [(one.role, text) for one, text in zip(shown, texts(shown), strict=True)] == [
        ("user", "hi"),
        ("assistant", "hello"),
    ]


def test_a_message_of_the_system_comes_as_the_users_and_says_whose_it_is() -> None:
    (shown,) = told([said("m1", "system", "Use submit.")])
    assert (shown.role, texts([shown])) == ("user", ["System message:\nUse submit."])


def test_a_long_message_is_cut_with_its_index() -> None:
    shown = texts(told([said("m0", "user", "a"), said("m1", "user", "b" * 300)], RlmConfig(max_output_chars=100)))
    assert shown == ["a", f"{'b' * 50}\n[… 200 chars hidden; whole: history[1].content …]\n{'b' * 50}"]


def test_images_of_a_message_are_attached_unless_they_were_pruned() -> None:
    ref = AttachmentRef("sha", "image/png", 9, 3, 2, "chart")
    parts = (Part("p0", "image", attachment=ref), Part("p1", "image", attachment=ref, prune=PruneState.Cleared()))
    request = project([SessionEvent.Conversation(Message("m", "user", parts))])
    assert request.messages[1].blocks == (Block.Image(0),)
    assert [(one.reference, one.mime, one.label) for one in request.attachments] == [("sha", "image/png", "chart")]


def test_a_call_of_another_mode_is_shown_with_its_result() -> None:
    record = ToolCallRecord("c1", "fetch", {"q": 1}, ToolOutput.Success({"n": 2}))
    assert texts(told([SessionEvent.Tool("c1", record)])) == [
        'Tool call fetch {"q":1} (ok), history[0].result:\n{"n":2}'
    ]


# --- steps -----------------------------------------------------------------------------------------


def test_a_step_is_shown_as_the_model_wrote_it() -> None:
    assert texts(told([step(0, "x = 1", prose="Setting x.", reasoning="secret")])) == [
        "Setting x.\n\n```lashlang\nx = 1\n```",
        "(no output)",
    ]


@given(st.text(alphabet="`x\n -", max_size=30), st.text(alphabet="ab \n.", max_size=10))
def test_a_program_reads_back_from_its_fence(code: str, prose: str) -> None:
    # What the scanner gives has no ruler lines and no line ends at its end.
    code = code.strip("\n -")
    text = f"{prose}\n\n{fenced(code)}"
    span = first_block(text)
    assert span is not None
    assert span.closed
    assert code_of(text, span) == code


def test_prints_are_shown_with_their_handles_and_lengths() -> None:
    assert observation(step(0, output=('{"chars":16}', "beta"))) == (
        'history[0].output[0] (12 chars):\n{"chars":16}\n\nhistory[0].output[1] (4 chars):\nbeta'
    )


def test_an_error_comes_after_the_prints_before_it() -> None:
    shown = observation(step(0, output=("1",), error="it broke"))
    assert shown == "history[0].output[0] (1 chars):\n1\n\nError:\nit broke"


def test_a_final_value_is_shown_as_formatted_json() -> None:
    assert observation(step(0, final_output={"value": {"a": "é"}})) == 'Final value:\n{\n  "a": "é"\n}'


def test_a_null_that_was_submitted_is_a_final_value() -> None:
    assert observation(step(0, final_output={"value": None})) == "Final value:\nnull"


def test_a_step_without_anything_to_show_says_so() -> None:
    assert observation(step(0, "")) == anchors.NO_OUTPUT


def test_later_blocks_of_the_reply_are_noted() -> None:
    assert anchors.LATER_BLOCKS in observation(step(0, blocks_seen=2))
    assert anchors.LATER_BLOCKS not in observation(step(0, blocks_seen=1))


def test_the_third_identical_error_in_a_row_is_noted_whatever_its_position() -> None:
    steps = [step(n, error=NAME_ERROR.format(n + 1)) for n in range(4)]
    observations = texts(told(list(steps)))[1::2]
    assert [anchors.SAME_ERROR in one for one in observations] == [False, False, True, False]


def test_another_error_between_or_another_turn_begins_the_count_anew() -> None:
    other = step(1, error="error[type_error]: no")
    same = [step(n, error=NAME_ERROR.format(1)) for n in (0, 2, 3)]
    assert anchors.SAME_ERROR not in "".join(texts(told([same[0], other, same[1], same[2]])))
    turns = [step(n, turn=turn, error=NAME_ERROR.format(1)) for n, turn in enumerate(["t0", "t0", "t1"])]
    assert anchors.SAME_ERROR not in "".join(texts(told(list(turns))))


def test_that_assignments_are_kept_is_said_once_a_turn() -> None:
    events = [step(n, turn=turn, error=NAME_ERROR.format(1)) for n, turn in enumerate(["t0", "t0", "t1", "t1"])]
    assert [KEPT_NOTE in one for one in texts(told(list(events)))[1::2]] == [True, False, True, False]


@pytest.mark.parametrize("kind", ["syntax_error", "arity_error", "interrupted", "internal_error"])
def test_a_block_that_did_not_run_or_was_undone_is_not_said_to_keep_anything(kind: str) -> None:
    assert KEPT_NOTE not in observation(step(0, error=f"error[{kind}]: no\n--> line 1, column 1"))


def test_a_last_step_that_an_assistants_message_repeats_is_left_out() -> None:
    events = [said("m1", "user", "hi"), step(0, final_output={"value": "tea"}), said("m2", "assistant", "tea")]
    assert texts(told(list(events))) == ["hi", "tea"]


def test_a_submitted_value_without_such_a_message_is_shown() -> None:
    events = [said("m1", "user", "hi"), step(0, final_output={"value": "tea"}), said("m2", "user", "more")]
    assert len(told(list(events))) == 4


# --- budgets ---------------------------------------------------------------------------------------


def test_a_long_print_is_cut_with_its_handle_and_its_whole_length_told() -> None:
    shown = observation(step(0, output=("HEAD" + "x" * 300 + "TAIL",)), RlmConfig(max_output_chars=200))
    assert shown == (
        "history[0].output[0] (308 chars):\nHEAD" + "x" * 96 + "\n[… 108 chars hidden; whole: history[0].output[0] …]\n"
        "" + "x" * 96 + "TAIL"
    )


def test_prints_within_the_budget_of_a_step_keep_their_own_limit() -> None:
    config = RlmConfig(max_output_chars=1000, max_step_output_chars=4000)
    assert anchors.CHARS_HIDDEN not in observation(step(0, output=("x" * 1000,) * 4), config)


def test_prints_over_the_budget_of_a_step_share_it() -> None:
    config = RlmConfig(max_output_chars=1000, max_step_output_chars=4000)
    shown = observation(step(0, output=("x" * 1000,) * 5), config)
    assert shown.count("200 chars hidden") == 5


def test_a_print_gets_two_hundred_characters_however_many_there_are() -> None:
    config = RlmConfig(max_output_chars=1000, max_step_output_chars=1000)
    assert observation(step(0, output=("x" * 300,) * 20), config).count("100 chars hidden") == 20


def test_a_budget_of_zero_is_none() -> None:
    config = RlmConfig(max_output_chars=0, max_step_output_chars=0)
    assert anchors.CHARS_HIDDEN not in observation(step(0, output=("x" * 50_000,) * 3), config)


def test_the_budget_of_a_step_holds_where_prints_have_no_limit_of_their_own() -> None:
    config = RlmConfig(max_output_chars=0, max_step_output_chars=2000)
    assert observation(step(0, output=("x" * 5000,) * 2), config).count("4000 chars hidden") == 2


def test_of_very_many_prints_those_in_the_middle_are_counted() -> None:
    shown = observation(step(0, output=tuple(f"print {n:03}" for n in range(205))))
    assert shown.count(" (9 chars):\n") == 200
    assert "history[0].output[100] to [104]: 5 prints with 45 chars hidden" in shown
    assert "print 099" in shown
    assert "print 102" not in shown
    assert "print 204" in shown


def test_two_hundred_prints_are_all_shown() -> None:
    assert " to [" not in observation(step(0, output=("x",) * 200))


def test_code_is_never_cut() -> None:
    code = "# " + "x" * 30_000
    assert code in texts(told([step(0, code)], RlmConfig(max_output_chars=10)))[0]


def test_long_errors_values_and_prose_are_cut_with_their_handles() -> None:
    config = RlmConfig(max_output_chars=100)
    event = step(0, prose="p" * 300, error="e" * 300, final_output={"value": "v" * 300})
    shown = "\n".join(texts(told([event], config)))
    for handle in ("history[0].prose", "history[0].error", "history[0].final_output"):
        assert f"whole: {handle} " in shown


# --- images ----------------------------------------------------------------------------------------


def images(count: int) -> list[dict[str, object]]:
    return [{"id": f"i{n}", "media_type": "image/png", "byte_len": 7, "width": 3, "height": 2} for n in range(count)]


def test_printed_images_are_described_and_attached() -> None:
    request = project([step(0, images=images(1))])
    assert texts(request.messages)[2] == "Images:\n- (no label) id i0, image/png, 3x2, 7 bytes"
    assert request.messages[2].blocks[1:] == (Block.Image(0),)
    assert [one.reference for one in request.attachments] == ["i0"]


def test_of_more_than_eight_images_the_rest_are_only_described() -> None:
    request = project([step(0, images=images(10))])
    assert len(request.attachments) == 8
    assert texts(request.messages)[2].count("not attached") == 2


def test_an_image_of_several_steps_is_attached_once() -> None:
    request = project([step(0, images=images(1)), step(1, images=images(1))])
    assert len(request.attachments) == 1
    assert [block for one in request.messages for block in one.blocks if isinstance(block, Block.Image)] == [
        Block.Image(0),
        Block.Image(0),
    ]


def test_without_the_feature_images_are_neither_shown_nor_mentioned() -> None:
    config = RlmConfig(prompt_features=PromptFeatures(images=False))
    request = project([step(0, images=images(2), output=("1",))], config)
    assert request.attachments == ()
    assert "mage" not in texts(request.messages)[2]


# --- what a context transform changed --------------------------------------------------------------


def test_a_transient_message_comes_after_the_history_and_is_not_cached() -> None:
    events = [said("m1", "user", "hi"), step(0)]
    now = message("n1", "user", "look", transient=True)
    shown = told(list(events), messages=[*messages_of(events), now])
    assert texts(shown)[-1] == "look"
    marked = [one for one in shown for block in one.blocks if isinstance(block, Block.Text) and block.cache_breakpoint]
    assert texts(marked) == ["(no output)"]


def test_a_message_that_replaces_others_stands_where_they_stood() -> None:
    events = [said("m1", "user", "old"), step(0, turn="t0"), said("m2", "user", "new"), step(1)]
    summary = message("sum", "user", "summary of old")
    shown = texts(told(list(events), messages=[summary, *messages_of(events)[1:]]))
    assert shown[:2] == ["summary of old", "new"]
    assert len(shown) == 4


def test_a_transient_message_stays_in_its_place_once_others_follow() -> None:
    events = [said("m1", "user", "one"), step(0), said("m2", "user", "two")]
    first, second = messages_of(events)
    now = message("n1", "user", "look", transient=True)
    assert texts(told(list(events), messages=[first, now, second]))[2:] == ["(no output)", "look", "two"]


def test_steps_of_this_turn_stay_where_all_messages_were_replaced() -> None:
    events = [said("m1", "user", "old"), step(0, turn="t0"), said("m2", "user", "new"), step(1, "y = 1")]
    shown = texts(told(list(events), messages=[message("sum", "user", "summary")]))
    assert shown == ["summary", "```lashlang\ny = 1\n```", "(no output)"]


def test_indices_do_not_change_where_messages_were_left_out() -> None:
    events = [said("m1", "user", "old"), said("m2", "user", "new"), step(0, output=("1",))]
    assert "history[2].output[0]" in "".join(texts(told(list(events), messages=messages_of(events)[1:])))
