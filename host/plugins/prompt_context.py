"""The plugin `prompt_context`: what holds where the agent works, and where and when that is (plugins.md 3).

Instructions of the project stand in the system prompt. Those that hold for one folder only are said once the model has
read a file there. In standard mode the last thing that the model reads before it begins is the date and the directory;
in RLM mode it has the means to ask for them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, cast

from lash.host.plugins.instruction_files import InstructionFiles, repository_of
from lash.host.system import SystemClock
from lash.runtime.plugins.contract import (
    AfterToolContext,
    PluginFactory,
    PluginSessionContext,
    PromptContext,
    SessionPlugin,
    TurnHookContext,
)
from lash.runtime.plugins.directives import Directive, PluginMessage
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.plugins.snapshot import PluginSnapshotMeta, SnapshotReader, SnapshotWriter
from lash.runtime.sansio.messages import Message, MessageSequence, Part, PluginOrigin
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.seams.clock import Clock

ID: Final = "prompt_context"

READ_TOOL: Final = "read_file"
"""The tool whose use shows which folders the model is concerned with; its argument `path` says which file."""

PRIORITY: Final = 50
"""Of the reminder among the transforms of a history: below that of those that shorten it."""


class InstructionSource(Protocol):
    """Where instructions come from. Both methods are called often, and must not block for long."""

    def system_instructions(self) -> str | None:
        """What holds for the whole project; nothing where it is None or blank."""
        ...

    def context_instructions_for_reads(self, paths: Iterable[str]) -> Iterable[str]:
        """What holds for these files besides, paths being as the model wrote them."""
        ...


class PromptContextPluginFactory(PluginFactory):
    """Makes the plugin.

    Arguments:
        source: where instructions come from; files called `AGENTS.md` of the working directory where it is not given.
        include_environment: whether standard mode is reminded of date and directory.
        include_project_instructions: whether the source is asked at all.
        folder: the working directory that is named, the process's own where it is not given.
        clock: says what day it is.
    """

    id = ID

    def __init__(
        self,
        source: InstructionSource | None = None,
        include_environment: bool = True,
        include_project_instructions: bool = True,
        *,
        folder: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source: InstructionSource = source or InstructionFiles(folder)
        self._include_environment = include_environment
        self._include_instructions = include_project_instructions
        self._folder = folder
        self._clock = clock or SystemClock()

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`."""
        reminds = self._include_environment and ctx.execution_mode == "standard"
        return _PromptContext(
            self._source if self._include_instructions else None,
            _Reminder(self._folder, self._clock) if reminds else None,
        )


class _Reminder:
    """The message that says where and when the agent works."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def append(self, turn: TurnHookContext, messages: MessageSequence) -> MessageSequence:
        """The history with the reminder behind it, which is shown in this turn and never stored."""
        message_id = f"m:{turn.turn_id}:{ID}"
        part = Part(f"{message_id}.p0", "text", self._text())
        return messages.extended([Message(message_id, "user", (part,), PluginOrigin(ID, transient=True))])

    def _text(self) -> str:
        folder = Path(os.path.abspath(self._folder or Path.cwd()))
        today = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).date().isoformat()
        lines = [f"Date: {today} (UTC)", f"Working directory: {folder}"]
        if repository_of(folder) is not None:
            lines.append("Git repository: yes")
        return "\n".join(["<system-reminder>", *lines, "</system-reminder>"])


class _PromptContext(SessionPlugin):
    """One session's half; `said` are the digests of what was said about files, so that nothing is said twice."""

    id = ID

    def __init__(self, source: InstructionSource | None, reminder: _Reminder | None) -> None:
        self._source = source
        self._reminder = reminder
        self._said: dict[str, None] = {}

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        if self._source is not None:
            reg.prompt().contribute(self._contribute)
            reg.tool_calls().after(self._after_tool)
        if self._reminder is not None:
            reg.history().prepare_turn(PRIORITY, self._reminder.append)

    def snapshot_revision(self) -> int:
        """See `SessionPlugin`."""
        return len(self._said)

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        """See `SessionPlugin`."""
        return PluginSnapshotMeta(self.version, {"said": list(self._said)})

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        """See `SessionPlugin`."""
        state = cast("dict[str, list[str]]", meta.state)
        self._said = dict.fromkeys(state["said"])

    def _contribute(self, ctx: PromptContext) -> list[PromptContribution]:
        text = self._source.system_instructions() if self._source is not None else None
        if text is None or not text.strip():
            return []
        return [PromptContribution.project_instructions("Project instructions", text)]

    def _after_tool(self, ctx: AfterToolContext) -> Directive.EnqueueMessages | None:
        path = ctx.call.args.get("path")
        read = ctx.call.tool == READ_TOOL and isinstance(ctx.output, ToolOutput.Success)
        if self._source is None or not read or not isinstance(path, str):
            return None
        new = [text for text in self._source.context_instructions_for_reads([path]) if self._is_new(text)]
        return Directive.EnqueueMessages(tuple(PluginMessage("system", text) for text in new)) if new else None

    def _is_new(self, text: str) -> bool:
        """Whether a text says something that was not said; it is taken for said from now on."""
        digest = hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:16]
        if not text.strip() or digest in self._said:
            return False
        self._said[digest] = None
        return True
