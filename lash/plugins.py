"""Plugins: what an application writes them with, stacks of them, and those that come with lash.

class Greeting(SessionPlugin):
    id = "greeting"

    def register(self, reg: PluginRegistrar) -> None:
        reg.prompt().contribute(lambda ctx: [PromptContribution.guidance("Greeting", "Begin with a greeting.")])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.lazy import exports

if TYPE_CHECKING:
    from lash.host.plugins.instruction_files import InstructionFiles
    from lash.host.plugins.mcp.config import McpServerConfig
    from lash.host.plugins.mcp.errors import McpConnectionError
    from lash.host.plugins.mcp.plugin import McpPluginFactory
    from lash.host.plugins.mcp.pool import McpServerStatus
    from lash.host.plugins.prompt_context import InstructionSource, PromptContextPluginFactory
    from lash.host.plugins.read_file import ReadFilePluginFactory
    from lash.host.plugins.shell import StandardShellPluginFactory
    from lash.host.plugins.tool_output_budget import ToolOutputBudget, ToolOutputBudgetPluginFactory
    from lash.runtime.errors import PluginError
    from lash.runtime.plugins.actions import ActionDefinition, PluginOp
    from lash.runtime.plugins.binding import BoundPlugin, MissingPluginTurnInput, PluginBinding, PluginInput
    from lash.runtime.plugins.contract import (
        AbortStream,
        AfterToolContext,
        AfterTurnContext,
        AttemptReset,
        CheckpointContext,
        HistoryRewrite,
        PluginFactory,
        PluginSessionContext,
        PluginSpec,
        PluginSpecFactory,
        PreparedHistory,
        PromptContext,
        SessionConfigChanged,
        SessionPlugin,
        SessionReadyContext,
        SessionRestored,
        StaticPluginFactory,
        StreamChunk,
        SurfaceContext,
        TurnCommitted,
        TurnHookContext,
        TurnPersisted,
    )
    from lash.runtime.plugins.directives import Directive, PluginMessage, RuntimeEvent
    from lash.runtime.plugins.registrar import PluginRegistrar
    from lash.runtime.plugins.snapshot import (
        PluginSnapshotMeta,
        PluginSnapshotVersionError,
        SnapshotReader,
        SnapshotWriter,
    )
    from lash.runtime.tools.hooks import HookedCall
    from lash.runtime.tools.surface import SurfaceContribution
    from lash.stacks import PluginStack, StandardToolOptions


__all__ = [
    "AbortStream",
    "ActionDefinition",
    "AfterToolContext",
    "AfterTurnContext",
    "AttemptReset",
    "BoundPlugin",
    "CheckpointContext",
    "Directive",
    "HistoryRewrite",
    "HookedCall",
    "InstructionFiles",
    "InstructionSource",
    "McpConnectionError",
    "McpPluginFactory",
    "McpServerConfig",
    "McpServerStatus",
    "MissingPluginTurnInput",
    "PluginBinding",
    "PluginError",
    "PluginFactory",
    "PluginInput",
    "PluginMessage",
    "PluginOp",
    "PluginRegistrar",
    "PluginSessionContext",
    "PluginSnapshotMeta",
    "PluginSnapshotVersionError",
    "PluginSpec",
    "PluginSpecFactory",
    "PluginStack",
    "PreparedHistory",
    "PromptContext",
    "PromptContextPluginFactory",
    "ReadFilePluginFactory",
    "RuntimeEvent",
    "SessionConfigChanged",
    "SessionPlugin",
    "SessionReadyContext",
    "SessionRestored",
    "SnapshotReader",
    "SnapshotWriter",
    "StandardShellPluginFactory",
    "StandardToolOptions",
    "StaticPluginFactory",
    "StreamChunk",
    "SurfaceContext",
    "SurfaceContribution",
    "ToolOutputBudget",
    "ToolOutputBudgetPluginFactory",
    "TurnCommitted",
    "TurnHookContext",
    "TurnPersisted",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "lash.host.plugins.instruction_files": "InstructionFiles",
        "lash.host.plugins.mcp.config": "McpServerConfig",
        "lash.host.plugins.mcp.errors": "McpConnectionError",
        "lash.host.plugins.mcp.plugin": "McpPluginFactory",
        "lash.host.plugins.mcp.pool": "McpServerStatus",
        "lash.host.plugins.prompt_context": "InstructionSource PromptContextPluginFactory",
        "lash.host.plugins.read_file": "ReadFilePluginFactory",
        "lash.host.plugins.shell": "StandardShellPluginFactory",
        "lash.host.plugins.tool_output_budget": "ToolOutputBudget ToolOutputBudgetPluginFactory",
        "lash.runtime.errors": "PluginError",
        "lash.runtime.plugins.actions": "ActionDefinition PluginOp",
        "lash.runtime.plugins.binding": "BoundPlugin MissingPluginTurnInput PluginBinding PluginInput",
        "lash.runtime.plugins.contract": (
            "AbortStream AfterToolContext AfterTurnContext AttemptReset CheckpointContext "
            "HistoryRewrite PluginFactory PluginSessionContext PluginSpec PluginSpecFactory "
            "PreparedHistory PromptContext SessionConfigChanged SessionPlugin SessionReadyContext "
            "SessionRestored StaticPluginFactory StreamChunk SurfaceContext TurnCommitted "
            "TurnHookContext TurnPersisted"
        ),
        "lash.runtime.plugins.directives": "Directive PluginMessage RuntimeEvent",
        "lash.runtime.plugins.registrar": "PluginRegistrar",
        "lash.runtime.plugins.snapshot": "PluginSnapshotMeta PluginSnapshotVersionError SnapshotReader SnapshotWriter",
        "lash.runtime.tools.hooks": "HookedCall",
        "lash.runtime.tools.surface": "SurfaceContribution",
        "lash.stacks": "PluginStack StandardToolOptions",
    },
)
