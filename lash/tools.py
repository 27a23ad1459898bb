"""Tools: what a provider of them is written with. `@lash.tool` makes a tool of a function without any of this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.lazy import exports

if TYPE_CHECKING:
    from lash.host.tools.files.glob import Glob
    from lash.host.tools.files.ls import Ls
    from lash.host.tools.files.policy import FilePolicy
    from lash.host.tools.files.read_file import ReadFile
    from lash.host.tools.files.write_file import WriteFile
    from lash.host.tools.patch.operations import PatchError
    from lash.host.tools.patch.tool import ApplyPatchTool, PatchOp, inspect_patch_ops
    from lash.host.tools.search.tool import Grep
    from lash.host.tools.web.backend import (
        FetchBackend,
        FetchedPage,
        SearchBackend,
        SearchHit,
        SearchResults,
        WebBackend,
    )
    from lash.host.tools.web.local import LocalFetchBackend
    from lash.host.tools.web.network import Network, PublicNetwork
    from lash.host.tools.web.tavily import TavilyBackend
    from lash.host.tools.web.tools import FetchUrl, WebSearch
    from lash.runtime.sansio.tools import RetryAdvice, ToolFailure
    from lash.runtime.tools.context import SessionSnapshot, ToolContext, ToolProgress, TurnContext
    from lash.runtime.tools.decorator import Tool, tool
    from lash.runtime.tools.definition import (
        Availability,
        ResultFromInput,
        ToolContract,
        ToolDefinition,
        ToolManifest,
        ToolRetryPolicy,
    )
    from lash.runtime.tools.provider import ListedTools, ToolCall, ToolProvider
    from lash.runtime.tools.result import ModelReturn, ToolError, ToolResult


__all__ = [
    "ApplyPatchTool",
    "Availability",
    "FetchBackend",
    "FetchUrl",
    "FetchedPage",
    "FilePolicy",
    "Glob",
    "Grep",
    "ListedTools",
    "LocalFetchBackend",
    "Ls",
    "ModelReturn",
    "Network",
    "PatchError",
    "PatchOp",
    "PublicNetwork",
    "ReadFile",
    "ResultFromInput",
    "RetryAdvice",
    "SearchBackend",
    "SearchHit",
    "SearchResults",
    "SessionSnapshot",
    "TavilyBackend",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolContract",
    "ToolDefinition",
    "ToolError",
    "ToolFailure",
    "ToolManifest",
    "ToolProgress",
    "ToolProvider",
    "ToolResult",
    "ToolRetryPolicy",
    "TurnContext",
    "WebBackend",
    "WebSearch",
    "WriteFile",
    "inspect_patch_ops",
    "tool",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "lash.host.tools.files.glob": "Glob",
        "lash.host.tools.files.ls": "Ls",
        "lash.host.tools.files.policy": "FilePolicy",
        "lash.host.tools.files.read_file": "ReadFile",
        "lash.host.tools.files.write_file": "WriteFile",
        "lash.host.tools.patch.operations": "PatchError",
        "lash.host.tools.patch.tool": "ApplyPatchTool PatchOp inspect_patch_ops",
        "lash.host.tools.search.tool": "Grep",
        "lash.host.tools.web.backend": "FetchBackend FetchedPage SearchBackend SearchHit SearchResults WebBackend",
        "lash.host.tools.web.local": "LocalFetchBackend",
        "lash.host.tools.web.network": "Network PublicNetwork",
        "lash.host.tools.web.tavily": "TavilyBackend",
        "lash.host.tools.web.tools": "FetchUrl WebSearch",
        "lash.runtime.sansio.tools": "RetryAdvice ToolFailure",
        "lash.runtime.tools.context": "SessionSnapshot ToolContext ToolProgress TurnContext",
        "lash.runtime.tools.decorator": "Tool tool",
        "lash.runtime.tools.definition": (
            "Availability ResultFromInput ToolContract ToolDefinition ToolManifest ToolRetryPolicy"
        ),
        "lash.runtime.tools.provider": "ListedTools ToolCall ToolProvider",
        "lash.runtime.tools.result": "ModelReturn ToolError ToolResult",
    },
)
