"""Projected bindings in the system prompt."""

from __future__ import annotations

from typing import Any

import pytest

from lash.modes.rlm.prompt.projected import describe_projected, projected_contribution, projected_line
from lash.runtime.sansio.prompt import PromptSlot
from lashlang import Image, TextSource


def line(value: Any) -> str:
    return projected_line(describe_projected("p", value))


def test_a_long_text_is_told_by_its_size_and_its_beginning() -> None:
    source = TextSource("lorem ipsum dolor\n" * 1000 + "NEEDLE")
    shown = line(source)
    assert shown.startswith('- `p`: str, read-only, 18006 chars, 1001 lines ≈ "lorem ipsum dolor\\nlorem')
    assert "NEEDLE" not in shown
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '- `p`: str, read-only, 0 chars, 0 lines ≈ ""'),
        ("a\nb\n", '- `p`: str, read-only, 4 chars, 2 lines ≈ "a\\nb\\n"'),
        ([1, 2.5], "- `p`: list[float], read-only, 2 items ≈ [1,2.5]"),
        ({"turn": "x"}, '- `p`: { turn: str }, read-only, 1 keys ≈ {"turn":"x"}'),
        (7, "- `p`: int, read-only ≈ 7"),
        (None, "- `p`: null, read-only ≈ null"),
    ],
)
def test_a_binding_is_told_in_one_line(value: Any, shown: str) -> None:
    assert line(value) == shown


def test_a_list_of_texts_is_told_by_the_lengths_of_its_first_items() -> None:
    shown = line(["x" * n for n in range(25)])
    lengths = ", ".join(map(str, range(20)))
    assert shown == f"- `p`: list[str], read-only, 300 chars, 25 items, item chars {lengths}, …"


def test_long_texts_in_a_list_are_measured_without_being_shown() -> None:
    assert (
        line([TextSource("x" * 5000), "ab"]) == "- `p`: list[str], read-only, 5002 chars, 2 items, item chars 5000, 2"
    )


def test_an_image_is_told_by_its_description() -> None:
    assert '"id":"i1"' in line(Image("i1", "chart", 7))


def test_previews_are_short() -> None:
    assert len(projected_line(describe_projected("p", {f"key{n}": "x" * 50 for n in range(50)}))) < 250


def test_bindings_are_sorted_and_said_to_be_read_only() -> None:
    contribution = projected_contribution([describe_projected(name, 1) for name in ("b", "a")])
    assert contribution is not None
    assert contribution.slot is PromptSlot.ENVIRONMENT
    assert contribution.content.index("`a`") < contribution.content.index("`b`")
    for said in ("Bound already", "read-only", "slices", "instead of typing"):
        assert said in contribution.content


def test_without_bindings_there_is_nothing_to_say() -> None:
    assert projected_contribution([]) is None
