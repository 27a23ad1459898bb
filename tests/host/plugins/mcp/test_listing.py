"""Tools of a listing: names, manifests, and what is left out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.plugins.mcp.listing import Listing, take, tool_name
from lash.host.plugins.mcp.schemas import Verdicts
from lash.plugins import McpServerConfig
from lash.runtime.tools.definition import NAME, ToolRetryPolicy

OBJECT = {"type": "object"}


def listing(
    *tools: dict[str, Any] | str,
    server: str = "docs",
    bounds: McpBounds | None = None,
    named: dict[str, str] | None = None,
    **options: Any,
) -> Listing:
    listed = [{"name": one, "inputSchema": OBJECT} if isinstance(one, str) else one for one in tools]
    config = McpServerConfig.stdio("x", **options)
    return asyncio.run(take(server, config, listed, bounds or McpBounds(), Verdicts(), named))


def listed_names(*tools: str, **options: Any) -> list[str]:
    return [tool.manifest.name for tool in listing(*tools, **options).tools]


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("docs", "search-docs", "mcp__docs__search_docs"),
        ("My Docs", "Search  Docs!", "mcp__my_docs__search_docs"),
        ("docs", "__init__", "mcp__docs__init"),
        ("docs", "検索", "mcp__docs__tool"),
        ("🙂", "a.b/c", "mcp__tool__a_b_c"),
        ("docs", "x" * 80, f"mcp__docs__{'x' * 44}_1a73f8bc"),
    ],
)
def test_names_are_made_of_server_and_tool(server: str, tool: str, name: str) -> None:
    made = tool_name(server, tool)
    assert made[:56] == name[:56]
    assert len(made) == len(name)


def test_colliding_names_are_numbered_in_the_order_of_the_listing() -> None:
    assert listed_names("a-b", "a_b", "A B") == ["mcp__docs__a_b", "mcp__docs__a_b_2", "mcp__docs__a_b_3"]


def test_a_tool_keeps_its_name_whatever_is_listed_before_it_later() -> None:
    before = {tool.original: tool.manifest.name for tool in listing("a-b", "a_b").tools}
    assert listed_names("a_b", "A B", "a-b", named=before) == ["mcp__docs__a_b_2", "mcp__docs__a_b_3", "mcp__docs__a_b"]
    assert listed_names("a_b", "A B", named=before) == ["mcp__docs__a_b_2", "mcp__docs__a_b_3"]


@given(st.lists(st.text(min_size=1, max_size=100).filter(str.strip), max_size=20, unique=True), st.text(max_size=48))
def test_names_can_be_used_by_every_provider_and_differ(originals: list[str], server: str) -> None:
    names = listed_names(*originals, server=server)
    assert len(names) == len(set(names)) == len(originals)
    assert all(NAME.fullmatch(name) for name in names)


def test_long_names_that_begin_alike_differ_by_what_was_cut() -> None:
    names = listed_names(*(f"{'x' * 80}{end}" for end in "abc"))
    assert len(set(names)) == 3
    assert {len(name) for name in names} == {64}


def test_a_manifest_says_what_the_server_said() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "integer", "x-own": 1}, "a": {}}, "$comment": "kept"}
    tool = {"name": "Get It", "description": " Gets it. ", "inputSchema": schema, "outputSchema": OBJECT}
    (taken,) = listing(tool).tools
    assert json.dumps(taken.contract.input_schema) == json.dumps(schema)
    assert taken.contract.output_schema == OBJECT
    assert (taken.original, taken.manifest.aliases, taken.manifest.namespace) == ("Get It", ("Get It",), "docs")
    assert taken.manifest.description == "[MCP docs] Gets it."
    assert (taken.manifest.mutates, taken.manifest.execution_mode) == (None, "parallel")
    assert taken.manifest.timeout_ms == 605_000


def test_a_tool_without_description_gets_one() -> None:
    assert listing("a").tools[0].manifest.description == "MCP tool from server docs"


@pytest.mark.parametrize(
    ("hints", "retries"),
    [
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False, "destructiveHint": False}, False),
        ({"readOnlyHint": "yes"}, False),
        ("none", False),
    ],
)
def test_only_tools_that_may_be_repeated_are(hints: Any, retries: bool) -> None:
    (taken,) = listing({"name": "a", "inputSchema": OBJECT, "annotations": hints}).tools
    expected = ToolRetryPolicy.safe(2, 250, 1000) if retries else ToolRetryPolicy.never()
    assert taken.manifest.retry_policy == expected


def test_a_server_that_says_a_tool_changes_nothing_is_not_believed_for_more_than_a_second_try() -> None:
    (taken,) = listing({"name": "a", "inputSchema": OBJECT, "annotations": {"readOnlyHint": True}}).tools
    assert taken.manifest.mutates is None


def test_options_are_about_the_servers_names() -> None:
    found = listing(
        "read", "write", "drop", "other", serial_tools=["write"], needs_approval=["w*", "d*"], exclude=["other"]
    )
    manifests = {tool.original: tool.manifest for tool in found.tools}
    assert list(manifests) == ["read", "write", "drop"]
    assert [name for name, one in manifests.items() if one.execution_mode == "serial"] == ["write"]
    assert [name for name, one in manifests.items() if one.needs_approval] == ["write", "drop"]


def test_a_description_has_no_control_characters_and_an_end() -> None:
    said = "a\x00b\x1b[31mc\u202ed\u2066e\nf\tg" + "h" * 10_000
    description = listing({"name": "a", "inputSchema": OBJECT, "description": said}).tools[0].manifest.description
    assert description.startswith("[MCP docs] ab[31mcde\nf\tgh")
    assert description.endswith("h…")
    assert len(description) < 4100


def with_a(schema: dict[str, Any], **defs: Any) -> dict[str, Any]:
    """A tool whose argument `a` has this schema."""
    return {"inputSchema": {"type": "object", "properties": {"a": schema}, "$defs": defs}}


REF = {"$ref": "#/$defs/a0"}
DOUBLING = {f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(40)}

LEFT_OUT: list[tuple[dict[str, Any], str]] = [
    (with_a(REF), "does not fit"),
    (with_a({"$ref": "http://127.0.0.1:9/x"}), "nothing is fetched"),
    (with_a({"$ref": "a0"}, a0={"$id": "a0"}), "nothing is fetched"),
    (with_a(REF, a0={"$id": "http://h/x"}), "ids of their own"),
    (with_a(REF, a0=REF), "refers to itself without end"),
    (with_a(REF, a0={"anyOf": [{"$ref": "#/$defs/b"}]}, b=REF), "refers to itself without end"),
    (with_a(REF, **DOUBLING), "makes more than 1000 steps"),
    (with_a({"$ref": "#x"}, a={"$anchor": "x", "allOf": [{"$ref": "#x"}]}), "refers to itself without end"),
    ({"inputSchema": None}, "describes no object"),
    ({"inputSchema": {}}, "describes no object"),
    ({"inputSchema": []}, "is no object"),
    ({"inputSchema": {"type": "object", "required": "a"}}, "does not fit"),
    ({"inputSchema": {"type": "object", "properties": {"a": {"minimum": float("inf")}}}}, "no JSON"),
    ({"inputSchema": OBJECT, "outputSchema": "text"}, "is no object"),
    ({"inputSchema": {"type": "object", "description": "x" * 70_000}}, "the limit is 64"),
]


@pytest.mark.parametrize(("tool", "reason"), LEFT_OUT, ids=[str(case[0])[:60] for case in LEFT_OUT])
def test_a_tool_with_a_schema_that_is_none_is_left_out_alone(tool: dict[str, Any], reason: str) -> None:
    found = listing({"name": "bad", **tool}, "good")
    assert [one.original for one in found.tools] == ["good"]
    assert found.left_out[0][0] == "bad"
    assert reason in found.left_out[0][1]


def test_schemas_that_refer_to_themselves_below_are_taken() -> None:
    tree = {"type": "object", "properties": {"next": REF, "all": {"type": "array", "items": REF}}}
    named = {"$anchor": "x", "type": "object", "properties": {"next": {"$ref": "#x"}}}
    tools = [{"name": "tree", **with_a(REF, a0=tree)}, {"name": "named", **with_a({"$ref": "#x"}, x=named)}]
    assert [one.original for one in listing(*tools).tools] == ["tree", "named"]


def test_what_looks_like_a_reference_in_data_is_none() -> None:
    schema = with_a({"enum": [{"$ref": "http://h"}], "default": {"$ref": 3}})
    assert listing({"name": "a", **schema}).left_out == ()


def test_tools_beyond_the_size_of_a_listing_are_left_out() -> None:
    tools = [{"name": f"t{at}", "inputSchema": {"type": "object", "description": "x" * 900}} for at in range(20)]
    found = listing(*tools, bounds=McpBounds(listing_bytes=10_000))
    assert [one.original for one in found.tools] == [f"t{at}" for at in range(10)]
    assert len(found.left_out) == 10


def test_those_that_are_not_wanted_do_not_count() -> None:
    wanted = listing(*(f"t{at}" for at in range(50)), "mine", include=["mine"], bounds=McpBounds(tools=1))
    assert [one.original for one in wanted.tools] == ["mine"]
    assert wanted.left_out == ()


def test_a_description_tells_no_secret_of_the_servers_configuration() -> None:
    tool = {"name": "a", "inputSchema": OBJECT, "description": "Uses s3cr3t-value."}
    (made,) = listing(tool, env={"API_KEY": "s3cr3t-value"}).tools
    assert made.manifest.description == "[MCP docs] Uses [redacted]."
