"""Running one program of a turn: what it shows, and what it reaches of the turn while it runs (runtime.md 2).

A program is a composite effect: it runs again when its turn is driven again, and what it asks for has keys of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.effects import Effect, ExecFailure, PrintedImage, Response
from lash.runtime.sansio.messages import SessionEventRecord
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolOutput, ToolSpec
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.dispatch import ToolDispatcher, ToolRequest
from lash.runtime.tools.hooks import CallFrame
from lash.runtime.tools.provider import Path
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.mode import Emit, ModeSession
from lash.runtime.turn.trace_turn import TurnTrace


class ProgramPort:
    """What one running program reaches: the mode's `ExecPort`.

    `frame` says where in the turn the program runs; the ids of its calls are made of that, so that a turn that is
    driven again makes the same ones. `put_aside` says whether the turn was suspended.
    """

    def __init__(
        self,
        frame: CallFrame,
        dispatcher: ToolDispatcher,
        stream: ActivityStream,
        attachments: AttachmentStore,
        put_aside: Callable[[], bool],
    ) -> None:
        self._frame = frame
        self._dispatcher = dispatcher
        self._stream = stream
        self._attachments = attachments
        self._put_aside = put_aside
        self._done: dict[int, CompletedToolCall] = {}

    @property
    def calls(self) -> list[CompletedToolCall]:
        """The calls that are over, in the order in which the program began them."""
        return [self._done[ordinal] for ordinal in sorted(self._done)]

    def specs(self) -> Sequence[ToolSpec]:
        """The tools that can be called."""
        return self._dispatcher.surface.specs

    def tool(self, name: str) -> ToolManifest | None:
        """The tool that a call of that name reaches now; None where it reaches none."""
        found = self._dispatcher.resolve(name)
        return None if found is None else found.manifest

    async def call(
        self,
        ordinal: int,
        name: str,
        args: dict[str, JsonValue],
        projections: Mapping[Path, Any],
        position: tuple[int, int] | None,
    ) -> CompletedToolCall:
        """Run a tool to its end. Raises what the effect host raises."""
        request = ToolRequest(PendingToolCall(self._call_id(ordinal), name, args), position, projections)
        done = self._done[ordinal] = await self._dispatcher.dispatch(request, self._frame)
        return done

    async def give_up(self, ordinal: int, name: str, args: dict[str, JsonValue]) -> CompletedToolCall:
        """A call that the program does not wait for any more, shown as cancelled."""
        call_id, output = self._call_id(ordinal), ToolOutput.Cancelled()
        if not self._put_aside():  # else it goes on when the turn does
            shown = [one.event for one in self._stream.activities]
            if not any(isinstance(event, TurnEvent.ToolCallStarted) and event.call_id == call_id for event in shown):
                await self._show(TurnEvent.ToolCallStarted(call_id, name, args), call_id)
            await self._show(TurnEvent.ToolCallCompleted(call_id, name, args, output, 0), call_id)
        done = self._done[ordinal] = CompletedToolCall(call_id, name, args, output)
        return done

    def waits(self, requests: int | None) -> None:
        """The program goes no further until one of so many requests is answered; None: it goes on."""
        self._dispatcher.stillness.program_waits(requests)

    def behind(self) -> AbstractContextManager[None]:
        """Inside, a call is held back until others are over."""
        return self._dispatcher.stillness.behind()

    async def image(self, image_id: str) -> PrintedImage | None:
        """What the attachment store knows of an image."""
        known = await self._attachments.describe(image_id)
        if known is None:
            return None
        return PrintedImage(known.id, known.media_type, known.label, known.width, known.height, known.byte_len)

    def _call_id(self, ordinal: int) -> str:
        return f"c:{self._frame.turn_id}:{self._frame.mode_iteration}:{ordinal}"

    async def _show(self, event: AnyTurnEvent, call_id: str) -> None:
        await self._stream.emit(self._frame.session_id, event, f"tool:{call_id}")


class ProgramRun:
    """Runs one program and shows its code and output."""

    def __init__(
        self,
        mode: ModeSession,
        dispatcher: ToolDispatcher,
        port: ProgramPort,
        emit: Emit,
        clock: Clock,
        token: CancelToken,
        trace: TurnTrace,
    ) -> None:
        self._mode = mode
        self._dispatcher = dispatcher
        self._port = port
        self._emit = emit
        self._clock = clock
        self._token = token
        self._trace = trace

    async def run(
        self, effect: Effect.ExecCode, events: Sequence[SessionEventRecord], calls: list[CompletedToolCall]
    ) -> Response.ExecResult:
        """Run the program on a session with these events; the tool calls that it made are added to `calls`.

        Raises what the effect host raises.
        """
        row = f"code:{effect.id}"
        await self._emit(TurnEvent.CodeBlockStarted(effect.language, effect.code), row)
        shown: list[str] = []

        async def emit(event: AnyTurnEvent, correlation_id: str | None = None) -> None:
            if isinstance(event, TurnEvent.CodeOutput):
                shown.append(event.text)
            await self._emit(event, correlation_id)

        began = self._clock.monotonic()
        with self._dispatcher.stillness.program():
            result = await self._mode.exec_code(effect.code, row, self._port, emit, self._token, events)
        self._trace.step(self._mode.mode_id, effect.code, result)
        made = self._port.calls
        calls.extend(made)
        failed = result.message if isinstance(result, ExecFailure) else result.error
        event = TurnEvent.CodeBlockCompleted(
            effect.language,
            "\n".join(shown),
            failed,
            failed is None,
            round((self._clock.monotonic() - began) * 1000),
            tuple(call.call_id for call in made),
        )
        await self._emit(event, row)
        return Response.ExecResult(effect.id, result)
