"""Tools: what a provider of them is written with. `@lash.tool` makes a tool of a function without any of this."""

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
    "Availability",
    "ListedTools",
    "ModelReturn",
    "ResultFromInput",
    "RetryAdvice",
    "SessionSnapshot",
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
    "tool",
]
