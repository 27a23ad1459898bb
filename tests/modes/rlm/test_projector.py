"""The request as a whole: order of messages, cache mark, what it never carries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.projector import RlmContextProjector
from lash.runtime.sansio.driver import ContextProjector
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest
from lash.runtime.sansio.messages import SessionEvent
from lash.runtime.sansio.values import from_json, to_json
from tests.modes.rlm.sample import diagnostic, project, projection_input, said, step, texts
from tests.modes.rlm.test_history import EVENT_KINDS, events_of


def marked(request: LlmRequest) -> list[str]:
    blocks = [block for one in request.messages for block in one.blocks if isinstance(block, Block.Text)]
    return [block.text for block in blocks if block.cache_breakpoint]


def test_the_system_prompt_comes_first_and_the_tail_last() -> None:
    request = project([said("m1", "user", "hi"), step(0)])
    assert [one.role for one in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert texts(request.messages)[0] == "SYSTEM"
    assert texts(request.messages)[-1].startswith("## Iteration 1\n")


def test_the_last_text_of_the_history_carries_the_cache_mark() -> None:
    request = project(
        [said("m1", "user", "hi"), step(0, output=("1",), images=({"id": "i", "media_type": "image/png"},))]
    )
    assert marked(request) == [texts(request.messages)[3]]
    assert request.messages[3].blocks[1] == Block.Image(0)


def test_a_request_without_history_has_no_cache_mark() -> None:
    assert marked(project([diagnostic()])) == []


def test_a_blank_system_prompt_is_left_out() -> None:
    assert [one.role for one in project([], system_prompt=" \n").messages] == ["user", "user"]


def test_a_blank_message_is_left_out() -> None:
    assert len(project([said("m1", "user", " "), said("m2", "user", "hi")]).messages) == 3


def test_a_request_has_no_native_tools() -> None:
    projector: ContextProjector = RlmContextProjector(RlmConfig())
    request = projector.project(projection_input([]), use_tools=True)
    assert (request.tools, request.tool_choice) == ((), "none")


def test_a_request_says_whose_it_is() -> None:
    request = project([])
    assert (request.model, request.session_id, request.model_variant) == ("model-1", "s", None)


def test_a_request_can_be_written_down_and_read_again() -> None:
    request = project([said("m1", "user", "hi"), step(0, output=("1",))])
    assert from_json(LlmRequest, to_json(request)) == request


def test_a_broken_event_of_the_mode_is_an_error_that_names_the_field() -> None:
    with pytest.raises(ValidationError, match="code"):
        project([SessionEvent.Mode("rlm", {"kind": "trajectory", "id": "x"})])


def stable_part(request: LlmRequest) -> list[LlmMessage]:
    """The history without its mark, which moves."""
    messages = [
        LlmMessage(one.role, tuple(Block.Text(b.text) if isinstance(b, Block.Text) else b for b in one.blocks))
        for one in request.messages
    ]
    return messages[:-1]


@settings(max_examples=40, deadline=None)
@given(EVENT_KINDS)
def test_what_is_cached_is_a_beginning_of_every_later_request(kinds: list[str]) -> None:
    kinds = ["message", *(kind for kind in kinds if kind != "transient")]
    events = events_of(kinds)
    whole = stable_part(project(events))
    for count in range(1, len(events)):
        if isinstance(events[count], SessionEvent.Tool):
            continue  # calls are recorded together with their step
        before = stable_part(project(events[: count + 1]))
        assert whole[: len(before)] == before


@settings(max_examples=30, deadline=None)
@given(EVENT_KINDS)
def test_the_same_input_gives_the_same_request(kinds: list[str]) -> None:
    assert project(events_of(kinds)) == project(events_of(kinds))
