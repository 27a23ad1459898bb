"""The session graph, its read side, the hash of a commit, and the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.errors import DuplicateNode, SessionError
from lash.runtime.sansio.llm import Role
from lash.runtime.sansio.messages import Message, Part, PluginOrigin, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import GraphDelta, PersistedSessionConfig, SessionNode
from lash.runtime.session.commit import CANCELLED_RESULT, commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import ChronologicalProjection, SessionReadView
from lash.runtime.usage import Ledger, diff_usage_reports

CONFIG = PersistedSessionConfig("rlm", model="m")


def said(text: str, *, role: Role = "user", number: str = "m1", transient: bool = False) -> SessionEvent.Conversation:
    origin = PluginOrigin("p", transient=True) if transient else None
    return SessionEvent.Conversation(Message(number, role, (Part(f"{number}.p0", "text", text),), origin))


def called(number: str, value: str = "ok") -> SessionEvent.Tool:
    return SessionEvent.Tool(number, ToolCallRecord(number, "tool", {}, ToolOutput.Success(value), 7))


def texts(graph: SessionGraph) -> list[str]:
    return [e.message.text() for e in graph.active_events() if isinstance(e, SessionEvent.Conversation)]


def test_nodes_are_appended_behind_the_leaf_with_ids_of_their_turn() -> None:
    graph = SessionGraph()
    first, second = graph.append([said("a"), said("b")], "t1", 5)
    assert (first.node_id, first.parent_node_id, first.timestamp_ms) == ("n:t1:0", None, 5)
    assert (second.node_id, second.parent_node_id, graph.leaf) == ("n:t1:1", "n:t1:0", "n:t1:1")
    (third,) = graph.append([said("c")], "t1", 6)
    assert third.node_id == "n:t1:2"
    assert graph.delta() == GraphDelta.Append((first, second, third), "n:t1:2")
    graph.committed()
    assert graph.delta() == GraphDelta.Unchanged("n:t1:2")


def test_a_branch_leaves_the_old_nodes_as_an_orphan() -> None:
    graph = SessionGraph()
    graph.append([said("a"), said("b")], "t1", 1)
    graph.branch_to("n:t1:0")
    graph.append([said("c")], "t2", 2)
    assert texts(graph) == ["a", "c"]
    assert len(graph) == 3
    graph.branch_to(None)
    assert texts(graph) == []
    with pytest.raises(SessionError):
        graph.branch_to("nowhere")


def test_a_rewrite_keeps_the_longest_part_that_stays() -> None:
    graph = SessionGraph()
    graph.append([said("a"), said("b"), said("c")], "t1", 1)
    graph.committed()
    added = graph.rewrite([said("a"), said("x")], "t2", 2)
    assert [node.parent_node_id for node in added] == ["n:t1:0"]
    assert texts(graph) == ["a", "x"]
    assert texts(graph.fork_current_path()) == ["a", "x"]
    assert len(graph.fork_current_path()) == 2


def test_a_missing_leaf_is_healed_by_the_newest_message() -> None:
    nodes = [
        SessionNode("a", None, 1, said("a")),
        SessionNode("b", "a", 3, said("b")),
        SessionNode("c", "b", 4, called("c")),
    ]
    graph = SessionGraph(nodes, "gone")
    assert graph.leaf is None
    assert graph.heal_orphaned_leaf()
    assert graph.leaf == "b"
    assert graph.delta() == GraphDelta.ReplaceFull(tuple(nodes), "b")
    assert not SessionGraph(nodes, "c").heal_orphaned_leaf()


def test_an_id_cannot_come_twice() -> None:
    node = SessionNode("a", None, 1, said("a"))
    with pytest.raises(DuplicateNode):
        SessionGraph([node, node], "a")
    graph = SessionGraph([SessionNode("n:t:0", None, 1, said("a"))], "n:t:0")
    with pytest.raises(DuplicateNode):
        graph.append([said("b")], "t", 1)


@given(st.lists(st.tuples(st.sampled_from(["append", "branch", "fork"]), st.integers(0, 30)), max_size=30))
def test_the_active_path_is_always_the_chain_of_parents(steps: list[tuple[str, int]]) -> None:
    graph = SessionGraph()
    for number, (step, choice) in enumerate(steps):
        if step == "append":
            graph.append([said(str(i)) for i in range(choice % 3 + 1)], f"t{number}", number)
        elif step == "branch":
            ids = [None, *(node.node_id for node in graph.nodes())]
            graph.branch_to(ids[choice % len(ids)])
        else:
            graph = graph.fork_current_path()
        path = graph.active_path()
        parents = [None, *(node.node_id for node in path)][: len(path)]
        assert [node.parent_node_id for node in path] == parents
        assert graph.leaf == (path[-1].node_id if path else None)


def test_the_projection_has_each_message_and_call_once_and_no_transient_ones() -> None:
    mode = SessionEvent.Mode("rlm", {"kind": "x"})
    events: list[SessionEventRecord] = [
        said("a", number="1"),
        said("gone", number="2", transient=True),
        called("c1"),
        mode,
        said("a again", number="1"),
        called("c1", "again"),
        SessionEvent.Plugin("p", {"n": 1}),
        mode,
    ]
    projection = ChronologicalProjection.of(events)
    assert [index for index, _ in projection] == [0, 1, 2, 3]
    assert [type(item).__name__ for _, item in projection] == ["Message", "ToolCallRecord", "Mode", "Mode"]
    nodes = tuple(SessionNode(str(i), None, 0, event) for i, event in enumerate(events))
    entry = TokenLedgerEntry("turn", "m", TokenUsage(1, 2, 3, 4, 1))
    view = SessionReadView("s", CONFIG, 1, 0, nodes, (entry, entry))
    assert [message.id for message in view.messages] == ["1", "2"]
    assert [record.call_id for record in view.tool_calls] == ["c1"]
    assert view.plugin_nodes("p") == [{"n": 1}]
    assert view.token_usage == TokenUsage(2, 4, 6, 8, 2)
    assert view.token_usage.total() == 20


async def hashed(
    events: list[SessionEventRecord],
    config: PersistedSessionConfig = CONFIG,
    usage: tuple[TokenLedgerEntry, ...] = (),
    successor: str | None = None,
) -> str:
    return await commit_hash(config=config, events=events, turn_state={}, usage=usage, successor_session_id=successor)


async def test_the_hash_of_a_commit_leaves_out_what_a_re_driven_turn_makes_anew() -> None:
    event = called("c1")
    slower = SessionEvent.Tool("c1", replace(event.record, duration_ms=9_999))
    step = SessionEvent.Mode("rlm", {"kind": "trajectory", "duration_ms": 3, "code": "x"})
    later = SessionEvent.Mode("rlm", {"kind": "trajectory", "duration_ms": 4, "code": "x"})
    one = await hashed([said("a", number="m1"), event, step])
    assert one == await hashed([said("a", number="m7"), slower, later])
    assert one != await hashed([said("b", number="m1"), event, step])
    assert one != await hashed([said("a"), called("c1", "other"), step])
    assert one != await hashed([said("a"), event, step], config=replace(CONFIG, model="other"))
    assert one != await hashed([said("a"), event, step], successor="h")
    assert one != await hashed([said("a"), event, step], usage=(TokenLedgerEntry("turn", "m", TokenUsage(1)),))


async def test_the_hash_of_a_commit_covers_arguments_whatever_their_names() -> None:
    def call(args: JsonValue) -> SessionEventRecord:
        return SessionEvent.Tool("c", ToolCallRecord("c", "t", args, ToolOutput.Success({"id": 1})))

    hashes = {await hashed([call({name: value})]) for name in ("id", "duration_ms", "timestamp_ms") for value in (1, 2)}
    assert len(hashes) == 6


async def test_the_hash_of_a_commit_is_that_of_its_canonical_json() -> None:
    plugin = SessionEvent.Plugin("p", {"z": "é", "a": [1.5, None]})
    message: dict[str, JsonValue] = {
        "type": "conversation",
        "message": {
            "id": "",
            "role": "user",
            "origin": None,
            "parts": [
                {
                    "id": "",
                    "kind": "text",
                    "text": "ü",
                    "attachment": None,
                    "tool_call_id": None,
                    "tool_name": None,
                    "is_error": False,
                    "response_meta": None,
                    "tool_replay": None,
                    "reasoning_replay": None,
                    "prune": {"type": "intact"},
                }
            ],
        },
    }
    config: dict[str, JsonValue] = {
        "mode": "rlm",
        "provider": None,
        "model": "m",
        "model_variant": None,
        "max_context_tokens": None,
        "max_turns": None,
        "max_turns_set": False,
        "extras": {},
    }
    whole: dict[str, JsonValue] = {
        "config": config,
        "events": [message, {"type": "plugin", "plugin_type": "p", "body": {"z": "é", "a": [1.5, None]}}],
        "inputs": [],
        "successor": "s2",
        "turn_state": {},
        "usage": [],
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert await hashed([said("ü"), plugin], successor="s2") == hashlib.sha256(text.encode()).hexdigest()


async def test_a_hashed_event_stays_as_it_was() -> None:
    step = SessionEvent.Mode("rlm", {"kind": "trajectory", "duration_ms": 3})
    call, message = called("c1"), said("a")
    await hashed([step, call, message])
    assert (step.payload["duration_ms"], call.record.duration_ms, message.message.id) == (3, 7, "m1")


async def test_the_hash_of_a_large_commit_leaves_the_loop_to_others_in_between() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await hashed([said("x" * 100_000, number=f"m{n}") for n in range(10)])
    running.cancel()
    assert turns >= 10


def with_calls(*calls: str) -> SessionEvent.Conversation:
    parts = tuple(Part(call, "tool_call", "{}", tool_call_id=call, tool_name="t") for call in calls)
    return SessionEvent.Conversation(Message("a" + "".join(calls), "assistant", parts))


def results(*calls: str) -> SessionEvent.Conversation:
    parts = tuple(Part(f"r{call}", "tool_result", "done", tool_call_id=call) for call in calls)
    return SessionEvent.Conversation(Message("r" + "".join(calls), "user", parts))


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([said("a")], [None]),
        ([with_calls("1", "2"), results("1", "2")], [None, None]),
        ([with_calls("1", "2")], [None, ["1", "2"]]),
        ([with_calls("1", "2"), results("1")], [None, None, ["2"]]),
        ([with_calls("1"), said("next")], [None, ["1"], None]),
        ([with_calls("1"), results("1"), with_calls("2"), called("x")], [None, None, None, None, ["2"]]),
    ],
)
def test_every_native_call_gets_a_result(events: list[SessionEventRecord], wanted: list[list[str] | None]) -> None:
    safe = resume_safe(events, "fix")
    made: list[list[str] | None] = []
    for event in safe:
        if isinstance(event, SessionEvent.Conversation) and event.message.id == "fix":
            made.append([str(part.tool_call_id) for part in event.message.parts])
        else:
            made.append(None)
    assert made == wanted
    assert [event for event, calls in zip(safe, made, strict=True) if calls is None] == events
    for event, calls in zip(safe, made, strict=True):
        if calls is not None:
            assert isinstance(event, SessionEvent.Conversation)
            assert {part.text for part in event.message.parts} == {CANCELLED_RESULT}
    assert resume_safe(safe, "fix") == safe


def test_the_ledger_counts_every_token_once_by_source_and_model() -> None:
    before = Ledger([TokenLedgerEntry("turn", "a", TokenUsage(10, 5, 3, 2, 1))]).report()
    ledger = Ledger([TokenLedgerEntry("turn", "a", TokenUsage(10, 5, 3, 2, 1))])
    ledger.book(TokenLedgerEntry("turn", "b", TokenUsage(1, 1)))
    ledger.book(TokenLedgerEntry("llm_query", "b", TokenUsage(2, 2)))
    ledger.book(TokenLedgerEntry("llm_query", "b", TokenUsage(2, 2)))
    report = ledger.report()
    assert (report.entry_count, report.usage.total_tokens) == (4, 30)
    assert report.by_source["turn"].total_tokens == 22
    assert report.by_model["b"].total_tokens == 10
    assert report.by_source_model["llm_query", "b"].output_tokens == 4
    assert ledger.of_source("llm_query") == TokenUsage(4, 4)
    change = diff_usage_reports(before, report)
    assert (change.entry_count, change.usage.total_tokens, set(change.by_model)) == (3, 10, {"b"})
    with pytest.raises(ValueError, match="fewer"):
        diff_usage_reports(report, before)
