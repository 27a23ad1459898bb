"""What a chat model sees of a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lash.runtime.sansio.driver import ProjectionInput
from lash.runtime.sansio.llm import (
    Block,
    LlmAttachment,
    LlmMessage,
    LlmRequest,
    LlmToolSpec,
    ReasoningReplay,
    ResponseMeta,
    ToolCallReplay,
)
from lash.runtime.sansio.messages import AttachmentRef, Message, MessageSequence, Part, PluginOrigin, PruneState
from lash.runtime.sansio.projector import ChatContextProjector
from lash.runtime.sansio.tools import ToolSpec

CAT = AttachmentRef("cat-hash", "image/png", 10, 4, 3, "a cat")
DOG = AttachmentRef("dog-hash", "image/jpeg", 20)
CLEARED = PruneState.Cleared()
DELETED = PruneState.Deleted("a long table")
SUMMARIZED = PruneState.Summarized("three rows")


def seen(*messages: Message, use_tools: bool = True, prompt: str = "", tools: tuple[ToolSpec, ...] = ()) -> LlmRequest:
    """The request for a conversation."""
    view = ProjectionInput(
        session_id="s",
        turn_id="t",
        messages=MessageSequence(messages),
        events=(),
        mode_iteration=0,
        mode_run_offset=0,
        max_turns=None,
        termination=None,
        autonomous=False,
        model="model-1",
        model_variant="high",
        system_prompt=prompt,
        tool_specs=tools,
        mode_view=None,
    )
    return ChatContextProjector().project(view, use_tools)


def blocks(*parts: Part, role: Any = "assistant") -> tuple[Any, ...]:
    """The blocks of one message."""
    (message,) = seen(Message("m", role, parts)).messages
    return message.blocks


def part(kind: Any, text: str = "", **more: Any) -> Part:
    return Part("p", kind, text, **more)


def test_the_system_prompt_comes_first() -> None:
    request = seen(Message("m", "user", (part("text", "hello"),)), prompt="be brief")
    assert request.messages == (
        LlmMessage("system", (Block.Text("be brief"),)),
        LlmMessage("user", (Block.Text("hello"),)),
    )


def test_a_blank_system_prompt_is_left_out() -> None:
    assert seen(prompt=" \n").messages == ()


def test_model_variant_and_session_go_with_the_request() -> None:
    request = seen()
    assert (request.model, request.model_variant, request.session_id) == ("model-1", "high", "s")


@pytest.mark.parametrize("kind", ["text", "prose", "code", "output", "error"])
def test_texts_of_every_kind_are_text(kind: Any) -> None:
    meta = ResponseMeta("id", phase="final_answer")
    assert blocks(part(kind, "x", response_meta=meta)) == (Block.Text("x", meta),)


def test_blank_parts_and_messages_without_blocks_are_left_out() -> None:
    assert seen(Message("m", "assistant", (part("text", " "), part("reasoning", "")))).messages == ()


def test_transient_messages_are_shown_like_others() -> None:
    request = seen(Message("m", "system", (part("text", "hint"),), PluginOrigin("p", transient=True)))
    assert request.messages == (LlmMessage("system", (Block.Text("hint"),)),)


def test_parts_stay_in_the_order_in_which_the_model_emitted_them() -> None:
    replay, tool_replay = ReasoningReplay("r", signature="s"), ToolCallReplay("i", {"o": 1})
    assert blocks(
        part("reasoning", "hm", reasoning_replay=replay),
        part("prose", "I look"),
        part("tool_call", '{"q": 1}', tool_call_id="c1", tool_name="search", tool_replay=tool_replay),
        part("prose", "done"),
    ) == (
        Block.Reasoning("hm", replay),
        Block.Text("I look"),
        Block.ToolCall("c1", "search", '{"q": 1}', tool_replay),
        Block.Text("done"),
    )


def test_blank_reasoning_is_kept_where_the_provider_wants_it_back() -> None:
    replay = ReasoningReplay(encrypted_content="x", redacted=True)
    assert blocks(part("reasoning", "", reasoning_replay=replay)) == (Block.Reasoning("", replay),)


def test_a_result_says_which_call_it_answers_and_whether_it_failed() -> None:
    assert blocks(
        part("tool_result", "no such file", tool_call_id="c1", tool_name="read", is_error=True), role="user"
    ) == (Block.ToolResult("c1", "no such file", "read", True),)


def test_each_call_has_one_result_with_all_its_texts_and_images() -> None:
    request = seen(
        Message(
            "m",
            "user",
            (
                part("tool_result", "one", tool_call_id="c1"),
                part("image", attachment=CAT, tool_call_id="c1"),
                part("tool_result", "two", tool_call_id="c2"),
                part("tool_result", "more of one", tool_call_id="c1", is_error=True),
                part("image", attachment=DOG, tool_call_id="c1"),
                part("text", "and so on"),
            ),
        )
    )
    assert request.messages[0].blocks == (
        Block.ToolResult("c1", "one\nmore of one", None, True, (0, 1)),
        Block.ToolResult("c2", "two"),
        Block.Text("and so on"),
    )


def test_an_image_is_attached_once_however_often_it_is_shown() -> None:
    request = seen(
        Message("m1", "user", (part("image", attachment=CAT), part("image", attachment=DOG))),
        Message("m2", "user", (part("image", attachment=CAT),)),
    )
    assert request.attachments == (
        LlmAttachment("image/png", "cat-hash", "a cat", 4, 3),
        LlmAttachment("image/jpeg", "dog-hash"),
    )
    assert request.messages[1].blocks == (Block.Image(0),)


def test_an_image_that_is_not_there_is_said_to_be_missing() -> None:
    assert blocks(part("image")) == (Block.Text("[image not available]"),)


@pytest.mark.parametrize(
    ("prune", "text"),
    [
        (CLEARED, "[output cleared]"),
        (DELETED, "[output deleted: a long table]"),
        (SUMMARIZED, "[summary of output: three rows]"),
    ],
)
def test_a_pruned_text_is_shown_as_such(prune: Any, text: str) -> None:
    assert blocks(part("output", "1 2 3", prune=prune, response_meta=ResponseMeta("id"))) == (Block.Text(text),)


def test_a_pruned_image_is_a_text_and_no_attachment() -> None:
    request = seen(Message("m", "user", (part("image", attachment=CAT, prune=CLEARED),)))
    assert request.messages[0].blocks == (Block.Text("[image cleared]"),)
    assert request.attachments == ()


def test_a_pruned_result_still_answers_its_call() -> None:
    assert blocks(
        part("tool_result", "1 2 3", tool_call_id="c1", prune=SUMMARIZED),
        part("image", attachment=CAT, tool_call_id="c1", prune=CLEARED),
    ) == (Block.ToolResult("c1", "[summary of tool result: three rows]\n[image cleared]"),)


def test_a_pruned_call_keeps_its_name_and_says_in_json_what_stood_there() -> None:
    (call,) = blocks(part("tool_call", "{}", tool_call_id="c1", tool_name="search", prune=DELETED))
    assert (call.call_id, call.tool_name) == ("c1", "search")
    assert json.loads(call.input_json) == {"note": "[tool call deleted: a long table]"}


def test_pruned_reasoning_is_left_out() -> None:
    pruned = part("reasoning", "hm", reasoning_replay=ReasoningReplay("r"), prune=CLEARED)
    assert blocks(pruned, part("text", "x")) == (Block.Text("x"),)


def test_calls_and_results_that_do_not_say_which_are_shown_as_text() -> None:
    assert blocks(part("tool_call", '{"q": 1}', tool_name="search"), part("tool_result", "found")) == (
        Block.Text('{"q": 1}'),
        Block.Text("found"),
    )


SEARCH = ToolSpec("search", "finds", {"type": "object"}, {"type": "string"}, input_projections={"openai": {}})
HIDDEN = ToolSpec("hidden", "d", {}, availability="searchable")


def test_callable_tools_are_listed_and_may_be_called() -> None:
    request = seen(tools=(SEARCH, HIDDEN, ToolSpec("plain", "d", {}, availability="callable")))
    assert request.tools == (
        LlmToolSpec("search", "finds", {"type": "object"}, {"type": "string"}, {"openai": {}}),
        LlmToolSpec("plain", "d", {}),
    )
    assert request.tool_choice == "auto"


def test_tools_that_may_not_be_called_now_are_still_explained() -> None:
    request = seen(tools=(SEARCH,), use_tools=False)
    assert len(request.tools) == 1
    assert request.tool_choice == "none"


def test_without_tools_none_can_be_chosen() -> None:
    assert seen(tools=(HIDDEN,)).tool_choice == "none"
