"""`Means`: what servers work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.plugins.mcp.config import McpServerConfig
from lash.runtime.seams.clock import Clock


@dataclass(frozen=True, slots=True)
class Means:
    """What servers work with: time, chance, bounds, and the version that they are told.

    `transport` opens another way to a server than its configuration names, for tests.
    """

    clock: Clock
    random: Random
    bounds: McpBounds
    version: str
    transport: Callable[[str, McpServerConfig], Any] | None = None
