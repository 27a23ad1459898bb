"""The MCP servers of a run. Those of a project run only where the person has agreed to them (cli_and_examples.md 3).

A project's file comes with somebody else's code: what it starts runs with the person's rights, and what it puts into
headers may be the person's keys. So it is asked about once for each file and content, and the answer is kept in
`trust.json` of the home.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lash import ConfigError
from lash.cli.configuration.lines import dotted
from lash.cli.configuration.reading import ConfigFile, Settings
from lash.cli.configuration.schema import McpServer
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.screen import clean
from lash.plugins import McpServerConfig

TRUST: Final = "trust.json"

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")

Ask = Callable[[list[str]], Awaitable[bool]]
"""Shows lines and gives a person's yes or no."""


async def servers(
    settings: Settings, home: Home, *, trusted: bool, ask: Ask | None, tell: Callable[[str], None]
) -> dict[str, McpServerConfig]:
    """The servers to connect, by name; a project's one stands in place of the person's of its name.

    `trusted` says yes for this run, `ask` asks the person (None: there is nobody), `tell` is told of servers that are
    left out. Raises CliError for an entry that cannot be used.
    """
    found = _made(settings.user.mcp_servers, settings.user_file)
    file = settings.project_file
    if file is None or not settings.project.mcp_servers:
        return found
    agreed = True if trusted else _remembered(home, file)
    if agreed is None and ask is not None:
        agreed = await ask(_question(file, settings.project.mcp_servers))
        _remember(home, file, agreed)
    if not agreed:
        why = "nobody has agreed to them" if agreed is None else "you have said no to them"
        tell(f"the MCP servers of {file.path} are not started: {why}; --trust-project starts them")
        return found
    return found | _made(settings.project.mcp_servers, file)


def _made(entries: Mapping[str, McpServer], file: ConfigFile | None) -> dict[str, McpServerConfig]:
    return {name: made_server(name, entry, file) for name, entry in entries.items()}


def made_server(name: str, entry: McpServer, file: ConfigFile | None) -> McpServerConfig:
    """The server of an entry. Raises CliError, with its place, where that cannot be one."""
    from lash.host.plugins.mcp.config import check_name

    try:
        check_name(name)
        return McpServerConfig(**entry.given())
    except ConfigError as error:
        place = f"{file.place(('mcp_servers', name))}: " if file is not None else ""
        raise CliError(f"{place}{dotted(('mcp_servers', name))}: {error.message}") from error


def _question(file: ConfigFile, entries: Mapping[str, McpServer]) -> list[str]:
    """What a project wants to run, in lines: all of it, as nothing that is hidden can be agreed to."""
    lines = [f"{file.path} wants to use these MCP servers; what they start runs with your rights:"]
    for name, entry in entries.items():
        where = entry.url or shlex.join([entry.command or "", *(entry.args or [])])
        values = [*(entry.env or {}).values(), *(entry.headers or {}).values()]
        given = sorted({variable for text in values for variable in _VARIABLE.findall(text)})
        told = f" (is given {', '.join(given)} of your environment)" if given else ""
        lines.append(clean(f"  {name}: {where}{told}".replace("\n", " ")))
    return lines


# --- what was agreed to ------------------------------------------------------------------------------


def _remembered(home: Home, file: ConfigFile) -> bool | None:
    """The person's answer for this content of the file; None where there is none."""
    entry = _answers(home).get(str(file.path.resolve()))
    match entry:
        case {"sha256": file.sha256, "agreed": bool(agreed)}:
            return agreed
        case _:
            return None


def _remember(home: Home, file: ConfigFile, agreed: bool) -> None:
    answers = {**_answers(home), str(file.path.resolve()): {"sha256": file.sha256, "agreed": agreed}}
    home.make()
    handle, draft = tempfile.mkstemp(dir=home.folder, prefix=".trust-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(answers, out, indent=2)
        os.replace(draft, home.folder / TRUST)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(draft).unlink()


def _answers(home: Home) -> dict[str, Any]:
    """What was answered so far. A file that cannot be read has no answers in it, so the person is asked again."""
    try:
        found: object = json.loads((home.folder / TRUST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
