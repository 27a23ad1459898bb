"""The tools that come with lash, as flags and configuration want them (cli_and_examples.md 2, plugins.md 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lash import ConfigError, PluginStack
from lash.cli.configuration.reading import Settings
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.options import TurnOptions
from lash.host.providers.environment import resolve_secrets
from lash.plugins import InstructionFiles, PromptContextPluginFactory, StandardToolOptions
from lash.tools import FilePolicy

WEB_KEY: Final = "TAVILY_API_KEY"


def file_policy(options: TurnOptions, settings: Settings) -> FilePolicy | None:
    """Which files tools may reach; None where there are to be no file tools.

    Raises CliError for a root that is none.
    """
    if options.no_files:
        return None
    files = settings.user.files
    try:
        return FilePolicy(
            [Path(root) for root in options.roots] or [Path.cwd()],
            allow_write=True if options.allow_write else files.allow_write,
            deny=files.deny,
        )
    except ConfigError as error:
        raise CliError(f"{'--root: ' if options.roots else ''}{error.message}") from error


def web_key(settings: Settings, environment: Mapping[str, str], tell: Callable[[str], None]) -> str | None:
    """The key for the web tools; None where there is none. `tell` is told of one that is configured and not there."""
    if environment.get(WEB_KEY, "").strip():
        return environment[WEB_KEY].strip()
    configured: Any = settings.user.secrets.tavily_api_key
    if configured is None:
        return None
    try:
        found = resolve_secrets({"api_key": configured}, environment)["api_key"]
    except ConfigError as error:
        tell(f"the web tools are left out: secrets.tavily_api_key: {error.message.removeprefix('api_key: ')}")
        return None
    return found if isinstance(found, str) else None


def standard_plugins(options: TurnOptions, policy: FilePolicy | None, key: str | None, home: Home) -> PluginStack:
    """The plugins of every run: bounded outputs, instructions, and the tools that are wanted."""
    stack = PluginStack.autonomous(StandardToolOptions(files=policy, shell=options.allow_shell, web_key=key))
    # Instructions are those of the current directory, wherever the tools work, and the person's own before them.
    folder = policy.roots[0] if policy is not None else None
    stack.replace(PromptContextPluginFactory(InstructionFiles(first=[home.folder]), folder=folder))
    return stack
