"""Sources, generations, levels of availability and the surfaces made of them."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.errors import ConfigError, LashError
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.definition import Availability, ToolContract, ToolDefinition, ToolManifest, ToolRetryPolicy
from lash.runtime.tools.hooks import JoinedState
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.registry import ToolRegistry, ToolState
from lash.runtime.tools.result import ToolResult
from lash.runtime.tools.surface import SurfaceContribution


class Tools(ListedTools):
    """A provider of tools without schemas of their own; counts how often a contract is asked for."""

    def __init__(self, *names: str, **options: Any) -> None:
        self.manifests = [ToolManifest(name, **options) for name in names]
        self.contracts: list[str] = []

    def tool_manifests(self) -> list[ToolManifest]:
        return self.manifests

    def resolve_contract(self, name: str) -> ToolContract:
        self.contracts.append(name)
        return ToolContract()

    async def execute(self, call: ToolCall) -> ToolResult:
        return ToolResult.success()


def registry(*names: str, **options: Any) -> ToolRegistry:
    made = ToolRegistry()
    made.add_source([Tools(*names, **options)], "plugins")
    return made


@pytest.mark.parametrize("second", ["search", "search_docs"])
def test_a_name_of_another_source_is_refused_and_nothing_changes(second: str) -> None:
    made = registry("search", "search-docs")
    before = made.generation
    with pytest.raises(ConfigError, match="plugins") as error:
        made.add_source([Tools("fresh", second)])
    assert error.value.code == "duplicate_tool"
    assert made.generation == before
    assert made.surface("m").entry("fresh") is None


def test_a_source_cannot_have_a_name_twice() -> None:
    with pytest.raises(ConfigError):
        ToolRegistry().add_source([Tools("a"), Tools("a")])


def test_live_sources_are_numbered() -> None:
    made = registry("a")
    assert [made.add_source([Tools("b")]), made.add_source([Tools("c")])] == ["live:1", "live:2"]
    with pytest.raises(LashError, match="there is a source"):
        made.add_source([], "live:2")


def test_every_change_moves_the_generation() -> None:
    made, provider = ToolRegistry(), Tools("a")
    seen = [made.generation]
    source = made.add_source([provider])
    seen.append(made.generation)
    provider.manifests.append(ToolManifest("b"))
    made.refresh_source(source)
    seen.append(made.generation)
    made.set_availability(["a"], Availability.OFF)
    seen.append(made.generation)
    made.remove_source(source)
    seen.append(made.generation)
    assert seen == sorted(set(seen))


def test_a_source_that_lists_what_it_did_before_is_no_change() -> None:
    made = registry("a", "b")
    before = made.generation
    made.refresh_source("plugins")
    assert made.generation == before


def test_a_tool_that_its_provider_has_lost_is_live_no_more() -> None:
    provider = Tools("a", "b")
    made = ToolRegistry()
    made.add_source([provider], "plugins")
    provider.manifests.pop()
    assert (made.is_live("plugins", "a"), made.is_live("plugins", "b")) == (True, False)


def test_a_provider_that_fails_to_answer_for_a_name_has_no_such_tool() -> None:
    class Broken(Tools):
        def resolve_manifest(self, name: str) -> ToolManifest | None:
            raise ConnectionError("gone")

    made = registry("a")
    made.add_source([Broken("b")], "broken")
    assert made.lazy_entry("c", "m") is None
    assert (made.is_live("broken", "b"), made.is_live("broken", "c")) == (True, False)


def test_a_refreshed_source_has_new_tools_and_overrides_stay() -> None:
    made, provider = ToolRegistry(), Tools("a")
    source = made.add_source([provider])
    made.set_availability(["a"], Availability.CALLABLE)
    provider.manifests = [ToolManifest("a", "changed"), ToolManifest("b")]
    made.refresh_source(source)
    surface = made.surface("m")
    assert (surface.availability("a"), surface.availability("b")) == (Availability.CALLABLE, Availability.SHOWCASED)


def test_a_source_can_be_exchanged_as_a_whole() -> None:
    made = registry("a")
    made.replace_source("plugins", [Tools("b")])
    assert list(made.surface("m").entries) == ["b"]


def test_a_surface_that_was_made_does_not_change() -> None:
    made = registry("a")
    surface = made.surface("m")
    made.remove_source("plugins")
    assert surface.entry("a") is not None
    assert not made.is_live("plugins", "a")


def test_levels_come_from_manifest_mode_plugins_overrides_and_authority_in_this_order() -> None:
    made = ToolRegistry()
    low = {"availability": Availability.SEARCHABLE, "mode_availability": {"rlm": Availability.CALLABLE}}
    made.add_source([Tools("a", "b", "c", "d", "e", **low)])
    made.set_availability(["d", "e"], Availability.SHOWCASED)
    contributions = [
        SurfaceContribution({"c": Availability.SHOWCASED, "d": Availability.OFF}, ["one"]),
        SurfaceContribution({"c": Availability.OFF}, ["two"]),
    ]
    surface = made.surface("rlm", contributions=contributions, hidden={"e"})
    levels = {name: entry.availability.label for name, entry in surface.entries.items()}
    assert levels == {"a": "callable", "b": "callable", "c": "off", "d": "showcased", "e": "off"}
    assert made.surface("standard").availability("a") is Availability.SEARCHABLE
    assert surface.notes == ("one", "two")


def test_an_override_of_an_unknown_tool_is_refused() -> None:
    made = registry("a")
    with pytest.raises(LashError) as error:
        made.set_availability(["a", "b"], Availability.OFF)
    assert error.value.code == "unknown_tool"
    assert made.surface("m").availability("a") is Availability.SHOWCASED


def test_an_override_is_taken_back_with_none() -> None:
    made = registry("a")
    made.set_availability(["a"], Availability.OFF)
    made.set_availability(["a"], None)
    assert made.surface("m").availability("a") is Availability.SHOWCASED


def test_a_state_of_an_older_generation_is_refused() -> None:
    made = registry("a")
    state = made.state
    made.apply_state(ToolState(state.generation, {"a": Availability.OFF}))
    assert made.surface("m").availability("a") is Availability.OFF
    with pytest.raises(LashError) as error:
        made.apply_state(state)
    assert error.value.code == "stale_tool_state"


def test_a_snapshot_brings_overrides_back() -> None:
    made = registry("a", "b")
    made.set_availability(["b"], Availability.CALLABLE)
    again = registry("a", "b")
    again.restore(made.snapshot())
    assert again.surface("m").availability("b") is Availability.CALLABLE


@pytest.mark.parametrize(
    "data", [None, {}, {"generation": "x", "overrides": {}}, {"generation": 1, "overrides": {"a": "max"}}]
)
def test_what_is_no_snapshot_is_refused(data: Any) -> None:
    with pytest.raises(LashError) as error:
        registry("a").restore(data)
    assert error.value.code == "tool_state"


def test_what_an_effect_changed_travels_with_its_outcome() -> None:
    made, again = registry("a"), registry("a")
    state = JoinedState(made)
    mark = state.mark()
    assert state.delta(mark) == {}
    made.set_availability(["a"], Availability.OFF)
    JoinedState(again).apply(state.delta(mark))
    assert again.surface("m").availability("a") is Availability.OFF


def test_only_what_a_model_may_call_has_a_spec() -> None:
    made = ToolRegistry()
    made.add_source([Tools("a"), Tools("b", availability=Availability.SEARCHABLE), Tools("c", activation="internal")])
    surface = made.surface("m")
    assert [spec.name for spec in surface.specs] == ["a"]
    assert [entry.name for entry in surface.catalog()] == ["a", "b", "c"]


def test_a_catalog_makes_schemas_when_they_are_asked_for_and_once() -> None:
    provider = Tools("a", namespace="n", aliases=("x",))
    made = ToolRegistry()
    made.add_source([provider])
    (entry,) = made.surface("m").catalog()
    assert (entry.name, entry.namespace, entry.aliases, entry.showcased) == ("a", "n", ("x",), True)
    assert provider.contracts == []
    assert (entry.signature, entry.input_schema, entry.output_schema) == (
        "call a { ... } -> any",
        {"type": "object"},
        None,
    )
    assert provider.contracts == ["a"]


def test_tools_of_the_mode_stand_after_the_others_and_must_not_clash() -> None:
    made = registry("a")
    assert list(made.surface("m", native=[Tools("batch")]).entries) == ["a", "batch"]
    with pytest.raises(ConfigError):
        made.surface("m", native=[Tools("a")])


def test_tools_that_need_a_user_are_left_out_where_there_is_none() -> None:
    made = ToolRegistry()
    made.add_source([Tools("a", "ask"), Tools("b", interactive_only=True)])
    assert list(made.surface("m", interactive=False).entries) == ["a"]


def test_a_spec_carries_what_prompts_need() -> None:
    @tool(needs_approval=lambda args, ctx: True, execution_mode="serial", preserve_projected="seed")  # pyright: ignore[reportUnknownLambdaType]
    async def hand_on(seed: dict[str, int]) -> int:
        """Hand on."""
        return 1

    spec = hand_on.spec
    assert (spec.needs_approval, spec.execution_mode, spec.preserve_projected) == (True, "serial", "seed")
    assert hand_on.definition.manifest.approval_label == "dynamic"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ToolManifest("no spaces"),
        lambda: ToolManifest("a.b"),
        lambda: ToolManifest("a", timeout_ms=0),
        lambda: ToolRetryPolicy.safe(0, 1, 1),
        lambda: ToolDefinition.raw("a", input_schema={"type": "string"}),
        lambda: Availability.of("most"),
    ],
)
def test_what_no_tool_can_be_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
