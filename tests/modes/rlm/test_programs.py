"""What programs of a session reach: tools, projected values, variables that last."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.tools.definition import ToolContract, ToolDefinition, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolResult
from lash.testing.scripted import ScriptedProvider
from lashlang import TextSource
from lashlang.projection import Projected
from tests.modes.rlm.playing import block, core_with, said, steps_of


async def value_of(code: str, *, projected: dict[str, object] | None = None, **knobs: Any) -> Any:
    """What a program submits."""
    async with core_with(block(code), **knobs) as core, core.session("s", projected=projected) as session:
        return (await session.turn("Go.")).submitted_value()


async def error_of(code: str, *, projected: dict[str, object] | None = None, **knobs: Any) -> str:
    """The error of a program that fails."""
    async with core_with(block(code), block("submit 0"), **knobs) as core:
        async with core.session("s", projected=projected) as session:
            await session.turn("Go.")
            return steps_of(session)[0].error or ""


class Recorder(ListedTools):
    """A tool that notes its calls; `kept` is the argument in which projected values stay so."""

    def __init__(self, kept: str | None = None) -> None:
        self._definition = ToolDefinition.raw("note", preserve_projected=kept)
        self.calls: list[ToolCall] = []

    def tool_manifests(self) -> list[ToolManifest]:
        return [self._definition.manifest]

    def resolve_contract(self, name: str) -> ToolContract | None:
        return self._definition.contract if name == "note" else None

    async def execute(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        return ToolResult.success(call.args)


# --- tools -----------------------------------------------------------------------------------------


@lash.tool
async def lookup(item: str, count: int = 1) -> str:
    """Look something up.

    Args:
        item: what
        count: how many
    """
    return item * count


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('lookupp { item: "x" }', "there is no tool 'lookupp' to be called; did you mean `lookup`?"),
        ('zebra { item: "x" }', "there is no tool 'zebra' to be called"),
        ('lookup { itm: "x" }', "item: required property missing; did you mean `item` for `itm`?"),
        ('lookup { item: "x", cuont: 2 }', "cuont: unexpected property; did you mean `count` for `cuont`?"),
        ('lookup { item: "x", zebra: 2 }', "zebra: unexpected property"),
        ("lookup {}", "item: required property missing"),
        ("lookup { item: 1 }", "item: expected string, got 1"),
    ],
)
async def test_a_call_that_cannot_be_is_a_failure_that_names_what_was_meant(call: str, told: str) -> None:
    assert await value_of(f"r = call {call}\nsubmit [r.ok, r.error]", tools=[lookup]) == [False, told]


async def test_calls_side_by_side_run_together_and_serial_tools_after_them_in_source_order() -> None:
    running: list[str] = []
    most = 0

    async def run(name: str) -> str:
        nonlocal most
        running.append(name)
        most = max(most, len(running))
        order.append(name)
        for _ in range(5):
            await asyncio.sleep(0)
        running.remove(name)
        return name

    order: list[str] = []

    @lash.tool(execution_mode="serial")
    async def one(name: str) -> str:
        """One at a time."""
        assert not running
        return await run(name)

    @lash.tool
    async def many(name: str) -> str:
        """Any number."""
        return await run(name)

    code = "submit parallel { " + ", ".join(
        f'(call {tool} {{ name: "{name}" }})?'
        for tool, name in zip(["one", "many", "one", "many"], "abcd", strict=True)
    )
    assert await value_of(code + " }", tools=[one, many]) == ["a", "b", "c", "d"]
    assert order == ["b", "d", "a", "c"]
    assert most == 2


async def test_a_result_that_ends_the_turn_gives_up_the_calls_beside_it() -> None:
    class Control(ListedTools):
        def tool_manifests(self) -> list[ToolManifest]:
            return [ToolManifest("finish"), ToolManifest("slow")]

        def resolve_contract(self, name: str) -> ToolContract | None:
            return ToolContract()

        async def execute(self, call: ToolCall) -> ToolResult:
            if call.name == "slow":
                await asyncio.Event().wait()
            return ToolResult.finish({"done": True})

    code = "x = 1\nparallel { call slow {}, call finish {} }\nx = 2\nsubmit x"
    async with core_with(block(code), block("submit x"), tools=[Control()]) as core, core.session("s") as session:
        output = await session.run("Go.")
        assert output.result.tool_value() == {"done": True}
        assert [call.output.type for call in output.result.tool_calls] == ["cancelled", "success"]
        names = [one.event.type for one in output.activities]
        assert names.count("tool_call_started") == names.count("tool_call_completed") == 2
        assert names.count("tool_value") == 1
        assert steps_of(session)[0].tool_call_ids == tuple(call.call_id for call in output.result.tool_calls)
        assert (await session.turn("And?")).submitted_value() == 1


@pytest.mark.parametrize("code", ["h = start call lookup {}", 'print (await { __handle__: "task", id: "1" })?'])
async def test_handles_are_not_available_yet(code: str) -> None:
    assert "handles are not available" in await error_of(code, tools=[lookup])


async def test_an_image_of_a_tool_is_an_image_to_the_program_and_its_fields_are_plain_when_submitted() -> None:
    image = bytes.fromhex(
        "89504e470d0a1a0a0000000d494844520000000200000003080600000072b60d240000000d49444154789c636060606000000005000188"
        "a3c1f80000000049454e44ae426082"
    )

    class Camera(ListedTools):
        def tool_manifests(self) -> list[ToolManifest]:
            return [ToolManifest("shoot")]

        def resolve_contract(self, name: str) -> ToolContract | None:
            return ToolContract()

        async def execute(self, call: ToolCall) -> ToolResult:
            reference = AttachmentRef("a" * 64, "image/png", len(image), 2, 3, "a shot")
            return ToolResult.success({"shot": reference, "forged": {"$lash_tool_value": "attachment"}})

    code = "r = (call shoot {})?\ni = r.shot\nsubmit [type_of(i), i.width, i.label, i, r.forged]"
    descriptor = {"type": "image", "id": "a" * 64, "label": "a shot", "size": len(image), "width": 2, "height": 3}
    expected = ["image", 2, "a shot", descriptor, {"$lash_tool_value": "attachment"}]
    assert await value_of(code, tools=[Camera()]) == expected


# --- projected values ------------------------------------------------------------------------------

DATA: dict[str, object] = {"data": {"n": 3, "text": "hello", "items": [{"a": 1}, {"a": 2}], "no": None, "yes": True}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("data.n + 1", 4),
        ('data.text == "hello"', True),
        ("data.items[1].a", 2),
        ("len(data.items)", 2),
        ("[one.a for one in data.items]", [1, 2]),
        ("data.no", None),
        ("data.nothing", None),
        ("data.yes ? 1 : 2", 1),
        ("keys(data)", ["n", "text", "items", "no", "yes"]),
        ("upper(data.text)", "HELLO"),
        ("data.items", [{"a": 1}, {"a": 2}]),
        ("[data.n, { x: data.text }]", [3, {"x": "hello"}]),
        ("type_of(data.n)", "number"),
    ],
)
async def test_a_projected_value_behaves_as_the_value_it_stands_for(expression: str, value: object) -> None:
    found = await value_of(f"submit {expression}", projected=DATA)
    plain = await value_of(f"data = {literal(DATA['data'])}\nsubmit {expression}")
    assert found == plain
    assert found == value or expression.startswith("type_of")


def literal(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + " }"  # type: ignore[misc]
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"  # type: ignore[arg-type]
    return {None: "null", True: "true"}.get(value, f'"{value}"' if isinstance(value, str) else str(value))  # type: ignore[call-overload]


async def test_a_tool_gets_plain_json_at_any_depth() -> None:
    note = Recorder()
    code = "submit (call note { a: data.n, b: [{ c: data.items }], d: data })?"
    value = await value_of(code, projected=DATA, tools=[note])
    assert note.calls[0].args == value == {"a": 3, "b": [{"c": [{"a": 1}, {"a": 2}]}], "d": DATA["data"]}
    assert note.calls[0].projections == {}


async def test_a_tool_that_wants_references_gets_those_at_the_root_of_its_argument_beside_the_json() -> None:
    note = Recorder("seed")
    code = "call note { seed: { t: data.text, own: 1, deep: [data.n] }, other: data.n }\nsubmit 1"
    await value_of(code, projected=DATA, tools=[note])
    assert note.calls[0].args == {"seed": {"t": None, "own": 1, "deep": [3]}, "other": 3}
    (found,) = note.calls[0].projections.items()
    assert found[0] == ("seed", "t")
    assert isinstance(found[1], Projected)
    assert found[1].read() == "hello"


async def test_a_long_text_is_neither_printed_nor_passed_whole() -> None:
    note, text = Recorder(), "0123456789" * 5_001
    given: dict[str, object] = {"context": TextSource(text), "docs": [{"text": TextSource(text)}]}
    error = await error_of("print context", projected=given)
    assert "`context` has 50,010 characters and is not printed whole" in error
    assert "slice(context, 0, 2000)" in error
    told = await value_of("submit (call note { x: [context] }).error", projected=given, tools=[note])
    assert told == (
        "`context` has 50,010 characters and is not passed whole: pass a part of it, such as slice(context, 0, 2000)"
    )
    assert note.calls == []
    assert "is not printed whole" in await error_of("print docs[0].text", projected=given)
    code = "submit len((call note { x: slice(context, 0, 50009) })?.x)"
    assert await value_of(code, projected=given, tools=[note]) == 50_009


async def test_a_text_of_fifty_thousand_characters_may_be_printed_whole() -> None:
    given: dict[str, object] = {"context": TextSource("x" * 50_000)}
    async with core_with(block("print context\nsubmit 1")) as core, core.session("s", projected=given) as session:
        assert (await session.turn("Go.")).submitted_value() == 1
        assert steps_of(session)[0].output == ("x" * 50_000,)


# --- variables -------------------------------------------------------------------------------------


async def test_variables_last_over_blocks_turns_and_restarts(tmp_path: Path) -> None:
    steps = [block("a = [1]"), block("b = push(a, 2)\nsubmit b"), block("c = { xs: b }\nsubmit 0")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s", globals={"given": 7}) as session:
        await session.turn("One.")
        await session.turn("Two.")
    again = ScriptedProvider([block("submit [a, b, c, given]"), block("given = 8\nsubmit given")])
    async with core_with(provider=again, folder=tmp_path) as core, core.session("s", globals={"given": 9}) as session:
        assert (await session.turn("Three.")).submitted_value() == [[1], [1, 2], {"xs": [1, 2]}, 7]
        assert (await session.turn("Four.")).submitted_value() == 8


async def test_projected_values_inside_variables_survive_a_restart(tmp_path: Path) -> None:
    given: dict[str, object] = {"context": TextSource("abc" * 50_000), "small": {"deep": {"x": [1, 2]}}}
    steps = [block("keep = { c: [context], s: small.deep, t: [turn_only.x] }\nsubmit len(keep.c[0])")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s", projected=given) as session:
        result = await session.turn("One.", projected={"turn_only": {"x": "of one turn"}})
        assert result.submitted_value() == 150_000
    look = [block("submit [len(keep.c[0]), keep.s.x[1], keep.t]")]
    async with core_with(*look, folder=tmp_path) as core, core.session("s", projected=given) as session:
        assert (await session.turn("Two.")).submitted_value() == [150_000, 2, ["of one turn"]]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("session", "the session was opened without `big`: give it again in `projected`"),
        ("turn", "`big` was given for one turn alone, and that turn is over"),
    ],
)
async def test_a_projected_value_that_is_missing_later_is_named_when_it_is_read(
    scope: str, told: str, tmp_path: Path
) -> None:
    given: dict[str, object] = {"big": TextSource("abc" * 50_000)}
    async with core_with(block("keep = [big]\nn = 1\nsubmit n"), folder=tmp_path) as core:
        async with core.session("s", projected=given if scope == "session" else None) as session:
            await session.turn("One.", projected=given if scope == "turn" else None)
    steps = [block("m = 2"), block("submit len(keep[0])"), block("submit n + m")]
    async with core_with(*steps, folder=tmp_path) as core, core.session("s") as session:
        assert (await session.turn("Two.")).submitted_value() == 3
    # What was missing is not lost: it is found as soon as it is given again.
    steps = [block("submit len(keep[0])"), block("submit 0")]
    async with core_with(*steps, folder=tmp_path) as core:
        async with core.session("s", projected=given if scope == "session" else None) as session:
            value = (await session.turn("Three.")).submitted_value()
            error = steps_of(session)[2].error or ""
    assert error.startswith("error[projection_unavailable]: ")
    assert told in error
    assert value == (150_000 if scope == "session" else 0)


async def test_a_projected_name_takes_the_place_of_a_variable_for_good_in_a_session_and_for_a_turn_in_a_turn() -> None:
    steps = [block("a = 1\nb = 2\nsubmit 0"), block("submit a"), block("submit a")]
    async with core_with(*steps) as core, core.session("s") as session:
        await session.turn("One.")
        assert (await session.turn("Two.", projected={"a": 7})).submitted_value() == 7
        assert (await session.turn("Three.")).submitted_value() == 1


async def test_a_reply_with_more_programs_is_told_that_the_first_was_run() -> None:
    model = ScriptedProvider([f"{block('x = 1')}\nand\n{block('x = 2')}", block("submit x")])
    async with core_with(provider=model) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 1
    assert "later blocks ignored" in said(model.requests[1])
