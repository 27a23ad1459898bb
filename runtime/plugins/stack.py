"""`PluginStack`: the factories of a core, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Self

from lash.runtime.errors import ConfigError
from lash.runtime.plugins.contract import PluginFactory


class PluginStack:
    """An ordered list of factories, no id twice; hooks run in its order."""

    def __init__(self, factories: Iterable[PluginFactory] = ()) -> None:
        self._factories: list[PluginFactory] = []
        self.extend(factories)

    def __iter__(self) -> Iterator[PluginFactory]:
        return iter(self._factories)

    def __len__(self) -> int:
        return len(self._factories)

    def __contains__(self, plugin_id: object) -> bool:
        return any(factory.id == plugin_id for factory in self._factories)

    def __add__(self, factories: Iterable[PluginFactory]) -> Self:
        return type(self)([*self._factories, *factories])

    def __repr__(self) -> str:
        return f"PluginStack({[factory.id for factory in self._factories]!r})"

    def push(self, factory: PluginFactory) -> None:
        """Add a factory at the end; ConfigError (duplicate_plugin) where its id is there, or it has none."""
        if not factory.id:
            raise ConfigError("duplicate_plugin", f"{factory!r} has no id; plugins are told apart by theirs")
        if factory.id in self:
            raise ConfigError(
                "duplicate_plugin", f"there is a plugin {factory.id!r} already; use `replace` to change it"
            )
        self._factories.append(factory)

    def extend(self, factories: Iterable[PluginFactory]) -> None:
        """Add factories at the end, all or none; raises as `push`."""
        before = list(self._factories)
        try:
            for factory in factories:
                self.push(factory)
        except ConfigError:
            self._factories = before
            raise

    def remove(self, plugin_id: str) -> None:
        """Take a factory out; nothing where there is none of that id."""
        self.retain(lambda factory: factory.id != plugin_id)

    def replace(self, factory: PluginFactory) -> None:
        """Put a factory in the place of the one with its id, or at the end."""
        if factory.id in self:
            self._factories = [factory if one.id == factory.id else one for one in self._factories]
        else:
            self.push(factory)

    def retain(self, keep: Callable[[PluginFactory], bool]) -> None:
        """Keep the factories of which `keep` is true."""
        self._factories = [factory for factory in self._factories if keep(factory)]

    def configure(self, change: Callable[[Self], object]) -> Self:
        """A copy that `change` has worked on."""
        copy = type(self)(self._factories)
        change(copy)
        return copy
