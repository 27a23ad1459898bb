"""What a turn may be given."""

from __future__ import annotations

import pytest

import lash
from lash import TurnOutcome, TurnStop
from tests.facade.support import GIF, block, core_with, said


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("", "no text"),
        (" \n\t", "no text"),
        ([lash.Text(""), lash.Text(" ")], "no text"),
        ([lash.ImageRef("0" * 64)], "0000"),
        ([lash.ImageRef("")], "''"),
        ([lash.ImageBlob("x", b"plain text")], "'x'"),
        ([lash.ImageBlob("", GIF)], "empty id"),
    ],
)
async def test_input_that_cannot_be_used_ends_the_turn_without_a_trace(given: lash.TurnInput, names: str) -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        result = await session.turn(given)
        assert isinstance(result.outcome, TurnOutcome.Stopped)
        assert isinstance(result.outcome.stop, TurnStop.InvalidInput)
        assert names in result.outcome.stop.message
        assert (result.revision, session.read_view().turn_index) == (None, 0)
        assert [issue.code for issue in result.errors] == ["invalid_input"]
        assert (await session.turn("Now.")).submitted_value() == 1
        assert said(session) == ["Now."]


async def test_texts_and_images_become_one_message() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        await session.turn([lash.Text("one"), lash.Text("two"), lash.ImageBlob("i", GIF), lash.Text("three")])
        (message,) = session.read_view().messages
        assert [(part.kind, part.text) for part in message.parts] == [
            ("text", "one\ntwo"),
            ("image", "i"),
            ("text", "three"),
        ]


async def test_a_turn_without_input_goes_on_from_what_there_is() -> None:
    async with core_with(block("x = 1\nsubmit x"), block("submit x + 1")) as core, core.session("s") as session:
        await session.turn("One.")
        assert (await session.turn(lash.TurnInput.empty())).submitted_value() == 2
        assert said(session) == ["One."]


async def test_things_that_are_no_input_are_named() -> None:
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(lash.TurnError, match="int"):
            session.turn([1, 2])  # type: ignore[list-item]  # pyright: ignore
        with pytest.raises(lash.TurnError, match="max_tokens"):
            session.turn("Go.", max_tokens=1)  # type: ignore[call-overload]  # pyright: ignore
