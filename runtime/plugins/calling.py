"""Calling hooks: plain or `async`, within a time, and with the plugin's name on whatever goes wrong."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lash.runtime.errors import LashError, PluginError
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.waiting import run_bounded

_log = logging.getLogger("lash.plugins")

CANCEL_S = 0.5
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class HookTimes:
    """How long hooks may take; None switches a limit off. `prepare_s` is for what happens before a turn."""

    hook_s: float | None = 30.0
    prepare_s: float | None = 300.0


async def call_hook(
    clock: Clock, plugin_id: str, what: str, limit_s: float | None, hook: Callable[..., Any], *args: Any
) -> Any:
    """What a hook gives. PluginError (invoke) names the plugin where it raises or does not end in time."""
    try:
        given = hook(*args)
        if not inspect.isawaitable(given):
            return given

        async def work() -> Any:
            return await given

        ended = await run_bounded(
            clock,
            work(),
            token=CancelToken(),
            deadline_s=limit_s,
            cancel_s=CANCEL_S,
            grace_s=GRACE_S,
            name=f"{what} of plugin {plugin_id}",
        )
        if ended.how == "done":
            return ended.task.result()
    except PluginError:
        raise
    except Exception as error:
        _log.exception("the %s of plugin %s raised", what, plugin_id)
        raise PluginError("invoke", plugin_id, f"its {what} raised {type(error).__name__}: {error}") from error
    raise PluginError("invoke", plugin_id, f"its {what} did not end within {limit_s:g} s")


def named(kind: str, plugin_id: str, what: str, function: Any, *args: Any) -> Any:
    """What a plugin's own method gives; whatever it raises becomes a PluginError that names the plugin."""
    try:
        return function(*args)
    except LashError:
        raise
    except Exception as error:
        raise PluginError(kind, plugin_id, f"`{what}` raised {type(error).__name__}: {error}") from error


class Closable(Protocol):
    """A plugin or factory."""

    id: str

    async def aclose(self) -> None:
        """Give resources back."""
        ...


async def close_all(parts: Sequence[Closable]) -> None:
    """Close plugins or factories, the last one first; one that fails is logged and does not keep the others open."""
    for part in reversed(parts):
        try:
            await part.aclose()
        except Exception:
            _log.exception("plugin %s could not be closed", part.id)
