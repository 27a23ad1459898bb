"""Plugins: what an application writes them with, stacks of them, and those that come with lash.

class Greeting(SessionPlugin):
    id = "greeting"

    def register(self, reg: PluginRegistrar) -> None:
        reg.prompt().contribute(lambda ctx: [PromptContribution.guidance("Greeting", "Begin with a greeting.")])
"""

from __future__ import annotations

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
from lash.runtime.plugins.stack import PluginStack as _PluginStack
from lash.runtime.tools.hooks import HookedCall
from lash.runtime.tools.surface import SurfaceContribution

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
    "RuntimeEvent",
    "SessionConfigChanged",
    "SessionPlugin",
    "SessionReadyContext",
    "SessionRestored",
    "SnapshotReader",
    "SnapshotWriter",
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


class PluginStack(_PluginStack):
    """An ordered list of factories, no id twice; hooks run in its order."""

    @classmethod
    def runtime(cls) -> PluginStack:
        """What every session is better off with: a budget for the results that tools give to the model."""
        return cls([ToolOutputBudgetPluginFactory()])
