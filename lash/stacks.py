"""Stacks of plugins that come with lash. Tools are imported where a stack has them, for what they need takes long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lash.host.plugins.tool_output_budget import ToolOutputBudget, ToolOutputBudgetPluginFactory
from lash.runtime.plugins.contract import PluginFactory, PluginSpec, StaticPluginFactory
from lash.runtime.plugins.stack import PluginStack as _PluginStack

if TYPE_CHECKING:
    from lash.host.tools.files.policy import FilePolicy


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
            stack.extend(_file_tools(files))
        if wanted.shell:
            from lash.host.plugins.shell import StandardShellPluginFactory

            workdir = None if files is None else files.roots[0]
            stack.push(StandardShellPluginFactory(workdir=workdir, spill_dir=spill_dir))
        if wanted.web_key:
            stack.extend(_web_tools(wanted.web_key))
        return stack

    @classmethod
    def autonomous(cls, options: StandardToolOptions | None = None) -> PluginStack:
        """The stack of `standard_tools`, and what tells the model where and when it works."""
        from lash.host.plugins.prompt_context import PromptContextPluginFactory

        files = None if options is None else options.files
        folder = None if files is None else files.roots[0]
        return cls([*cls.standard_tools(options), PromptContextPluginFactory(folder=folder)])


def _file_tools(policy: FilePolicy) -> list[PluginFactory]:
    """The tools on files, those that write where the policy allows it."""
    from lash.host.plugins.read_file import ReadFilePluginFactory
    from lash.host.tools.files.glob import Glob
    from lash.host.tools.files.ls import Ls
    from lash.host.tools.files.write_file import WriteFile
    from lash.host.tools.patch.tool import ApplyPatchTool
    from lash.host.tools.search.tool import Grep

    tools = [Glob(policy), Ls(policy), Grep(policy)]
    tools += [WriteFile(policy), ApplyPatchTool(policy)] if policy.may_write else []
    named = [StaticPluginFactory(one.definition.name, PluginSpec(tools=(one,))) for one in tools]
    return [ReadFilePluginFactory(policy), *named]


def _web_tools(key: str) -> list[PluginFactory]:
    """Tavily's search and pages."""
    from lash.host.tools.web.tavily import TavilyBackend
    from lash.host.tools.web.tools import FetchUrl, WebSearch

    web = TavilyBackend(key)
    return [
        StaticPluginFactory("search_web", PluginSpec(tools=(WebSearch(web),))),
        StaticPluginFactory("fetch_url", PluginSpec(tools=(FetchUrl(web),))),
    ]
