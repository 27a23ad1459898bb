"""What attaching MCP servers raises."""

from __future__ import annotations

from collections.abc import Mapping

from lash.runtime.errors import LashError


class McpConnectionError(LashError):
    """Servers that are required cannot be reached; `failures` says why, by the server's name."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        listed = "\n".join(f"  {name}: {reason}" for name, reason in failures.items())
        super().__init__("mcp_connect_failed", f"MCP servers cannot be reached:\n{listed}", retryable=True)
        self.failures = dict(failures)
