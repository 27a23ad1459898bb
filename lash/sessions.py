"""A session as an application sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, get_args, overload

from pydantic import BaseModel

from lash.checks import TEXT, Shape, check, of
from lash.config import UNSET
from lash.runtime.errors import ConfigError, SessionError, TurnError
from lash.runtime.plugins.actions import ActionDefinition
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.outcome import TurnOutcome
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import CancelRequest
from lash.runtime.seams.persistence import Boundary, PendingInput, SessionNode
from lash.runtime.session.view import SessionReadView
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.handoff import joined
from lash.runtime.turn.inputs import InputItem, TurnInput, input_of
from lash.runtime.turn.result import TurnOutput, TurnResult
from lash.runtime.turn.session import OpenSession
from lash.runtime.turn.settings import SessionPolicy, TurnRequest
from lash.runtime.usage import Ledger, SessionUsageReport
from lash.specs import SessionSpec, overlay, prompt_layer
from lash.turn_knobs import TURN_KNOBS, TURN_SHAPES, LiveKnobs, TurnKnobs
from lash.turns import Turn

if TYPE_CHECKING:
    from lash.core import LashCore

M = TypeVar("M", bound=BaseModel)

Input = str | TurnInput | Sequence[InputItem]


@dataclass(frozen=True, slots=True)
class ParkedSession:
    """A session that holds nothing but what it takes to open it again: `await core.resume(parked)`."""

    session_id: str
    reopen: Callable[[], Awaitable[LashSession]] = field(repr=False)


class LashSession:
    """An open session. Turns run on it one at a time; closing it leaves everything that was committed in its store."""

    def __init__(
        self,
        core: LashCore,
        session: OpenSession,
        defaults: Mapping[str, Any],
        spec: SessionSpec,
        reopen: Callable[[], Awaitable[LashSession]],
    ) -> None:
        self._core = core
        self._session = session
        self._defaults = defaults
        self._spec = spec
        self._reopen = reopen
        self._closing: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> str:
        """The id of the session that turns run on: that of the newest one, where a turn was handed on."""
        return self._session.session_id

    @property
    def mode(self) -> str:
        """The mode it runs in."""
        return self._session.mode.mode_id

    @property
    def policy(self) -> SessionPolicy:
        """The model that answers its turns, and how often."""
        return self._session.stored.policy

    @property
    def running(self) -> bool:
        """Whether a turn runs on this handle."""
        return self._session.running

    @overload
    def turn(
        self,
        input: Input,
        *,
        require_submit: type[M],
        turn_id: str | None = None,
        **knobs: Unpack[LiveKnobs],
    ) -> Turn[TurnResult[M]]: ...

    @overload
    def turn(
        self,
        input: Input,
        **knobs: Unpack[TurnKnobs],
    ) -> Turn[TurnResult[Any]]: ...

    def turn(self, input: Input, **knobs: Any) -> Turn[TurnResult[Any]]:  # noqa: A002 - the word of the interface
        """A turn on this input; nothing happens before it is awaited or iterated. `TurnKnobs` are its keywords.

        Raises TurnError for contradictory options, SessionError (session_closed). The turn itself raises TurnSuspended
        where it is to be put aside while it waits for people, and SessionBusyError while the session has another one.
        """
        given = TurnInput.of(input)
        self._check_open()
        turn_id = knobs.get("turn_id")
        if knobs.get("effects") is not None and not turn_id:
            raise TurnError(
                "missing_execution_scope_id", "a turn inside a workflow needs a `turn_id` that is the same each time"
            )
        request = self._request(turn_id or self._core.ids.new("turn"), given, knobs)
        return self._turn(request.turn_id, knobs, lambda: _ready(request))

    def queued_turn(self, **knobs: Unpack[TurnKnobs]) -> Turn[TurnResult[Any] | None]:
        """A turn on the input that is queued for one; its result is None where nothing is.

        The keywords are those of `turn`.
        """
        self._check_open()
        request = self._request(knobs.get("turn_id") or self._core.ids.new("turn"), TurnInput.empty(), knobs)
        request = replace(request, queued_only=True)
        return self._turn(request.turn_id, knobs, lambda: _ready(request))

    def resume_turn(self, turn_id: str | None = None, **knobs: Unpack[LiveKnobs]) -> Turn[TurnResult[Any]]:
        """The turn that is suspended, or was interrupted by a crash, to be driven on: what is recorded is not repeated.

        Its input and how it may end come from the journal; everything that is live (`projected`, `sink`, ...) is given
        anew. Called before all questions are answered it waits for them, or with `on_wait="park"` is suspended again.
        The turn raises TurnError (no_suspended_turn) where no turn is unfinished, another one is, or the effect host
        keeps no journal.
        """
        self._check_open()

        async def find() -> TurnRequest:
            found = await self._session.unfinished_turn()
            if found is None or turn_id not in (None, found.turn_id):
                which = "no unfinished turn" if turn_id is None else f"no unfinished turn {turn_id!r}"
                raise TurnError("no_suspended_turn", f"session {self.session_id!r} has {which} to resume")
            recorded: dict[str, Any] = dict(found.options) if isinstance(found.options, dict) else {}
            return self._request(found.turn_id, input_of(found.given), recorded | knobs)

        return self._turn("", knobs, find)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise SessionError("session_closed", f"session {self.session_id!r} is closed: open it again")

    def _request(self, turn_id: str, given: TurnInput, knobs: Mapping[str, Any]) -> TurnRequest:
        """The turn that the keywords ask for. Raises TurnError for those that there are not, ConfigError."""
        if unknown := sorted(knobs.keys() - TURN_KNOBS):
            raise TurnError("contradictory_options", f"a turn takes no keyword {unknown[0]!r}")
        check("session.turn", knobs, TURN_SHAPES, TurnError)
        options = dict(self._defaults)
        if knobs.get("require_submit") is not None or knobs.get("allow_prose_or_submit"):
            options["require_submit"] = knobs.get("require_submit")
            options["allow_prose_or_submit"] = bool(knobs.get("allow_prose_or_submit"))
        if knobs.get("projected") is not None:
            options["turn_projected"] = knobs["projected"]
        if knobs.get("tool_result_projectors"):
            options["tool_result_projectors"] = tuple(knobs["tool_result_projectors"])
        wishes = overlay(None, {name: knobs.get(name, UNSET) for name in ("provider", "model", "model_variant")})
        layer = prompt_layer(
            knobs.get("prompt_template"), knobs.get("prompt", ()), knobs.get("prompt_slots"), knobs.get("prompt_layer")
        )
        required = options.get("require_submit")
        return TurnRequest(
            turn_id=turn_id,
            input=given,
            policy=self.policy if wishes == SessionSpec() else self._core.policy(wishes.over(self._spec)),
            layers=() if layer is None else (layer,),
            plugin_inputs=self._session.plugins.inputs(knobs.get("plugin_inputs", ())),
            options=options,
            recorded=_recorded(options),
            value_type=required if isinstance(required, type) else None,
            approve=knobs.get("approve"),
            effects=knobs.get("effects"),
            wait_if_busy=knobs.get("wait_if_busy", 0.0),
            trace_turn_id=knobs.get("trace_turn_id"),
            park=knobs.get("on_wait") == "park",
        )

    def _turn(self, turn_id: str, knobs: Mapping[str, Any], request: Callable[[], Awaitable[TurnRequest]]) -> Turn[Any]:
        stream = ActivityStream(turn_id, self._core.runtime.iterator_queue)
        if knobs.get("sink") is not None:
            stream.add_sink(knobs["sink"])

        async def run(stream: ActivityStream, token: CancelToken) -> TurnResult[Any] | None:
            self._check_open()
            found = await request()
            stream.turn_id = found.turn_id
            result = await self._session.run_turn(found, stream, token)
            return None if result is None else await self._follow(found, result, stream, token)

        return Turn(run, stream, knobs.get("cancel") or CancelToken(), self._core.loop)

    async def _follow(
        self, request: TurnRequest, result: TurnResult[Any], stream: ActivityStream, token: CancelToken
    ) -> TurnResult[Any]:
        """The result of the whole turn: as long as it is handed on, it goes on in the session that it was handed to.

        Options, model and turn id stay; projected values of the turn do not go along. Raises SessionError
        (handoff_successor_missing, handoff_missing_first_turn).
        """
        links = [result]
        most = min(self._core.runtime.max_handoffs, self._session.mode.max_handoffs)
        options = {name: value for name, value in request.options.items() if name != "turn_projected"}
        follow = replace(request, input=TurnInput.empty(), options=options, queued_only=True, handed_on=True)
        while isinstance(outcome := links[-1].outcome, TurnOutcome.Handoff) and len(links) <= most:
            before = self._session
            reopened = await self._reopen()
            if self._closing is not None:
                await reopened.aclose()
                break
            self._session = reopened._session
            self._core.closed(reopened)
            await before.aclose()
            if self.session_id != outcome.session_id:
                raise SessionError(
                    "handoff_successor_missing",
                    f"the turn was handed on to {outcome.session_id!r}, and the session goes on in {self.session_id!r}",
                )
            switched = TurnEvent.SessionSwitched(before.session_id, self.session_id, "handoff")
            await stream.emit(before.session_id, switched)
            link = await self._session.run_turn(follow, stream, token)
            if link is None:
                raise SessionError(
                    "handoff_missing_first_turn", f"session {self.session_id!r} was not told what it is to do"
                )
            links.append(link)
        return joined(links, most)

    async def run(self, input: Input, **knobs: Unpack[TurnKnobs]) -> TurnOutput[Any]:  # noqa: A002 - the word of the interface
        """A turn's result with its activities; see `turn` for the keywords."""
        return await self.turn(input, **knobs).output()

    def run_sync(self, input: Input, **knobs: Unpack[TurnKnobs]) -> TurnOutput[Any]:  # noqa: A002 - the word of the interface
        """The same, blocking; see `Turn.result_sync`."""
        turn = self.turn(input, **knobs)
        return self._core.loop.run(turn.output, turn.cancel)

    async def queue(
        self,
        input: Input,  # noqa: A002 - the word of the interface
        *,
        id: str | None = None,  # noqa: A002 - the word of the interface
        source_key: str | None = None,
        next_turn: bool = False,
        min_boundary: Boundary = "after_work",
    ) -> PendingInput:
        """Store input for the turn that runs, or for the next one; it is stored when this returns.

        The running turn takes it between two steps, with `min_boundary` "before_completion" only when it is about to
        end; with `next_turn` it does not. The same `source_key` (or `id`) again queues nothing more.

        Raises InvalidInput for images that there are not, IdempotencyConflict where the key was used for other input.
        """
        self._check_open()
        self._core.loop.bind()
        check("session.queue", {"id": id, "source_key": source_key, "min_boundary": min_boundary}, _QUEUE, TurnError)
        given = TurnInput.of(input)
        return await self._session.queue(given, id or self._core.ids.new("input"), source_key, next_turn, min_boundary)

    async def cancel_input(self, input_id: str) -> PendingInput | None:
        """Take queued input back; None once a turn has taken it."""
        self._check_open()
        self._core.loop.bind()
        check("session.cancel_input", {"input_id": input_id}, {"input_id": TEXT}, TurnError)
        return await self._session.cancel_input(input_id)

    async def queued(self) -> list[PendingInput]:
        """All input that was ever queued, oldest first, with what has become of it."""
        self._check_open()
        self._core.loop.bind()
        return await self._session.list_inputs()

    def cancel_turn(self, turn_id: str, wish: CancelRequest) -> Literal["accepted", "already_requested"] | None:
        """Ask a turn to stop; what came of it, None where it does not run on this handle."""
        return self._session.cancel_turn(turn_id, wish)

    def cancel_running_turns(self, reason: str | None = None) -> int:
        """Ask the running turn to stop; how many there were."""
        return int(self._session.cancel_running(reason))

    async def configure(self, spec: SessionSpec) -> None:
        """Change which model answers the session, and how often, from the next turn on; stored at once.

        Raises ConfigError for what cannot be, SessionBusyError while a turn runs.
        """
        self._check_open()
        self._core.loop.bind()
        check("session.configure", {"spec": spec}, {"spec": of(SessionSpec)}, ConfigError)
        if spec.mode not in (UNSET, self.mode):
            raise SessionError("session_mode_mismatch", f"session {self.session_id!r} keeps its mode, {self.mode!r}")
        changed = spec.over(self._spec)
        own = {*self.policy.own, *(name for name in OWN_FIELDS if getattr(spec, name) is not UNSET)}
        policy = replace(self._core.policy(changed), own=tuple(name for name in OWN_FIELDS if name in own))
        await self._session.configure(policy, self._core.ids.new("op"))
        self._spec = changed

    @property
    def actions(self) -> tuple[ActionDefinition, ...]:
        """What the session's plugins can be asked by the host, and by nobody else."""
        return self._session.plugins.session.actions

    async def act(self, name: str, args: JsonValue = None) -> JsonValue:
        """Do an action of a plugin; `args` are JSON. What it changes is stored at once.

        Raises SessionError (unknown_action, invalid_action_args), PluginError where the plugin fails, SessionBusyError
        while a turn runs.
        """
        self._check_open()
        self._core.loop.bind()
        return await self._session.act(name, {} if args is None else args, self._core.ids.new("op"))

    def fork(self, turn: int | str | None = None, *, session_id: str | None = None, **knobs: Any) -> SessionOpener:
        """A new session from a turn of this one, with its variables of then: `async with session.fork(turn=3) as twin`.

        `turn` as for `LashCore.fork_session`, the other keywords as for `LashCore.session`.
        """

        async def open_fork() -> LashSession:
            made = await self._core.fork_session(self.session_id, turn=turn, new_session_id=session_id)
            return await self._core.session(made, **knobs)

        return SessionOpener(open_fork, self._core)

    def read_view(self) -> SessionReadView:
        """The session as it was committed last."""
        return self._session.stored.read_view()

    async def get_historic_node(self, node_id: str) -> SessionNode | None:
        """A node of the session on any branch, also one that is not in memory; None where there is none."""
        self._check_open()
        return await self._session.stored.get_historic_node(node_id)

    async def usage_report(self) -> SessionUsageReport:
        """What the session has used."""
        return Ledger(self._session.stored.read_view().usage).report()

    async def park(self) -> ParkedSession:
        """Close the session and keep what it takes to open it again, which is next to nothing."""
        await self.aclose()
        return ParkedSession(self.session_id, self._reopen)

    async def aclose(self) -> None:
        """Close the session; a turn that runs is asked to stop and waited for.

        Once begun, it is done to its end, even if this call is cancelled. A sink of the turn is not waited in: there it
        only begins.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        if not self._session.in_sink():
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._session.aclose()
        finally:
            self._core.closed(self)

    async def __aenter__(self) -> LashSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class SessionOpener:
    """A session that is opened by `async with`, by `await`, or by plain `with`; nothing happens before."""

    def __init__(self, open_session: Callable[[], Awaitable[LashSession]], core: LashCore) -> None:
        self._open = open_session
        self._core = core
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

    def __enter__(self) -> LashSession:
        return self._core.loop.run(self.__aenter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opened is not None:
            self._core.loop.run(self._opened.aclose)


_QUEUE = {
    "id": TEXT,
    "source_key": TEXT,
    "min_boundary": Shape('"after_work" or "before_completion"', lambda value: value in get_args(Boundary)),
}

OWN_FIELDS = ("model", "model_variant", "max_context_tokens", "max_turns")
"""What a session keeps of the policy that it was given itself."""


async def _ready(request: TurnRequest) -> TurnRequest:
    return request


def _recorded(options: Mapping[str, Any]) -> dict[str, JsonValue]:
    """How a turn may end, as a journal can keep it."""
    given: object = options.get("require_submit")
    if isinstance(given, type) and issubclass(given, BaseModel):
        given = given.model_json_schema()
    required = cast("JsonValue", given)
    return {"require_submit": required, "allow_prose_or_submit": bool(options.get("allow_prose_or_submit", False))}
