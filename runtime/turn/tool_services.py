"""What the runtime does for the tools of a turn (`lash.runtime.tools.context.ToolServices`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from lash.runtime.errors import SessionError
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.llm import LlmRequest, LlmResult
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.replies import usage_of
from lash.runtime.sansio.usage import NO_USAGE, TokenLedgerEntry, TokenUsage
from lash.runtime.seams.persistence import SessionStoreFactory
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import conversation
from lash.runtime.tools.context import SessionSnapshot
from lash.runtime.turn.inputs import SessionAttachments
from lash.runtime.turn.trace_turn import TurnTrace


class TurnToolServices:
    """See the module; one per turn.

    Model calls of tools go to the session's provider and are no part of the conversation: their text is not shown, and
    what they use is booked under the source that the tool names.
    """

    def __init__(
        self,
        *,
        session_id: str,
        mode_id: str,
        turn_index: int,
        machine: TurnMachine,
        provider: ProviderHandle,
        model: str,
        llm_deadline_s: float | None,
        stores: SessionStoreFactory,
        images: SessionAttachments,
        inputs: Mapping[str, Any],
        emit: Callable[[TurnEvent.ChildUsage, str], Awaitable[None]],
        trace: TurnTrace,
    ) -> None:
        self._session_id = session_id
        self._mode_id = mode_id
        self._turn_index = turn_index
        self._machine = machine
        self._provider = provider
        self._model = model
        self._llm_deadline_s = llm_deadline_s
        self._stores = stores
        self._images = images
        self._inputs = inputs
        self._emit = emit
        self._trace = trace
        self._used: dict[str, list[TokenLedgerEntry]] = {}
        self._total: dict[tuple[str, str], TokenUsage] = {}

    def session_model(self) -> str | None:
        """See `ToolServices`."""
        return self._model

    async def snapshot_session(self, session_id: str | None) -> SessionSnapshot:
        """See `ToolServices`; of another session as it was committed last."""
        if session_id is None or session_id == self._session_id:
            return SessionSnapshot(
                self._session_id,
                self._mode_id,
                self._turn_index,
                tuple(self._machine.messages),
                tuple(self._machine.events),
            )
        store = await self._stores.find_store(session_id)
        stored = None
        if store is not None:
            try:
                stored = await store.load_session("active_path")
            finally:
                await store.aclose()
        if stored is None:
            raise SessionError("unknown_session", f"there is no session {session_id!r}")
        events = SessionGraph(stored.nodes, stored.leaf_node_id).active_events()
        turns = stored.turn_state.get("turn_index")
        index = turns if isinstance(turns, int) else 0
        return SessionSnapshot(session_id, stored.config.mode, index, tuple(conversation(events)), tuple(events))

    async def direct_completion(self, request: LlmRequest, usage_source: str, call_id: str) -> LlmResult:
        """See `ToolServices`."""
        asked = replace(request, session_id=request.session_id or self._session_id)
        result: LlmResult
        trace = self._trace.model_call_of_tool(call_id, self._provider.kind)
        if trace is not None:
            trace.started(asked, stream=False)
        try:
            result = await self._provider.complete(asked, None, trace, deadline_s=self._llm_deadline_s)
        except ProviderFailure as failure:
            result = failure.to_error()
        except BaseException as error:
            if trace is not None:
                trace.broken_off(error)
            raise
        if trace is not None:
            trace.ended(result, replayed=False)
        used = usage_of(result)
        if used != NO_USAGE:
            await self._book(TokenLedgerEntry(usage_source, request.model, used), call_id)
        return result

    async def _book(self, entry: TokenLedgerEntry, call_id: str) -> None:
        self._used.setdefault(call_id, []).append(entry)
        total = self._total.get((entry.source, entry.model), NO_USAGE) + entry.usage
        self._total[entry.source, entry.model] = total
        event = TurnEvent.ChildUsage(
            self._session_id, entry.source, entry.model, self._machine.mode_iteration, entry.usage, total
        )
        await self._emit(event, f"child:{self._session_id}")

    def take_usage(self, call_id: str) -> tuple[TokenLedgerEntry, ...]:
        """See `ToolServices`."""
        return tuple(self._used.pop(call_id, ()))

    async def put_attachment(self, data: bytes, label: str | None) -> AttachmentRef:
        """See `ToolServices`."""
        return await self._images.put(data, label=label)

    async def describe_attachment(self, attachment_id: str) -> AttachmentRef | None:
        """See `ToolServices`."""
        return await self._images.describe(attachment_id)

    def plugin_input(self, plugin_id: str) -> object:
        """See `ToolServices`."""
        return self._inputs.get(plugin_id)
