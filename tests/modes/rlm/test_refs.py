"""Projected values by reference: resolved before programs run, kept by name, missed by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore
from lash.config import ModePreset
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.modes.rlm.refs import ProjectionRef, ProjectionRegistry, RefUnavailable
from lash.testing.scripted import AnyStep, ScriptedProvider
from lashlang import JsonSource, TextSource
from lashlang.projection import Projection
from tests.modes.rlm.playing import block, steps_of

TEXT = "line of text\n" * 20_000


def core_at(folder: Path, resolver: ProjectionRegistry, *steps: AnyStep, **knobs: Any) -> LashCore:
    return LashCore(
        modes=[ModePreset.rlm(projection_resolver=resolver)],
        provider=ScriptedProvider(list(steps)),
        model="m",
        max_context_tokens=1000,
        store=SqliteSessionStoreFactory(folder / "sessions"),
        attachments=FileAttachmentStore(folder / "attachments"),
        **knobs,
    )


def documents(asked: list[ProjectionRef]) -> ProjectionRegistry:
    """A registry of documents by number."""
    registry = ProjectionRegistry()

    async def resolve(ref: ProjectionRef) -> Projection:
        asked.append(ref)
        return {1: TextSource(TEXT), 2: JsonSource({"rows": [1, 2, 3]})}[ref.key]  # type: ignore[index]  # pyright: ignore

    registry.register_resolver("document", resolve)
    return registry


async def test_a_reference_is_resolved_before_the_program_runs_and_once(tmp_path: Path) -> None:
    asked: list[ProjectionRef] = []
    steps = [block("n = len(doc)"), block("submit [n, slice(doc, 0, 4), table.rows[1]]")]
    given = {"doc": ProjectionRef("document", 1), "table": ProjectionRef("document", 2)}
    async with core_at(tmp_path, documents(asked), *steps) as core, core.session("s", projected=given) as session:
        assert (await session.turn("Go.")).submitted_value() == [len(TEXT), "line", 2]
    assert sorted(str(ref.key) for ref in asked) == ["1", "2"]


async def test_a_reference_inside_a_variable_is_found_again_after_a_restart_whoever_opens_the_session(
    tmp_path: Path,
) -> None:
    asked: list[ProjectionRef] = []
    async with core_at(tmp_path, documents(asked), block("keep = [doc, table.rows]\nsubmit 1")) as core:
        async with core.session("s", projected={"table": ProjectionRef("document", 2)}) as session:
            await session.turn("Go.", projected={"doc": ProjectionRef("document", 1)})
    look = block("submit [len(keep[0]), keep[1][2]]")
    async with core_at(tmp_path, documents(asked), look) as core, core.session("s") as session:
        assert (await session.turn("Again.")).submitted_value() == [len(TEXT), 3]


async def test_a_reference_is_handed_on_by_name(tmp_path: Path) -> None:
    hand_on = block('call continue_as { task: "Go.", seed: { d: doc, r: table.rows } }')
    look = block("submit [len(d), r[0]]")
    given = {"doc": ProjectionRef("document", 1), "table": ProjectionRef("document", 2)}
    async with core_at(tmp_path, documents([]), hand_on, look) as core:
        async with core.session("s", projected=given) as session:
            assert (await session.turn("Go.")).submitted_value() == [len(TEXT), 1]
    async with core_at(tmp_path, documents([]), look) as core, core.session("s") as session:
        assert (await session.turn("Again.")).submitted_value() == [len(TEXT), 1]


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        (ProjectionRef("memory", "gone"), 'the memory "gone" is not available: it was held by another process'),
        (ProjectionRef("planet", {"n": 1}), 'the planet {"n": 1} is not available: nothing resolves references'),
        (ProjectionRef("document", 9), "the document 9 is not available: KeyError: 9"),
    ],
)
async def test_a_reference_that_nobody_resolves_fails_when_it_is_read_and_is_no_null(
    ref: ProjectionRef, told: str, tmp_path: Path
) -> None:
    steps = [block("print 1\nsubmit [doc]"), block("print 1\nsubmit len(doc)"), block("submit 2")]
    async with core_at(tmp_path, documents([]), *steps) as core, core.session("s", projected={"doc": ref}) as session:
        assert (await session.turn("Go.")).submitted_value() == 2
        for step in steps_of(session)[:2]:
            assert (step.error or "").startswith("error[projection_unavailable]: ")
            assert told in (step.error or "")
            assert step.output == ("1",)


async def test_a_value_that_a_registry_holds_is_found_as_long_as_the_registry_lives() -> None:
    registry, source = ProjectionRegistry(), TextSource("abc")
    ref = registry.register_memory(source)
    assert await registry.resolve(ref) is source
    with pytest.raises(RefUnavailable) as missing:
        await ProjectionRegistry().resolve(ref)
    assert (missing.value.kind, missing.value.key) == ("memory", ref.key)


def test_a_kind_of_reference_has_one_resolver() -> None:
    registry = documents([])
    for kind in ("document", "memory"):
        with pytest.raises(ValueError, match=kind):
            registry.register_resolver(kind, registry.resolve)


async def test_a_projector_may_put_a_lazily_read_value_in_the_place_of_a_tools(tmp_path: Path) -> None:
    @lash.tool
    async def fetch(name: str) -> str:
        """Fetch a document."""
        return name

    @lash.tool
    async def size() -> int:
        """A number."""
        return 7

    def big(tool: str, value: object) -> object:
        return TextSource(TEXT) if tool == "fetch" and value == "big" else None

    def small(tool: str, value: object) -> object:
        return "small" if tool == "fetch" else None

    code = """
docs = [(call fetch { name: "big" })?, (call fetch { name: "other" })?]
submit [len(docs[0]), slice(docs[0], 0, 4), docs[1], (call size {})?]
"""
    async with core_at(tmp_path, documents([]), block(code), tools=[fetch, size]) as core, core.session("s") as session:
        result = await session.turn("Go.", tool_result_projectors=[big, small])
        assert result.submitted_value() == [len(TEXT), "line", "small", 7]
