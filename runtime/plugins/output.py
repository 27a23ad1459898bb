"""Hooks on what the model writes: its text as it streams, and the whole response (plugins.md 1)."""

from __future__ import annotations

from dataclasses import dataclass

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import HookCaller
from lash.runtime.plugins.contract import AbortStream, AttemptReset, StreamChunk
from lash.runtime.plugins.registrar import Registrations
from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.sansio.outcome import TurnIssue


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """A chunk as the hooks leave it; `abort` is the reason of the first that wants the model call stopped."""

    text: str
    abort: str | None = None


class OutputHooks:
    """The stream and response hooks of a session. A hook that fails changes nothing and is noted in `issues`."""

    def __init__(self, registrations: Registrations, caller: HookCaller) -> None:
        self._has = registrations
        self._caller = caller
        self._issues: list[TurnIssue] = []

    def take_issues(self) -> tuple[TurnIssue, ...]:
        """What went wrong since this was last asked."""
        taken, self._issues = tuple(self._issues), []
        return taken

    async def stream(self, chunk: StreamChunk) -> StreamVerdict:
        """Pipe a chunk through the hooks."""
        for one in self._has.stream:
            try:
                given = await self._caller.call(one, "stream hook", chunk)
                if isinstance(given, AbortStream):
                    return StreamVerdict(chunk.text, given.reason)
                if given is not None and not isinstance(given, str):
                    raise PluginError("invoke", one.plugin_id, f"its stream hook gave {type(given).__name__}, no text")
            except PluginError as error:
                self._note(error)
                continue
            if given is not None:
                chunk = StreamChunk(given, chunk.kind)
        return StreamVerdict(chunk.text)

    async def response(self, response: LlmResponse) -> LlmResponse:
        """Pipe a response through the hooks."""
        for one in self._has.response:
            try:
                given = await self._caller.call(one, "response hook", response)
                if given is not None and not isinstance(given, LlmResponse):
                    what = f"its response hook gave {type(given).__name__}, no response"
                    raise PluginError("invoke", one.plugin_id, what)
            except PluginError as error:
                self._note(error)
                continue
            response = response if given is None else given
        return response

    async def attempt_reset(self) -> None:
        """Tell all hooks that the attempt's text is void."""
        for one in (*self._has.stream, *self._has.response):
            try:
                await self._caller.call(one, "hook on a reset", AttemptReset())
            except PluginError as error:
                self._note(error)

    def _note(self, error: PluginError) -> None:
        self._issues.append(TurnIssue("plugin", error.code, error.message))
