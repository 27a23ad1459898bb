"""The plugin `tool_output_budget`: what the model is told of a tool's result fits into a budget (plugins.md 2).

Only what the model reads is cut. The value itself, the record of the call and what a program computes with stay whole,
and where the model has tools that read files, a cut says in which file the whole text is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from lash.host.plugins.spill import SpillDirectory, default_directory
from lash.host.plugins.truncation import Cut, cut
from lash.host.system import SystemClock
from lash.runtime.errors import ConfigError
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin, SurfaceContext
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.sansio.tools import AnyToolOutput, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ModelReturn, model_return, plain_value, value_text
from lash.runtime.tools.surface import SurfaceContribution

ID: Final = "tool_output_budget"

TAIL_TOOLS: Final = frozenset({"exec_command", "start_command", "write_stdin"})
"""Tools whose output matters most at its end."""

FILE_TOOLS: Final = frozenset({"read_file", "grep"})
BYTES_OF_TOKEN: Final = 4
BYTES_OF_CHARACTER: Final = 4
"""At most."""

WHOLE_RESULT: Final = 4
"""How many budgets the whole result may take, all its texts together."""

WHOLE_AT = "full_output_path"
"""The field in which a result says where its whole output is."""


@dataclass(frozen=True, slots=True)
class ToolOutputBudget:
    """The budget of each text in a result; in tokens it counts four bytes for one.

    `spill_dir` None keeps whole texts in the system's temporary directory where the model has tools to read files, and
    nowhere else; a directory that is given is always used.
    """

    mode: Literal["bytes", "tokens"] = "bytes"
    limit: int = 16_384
    max_lines: int = 400
    spill_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.limit < 1 or self.max_lines < 1:
            raise ConfigError("contradictory_options", "a tool-output budget has at least one byte and one line")

    @property
    def most_bytes(self) -> int:
        """The limit in bytes."""
        return self.limit * (BYTES_OF_TOKEN if self.mode == "tokens" else 1)


class ToolOutputBudgetPluginFactory(PluginFactory):
    """Makes the plugin; all sessions of a core share the directory."""

    id = ID

    def __init__(self, config: ToolOutputBudget | None = None, *, clock: Clock | None = None) -> None:
        self.config = config or ToolOutputBudget()
        self._spill = SpillDirectory(self.config.spill_dir or default_directory(), clock or SystemClock())
        self._started = False

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`. With its first session the core begins, and old outputs are pruned."""
        if not self._started:
            self._started = True
            self._spill.prune_early()
        return _BudgetPlugin(self.config, self._spill)


class _BudgetPlugin(SessionPlugin):
    id = ID

    def __init__(self, config: ToolOutputBudget, spill: SpillDirectory) -> None:
        self._config = config
        self._spill = spill
        self._spills = config.spill_dir is not None

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        reg.tool_results().projector(self._told)
        reg.surface().contribute(self._look_for_file_tools)

    def _look_for_file_tools(self, ctx: SurfaceContext) -> SurfaceContribution | None:
        has_them = any(manifest.name in FILE_TOOLS for manifest in ctx.manifests)
        self._spills = has_them or self._config.spill_dir is not None
        return None

    def _told(self, tool: str, args: JsonValue, output: AnyToolOutput) -> ModelReturn | Awaitable[ModelReturn]:
        """See `project`: at once where nothing can be too long, which is the most frequent case by far."""
        told = model_return(output)
        text = told.text
        lines = text.count("\n") + text.count(r"\n") + 1  # in JSON they are escaped
        short = lines <= self._config.max_lines and BYTES_OF_CHARACTER * len(text) <= self._config.most_bytes
        return told if short else self.project(tool, args, output)

    async def project(self, tool: str, args: JsonValue, output: AnyToolOutput) -> ModelReturn:
        """What the model is told of a result."""
        if not isinstance(output, ToolOutput.Success):
            told = model_return(output)
            return ModelReturn(await self._fitted(told.text, tool, args, tail=True), told.attachments)
        shown, attachments = plain_value(output.value)
        if tool == "batch" and _is_batch(shown):
            shown = await self._batch(shown, args)
        else:
            shown = await self._value(shown, tool, args, None)
        text = value_text(shown)
        most = WHOLE_RESULT * self._config.most_bytes
        found = cut(text, most, len(text) + 1, tail=tool in TAIL_TOOLS)
        if found is not None:
            text = await self._marked(found, value_text(plain_value(output.value)[0]), tool, args, None)
        return ModelReturn(text, attachments)

    async def _batch(self, envelope: JsonValue, args: JsonValue) -> JsonValue:
        """The envelope with every result that worked cut as that tool's own."""
        results: list[JsonValue] = []
        for one in cast("list[dict[str, JsonValue]]", cast("dict[str, JsonValue]", envelope)["results"]):
            if one.get("success") is True and "result" in one:
                one = {**one, "result": await self._value(one["result"], str(one["tool"]), args, None)}
            results.append(one)
        return {**cast("dict[str, JsonValue]", envelope), "results": results}

    async def _value(self, value: JsonValue, tool: str, args: JsonValue, whole_at: str | None) -> JsonValue:
        """A value with every text in it cut; `whole_at` is the file that the result names itself."""
        if isinstance(value, str):
            return await self._fitted(value, tool, args, tail=tool in TAIL_TOOLS, whole_at=whole_at)
        if isinstance(value, list):
            return [await self._value(one, tool, args, whole_at) for one in value]
        if isinstance(value, dict):
            named = value.get(WHOLE_AT)
            whole_at = named if isinstance(named, str) else whole_at
            return {
                key: one if key == WHOLE_AT else await self._value(one, tool, args, whole_at)
                for key, one in value.items()
            }
        return value

    async def _fitted(self, text: str, tool: str, args: JsonValue, *, tail: bool, whole_at: str | None = None) -> str:
        """A text, cut where it is too long."""
        found = cut(text, self._config.most_bytes, self._config.max_lines, tail=tail)
        return text if found is None else await self._marked(found, text, tool, args, whole_at, tail=tail)

    async def _marked(
        self, found: Cut, text: str, tool: str, args: JsonValue, whole_at: str | None, *, tail: bool | None = None
    ) -> str:
        """A preview with the marker that says what is missing and where the whole is."""
        missing, unit = found.missing, str(found.unit)
        if unit == "bytes" and self._config.mode == "tokens":
            missing, unit = math.ceil(missing / BYTES_OF_TOKEN), "tokens"
        marker = f"...{missing} {unit} truncated..."
        hint = await self._hint(text, tool, args, whole_at)
        if tool in TAIL_TOOLS if tail is None else tail:
            return f"{marker}\n\n{hint}\n\n{found.preview}"
        return f"{found.preview}\n\n{marker}\n\n{hint}"

    async def _hint(self, text: str, tool: str, args: JsonValue, whole_at: str | None) -> str:
        if whole_at is None and self._spills:
            path = await asyncio.to_thread(self._spill.write, tool, args, text)
            whole_at = None if path is None else str(path)
        if whole_at is None:
            return "The rest is not shown: ask for less, a page or a narrower selection."
        return (
            f"The whole output is in {whole_at}: read parts with `read_file` (offset, limit) or search it with `grep`."
        )


def _is_batch(value: JsonValue) -> bool:
    if not isinstance(value, dict) or not isinstance(results := value.get("results"), list):
        return False
    return all(isinstance(one, dict) and isinstance(one.get("tool"), str) for one in results)
