"""Patterns of names that make tools ask first, whatever their manifests say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lash.runtime.tools.decorator import as_providers, tool
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.surface import SurfaceContribution, ToolSurface


@tool
def read_it() -> None:
    """Read."""


@tool(needs_approval=lambda args, ctx: False)
def write_it() -> None:
    """Write."""


def surface(registry: ToolRegistry, *patterns: str, native: Sequence[object] = ()) -> ToolSurface:
    """The tools as a plugin with these patterns leaves them."""
    contributions = [SurfaceContribution(needs_approval=patterns)]
    return registry.surface("m", native=as_providers(native), contributions=contributions)


@pytest.fixture
def registry() -> ToolRegistry:
    """A registry with both tools."""
    made = ToolRegistry()
    made.add_source(as_providers([read_it, write_it]), "own")
    return made


def asking(made: ToolSurface) -> set[str]:
    """The names of the tools whose every call asks."""
    return {name for name, entry in made.entries.items() if entry.manifest.needs_approval is True}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("read_it",), {"read_it"}),
        (("*_it",), {"read_it", "write_it"}),
        (("READ_IT", "rea"), set[str]()),
        (("nothing", "w?ite_it"), {"write_it"}),
        ((), set[str]()),
    ],
)
def test_tools_ask_whose_names_fit(registry: ToolRegistry, patterns: tuple[str, ...], names: set[str]) -> None:
    assert asking(surface(registry, *patterns)) == names


def test_prompts_say_that_they_ask(registry: ToolRegistry) -> None:
    assert [spec.needs_approval for spec in surface(registry, "read_it").specs] == [True, True]
    assert [spec.needs_approval for spec in surface(registry).specs] == [False, True]


def test_what_a_mode_brings_itself_does_not_ask(registry: ToolRegistry) -> None:
    @tool
    def batch() -> None:
        """Call others, each of which asks."""

    assert asking(surface(registry, "*", native=[batch])) == {"read_it", "write_it"}


def test_a_tool_that_no_list_has_asks_as_well(registry: ToolRegistry) -> None:
    class Catalog:
        def tool_manifests(self) -> list[ToolManifest]:
            return []

        def resolve_manifest(self, name: str) -> ToolManifest | None:
            return ToolManifest(name) if name == "hidden" else None

    registry.add_source([Catalog()], "lazy")  # pyright: ignore[reportArgumentType]
    entry = registry.lazy_entry("hidden", "m")
    assert entry is not None
    assert surface(registry, "hid*").asking(entry).manifest.needs_approval is True
    assert surface(registry, "x").asking(entry).manifest.needs_approval is False
