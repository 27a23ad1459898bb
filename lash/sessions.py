"""A session as an application sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from lash.runtime.errors import SessionError, TurnError
from lash.runtime.sansio.messages import Message, Part
from lash.runtime.sansio.values import JsonValue
from lash.runtime.session.view import SessionReadView
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream, TurnActivitySink
from lash.runtime.turn.result import TurnOutput, TurnResult
from lash.runtime.turn.session import OpenSession, TurnRequest
from lash.runtime.usage import Ledger, SessionUsageReport
from lash.turns import Turn

if TYPE_CHECKING:
    from lash.core import LashCore

Schema = dict[str, JsonValue]


class LashSession:
    """An open session. Turns run on it one at a time; closing it leaves everything that was committed in its store."""

    def __init__(self, core: LashCore, session: OpenSession, defaults: Mapping[str, Any]) -> None:
        self._core = core
        self._session = session
        self._defaults = defaults
        self._closed = False

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session.session_id

    @property
    def mode(self) -> str:
        """The mode it runs in."""
        return self._session.mode.mode_id

    def turn(
        self,
        text: str,
        *,
        require_submit: bool | type[BaseModel] | Schema | None = None,
        allow_prose_or_submit: bool = False,
        projected: Mapping[str, object] | None = None,
        sink: TurnActivitySink | None = None,
        cancel: CancelToken | None = None,
        turn_id: str | None = None,
    ) -> Turn[Any]:
        """A turn on this text; nothing happens before it is awaited or iterated.

        In RLM mode `require_submit` says that the turn ends with a submitted value, with a pydantic model or a JSON
        Schema that it has to fit; `allow_prose_or_submit` lets prose end it as well; `projected` are values to be
        read lazily under their names, in this turn only. `sink` is given every activity, `cancel` asks the turn to
        stop, `turn_id` makes its commit idempotent.

        Raises TurnError for contradictory options and an empty text, SessionError (session_closed).
        """
        if self._closed:
            raise SessionError("session_closed", f"session {self.session_id!r} is closed: open it again")
        if not text.strip():
            raise TurnError("empty_input", "a turn needs some text")
        number = turn_id or self._core.ids.new("turn")
        options = dict(self._defaults)
        if require_submit is not None or allow_prose_or_submit:
            options |= {"require_submit": require_submit, "allow_prose_or_submit": allow_prose_or_submit}
        if projected is not None:
            options["turn_projected"] = projected
        given = options.get("require_submit")
        message_id = f"m:{number}:input:0"
        request = TurnRequest(
            turn_id=number,
            message=Message(message_id, "user", (Part(f"{message_id}.p0", "text", text),)),
            policy=self._session.policy,
            options=options,
            recorded=_recorded(options),
            value_type=given if isinstance(given, type) else None,
        )
        stream = ActivityStream(number, self._core.runtime.iterator_queue)
        if sink is not None:
            stream.add_sink(sink)
        token = cancel or CancelToken()

        async def run(stream: ActivityStream, token: CancelToken) -> TurnResult[Any]:
            return await self._session.run_turn(request, stream, token)

        return Turn(number, run, stream, token)

    async def resume_turn(
        self,
        *,
        projected: Mapping[str, object] | None = None,
        sink: TurnActivitySink | None = None,
        cancel: CancelToken | None = None,
    ) -> Turn[Any]:
        """The turn that a crash has interrupted, to be driven to its end: what the journal has is not done again.

        Its text and how it may end come from the journal, everything that is live is given anew. Raises TurnError
        (no_suspended_turn) where no turn is unfinished, or the effect host keeps no journal.
        """
        found = await self._session.unfinished_turn()
        if found is None:
            raise TurnError("no_suspended_turn", f"session {self.session_id!r} has no unfinished turn to resume")
        options: dict[str, Any] = dict(found.options) if isinstance(found.options, dict) else {}
        return self.turn(
            str(found.given), turn_id=found.turn_id, projected=projected, sink=sink, cancel=cancel, **options
        )

    async def run(self, text: str, **knobs: Any) -> TurnOutput[Any]:
        """A turn's result with its activities; see `turn` for the keywords."""
        return await self.turn(text, **knobs).output()

    def cancel_running_turns(self, reason: str | None = None) -> int:
        """Ask the running turn to stop; how many there were."""
        return int(self._session.cancel_running(reason))

    def read_view(self) -> SessionReadView:
        """The session as it was committed last."""
        return self._session.read_view()

    async def usage_report(self) -> SessionUsageReport:
        """What the session has used."""
        return Ledger(self._session.read_view().usage).report()

    async def aclose(self) -> None:
        """Close the session; a turn that runs is asked to stop and waited for."""
        if not self._closed:
            self._closed = True
            await self._session.aclose()

    async def __aenter__(self) -> LashSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class SessionOpener:
    """A session that is opened by `async with` or by `await`; nothing happens before."""

    def __init__(self, open_session: Callable[[], Awaitable[LashSession]]) -> None:
        self._open = open_session
        self._opened: LashSession | None = None

    def __await__(self) -> Generator[Any, None, LashSession]:
        return self._open().__await__()

    async def __aenter__(self) -> LashSession:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()


def _recorded(options: Mapping[str, Any]) -> dict[str, JsonValue]:
    """How a turn may end, as a journal can keep it."""
    given: object = options.get("require_submit")
    if isinstance(given, type) and issubclass(given, BaseModel):
        given = given.model_json_schema()
    required = cast("JsonValue", given)
    return {"require_submit": required, "allow_prose_or_submit": bool(options.get("allow_prose_or_submit", False))}
