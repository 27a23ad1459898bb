"""What tests of the plugin host share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lash.runtime.plugins.calling import HookTimes
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, PluginSpec, StaticPluginFactory
from lash.runtime.plugins.host import PluginHost
from lash.runtime.plugins.session import PluginSession
from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.messages import Message, Part
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.hooks import CallFrame, HookedCall
from lash.testing.clock import FakeClock

CONTEXT = PluginSessionContext("s", "stub")


class Ports:
    """Keeps what plugins show."""

    def __init__(self) -> None:
        self.shown: list[tuple[AnyTurnEvent, str | None]] = []
        self.traced: list[tuple[str, JsonValue]] = []

    async def emit(self, event: AnyTurnEvent, correlation_id: str | None) -> None:
        self.shown.append((event, correlation_id))

    def trace(self, name: str, payload: JsonValue) -> None:
        self.traced.append((name, payload))


def static(plugin_id: str, **hooks: Any) -> StaticPluginFactory:
    """A plugin of hooks alone."""
    return StaticPluginFactory(plugin_id, PluginSpec(**hooks))


async def opened(
    *factories: PluginFactory, snapshot: bytes | None = None, ports: Ports | None = None, clock: FakeClock | None = None
) -> PluginSession:
    """The plugins of a session."""
    host = PluginHost(factories, clock=clock or FakeClock(), times=HookTimes())
    return await host.open_session(CONTEXT, ports or Ports(), snapshot=snapshot)


def gives(given: object) -> Callable[..., Any]:
    """A hook that gives this whatever it is asked."""

    def hook(*_: object) -> object:
        return given

    return hook


def call(**args: JsonValue) -> HookedCall:
    """A call of a tool."""
    return HookedCall(CallFrame("s", "t", 1, 0, "1", "stub"), "c1", "tool", dict(args))


def message(number: str, text: str = "") -> Message:
    """A message of the user."""
    return Message(number, "user", (Part(f"{number}.p0", "text", text or number),))
