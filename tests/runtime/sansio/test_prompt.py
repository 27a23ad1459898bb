"""System prompts: templates, layers, contributions and their text."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.prompt import (
    ASKING_TEXT,
    GUIDANCE_TEXT,
    INTRO_TEXT,
    PromptBuiltin,
    PromptContribution,
    PromptLayer,
    PromptSlot,
    PromptTemplate,
    render_prompt,
    resolve,
)
from lash.runtime.sansio.prompt import (
    PromptTemplateEntry as Entry,
)
from lash.runtime.sansio.prompt import (
    PromptTemplateSection as Section,
)
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.values import from_json, to_json

GUIDANCE = PromptSlot.GUIDANCE
SLOT_ONLY = PromptTemplate([Section.untitled([Entry.slot(GUIDANCE)])])


def tool(name: str, availability: str = "showcased") -> ToolSpec:
    return ToolSpec(name, "", {}, availability=availability)  # pyright: ignore[reportArgumentType]


def guidance(*contributions: PromptContribution, tools: Iterable[ToolSpec] = ()) -> str:
    return render_prompt(PromptLayer(template=SLOT_ONLY).add(*contributions), "", tools)


# --- text ------------------------------------------------------------------------------------------


def test_the_default_template_has_its_parts_in_order() -> None:
    layer = PromptLayer().add(
        PromptContribution.environment("Data", "data"),
        PromptContribution.runtime_context("Place", "place"),
        PromptContribution.guidance("Manner", "manner"),
        PromptContribution.project_instructions("House", "house"),
        PromptContribution.execution("Tools", "tools"),
        PromptContribution.intro("Who", "who"),
    )
    assert render_prompt(layer, "HOW") == "\n\n".join(
        [
            INTRO_TEXT,
            "### Who\n\nwho",
            "## Execution",
            "HOW",
            "### Tools\n\ntools",
            "## Guidance",
            GUIDANCE_TEXT,
            "### House\n\nhouse",
            "### Manner\n\nmanner",
            "## Environment",
            "### Place\n\nplace",
            "### Data\n\ndata",
        ]
    )


def test_sections_without_content_are_left_out_with_their_heading() -> None:
    text = render_prompt(PromptLayer(), " ")
    assert "## Execution" not in text
    assert "## Environment" not in text


def test_a_template_may_have_text_of_its_own() -> None:
    template = PromptTemplate([Section.titled("House rules", [Entry.text(" Be kind. "), Entry.slot(GUIDANCE)])])
    assert render_prompt(PromptLayer(template=template), "") == "## House rules\n\nBe kind."


def test_a_slot_that_the_template_lacks_is_not_shown() -> None:
    assert guidance(PromptContribution.intro("A", "a")) == ""


def test_a_contribution_without_a_title_is_its_text_alone() -> None:
    assert guidance(PromptContribution.guidance("", "a")) == "a"


def test_a_contribution_without_text_is_left_out() -> None:
    assert guidance(PromptContribution.guidance("A", " \n")) == ""


def test_contributions_are_trimmed_and_exact_duplicates_dropped() -> None:
    one = PromptContribution.guidance("A", "a")
    assert guidance(one, PromptContribution.guidance(" A", "\na ")) == "### A\n\na"


def test_contributions_stand_by_priority_then_title_then_content() -> None:
    contributions = [
        PromptContribution.guidance("B", "2"),
        PromptContribution.guidance("B", "1"),
        PromptContribution.guidance("A", "9"),
        PromptContribution.guidance("Z", "0").with_priority(-1),
        PromptContribution.guidance("A", "0").with_priority(1),
    ]
    assert guidance(*contributions).replace("### ", "").replace("\n\n", " ") == "Z 0 A 9 B 1 B 2 A 0"


def test_a_rule_about_asking_is_there_only_with_the_tool() -> None:
    assert ASKING_TEXT not in render_prompt(PromptLayer(), "")
    assert ASKING_TEXT in render_prompt(PromptLayer(), "", [tool("ask")])


# --- gates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "minimum", "shown"),
    [
        ("showcased", "callable", True),
        ("callable", "callable", True),
        ("searchable", "callable", False),
        ("callable", "showcased", False),
        ("searchable", "searchable", True),
    ],
)
def test_a_gate_passes_a_tool_that_is_offered_far_enough(offered: str, minimum: str, shown: bool) -> None:
    gated = PromptContribution.guidance("A", "a").requires_tool("t", minimum)  # pyright: ignore[reportArgumentType]
    assert bool(guidance(gated, tools=[tool("t", offered)])) == shown


def test_a_gate_does_not_pass_without_its_tool() -> None:
    assert guidance(PromptContribution.guidance("A", "a").requires_tool("t"), tools=[tool("u")]) == ""


def test_a_gate_passes_with_one_of_several_tools() -> None:
    gated = PromptContribution.guidance("A", "a").requires_any_tool(["t", "u"])
    assert guidance(gated, tools=[tool("u")]) == "### A\n\na"


def test_a_gate_of_no_tools_and_an_unknown_availability_are_refused() -> None:
    one = PromptContribution.guidance("A", "a")
    with pytest.raises(ConfigError, match="'A' requires one of no tools"):
        one.requires_any_tool([])
    with pytest.raises(ConfigError, match="'hidden' is no availability"):
        one.requires_tool("t", "hidden")  # pyright: ignore[reportArgumentType]


# --- layers ----------------------------------------------------------------------------------------


def test_later_layers_add_to_earlier_ones() -> None:
    core = PromptLayer(template=SLOT_ONLY).add(PromptContribution.guidance("A", "core"))
    turn = PromptLayer().add(PromptContribution.guidance("B", "turn"))
    assert render_prompt(resolve([core, turn]), "") == "### A\n\ncore\n\n### B\n\nturn"


def test_a_later_template_wins() -> None:
    other = PromptTemplate([Section.titled("Other", [Entry.text("x")])])
    assert render_prompt(resolve([PromptLayer(template=SLOT_ONLY), PromptLayer(template=other)]), "") == "## Other\n\nx"


def test_a_slot_that_is_replaced_loses_what_earlier_layers_put_there() -> None:
    core = PromptLayer(template=SLOT_ONLY).add(PromptContribution.guidance("A", "core"))
    session = PromptLayer().replace_slot(GUIDANCE, [PromptContribution.guidance("B", "session")])
    turn = PromptLayer().add(PromptContribution.guidance("C", "turn"))
    assert render_prompt(resolve([core, session, turn]), "") == "### B\n\nsession\n\n### C\n\nturn"


def test_a_slot_that_is_cleared_is_empty_and_others_are_not() -> None:
    core = PromptLayer().add(PromptContribution.guidance("A", "core"), PromptContribution.intro("I", "intro"))
    text = render_prompt(resolve([core, PromptLayer().clear_slot(GUIDANCE)]), "")
    assert "core" not in text
    assert "intro" in text


def test_replacing_a_slot_within_a_layer_drops_what_it_added_before() -> None:
    layer = PromptLayer(template=SLOT_ONLY).add(PromptContribution.guidance("A", "a"))
    assert render_prompt(layer.replace_slot(GUIDANCE, []), "") == ""


def test_a_contribution_to_another_slot_cannot_replace_a_slot() -> None:
    with pytest.raises(ConfigError, match="'I' is for the slot `intro`, not for `guidance`"):
        PromptLayer().replace_slot(GUIDANCE, [PromptContribution.intro("I", "i")])


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "replace", "clear", "template"]), st.sampled_from(list(PromptSlot)), st.text("ab")
    ),
    max_size=5,
)


def layer_of(changes: list[tuple[str, PromptSlot, str]]) -> PromptLayer:
    layer = PromptLayer()
    for kind, slot, text in changes:
        match kind:
            case "add":
                layer = layer.add(PromptContribution(slot, text, text))
            case "replace":
                layer = layer.replace_slot(slot, [PromptContribution(slot, text, text)])
            case "clear":
                layer = layer.clear_slot(slot)
            case _:
                layer = PromptLayer(PromptTemplate([Section.titled(text, [Entry.slot(slot)])]), layer.slots)
    return layer


@given(st.lists(CHANGES, max_size=5), st.integers(0, 5))
def test_resolving_some_layers_first_changes_nothing(
    changes: list[list[tuple[str, PromptSlot, str]]], cut: int
) -> None:
    layers = [layer_of(one) for one in changes]
    whole = resolve(layers)
    assert resolve([whole]) == whole
    assert resolve([resolve(layers[:cut]), *layers[cut:]]) == whole
    assert resolve([*layers[:cut], resolve(layers[cut:])]) == whole


@given(CHANGES)
def test_a_layer_can_be_written_down_and_read_again(changes: list[tuple[str, PromptSlot, str]]) -> None:
    layer = layer_of(changes)
    assert from_json(PromptLayer, to_json(layer)) == layer


def test_a_layer_does_not_change_when_more_is_said() -> None:
    layer = PromptLayer()
    layer.add(PromptContribution.guidance("A", "a"))
    layer.clear_slot(GUIDANCE)
    assert layer == PromptLayer()


def test_a_prompt_is_rendered_anew_when_anything_of_it_changes() -> None:
    layer = PromptLayer(template=SLOT_ONLY).add(PromptContribution.guidance("A", "a").requires_tool("t"))
    assert render_prompt(layer, "", [tool("t")]) == "### A\n\na"
    assert render_prompt(layer, "", []) == ""
    builtin = PromptTemplate([Section.untitled([Entry.builtin(PromptBuiltin.EXECUTION_INSTRUCTIONS)])])
    assert [render_prompt(PromptLayer(template=builtin), text) for text in ("one", "two")] == ["one", "two"]
