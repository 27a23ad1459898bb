"""Plugins: what an application writes them with, stacks of them, and those that come with lash.

class Greeting(SessionPlugin):
    id = "greeting"

    def register(self, reg: PluginRegistrar) -> None:
        reg.prompt().contribute(lambda ctx: [PromptContribution.guidance("Greeting", "Begin with a greeting.")])
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lash.host.plugins.instruction_files import InstructionFiles
from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.errors import McpConnectionError
from lash.host.plugins.mcp.plugin import McpPluginFactory
from lash.host.plugins.mcp.pool import McpServerStatus
from lash.host.plugins.prompt_context import InstructionSource, PromptContextPluginFactory
from lash.host.plugins.read_file import ReadFilePluginFactory
from lash.host.plugins.shell import StandardShellPluginFactory
from lash.host.plugins.tool_output_budget import ToolOutputBudget, ToolOutputBudgetPluginFactory
from lash.host.tools.files.glob import Glob
from lash.host.tools.files.ls import Ls
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.write_file import WriteFile
from lash.host.tools.patch.tool import ApplyPatchTool
from lash.host.tools.search.tool import Grep
from lash.host.tools.web.tavily import TavilyBackend
from lash.host.tools.web.tools import FetchUrl, WebSearch
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


@dataclass(frozen=True, slots=True)
class StandardToolOptions:
    """Which of the tools that come with lash a session gets; without any of these it gets none.

    `files` brings the tools that read and search files under that policy, and those that write where it allows writing.
    `shell` brings commands, **which no policy binds**; they start in the first root of `files`. `web_key` is the key of
    Tavily, and brings its search and pages.
    """

    files: FilePolicy | None = None
    shell: bool = False
    web_key: str | None = field(default=None, repr=False)


class PluginStack(_PluginStack):
    """An ordered list of factories, no id twice; hooks run in its order."""

    @classmethod
    def runtime(cls) -> PluginStack:
        """What every session is better off with: a budget for the results that tools give to the model."""
        return cls([ToolOutputBudgetPluginFactory()])

    @classmethod
    def standard_tools(cls, options: StandardToolOptions | None = None) -> PluginStack:
        """The stack of `runtime`, and the tools that are asked for, each a plugin with the tool's name as its id."""
        wanted = options or StandardToolOptions()
        files = wanted.files
        spill_dir = None if files is None else files.spill_dir
        stack = cls([ToolOutputBudgetPluginFactory(ToolOutputBudget(spill_dir=spill_dir))])
        if files is not None:
            tools = [Glob(files), Ls(files), Grep(files)]
            tools += [WriteFile(files), ApplyPatchTool(files)] if files.may_write else []
            stack.push(ReadFilePluginFactory(files))
            stack.extend(StaticPluginFactory(one.definition.name, PluginSpec(tools=(one,))) for one in tools)
        if wanted.shell:
            workdir = None if files is None else files.roots[0]
            stack.push(StandardShellPluginFactory(workdir=workdir, spill_dir=spill_dir))
        if wanted.web_key:
            web = TavilyBackend(wanted.web_key)
            stack.push(StaticPluginFactory("search_web", PluginSpec(tools=(WebSearch(web),))))
            stack.push(StaticPluginFactory("fetch_url", PluginSpec(tools=(FetchUrl(web),))))
        return stack

    @classmethod
    def autonomous(cls, options: StandardToolOptions | None = None) -> PluginStack:
        """The stack of `standard_tools`, and what tells the model where and when it works."""
        files = None if options is None else options.files
        folder = None if files is None else files.roots[0]
        return cls([*cls.standard_tools(options), PromptContextPluginFactory(folder=folder)])
