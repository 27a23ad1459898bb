"""Values of tools: their tagged form, and what the model is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import RetryAdvice, ToolControl, ToolFailure, ToolOutput
from lash.runtime.tools.result import (
    TAG,
    ResultInvalid,
    ToolError,
    ToolResult,
    json_bytes,
    model_return,
    output_of,
    tagged,
    untagged,
)

IMAGE = AttachmentRef("ab", "image/png", 9)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(IMAGE),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from([TAG, "ref", "entries"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_the_tagged_form_gives_the_value_back(value: Any) -> None:
    assert untagged(tagged(value), lambda reference: reference) == value


def test_a_record_that_looks_like_a_reference_is_none() -> None:
    forged = {TAG: "attachment", "ref": {"id": "x"}}
    assert tagged(forged) == {TAG: "object", "entries": forged}
    assert model_return(ToolOutput.Success(tagged(forged))).attachments == ()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": float("inf")}}, "a.b"),
        ({1: 2}, "result"),
        ([b""], "[0]"),
        ({"a": "\udc80"}, "a"),
        ([{1}], "[0]"),
    ],
)
def test_what_is_no_json_says_where(value: Any, place: str) -> None:
    with pytest.raises(ResultInvalid) as error:
        tagged(value)
    assert error.value.message.startswith(f"{place}: ")


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ResultInvalid):
        tagged(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("as is\n", "as is\n"), ("", ""), (None, "null"), ({"a": [1, "é"]}, '{"a":[1,"é"]}'), (1.5, "1.5")],
)
def test_the_model_reads_texts_as_they_are_and_the_rest_as_compact_json(value: Any, text: str) -> None:
    assert model_return(ToolOutput.Success(value)).text == text


def test_images_are_named_in_the_text_and_listed_once() -> None:
    told = model_return(ToolOutput.Success(tagged({"a": IMAGE, "b": [IMAGE]})))
    assert (told.text, told.attachments) == ('{"a":"[image ab]","b":["[image ab]"]}', ("ab",))


def test_attachments_do_not_count_for_the_size() -> None:
    assert json_bytes(tagged({"a": IMAGE})) == len('{"a":null}')


def test_results_say_how_they_ended() -> None:
    failure = ToolFailure("external", "c", "m")
    assert output_of(ToolResult.failure(failure)) == ToolOutput.Failure(failure)
    assert output_of(ToolResult.failure("external", "c", "m")) == ToolOutput.Failure(failure)
    assert output_of(ToolResult.cancelled("m", {"r": 1})) == ToolOutput.Cancelled("m", {"r": 1})
    assert ToolResult.handoff("s2").control == ToolControl.Handoff("s2")
    assert ToolResult.fail(failure).control == ToolControl.Fail(failure)


def test_an_error_of_a_tool_says_whether_to_try_again() -> None:
    assert ToolError("m", retry="safe", retry_after_ms=5).failure.retry == RetryAdvice("safe", after_ms=5)
    assert ToolError("m", retry_after_ms=5).failure.retry == RetryAdvice("never")
