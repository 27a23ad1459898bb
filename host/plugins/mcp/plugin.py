"""`McpPluginFactory`: the servers of a core as a plugin of its sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.means import Means
from lash.host.plugins.mcp.pool import McpPool, McpServerStatus, check_installed
from lash.host.system import SystemClock
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.provider import ToolCall
from lash.runtime.tools.result import ToolError, ToolResult
from lashlang._version import __version__

ID: Final = "mcp"


class McpPluginFactory(PluginFactory):
    """Made by `connect` or `empty`, and given to `LashCore(plugins=[...])`, which closes its servers at the end.

    Servers can be attached and detached while sessions are open: a session sees it with its next turn.
    """

    id = ID

    def __init__(self, pool: McpPool) -> None:
        self._pool = pool

    @classmethod
    async def connect(
        cls,
        servers: Mapping[str, McpServerConfig],
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        bounds: McpBounds | None = None,
        transport: Callable[[str, McpServerConfig], Any] | None = None,
    ) -> McpPluginFactory:
        """Connect servers by name, all at once.

        `clock` and `random` decide about waiting, `bounds` about how much servers may send; `transport` is asked for
        the SDK transport to each server, where the one that its configuration names is not wanted.

        Raises McpConnectionError listing every required server that cannot be reached, and ConfigError:
        mcp_not_installed where the package's extra is missing, invalid_mcp_server for names that cannot be.
        """
        check_installed()
        factory = cls(_pool(clock, random, bounds, transport))
        await factory._pool.connect(servers)
        return factory

    @classmethod
    def empty(
        cls,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        bounds: McpBounds | None = None,
        transport: Callable[[str, McpServerConfig], Any] | None = None,
    ) -> McpPluginFactory:
        """No servers yet. The arguments are as for `connect`."""
        return cls(_pool(clock, random, bounds, transport))

    async def attach_server(self, name: str, config: McpServerConfig) -> None:
        """Connect a server and offer its tools; an older one of that name is replaced once this one stands.

        Raises McpConnectionError where it cannot be reached, which changes nothing, and ConfigError
        (invalid_mcp_server) for a name that cannot be.
        """
        await self._pool.attach(name, config)

    async def detach_server(self, name: str) -> None:
        """Take a server's tools away; calls that run may finish, for the time of one call, and then it is closed.

        Raises ConfigError (unknown_mcp_server).
        """
        await self._pool.detach(name)

    def status(self) -> dict[str, McpServerStatus]:
        """What is known of each server, by name."""
        return self._pool.status()

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`. Raises ConfigError: invalid_mcp_server after a core that it was given to has closed it,
        mcp_bound_to_other_loop where the servers were connected on another event loop."""
        self._pool.check_open()
        return _McpPlugin(self._pool)

    async def aclose(self) -> None:
        """Close all servers."""
        await self._pool.aclose()


def _pool(
    clock: Clock | None,
    random: Random | None,
    bounds: McpBounds | None,
    transport: Callable[[str, McpServerConfig], Any] | None,
) -> McpPool:
    return McpPool(Means(clock or SystemClock(), random or Random(), bounds or McpBounds(), __version__, transport))


class _McpPlugin(SessionPlugin):
    id = ID

    def __init__(self, pool: McpPool) -> None:
        self._pool = pool

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        reg.tools().provider(McpTools(self._pool))


class McpTools:
    """The tools of all servers as a session has listed them last; a `lash.runtime.tools.provider.ToolProvider`.

    It answers for tools that were listed and are still there. What came since is seen with the next listing.
    """

    def __init__(self, pool: McpPool) -> None:
        self._pool = pool
        self._listed: frozenset[str] = frozenset()

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        tools = self._pool.tools()
        self._listed = frozenset(tools)
        return [tool.manifest for tool, _ in tools.values()]

    def resolve_manifest(self, name: str) -> ToolManifest | None:
        """See `ToolProvider`."""
        found = self._pool.tool(name) if name in self._listed else None
        return None if found is None else found[0].manifest

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        found = self._pool.tool(name)
        return None if found is None else found[0].contract

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`."""
        found = self._pool.tool(call.name)
        if found is None:
            raise ToolError(f"the tool {call.name!r} is no longer there", cls="unavailable", code="tool_unavailable")
        tool, server = found
        return await server.call(tool, call)
