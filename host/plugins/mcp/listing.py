"""The tools of a server: which are taken, and what they are called and described as here.

What a server lists ends up in prompts and requests of every session. A tool that could spoil those is left out, with a
reason that `status()` shows; the others are taken with their schemas as they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, cast

from lash.host.plugins.mcp.bounds import KIB, McpBounds
from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.schemas import Verdicts
from lash.host.plugins.mcp.secrets import Secrets
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import ToolContract, ToolManifest, ToolRetryPolicy

LONGEST: Final = 64
KEPT: Final = 55
LONGEST_ORIGINAL: Final = 256
DEADLINE_SPARE_MS: Final = 5000
"""How much longer than the server the dispatcher waits, so that the server's own timeout is what is told."""

_OTHERS: Final = re.compile(r"[^a-z0-9]+")
_RETRIES: Final = ToolRetryPolicy.safe(2, 250, 1000)


@dataclass(frozen=True, slots=True)
class ImportedTool:
    """A tool of a server: under our name in `manifest`, under its own in `original`."""

    original: str
    manifest: ToolManifest
    contract: ToolContract


@dataclass(frozen=True, slots=True)
class Listing:
    """What was taken, in the server's order, and what was not: original names (cut) with reasons."""

    tools: tuple[ImportedTool, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


class _LeftOut(Exception):
    """The tool is not taken; the text says why."""


def part(name: str) -> str:
    """A name as it stands in the names of tools: lower case, everything but letters and digits as `_`."""
    return _OTHERS.sub("_", name.lower()).strip("_") or "tool"


def tool_name(server: str, original: str, taken: Iterable[str] = ()) -> str:
    """`mcp__server__tool`, at most 64 characters and none of those that are taken."""
    whole = f"mcp__{part(server)}__{part(original)}"
    if len(whole) > LONGEST:
        whole = f"{whole[:KEPT]}_{sha256(original.encode()).hexdigest()[:8]}"
    name, number = whole, 1
    while name in taken:
        number += 1
        name = f"{whole[: LONGEST - len(str(number)) - 1]}_{number}"
    return name


async def take(
    server: str,
    config: McpServerConfig,
    listed: Iterable[Mapping[str, Any]],
    bounds: McpBounds,
    verdicts: Verdicts,
    named: Mapping[str, str] | None = None,
) -> Listing:
    """The tools of a listing, as the server sent it.

    `named` are our names of the tools listed before, by their own: a tool keeps its name, and no other gets it, so that
    a turn which began before calls what it means.
    """
    named, secrets = named or {}, config.secrets
    tools: list[ImportedTool] = []
    left_out: list[tuple[str, str]] = []
    taken = set(named.values())
    originals: set[str] = set()
    size = 0
    for tool in listed:
        original = tool.get("name")
        if not isinstance(original, str) or not original.strip() or len(original) > LONGEST_ORIGINAL:
            left_out.append((repr(original)[:64], "its name is none, or too long"))
            continue
        if original in originals or not config.takes(original):
            continue
        originals.add(original)
        try:
            if len(tools) >= bounds.tools:
                raise _LeftOut(f"the server lists more than {bounds.tools} tools; choose with `include`")
            name = named.get(original) or tool_name(server, original, taken)
            made = _imported(name, server, config, tool, bounds, secrets)
            problem = await verdicts.on(made.manifest, made.contract)
            if problem is not None:
                raise _LeftOut(problem)
            size += _json_size(made)
            if size > bounds.listing_bytes:
                raise _LeftOut(f"the server's tools are more than {bounds.listing_bytes // KIB} KiB; use `include`")
        except _LeftOut as reason:
            left_out.append((original[:64], str(reason)))
        else:
            tools.append(made)
            taken.add(made.manifest.name)
    return Listing(tuple(tools), tuple(left_out))


def _imported(
    name: str, server: str, config: McpServerConfig, tool: Mapping[str, Any], bounds: McpBounds, secrets: Secrets
) -> ImportedTool:
    original = cast("str", tool["name"])
    contract = ToolContract(_schema(tool, "inputSchema", bounds) or {}, _schema(tool, "outputSchema", bounds))
    manifest = ToolManifest(
        name,
        _description(server, secrets.hide_in(tool.get("description")), bounds),
        namespace=server,
        aliases=(original,),
        execution_mode="serial" if original in config.serial_tools else "parallel",
        retry_policy=_RETRIES if _hint(tool, "readOnlyHint") or _hint(tool, "idempotentHint") else ToolRetryPolicy(),
        timeout_ms=config.call_timeout_ms + DEADLINE_SPARE_MS,
        needs_approval=config.asks_for(original),
    )
    return ImportedTool(original, manifest, contract)


def _schema(tool: Mapping[str, Any], key: str, bounds: McpBounds) -> dict[str, JsonValue] | None:
    schema = tool.get(key)
    if schema is None:
        return None
    if not isinstance(schema, dict):
        raise _LeftOut(f"its {key} is no object")
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (ValueError, RecursionError):
        raise _LeftOut(f"its {key} is no JSON") from None
    if size > bounds.tool_bytes:
        raise _LeftOut(f"its {key} is {size // KIB} KiB, the limit is {bounds.tool_bytes // KIB}")
    return cast("dict[str, JsonValue]", schema)


def _hint(tool: Mapping[str, Any], name: str) -> bool:
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and cast("dict[str, Any]", annotations).get(name) is True


def _description(server: str, said: object, bounds: McpBounds) -> str:
    text = plain(said, bounds.description_chars) if isinstance(said, str) else ""
    return f"[MCP {server}] {text}" if text else f"MCP tool from server {server}"


def plain(text: str, most: int) -> str:
    """A text of a server without control and direction characters, cut where it is too long."""
    cut = text[: most + 1]
    kept = "".join(
        sign for sign in cut if sign in "\n\t" or (unicodedata.category(sign) != "Cc" and sign not in _BIDI)
    ).strip()
    return kept if len(cut) <= most else f"{kept[:most]}…"


_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them, so that it reads other than it is."""


def _json_size(tool: ImportedTool) -> int:
    schemas = json.dumps([tool.contract.input_schema, tool.contract.output_schema])
    return len(tool.manifest.description) + len(schemas)
