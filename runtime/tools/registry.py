"""The tools of a session: sources that come and go, levels of availability, and the surface that a turn sees.

A *source* is a list of providers under an id. A *surface* is what the sources offer at one moment, for one mode; a
turn keeps the one it began with, and the registry tells whether a tool of it is still there (providers.md 12).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from lash.runtime.errors import ConfigError, LashError
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.tools.definition import Availability, ToolManifest
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.tools.signature import call_name
from lash.runtime.tools.surface import SurfaceContribution, SurfaceEntry, ToolSurface

_log = logging.getLogger("lash.tools")

PLUGINS: Final = "plugins"
"""The source of what plugins register."""

MODE: Final = "mode"
"""The source of what a mode brings itself."""

OWNER: Final = "tools"
"""Whose state the registry's is."""

NEEDS_USER: Final = frozenset({"ask", "showcase", "plan_exit"})
"""Tools that need a live user, whatever their manifests say."""


@dataclass(frozen=True, slots=True)
class ToolState:
    """What of a registry is not given by its sources: overrides of availability, and the generation they belong to."""

    generation: int
    overrides: Mapping[str, Availability] = field(default_factory=dict[str, Availability])


@dataclass(frozen=True, slots=True)
class _StoredState:
    generation: int
    overrides: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Source:
    providers: tuple[ToolProvider, ...]
    listed: Mapping[str, tuple[ToolManifest, ToolProvider]]


class ToolRegistry:
    """The sources of a session and its overrides; `generation` rises with every change.

    It implements `lash.runtime.tools.hooks.EffectState`.
    """

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._overrides: dict[str, Availability] = {}
        self._live = 0
        self.generation = 0

    # --- sources ---------------------------------------------------------------------------------

    def add_source(self, providers: Iterable[ToolProvider], source_id: str | None = None) -> str:
        """Add tools; the source's id, `live:1` and so on where none is given.

        Raises ConfigError (duplicate_tool) for a name that is taken, also one that a program could not tell from it,
        and LashError (duplicate_source) for an id that is.
        """
        if source_id is None:
            self._live += 1
            source_id = f"live:{self._live}"
        if source_id in self._sources:
            raise LashError(
                "duplicate_source", f"there is a source of tools {source_id!r} already; refresh or remove it"
            )
        self._put(source_id, tuple(providers))
        return source_id

    def refresh_source(self, source_id: str) -> None:
        """List a source's tools again; what was overridden stays so. Raises as `add_source`, changing nothing.

        The generation stays where the list is what it was.
        """
        before, generation = self._source(source_id), self.generation
        self._put(source_id, before.providers)
        if self._sources[source_id].listed == before.listed:
            self.generation = generation

    def replace_source(self, source_id: str, providers: Iterable[ToolProvider]) -> None:
        """Put other providers in the place of a source's, at once. Raises as `add_source`, changing nothing."""
        self._source(source_id)
        self._put(source_id, tuple(providers))

    def remove_source(self, source_id: str) -> None:
        """Take a source's tools away; calls that run may finish."""
        self._source(source_id)
        del self._sources[source_id]
        self.generation += 1

    def _source(self, source_id: str) -> _Source:
        if source_id not in self._sources:
            raise LashError("unknown_source", f"there is no source of tools {source_id!r}")
        return self._sources[source_id]

    def _put(self, source_id: str, providers: tuple[ToolProvider, ...]) -> None:
        listed: dict[str, tuple[ToolManifest, ToolProvider]] = {}
        taken = {
            call_name(name): (name, other)
            for other, source in self._sources.items()
            if other != source_id
            for name in source.listed
        }
        for provider in providers:
            for manifest in provider.tool_manifests():
                check_name(manifest.name, source_id, taken)
                listed[manifest.name] = (manifest, provider)
        self._sources[source_id] = _Source(providers, listed)
        self.generation += 1

    def is_live(self, source_id: str, name: str) -> bool:
        """Whether a source still has the tool: its provider is asked, which may have lost it since it was listed."""
        source = self._sources.get(source_id)
        if source is None:
            return False
        if name in source.listed:
            provider = source.listed[name][1]
            return _manifest(provider, name) is not None or _still_lists(provider, name)
        return self._lazy(source, name) is not None

    @staticmethod
    def _lazy(source: _Source, name: str) -> tuple[ToolManifest, ToolProvider] | None:
        """A tool that a provider of the source has without listing it."""
        for provider in source.providers:
            manifest = _manifest(provider, name)
            if manifest is not None:
                return manifest, provider
        return None

    def lazy_entry(self, name: str, mode: str) -> SurfaceEntry | None:
        """A tool that a provider answers for though no source lists one of that name."""
        if any(name in source.listed for source in self._sources.values()):
            return None
        for source_id, source in self._sources.items():
            found = self._lazy(source, name)
            if found is not None:
                manifest, provider = found
                level = self._overrides.get(name, manifest.available_in(mode))
                return SurfaceEntry(manifest, level, provider, source_id)
        return None

    # --- availability ----------------------------------------------------------------------------

    def set_availability(self, names: Sequence[str], level: Availability | None) -> None:
        """Override levels, over everything but what hides tools; None takes overrides back.

        Raises LashError (unknown_tool) for a name that no tool has, changing nothing.
        """
        for name in names:
            if name not in self._overrides and not any(self.is_live(source_id, name) for source_id in self._sources):
                raise LashError("unknown_tool", f"there is no tool {name!r}")
        for name in names:
            if level is None:
                self._overrides.pop(name, None)
            else:
                self._overrides[name] = level
        self.generation += 1

    @property
    def state(self) -> ToolState:
        """What a host may keep and apply again."""
        return ToolState(self.generation, dict(self._overrides))

    def apply_state(self, state: ToolState) -> None:
        """Take other overrides; LashError (stale_tool_state) where the registry has changed since."""
        if state.generation != self.generation:
            raise LashError(
                "stale_tool_state",
                f"the state is of generation {state.generation}, the tools are at {self.generation}: read it again",
                retryable=True,
            )
        self._overrides = dict(state.overrides)
        self.generation += 1

    def snapshot(self) -> JsonValue:
        """What of the registry is committed with a turn."""
        return to_json(
            _StoredState(self.generation, {name: level.label for name, level in sorted(self._overrides.items())})
        )

    def restore(self, data: JsonValue) -> None:
        """Take what `snapshot` gave; LashError (tool_state) where it is nothing of the kind."""
        try:
            stored = from_json(_StoredState, data)
            self._overrides = {name: Availability.of(level) for name, level in stored.overrides.items()}
        except (ValidationError, ConfigError) as error:
            raise LashError("tool_state", f"the stored state of the tools cannot be read: {error}") from error
        self.generation = max(self.generation, stored.generation)

    def mark(self) -> object:
        """See `EffectState`."""
        return self.generation

    def delta(self, mark: object) -> dict[str, JsonValue]:
        """See `EffectState`."""
        return {} if mark == self.generation else {OWNER: self.snapshot()}

    def apply(self, delta: dict[str, JsonValue]) -> None:
        """See `EffectState`."""
        if OWNER in delta:
            self.restore(delta[OWNER])

    # --- surfaces --------------------------------------------------------------------------------

    def surface(
        self,
        mode: str,
        *,
        native: Sequence[ToolProvider] = (),
        contributions: Sequence[SurfaceContribution] = (),
        hidden: Collection[str] = (),
        interactive: bool = True,
    ) -> ToolSurface:
        """What a turn in a mode sees.

        Levels come from the manifests, the mode, plugins (the later wins), overrides, and last from `hidden`, which
        nothing brings back. Tools whose names fit a pattern of a plugin's `needs_approval` ask first. `native` are the
        mode's own tools. Without `interactive`, tools that need a live user are left out. Raises ConfigError
        (duplicate_tool) where a native tool has the name of another.
        """
        changed = {name: level for one in contributions for name, level in one.availability.items()}
        entries: dict[str, SurfaceEntry] = {}
        taken: dict[str, tuple[str, str]] = {}
        for source_id, manifest, provider in self._all(native):
            check_name(manifest.name, source_id, taken)
            if not interactive and (manifest.interactive_only or manifest.name in NEEDS_USER):
                continue
            level = changed.get(manifest.name, manifest.available_in(mode))
            level = self._overrides.get(manifest.name, level)
            if manifest.name in hidden:
                level = Availability.OFF
            entries[manifest.name] = SurfaceEntry(manifest, level, provider, source_id)
        notes = tuple(note for one in contributions for note in one.notes)
        patterns = tuple(pattern for one in contributions for pattern in one.needs_approval)
        surface = ToolSurface(mode, entries, notes, frozenset(hidden), self.generation, patterns)
        # What a mode brings acts through other calls, each of which asks for itself.
        asking = {name: surface.asking(one) for name, one in entries.items() if patterns and one.source_id != MODE}
        return replace(surface, entries=entries | asking) if asking else surface

    def _all(self, native: Sequence[ToolProvider]) -> Iterable[tuple[str, ToolManifest, ToolProvider]]:
        for source_id, source in self._sources.items():
            for manifest, provider in source.listed.values():
                yield source_id, manifest, provider
        for provider in native:
            for manifest in provider.tool_manifests():
                yield MODE, manifest, provider


def _manifest(provider: ToolProvider, name: str) -> ToolManifest | None:
    """What a provider says of a name; one that fails to answer has no such tool."""
    try:
        return provider.resolve_manifest(name)
    except Exception:
        _log.exception("a provider of tools failed when it was asked for %r", name)
        return None


def _still_lists(provider: ToolProvider, name: str) -> bool:
    """Whether a provider lists a name, which it may do without answering for it; False where it cannot list."""
    try:
        return any(manifest.name == name for manifest in provider.tool_manifests())
    except Exception:
        _log.exception("a provider of tools failed when it was asked for its list")
        return False


def check_name(name: str, source_id: str, taken: dict[str, tuple[str, str]]) -> None:
    """Note a name as taken; ConfigError (duplicate_tool) where it is, by its form in programs."""
    other = taken.get(call_name(name))
    if other is not None:
        beside = "" if other[0] == name else f", which programs would call {call_name(name)!r} like {other[0]!r}"
        raise ConfigError(
            "duplicate_tool", f"the tool {name!r} of {source_id!r}{beside} is there already, from {other[1]!r}"
        )
    taken[call_name(name)] = (name, source_id)
