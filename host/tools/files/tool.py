"""`FileTool`: what the tools of this package share."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, Final

from lash.host.tools.files.policy import FilePolicy, require_policy
from lash.host.tools.files.resolved import printable
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.decorator import Tool, tools_of
from lash.runtime.tools.definition import ToolContract, ToolDefinition, ToolManifest, ToolRetryPolicy
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolError, ToolResult

READING: Final = ToolRetryPolicy.safe(2, 25, 100)
"""How tools that only read are tried again."""

_PASSING: Final = frozenset(
    {errno.EAGAIN, errno.EINTR, errno.EIO, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT}
    | {getattr(errno, "ESTALE", errno.EIO)}
)
"""Errors of a disk that may be gone the next time."""


class Stopped(Exception):
    """Work in a thread has seen that its call is cancelled."""


class FileTool(ListedTools):
    """A provider of the one tool that its class defines with `@tool`, under a policy.

    Raises ConfigError (file_policy_required) without one.
    """

    def __init__(self, policy: FilePolicy) -> None:
        self.policy = require_policy(policy, type(self).__name__)

    @property
    def definition(self) -> ToolDefinition:
        """The tool's manifest and contract."""
        return self._tool.definition

    @property
    def _tool(self) -> Tool[..., Any]:
        (found,) = tools_of(self)
        return found

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        return (self.definition.manifest,)

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        return self._tool.resolve_contract(name)

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`: errors of the disk are failures, and what has stopped itself is cancelled."""
        try:
            return await self._tool.execute(call)
        except Stopped:
            return ToolResult.cancelled()
        except OSError as error:
            raise disk_error(error) from None


def disk_error(error: OSError) -> ToolError:
    """What the model is told of an error of the disk; only where it may pass, the call may be tried again."""
    named = f"{printable(error.filename)}: " if isinstance(error.filename, str) else ""
    retry = "safe" if error.errno in _PASSING else "never"
    return ToolError(f"{named}{error.strerror or type(error).__name__}", retry=retry)


def stop_if(token: CancelToken) -> None:
    """Nothing, or Stopped where the call is cancelled."""
    if token.cancelled:
        raise Stopped
