"""What directives need of the runtime: activities and traces."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from lash.runtime.plugins.directives import PluginMessage, RuntimeEvent
from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.messages import Message, Part, PluginOrigin
from lash.runtime.sansio.values import JsonValue


class HookPorts(Protocol):
    """The runtime's side; one object per session."""

    def emit(self, event: AnyTurnEvent, correlation_id: str | None) -> Awaitable[None]:
        """Show an event of the running turn."""
        ...

    def trace(self, name: str, payload: JsonValue) -> None:
        """Write a trace record; must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class PluginPorts:
    """The ports as one plugin uses them: with its name on everything."""

    ports: HookPorts
    plugin_id: str

    async def emit(self, event: RuntimeEvent) -> None:
        """Show an event."""
        shown = TurnEvent.PluginRuntime(self.plugin_id, event.kind, event.name, event.payload)
        await self.ports.emit(shown, f"plugin:{self.plugin_id}:{event.name}")

    def trace(self, name: str, payload: JsonValue) -> None:
        """Write a trace record `plugin.<id>.<name>`."""
        self.ports.trace(f"plugin.{self.plugin_id}.{name}", payload)

    def message(self, turn_id: str, point: str, at: int, message: PluginMessage) -> Message:
        """A message of the plugin; its id follows from where in the turn it was written, so a re-drive repeats it."""
        message_id = f"m:{turn_id}:{point}.{self.plugin_id}:{at}"
        origin = PluginOrigin(self.plugin_id, message.transient)
        return Message(message_id, message.role, (Part(f"{message_id}.p0", "text", message.text),), origin)
