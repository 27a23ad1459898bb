"""The plugin `read_file`: the tool of that name, for a stack of plugins."""

from __future__ import annotations

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.read_file import ReadFile
from lash.runtime.plugins.contract import PluginSpec, StaticPluginFactory


class ReadFilePluginFactory(StaticPluginFactory):
    """Makes the plugin; all sessions of a core have one policy. ConfigError (file_policy_required) without one."""

    def __init__(self, policy: FilePolicy) -> None:
        super().__init__("read_file", PluginSpec(tools=(ReadFile(policy),)))
