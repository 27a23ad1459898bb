"""Tool documentation in the system prompt."""

from __future__ import annotations

from dataclasses import replace

from lash.modes.rlm.prompt.tools import tool_doc, tools_contribution
from lash.runtime.sansio.prompt import PromptSlot
from lash.runtime.sansio.tools import ToolSpec
from tests.modes.rlm.sample import SEARCH

PLAIN = ToolSpec("now", "The time.", {"type": "object", "properties": {}, "additionalProperties": False})


def content(*specs: ToolSpec, discovery_tool: str | None = None) -> str:
    contribution = tools_contribution(specs, discovery_tool=discovery_tool)
    return "" if contribution is None else contribution.content


def test_a_tool_is_shown_as_the_call_that_a_program_writes() -> None:
    assert tool_doc(SEARCH) == (
        "### call search_docs { query: str, limit?: int >= 1 = 10 } -> list[{ id: str, score: float }]\n"
        "Find pages by their words.\n"
        "Parameters:\n"
        "- `query: str` — Words to look for.\n"
        "- `limit?: int`\n"
        "Return fields:\n"
        "- `[].id: str`\n"
        "- `[].score: float` — 0 to 1.\n"
        'Examples: (call search_docs { query: "tea" })?; call search_docs { query: q, limit: 3 }'
    )


def test_parts_that_a_tool_does_not_have_are_left_out() -> None:
    assert tool_doc(PLAIN) == "### call now {} -> any\nThe time."


def test_a_tool_whose_result_type_is_an_argument_shows_it() -> None:
    schema = {"type": "object", "properties": {"task": {"type": "string"}, "output": {}}, "required": ["task"]}
    tool = ToolSpec("ask_model", "", schema, {"type": "string"}, result_type_field="output")  # pyright: ignore[reportArgumentType]
    assert tool_doc(tool).startswith("### call ask_model<T = str> { task: str, output?: TypeSpec<T> } -> T")


def test_tools_stand_in_the_order_of_the_surface() -> None:
    text = content(SEARCH, PLAIN)
    assert text.index("call search_docs") < text.index("call now")
    assert content(PLAIN, SEARCH).index("call now") < content(PLAIN, SEARCH).index("call search_docs")


def test_only_showcased_tools_are_documented() -> None:
    hidden = [replace(PLAIN, name=level, availability=level) for level in ("callable", "searchable")]
    assert content(SEARCH, *hidden) == content(SEARCH)


def test_omitted_tools_are_counted_where_a_tool_can_find_them() -> None:
    hidden = [replace(PLAIN, name=f"t{n}", availability="callable") for n in range(3)]
    text = content(SEARCH, *hidden, discovery_tool="find_tools")
    assert "3 more tools are omitted" in text
    assert "`find_tools`" in text
    assert "call t0" not in text
    assert "omitted" not in content(SEARCH, discovery_tool="find_tools")


def test_notes_follow_the_tools() -> None:
    contribution = tools_contribution([PLAIN], ["  Depth: 1/5. ", ""])
    assert contribution is not None
    assert contribution.title == "Tools"
    assert contribution.slot is PromptSlot.EXECUTION
    assert contribution.content.endswith("The time.\n\nDepth: 1/5.")


def test_without_tools_there_is_nothing_to_say() -> None:
    assert tools_contribution([]) is None
