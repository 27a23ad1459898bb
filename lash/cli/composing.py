"""The core of a run, out of flags and configuration (cli_and_examples.md 4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from lash import UNSET, LashCore, ModePreset, PluginError, PluginStack
from lash.cli.exits import CliError, Exit
from lash.cli.given import Given
from lash.cli.guarding import asked_first
from lash.cli.home import Home
from lash.cli.options import TurnOptions
from lash.cli.toolbox import file_policy, standard_plugins, web_key
from lash.host.tracing.secret_search import SECRET_NAME
from lash.plugins import McpConnectionError, McpPluginFactory, McpServerConfig
from lash.runtime.tools.approvals import ApproveCallback
from lash.tracing import JsonlTraceSink, TraceLevel


class Composer:
    """Makes the core of a run; `tell` is told of what is left out.

    Raises CliError for files and roots that cannot be, and TraceSinkError for a trace that cannot be opened.
    """

    def __init__(self, options: TurnOptions, given: Given, tell: Callable[[str], None]) -> None:
        self._options = options
        self._given = given
        policy = file_policy(options, given.settings)
        self._key = web_key(given.settings, os.environ, tell)
        self._plugins = standard_plugins(options, policy, self._key, Home.of(os.environ))
        self._plugins.push(asked_first(given.settings.asked_first))
        self._sink = None if options.trace is None else JsonlTraceSink(options.trace)

    async def core(
        self, mode: str, servers: Mapping[str, McpServerConfig], approve: ApproveCallback | None, **kept: Any
    ) -> LashCore:
        """The core, which closes the servers that are connected for it; `kept` is what keeps its sessions.

        `approve` answers where a tool needs approval. Raises CliError for a server that cannot be reached, ConfigError
        for what cannot be put together.
        """
        settings = self._given.settings
        if self._sink is not None:
            # The core has the sink learn the key of the provider, which is all that it knows of.
            self._sink.learn_secrets([*([self._key] if self._key else []), *_secrets(servers)])
        mcp = await _connected(servers) if servers else None
        try:
            return LashCore(
                modes=[ModePreset.rlm(), ModePreset.standard()],
                default_mode=mode,
                plugins=self._plugins if mcp is None else PluginStack([*self._plugins, mcp]),
                tools=self._given.tools,
                approve=approve,
                models=settings.models,
                max_turns=UNSET if settings.user.max_turns is None else settings.user.max_turns,
                trace_sink=self._sink,
                trace_level=TraceLevel(self._options.trace_level or TraceLevel.STANDARD.value),
                **kept,
            )
        except BaseException:
            if mcp is not None:
                await mcp.aclose()
            raise

    def close(self) -> None:
        """Close the trace, after the core."""
        if self._sink is not None:
            self._sink.close()


def not_composed(error: PluginError) -> CliError | PluginError:
    """The error for tools that do not go together, with the ways on; any other error of a plugin as it is."""
    if error.kind != "registration":
        return error
    return CliError(f"{error.message}; --no-files leaves out the file tools, --no-mcp the servers [{error.code}]")


def _secrets(servers: Mapping[str, McpServerConfig]) -> list[str]:
    """What servers are given that must not be shown."""
    found: list[str] = []
    for server in servers.values():
        found += server.headers.values()
        found += [value for name, value in server.env.items() if SECRET_NAME.search(name)]
    return found


async def _connected(servers: Mapping[str, McpServerConfig]) -> McpPluginFactory:
    try:
        return await McpPluginFactory.connect(servers)
    except McpConnectionError as error:
        raise CliError(
            f"{error.message}\n--no-mcp runs without them, and `required = false` in an entry without that one",
            Exit.FAILED,
        ) from error
