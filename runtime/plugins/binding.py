"""Plugins that a session configures and a turn gives input to, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from lash.runtime.errors import ConfigError, TurnError
from lash.runtime.plugins.contract import PluginFactory

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741 -- the name the contract uses, for the type of the input


class MissingPluginTurnInput(TurnError):
    """A turn lacks the input that a bound plugin needs; nothing has been run."""

    def __init__(self, plugin_id: str) -> None:
        super().__init__(
            "missing_plugin_turn_input",
            f"plugin {plugin_id!r} needs an input with each turn: give plugin_inputs=[Binding.input(value)]",
        )
        self.plugin_id = plugin_id


class PluginBinding(Generic[C, I]):
    """Base of bindings: a plugin's id, how its factory is made of a configuration, whether turns have to give input."""

    ID: ClassVar[str]

    @classmethod
    def factory(cls, config: C) -> PluginFactory:
        """The plugin with this configuration."""
        raise NotImplementedError

    @classmethod
    def requires_turn_input(cls, config: C) -> bool:
        """Whether every turn must give it input."""
        return False

    @classmethod
    def bind(cls, config: C) -> BoundPlugin:
        """For `core.session(bindings=[...])`."""
        factory = cls.factory(config)
        if factory.id != cls.ID:
            raise ConfigError(
                "contradictory_options", f"{cls.__name__} is {cls.ID!r}, but its factory makes {factory.id!r}"
            )
        return BoundPlugin(cls.ID, factory, cls.requires_turn_input(config))

    @classmethod
    def input(cls, value: I) -> PluginInput:
        """For `session.turn(plugin_inputs=[...])`."""
        return PluginInput(cls.ID, value)


@dataclass(frozen=True, slots=True)
class BoundPlugin:
    """A plugin with its configuration."""

    plugin_id: str
    factory: PluginFactory
    requires_turn_input: bool = False


@dataclass(frozen=True, slots=True)
class PluginInput:
    """A turn's input for one plugin."""

    plugin_id: str
    value: Any


def turn_inputs(bound: Iterable[BoundPlugin], given: Iterable[PluginInput]) -> Mapping[str, Any]:
    """A turn's inputs by plugin.

    Raises MissingPluginTurnInput where a required one is absent, and TurnError (contradictory_options) for one that is
    given twice or for a plugin that the session has not bound.
    """
    known = {one.plugin_id: one for one in bound}
    inputs: dict[str, Any] = {}
    for one in given:
        if one.plugin_id not in known:
            raise TurnError("contradictory_options", f"the session has not bound a plugin {one.plugin_id!r}")
        if one.plugin_id in inputs:
            raise TurnError("contradictory_options", f"there are two inputs for plugin {one.plugin_id!r}")
        inputs[one.plugin_id] = one.value
    for plugin_id, one in known.items():
        if one.requires_turn_input and plugin_id not in inputs:
            raise MissingPluginTurnInput(plugin_id)
    return inputs
