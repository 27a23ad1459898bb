"""`McpPool`: the servers of a core, shared by its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from lash.host.plugins.mcp.config import CODE, LONGEST_NAME, McpServerConfig, check_name
from lash.host.plugins.mcp.errors import McpConnectionError
from lash.host.plugins.mcp.listing import ImportedTool, part
from lash.runtime.errors import ConfigError

if TYPE_CHECKING:
    from lash.host.plugins.mcp.means import Means
    from lash.host.plugins.mcp.server import McpServer, State


@dataclass(frozen=True, slots=True)
class McpServerStatus:
    """What is known of a server: `place` is its program or address, `tools` are our names of its tools.

    `left_out` are tools that were not taken, by their own names, with reasons; `error` is why it is not connected.
    """

    transport: str
    place: str
    state: State
    protocol: str | None
    tools: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    error: str


def check_installed() -> None:
    """Raise ConfigError (mcp_not_installed) where the SDK is not there."""
    if find_spec("mcp") is None:
        raise ConfigError("mcp_not_installed", 'MCP servers need another package: pip install "lash-runtime[mcp]"')


class McpPool:
    """See the module. `means` is what new servers work with."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._servers: dict[str, McpServer] = {}
        self._alive: set[McpServer] = set()  # those that are being connected or are about to go as well
        self._locks: dict[str, asyncio.Lock] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- servers that come and go ------------------------------------------------------------------

    async def connect(self, configs: Mapping[str, McpServerConfig]) -> None:
        """Connect servers, all at once. Raises McpConnectionError with all failures of those that are required."""
        self._check_new(configs)
        started = {name: self._start(name, config) for name, config in configs.items()}
        try:
            stand = await asyncio.gather(*(server.started() for server in started.values()))
            failed = {
                server.name: server.error
                for server, stands in zip(started.values(), stand, strict=True)
                if server.config.required and not stands
            }
            if failed:
                raise McpConnectionError(failed)
        except BaseException:
            await _to_its_end(asyncio.gather(*map(self._close, started.values())))
            raise
        self._servers = {**self._servers, **started}

    async def attach(self, name: str, config: McpServerConfig) -> None:
        """Connect a server and offer its tools; one of the same name goes when this one stands.

        Raises McpConnectionError where it cannot be reached; then everything is as it was.
        """
        self._check_new({name: config}, replaced=name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            server = self._start(name, config)
            try:
                stands = await server.started()
                self._check_new({name: config}, replaced=name)
                if not stands:
                    raise McpConnectionError({name: server.error})
            except BaseException:
                await _to_its_end(asyncio.ensure_future(self._close(server)))
                raise
            before = self._servers.get(name)
            self._servers = {**self._servers, name: server}
        if before is not None:
            await self._retire(before)

    async def detach(self, name: str) -> None:
        """Take a server's tools away at once and close it when its calls have ended.

        Raises ConfigError (unknown_mcp_server) where there is none of that name.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            server = self._servers.get(name)
            if server is None:
                raise ConfigError("unknown_mcp_server", f"there is no MCP server {name!r}; there are {self.names}")
            self._servers = {other: one for other, one in self._servers.items() if other != name}
        await self._retire(server)

    async def aclose(self) -> None:
        """Close all servers. May be called again, and goes on then where it was cancelled."""
        self._closed, self._servers = True, {}
        await asyncio.gather(*map(self._close, self._alive))
        # Their calls have failed with that, so what waits for the calls ends too.
        await asyncio.gather(*self._leaving)

    def _start(self, name: str, config: McpServerConfig) -> McpServer:
        from lash.host.plugins.mcp.server import McpServer

        self._loop = asyncio.get_running_loop()
        server = McpServer(name, config, self._means)
        self._alive.add(server)
        return server

    async def _close(self, server: McpServer) -> None:
        await server.aclose()
        self._alive.discard(server)

    async def _retire(self, server: McpServer) -> None:
        """Close a server that is no longer offered: at once, or behind its calls without keeping anybody waiting."""
        leaving = asyncio.get_running_loop().create_task(self._leave(server), name=f"mcp server {server.name} leaves")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        if server.idle:
            await asyncio.shield(leaving)

    async def _leave(self, server: McpServer) -> None:
        await server.drained()
        await self._close(server)

    def _check_new(self, configs: Mapping[str, McpServerConfig], replaced: str | None = None) -> None:
        check_installed()
        self.check_open()
        if not isinstance(cast("object", configs), Mapping):
            raise ConfigError(CODE, f"the servers are a {type(configs).__name__}; give a mapping of names to them")
        # Longer ones are told apart by names of tools alone, which servers may share.
        taken = {part(name)[:LONGEST_NAME]: name for name in self._servers if name != replaced}
        for name, config in configs.items():
            check_name(name)
            if not isinstance(cast("object", config), McpServerConfig):
                raise ConfigError(
                    CODE, f"{name!r} is a {type(config).__name__} and no McpServerConfig: see its `stdio`"
                )
            prefix = part(name)[:LONGEST_NAME]
            if prefix in taken:
                raise ConfigError(CODE, f"the tools of {name!r} would be called like those of {taken[prefix]!r}")
            taken[prefix] = name

    def check_open(self) -> None:
        """Raise ConfigError: invalid_mcp_server after the end, mcp_bound_to_other_loop away from the servers' loop."""
        if self._closed:
            raise ConfigError(CODE, "the core is closed, and its MCP servers with it: connect them again for another")
        if self._loop not in (None, asyncio.get_running_loop()):
            raise ConfigError(
                "mcp_bound_to_other_loop",
                "the MCP servers were connected on another event loop: connect them and run the turns on one, "
                "as in one asyncio.run",
            )

    # --- what is there now -------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The names of the servers."""
        return list(self._servers)

    def tools(self) -> dict[str, tuple[ImportedTool, McpServer]]:
        """All tools as they are now, by our names."""
        return {name: (tool, server) for server in self._servers.values() for name, tool in server.tools.items()}

    def tool(self, name: str) -> tuple[ImportedTool, McpServer] | None:
        """One of them."""
        for server in self._servers.values():
            if name in server.tools:
                return server.tools[name], server
        return None

    def status(self) -> dict[str, McpServerStatus]:
        """What is known of each server."""
        return {
            name: McpServerStatus(
                server.config.transport,
                server.config.secrets.hide(server.config.place),
                server.state,
                server.protocol,
                tuple(server.tools),
                server.listing.left_out,
                server.error,
            )
            for name, server in self._servers.items()
        }


async def _to_its_end(work: asyncio.Future[Any]) -> None:
    """Wait for what must be done, though the waiting task is cancelled again."""
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            continue
