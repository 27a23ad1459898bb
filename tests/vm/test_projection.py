"""Projected values: equal to the value they stand for, and read no more than needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lashlang
from lashlang import Answers, JsonSource, Machine, Projected, TextSource

TEXT = "First line\r\nsecond, with ünïcödé 😀\n\nthird line\n" * 3
DATA: dict[str, Any] = {
    "users": [{"name": "Ann", "tags": ["a", "b"], "age": 31}, {"name": "Bob", "tags": [], "age": None}],
    "wrapper": {"ok": False, "error": "no"},
    "empty": {},
    "pi": 3.25,
    "long": "x" * 500,
}

OVER_TEXT = [
    "len(p)",
    "empty(p)",
    "p == to_string(p)",
    "p[0]",
    "p[-2]",
    "p[9999]",
    'p + "!"',
    'find(p, "line")',
    'find(p, "line", 20)',
    'find(p, "nope")',
    'contains(p, "😀")',
    '"third" in p',
    'grep_text(p, "line")',
    'count(p, "line")',
    'starts_with(p, "First")',
    'ends_with(p, "line\\n")',
    "split(p)",
    'split(p, "\\n")',
    'split(p, "")',
    "lines(p)",
    "trim(p)",
    "slice(p, 3)",
    "slice(p, -7, null)",
    "slice(p, 5, 2)",
    "chunk_spans(p, 20)",
    'chunk_spans(p, 20, 3, "line")',
    'chunk_spans(p, 40, 0, "paragraph")',
    "p ? 1 : 2",
    "p and 7",
    "!p",
    "upper(p)",
    'format("<{}>", p)',
    "type_of(p)",
    "[p, { k: p }]",
    "push([], p)[0]",
    "p ?? 1",
    'p < "G"',
    "json_text([p])",
    "find(p, 1, -1)",
    'grep_text(p, "")',
    'count(p, "")',
    "chunk_spans(p, 0)",
    "p.name",
    'p["x"]',
    "p[null]",
    "keys(p)",
    "sum(p)",
    "p - 1",
    "p?",
    'join(p, ",")',
    "validate(p, Type { a: int })",
]

OVER_DATA = [
    "p",
    "p.users[0].name",
    'p.users[-1]["age"]',
    "p.users[1].tags",
    "p.users[7]",
    "p.missing",
    "p.missing.deeper",
    "len(p)",
    "len(p.users)",
    "keys(p)",
    "keys(p.users[0])",
    "values(p.users[0])",
    '"pi" in p',
    '"ap" in p',
    "p.empty ? 1 : 2",
    "p.users ? 1 : 2",
    "p.pi + 1",
    'p.long + "y"',
    "[u.name for u in p.users]",
    "[k for k, v in p]",
    "p.wrapper.error",
    "p.wrapper.other",
    "p.wrapper?",
    "p == { a: 1 }",
    "p.users == p.users",
    "p.users[0].name.x",
    "p.users.name",
    'p.users["0"]',
    "p.users[1.5]",
    "p.users[null]",
    "p.pi.x",
    "type_of(p.users)",
    "json_text(p)",
    "merge(p, { a: 1 })",
    'sort_by(p.users, "name")',
    "[p.users, p.pi]",
    "len(p.pi)",
    "validate(p.users[0], Type { name: str, age: int })",
]


def echo(doc: Any) -> Any:
    return doc


def echo_v(v: Any) -> Any:
    return v


def result(outcome: lashlang.Outcome) -> tuple[Any, ...]:
    """Value, or kind and message of the error: what a lazily read value shares with the value itself."""
    error = outcome.error
    return (outcome.value,) if error is None else (error.kind, error.message, error.line)


@pytest.mark.parametrize("expression", OVER_TEXT)
def test_an_operation_on_projected_text_gives_what_it_gives_on_the_text(expression: str) -> None:
    machine = Machine()
    inline = machine.run(f"submit {expression}", projected={"p": TEXT})
    lazy = machine.run(f"submit {expression}", projected={"p": TextSource(TEXT)})
    assert result(lazy) == result(inline)


@pytest.mark.parametrize("expression", OVER_DATA)
def test_an_operation_on_projected_data_gives_what_it_gives_on_the_data(expression: str) -> None:
    machine = Machine()
    inline = machine.run(f"submit {expression}", projected={"p": DATA})
    lazy = machine.run(f"submit {expression}", projected={"p": JsonSource(DATA)})
    assert result(lazy) == result(inline)


class Watched(Answers):
    """A text that notes what it is asked."""

    answered = frozenset({"whole", "len", "find"})

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[str] = []

    def answer(self, target: Projected, question: str, args: Sequence[Any]) -> Any:
        self.asked.append(question)
        return super().answer(target, question, args)

    def whole(self) -> str:
        return self.text

    def len(self) -> int:
        return len(self.text)

    def find(self, needle: str, start: int = 0) -> int | None:
        at = self.text.find(needle, start)
        return None if at < 0 else at


def test_what_the_source_answers_needs_no_reading_of_the_whole() -> None:
    source = Watched("hello world")
    done = Machine().run('submit [len(p), find(p, "wor")]', projected={"p": source})
    assert done.value == [11, 6]
    assert source.asked == ["len", "find"]


def test_what_the_source_does_not_answer_is_computed_from_the_whole() -> None:
    source = Watched("hello")
    assert Machine().run("submit upper(p)", projected={"p": source}).value == "HELLO"
    assert source.asked[-1] == "whole"


def test_a_large_text_stays_outside_the_machine() -> None:
    text = "some words on a line\n" * 500_000 + "the needle\n"
    machine = Machine(lashlang.Limits(memory=4 << 20))
    done = machine.run(
        'at = find(doc, "needle")\nsubmit [len(doc), slice(doc, at, at + 6), len(grep_text(doc, "needle")), doc[at]]',
        projected={"doc": TextSource(text)},
    )
    assert done.value == [len(text), "needle", 1, "n"]
    assert machine.heap_used < 1 << 20


def test_a_source_that_fails_makes_the_value_unavailable(tmp_path: Path) -> None:
    done = Machine().run("submit len(doc)", projected={"doc": TextSource.from_file(tmp_path / "none.txt")})
    assert done.error is not None
    assert done.error.kind == "projection_unavailable"
    assert "doc" in done.error.message
    assert "none.txt" in done.error.message


def test_a_source_that_answers_no_value_makes_the_value_unavailable() -> None:
    done = Machine().run("submit p + 1", projected={"p": JsonSource({"k": {1, 2}})})
    assert done.error is not None
    assert done.error.kind == "projection_unavailable"
    assert "set is not a JSON value" in done.error.message


def test_tools_get_the_value_not_the_projection() -> None:
    seen: list[Any] = []

    def tool(doc: Any, part: Any) -> None:
        seen.append((doc, part))

    projected = {"p": JsonSource(DATA)}
    machine = Machine()
    machine.run("call t { doc: [p], part: p.users[0] }", tools={"t": tool}, projected=projected)
    asyncio.run(machine.run_async("call t { doc: [p], part: p.users[0] }", tools={"t": tool}, projected=projected))
    assert seen == [([DATA], DATA["users"][0])] * 2


async def test_a_host_that_keeps_projections_gets_them_as_they_are() -> None:
    class Host:
        keeps_projections = True

        async def call(self, name: str, args: dict[str, Any]) -> Any:
            seen.append(args)
            return args["whole"].read()["pi"]

    seen: list[dict[str, Any]] = []
    source = JsonSource(DATA)
    with Machine() as machine:
        code = "submit (call t { whole: p, plain: p.pi + 1 })?"
        outcome = await machine.run_async(code, host=Host(), projected={"p": source})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert outcome.value == 3.25
    (args,) = seen
    assert args["whole"] == Projected("p", source)
    assert args["plain"] == 4.25


def test_a_projection_that_cannot_be_read_fails_the_call() -> None:
    done = Machine().run(
        "submit call t { doc: p }",
        tools={"t": echo},
        projected={"p": TextSource.from_file("/nonexistent/x")},
    )
    assert done.value["ok"] is False
    assert "/nonexistent/x" in done.value["error"]


def test_a_tool_may_return_a_projection() -> None:
    machine = Machine()
    tools = {"open": lambda: {"doc": Projected("doc", TextSource("lazy text"))}}
    assert machine.run('r = (call open {})?\nsubmit [len(r.doc), find(r.doc, "text")]', tools=tools).value == [9, 5]
    assert machine.run("submit r.doc").value == "lazy text"


def test_a_record_that_looks_like_a_projection_is_plain_data() -> None:
    marker = {"__projected__": True, "ref": 0, "name": "p"}
    done = Machine().run("submit (call t { v: p })?", tools={"t": echo_v}, projected={"p": marker})
    assert done.value == marker


def test_projected_names_are_read_only() -> None:
    done = Machine().run("x = 1\np = 2", projected={"p": 1})
    assert done.error is not None
    assert (done.error.kind, done.error.line, done.error.hint is not None) == ("read_only", 2, True)


def test_a_projected_name_hides_the_state_for_one_block() -> None:
    machine = Machine()
    machine.globals["p"] = "kept"
    assert machine.run("submit p", projected={"p": "hidden"}).value == "hidden"
    assert machine.run("submit p").value == "kept"


def test_a_projected_value_that_is_no_value_is_refused() -> None:
    machine = Machine()
    with pytest.raises(lashlang.HostValueError, match=r"\$\.p: set"):
        machine.run("submit p", projected={"p": {1}})
    with pytest.raises(lashlang.HostValueError, match=r"\$\.p: a record key"):
        machine.run("submit p", projected={"p": {1: 1}})
    with pytest.raises(ValueError, match="name"):
        machine.run("submit p", projected={"not a name": 1})
    assert machine.run("submit 1").value == 1


def test_the_data_of_the_tests_is_json() -> None:
    assert json.loads(json.dumps(DATA)) == DATA
