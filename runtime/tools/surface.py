"""What a turn sees of the tools: which there are, how far each is offered, and how they are shown and looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from weakref import WeakKeyDictionary

from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import Availability, ToolContract, ToolManifest
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.tools.signature import call_name, signature
from lash.runtime.tools.specs import tool_spec


@dataclass(frozen=True, slots=True)
class SurfaceContribution:
    """What a plugin does to a surface: levels of tools, and notes that follow the list of tools in prompts.

    `needs_approval` are patterns (`*`, `?`, `[...]`) of the names of tools whose every call asks a person first,
    whatever their manifests say.
    """

    availability: Mapping[str, Availability] = field(default_factory=dict[str, Availability])
    notes: Sequence[str] = ()
    needs_approval: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SurfaceEntry:
    """One tool: its manifest, how far it is offered, who runs it, and the source it came from."""

    manifest: ToolManifest
    availability: Availability
    provider: ToolProvider
    source_id: str

    @property
    def callable(self) -> bool:
        """Whether a model may call it."""
        return self.availability >= Availability.CALLABLE and self.manifest.activation == "always"

    def contract(self) -> ToolContract:
        """Its schemas; an open contract where the provider has none now, which a call would be told."""
        try:
            return self.provider.resolve_contract(self.manifest.name) or ToolContract()
        except Exception:  # a list of tools must not fail for one that cannot describe itself; a call of it does
            return ToolContract()

    def spec(self) -> ToolSpec:
        """How prompts and requests show it."""
        return tool_spec(self.manifest, self.contract(), self.availability)


@dataclass(frozen=True, eq=False)
class ToolSurface:
    """The tools of a mode at one generation of the registry, by name and in order."""

    mode: str
    entries: Mapping[str, SurfaceEntry]
    notes: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    generation: int = 0
    needs_approval: tuple[str, ...] = ()

    @cached_property
    def _by_call_name(self) -> Mapping[str, str]:
        return {call_name(name): name for name in self.entries}

    def entry(self, name: str) -> SurfaceEntry | None:
        """The tool of that name, or of that name in programs."""
        return self.entries.get(name) or self.entries.get(self._by_call_name.get(name, ""))

    def asking(self, entry: SurfaceEntry) -> SurfaceEntry:
        """A tool's entry, asking first where a pattern says so."""
        manifest = entry.manifest
        if not any(fnmatchcase(manifest.name, pattern) for pattern in self.needs_approval):
            return entry
        return replace(entry, manifest=replace(manifest, needs_approval=True))

    def availability(self, name: str) -> Availability:
        """How far a tool is offered; OFF for one that is not there."""
        found = self.entry(name)
        return Availability.OFF if found is None else found.availability

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools that a model may call, in order."""
        return tuple(entry.spec() for entry in self.entries.values() if entry.callable)

    def catalog(self) -> list[CatalogEntry]:
        """The tools that can at least be found, in order."""
        return [CatalogEntry(entry) for entry in self.entries.values() if entry.availability >= Availability.SEARCHABLE]


_SPECS: WeakKeyDictionary[CatalogEntry, Callable[[], ToolSpec]] = WeakKeyDictionary()


class CatalogEntry:
    """A tool as searches list it; its schemas are made when they are asked for.

    It is handed to tools, so nothing in it leads to the provider: what makes the schemas stands in a table beside it.
    """

    __slots__ = (
        "__weakref__",
        "_spec",
        "activation",
        "aliases",
        "availability",
        "callable",
        "description",
        "name",
        "namespace",
        "needs_approval",
        "showcased",
    )

    def __init__(self, entry: SurfaceEntry) -> None:
        manifest = entry.manifest
        self.name = manifest.name
        self.namespace = manifest.namespace
        self.description = manifest.description
        self.aliases = manifest.aliases
        self.availability = entry.availability.label
        self.callable = entry.callable
        self.showcased = entry.availability is Availability.SHOWCASED
        self.activation = manifest.activation
        self.needs_approval = manifest.approval_label
        self._spec: ToolSpec | None = None
        _SPECS[self] = entry.spec

    @property
    def spec(self) -> ToolSpec:
        """The tool as prompts show it."""
        if self._spec is None:
            self._spec = _SPECS.pop(self)()
        return self._spec

    @property
    def signature(self) -> str:
        """The tool as a Lashlang call."""
        return signature(self.spec)

    @property
    def input_schema(self) -> dict[str, JsonValue]:
        """The schema of its arguments."""
        return self.spec.input_schema

    @property
    def output_schema(self) -> dict[str, JsonValue] | None:
        """The schema of its value; None where nothing is promised."""
        return self.spec.output_schema

    @property
    def examples(self) -> tuple[str, ...]:
        """Calls that show how it is used."""
        return self.spec.examples
