"""Calling hooks: plain or `async`, within a time, and with the plugin's name on whatever goes wrong."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lash.runtime.errors import PluginError
from lash.runtime.plugins.registrar import Registered
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.waiting import run_bounded

_log = logging.getLogger("lash.plugins")


@dataclass(frozen=True, slots=True)
class HookTimes:
    """How long hooks may take; None switches a limit off.

    `prepare_s` is for what works on the history, which may ask a model. A hook that does not end in time is cancelled,
    and abandoned `grace_s` after it should have ended.
    """

    hook_s: float | None = 30.0
    prepare_s: float | None = 300.0
    grace_s: float = 5.0


class HookCaller:
    """Calls the hooks of a session's plugins."""

    def __init__(self, clock: Clock, times: HookTimes) -> None:
        self._clock = clock
        self.times = times

    async def call(self, one: Registered[Callable[..., Any]], what: str, *args: Any, long: bool = False) -> Any:
        """What a hook gives; a `long` one has the time for work on the history.

        PluginError (invoke) names the plugin where the hook raises or does not end in time.
        """
        limit_s = self.times.prepare_s if long else self.times.hook_s
        try:
            given = one.hook(*args)
            if not inspect.isawaitable(given):
                return given

            async def work() -> Any:
                return await given

            ended = await run_bounded(
                self._clock,
                work(),
                token=CancelToken(),
                deadline_s=limit_s,
                cancel_s=0.0,
                grace_s=self.times.grace_s,
                name=f"{what} of plugin {one.plugin_id}",
            )
            if ended.how == "done":
                if ended.task.cancelled():
                    raise PluginError("invoke", one.plugin_id, f"its {what} cancelled itself")
                return ended.task.result()
        except PluginError:
            raise
        except Exception as error:
            _log.exception("the %s of plugin %s raised", what, one.plugin_id)
            raise PluginError("invoke", one.plugin_id, f"its {what} raised {type(error).__name__}: {error}") from error
        raise PluginError("invoke", one.plugin_id, f"its {what} did not end within {limit_s:g} s")


def call_plain(
    one: Registered[Callable[..., Any]], what: str, *args: Any, into: Callable[[Any], Any] | None = None
) -> Any:
    """What a hook gives that may not wait, None as nothing of what `into` makes of it.

    PluginError (invoke) names the plugin where it raises, or `into` cannot use what it gives.
    """
    try:
        given = one.hook(*args)
        return given if into is None else into(() if given is None else given)
    except Exception as error:
        raise PluginError("invoke", one.plugin_id, f"its {what} raised {type(error).__name__}: {error}") from error


def named(kind: str, plugin_id: str, what: str, function: Any, *args: Any) -> Any:
    """What a plugin's own method gives; whatever it raises becomes a PluginError that names the plugin."""
    try:
        return function(*args)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(kind, plugin_id, f"`{what}` raised {type(error).__name__}: {error}") from error


class Closable(Protocol):
    """A plugin or factory."""

    id: str

    async def aclose(self) -> None:
        """Give resources back."""
        ...


async def close_all(parts: Sequence[Closable], caller: HookCaller) -> None:
    """Close plugins or factories, the last one first; one that fails is logged and does not keep the others open."""
    for part in reversed(parts):
        try:
            await caller.call(Registered(part.id, part.aclose), "closing")
        except PluginError as error:
            _log.warning("%s", error)
