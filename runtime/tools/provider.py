"""`ToolProvider`: where tools come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.context import ToolContext, ToolProgress
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.result import ToolResult
from lashlang.projection import Projected

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One attempt of a call.

    `args` are validated. `projections` holds the projected values of a tool that wants references, by their path in
    the arguments, where `args` holds null (rlm.md 9.5).
    """

    name: str
    args: dict[str, JsonValue]
    context: ToolContext
    progress: ToolProgress
    projections: Mapping[Path, Projected | Any] = field(default_factory=dict[Path, Any])


class ToolProvider(Protocol):
    """A source of tools. One that answers for names it does not list is a lazy catalog."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """What it offers."""
        ...

    def resolve_manifest(self, name: str) -> ToolManifest | None:
        """The manifest of one tool; None where it has none of that name."""
        ...

    def resolve_contract(self, name: str) -> ToolContract | None:
        """The schemas of one tool; None where it has none of that name. It may raise where they cannot be had now."""
        ...

    async def execute(self, call: ToolCall) -> ToolResult:
        """Run one attempt. Whatever it raises is a failure of that attempt."""
        ...


class ListedTools:
    """A base for providers that list all they have: finds manifests in the list."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        raise NotImplementedError

    def resolve_manifest(self, name: str) -> ToolManifest | None:
        """See `ToolProvider`: by search of the list."""
        return next((manifest for manifest in self.tool_manifests() if manifest.name == name), None)
