"""Running a scenario through the facade: a session with a scripted model, and what every turn of it came to.

A scenario is played in one of several ways: replies whole or in pieces of some characters, and recorded in a journal or
not. A recorded turn is played again from the journal alone, by another core over the store as it was before the turn.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from lash.config import ModePreset, RuntimeConfig
from lash.core import LashCore
from lash.host.effects.journal import JournalEffectHost
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.system import RandomIds, SystemClock
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.state import committed_variables
from lash.modes.rlm.types import RlmTrajectoryEntry, read_event
from lash.runtime.errors import LashError
from lash.runtime.sansio.activity import TurnActivity
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import PersistedSessionRead
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.result import TurnResult
from lash.sessions import LashSession
from lash.testing.scenarios_expect import differences
from lash.testing.scenarios_format import CancelOn, Options, Scenario, ScenarioTurn, SubmitSchema
from lash.testing.scenarios_parts import ScenarioModel, ScenarioTools
from lash.testing.scenarios_replay import replay_differences
from lash.testing.scenarios_seen import Seen
from lash.testing.scripted import ScriptExhausted
from lashlang import TextSource

SESSION = "scenario"


@dataclass(frozen=True, slots=True)
class Variant:
    """A way of playing: replies in pieces of `pieces` characters (None: as they are written), recorded or not."""

    pieces: int | None = None
    recorded: bool = False

    @property
    def label(self) -> str:
        """Its name in reports."""
        how = "whole" if self.pieces is None else str(self.pieces)
        return f"{how}+replay" if self.recorded else how


async def play(scenario: Scenario, variant: Variant) -> list[str]:
    """Play a scenario; what is not as expected, by turn."""
    with TemporaryDirectory(prefix="scenario-") as folder:
        playing = _Playing(scenario, variant, Path(folder))
        try:
            return await playing.run()
        finally:
            await playing.end()


class _Playing:
    """One scenario being played."""

    def __init__(self, scenario: Scenario, variant: Variant, folder: Path) -> None:
        self._scenario = scenario
        self._variant = variant
        self._folder = folder
        self._tools = ScenarioTools(scenario.tools)
        self._life: _Life | None = None

    async def run(self) -> list[str]:
        found: list[str] = []
        for number, turn in enumerate(self._scenario.turns, 1):
            options = self._scenario.options_of(turn)
            life = self._life
            if life is None or turn.restart_before or _core_options(options) != _core_options(life.options):
                await self.end()
                try:
                    life = self._life = await self._begin(options)
                except LashError as error:
                    found += [f"turn {number}: {one}" for one in differences(turn.expect, Seen(raised=error))]
                    continue
            life.options = options
            before = self._folder / f"before-{number}"
            if self._variant.recorded:
                shutil.copytree(self._folder / "store", before)
            seen = await life.play(number, turn)
            found += [f"turn {number}: {one}" for one in differences(turn.expect, seen)]
            # A cancellation comes from outside and is in no journal.
            if self._variant.recorded and turn.cancel_on is None and seen.raised is None:
                again = await self._replayed(number, turn, options, before)
                found += [f"turn {number}, replayed: {one}" for one in replay_differences(seen, again)]
        return found

    async def end(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            await life.close()

    async def _begin(self, options: Options) -> _Life:
        journal = self._journal("extend") if self._variant.recorded else None
        return await _Life.begin(
            self._scenario, options, self._folder / "store", self._tools, self._variant.pieces, journal
        )

    def _journal(self, replay: Any) -> JournalEffectHost:
        file = self._folder / "journal.db"
        return JournalEffectHost(file, clock=SystemClock(), ids=RandomIds(), replay=replay, keep_hours=None)

    async def _replayed(self, number: int, turn: ScenarioTurn, options: Options, store: Path) -> Seen:
        """The turn once more, answered by the journal: the model has no reply, and a call of a tool is noted."""
        silent = turn.model_copy(update={"model": ()})
        tools = ScenarioTools(self._scenario.tools)
        life = await _Life.begin(self._scenario, options, store, tools, None, self._journal("strict"))
        try:
            return await life.play(number, silent)
        finally:
            await life.close()


class _Life:
    """A core with the session open, as long as one process would have them."""

    def __init__(
        self,
        scenario: Scenario,
        options: Options,
        core: LashCore,
        session: LashSession,
        store: SqliteSessionStoreFactory,
        model: ScenarioModel,
        tools: ScenarioTools,
        witness: _Witness,
        journal: JournalEffectHost | None,
    ) -> None:
        self.options = options
        self._scenario = scenario
        self._core = core
        self._session = session
        self._store = store
        self._model = model
        self._tools = tools
        self._witness = witness
        self._journal = journal

    @classmethod
    async def begin(
        cls,
        scenario: Scenario,
        options: Options,
        folder: Path,
        tools: ScenarioTools,
        pieces: int | None,
        journal: JournalEffectHost | None,
    ) -> _Life:
        """Make a core over the store in `folder` and open the session."""
        witness = _Witness()
        model = ScenarioModel(pieces, lambda: witness.count("model_request_started"))
        store = SqliteSessionStoreFactory(folder / "sessions")
        knobs: dict[str, Any] = {} if journal is None else {"effect_host": journal}
        core = LashCore(
            modes=[ModePreset.rlm(_config(options))],
            provider=model.provider,
            model="scripted",
            max_context_tokens=options.max_context_tokens,
            max_turns=_max_turns(options),
            tools=[tools],
            store=store,
            attachments=FileAttachmentStore(folder / "attachments"),
            runtime=RuntimeConfig(tool_cancel_ms=10, cancel_grace_s=0.5),
            **knobs,
        )
        try:
            session = await core.session(
                SESSION, projected=_bindings(scenario.projected), globals=dict(scenario.globals) or None
            )
        except BaseException:
            await core.aclose()
            raise
        return cls(scenario, options, core, session, store, model, tools, witness, journal)

    async def close(self) -> None:
        """Close everything."""
        await self._session.aclose()
        await self._core.aclose()
        if self._journal is not None:
            await self._journal.aclose()

    async def play(self, number: int, turn: ScenarioTurn) -> Seen:
        """Play one turn to its end, or to what it raises."""
        token = CancelToken()
        self._witness.begin_turn(turn.cancel_on, token)
        self._model.begin_turn(turn.model, self.options.stream)
        self._tools.called.clear()
        result: TurnResult[Any] | None = None
        raised: BaseException | None = None
        turn_id = f"turn-{number}"
        projected = _bindings(turn.projected)
        try:
            result = await self._session.turn(
                turn.input,
                turn_id=turn_id,
                projected=projected or None,
                sink=self._witness,
                cancel=token,
                **_termination(self.options),
            )
        except (Exception, ScriptExhausted) as error:  # whatever a turn raises is what the scenario came to
            raised = error
        chain = await self._stored_chain()
        steps = [
            entry
            for link in chain
            for node in link.nodes
            if isinstance(entry := read_event(node.payload), RlmTrajectoryEntry) and entry.turn_id == turn_id
        ]
        state = chain[-1].execution_state if chain else None
        return Seen(
            result=result,
            raised=raised,
            activities=tuple(self._witness.activities),
            requests=dict(self._model.asked),
            replies_left=self._model.left if turn.cancel_on is None else 0,
            tool_calls=tuple(self._tools.called),
            steps=tuple(steps),
            variables={} if state is None else committed_variables(state),
            nodes=tuple(node for link in chain for node in link.nodes),
        )

    async def _stored_chain(self) -> list[PersistedSessionRead]:
        """The session as it is stored, and the sessions to which it was handed on, in order."""
        chain: list[PersistedSessionRead] = []
        session_id: str | None = SESSION
        while session_id is not None:
            store = await self._store.find_store(session_id)
            stored = None if store is None else await store.load_session("active_path")
            if stored is None:
                break
            chain.append(stored)
            session_id = stored.successor_session_id
        return chain


class _Witness:
    """Notes every activity of a turn, and cancels the turn at the one that is to be its last."""

    def __init__(self) -> None:
        self.activities: list[TurnActivity] = []
        self._cancel_on: CancelOn | None = None
        self._token = CancelToken()

    def begin_turn(self, cancel_on: CancelOn | None, token: CancelToken) -> None:
        """Forget the turn before."""
        self.activities = []
        self._cancel_on = cancel_on
        self._token = token

    def count(self, name: str) -> int:
        """How many events of that name there were."""
        return sum(activity.event.type == name for activity in self.activities)

    async def emit(self, activity: TurnActivity) -> None:
        """See `TurnActivitySink`."""
        self.activities.append(activity)
        wanted = self._cancel_on
        if wanted is not None and activity.event.type == wanted.event and self.count(wanted.event) == wanted.nth:
            self._token.cancel("the scenario cancels here")


def _config(options: Options) -> RlmConfig:
    return RlmConfig(max_output_chars=options.max_output_chars, limits=cast("Any", options.limits))


def _max_turns(options: Options) -> int | None:
    """The limit of model calls, by whichever name it is given."""
    iterations = options.limits.get("max_iterations")
    given = [limit for limit in (options.max_turns, iterations) if isinstance(limit, int)]
    return min(given, default=None)


def _core_options(options: Options) -> Options:
    """The options that a core is made with; the others can change from turn to turn."""
    return options.model_copy(update={"termination": "submit_required", "stream": False})


def _termination(options: Options) -> dict[str, Any]:
    match options.termination:
        case SubmitSchema(submit_schema=schema):
            return {"require_submit": schema}
        case "prose_or_submit":
            return {"allow_prose_or_submit": True}
        case "submit_required":
            return {"require_submit": True}


def _bindings(projected: dict[str, JsonValue]) -> dict[str, object]:
    """Projected values: JSON as it is, `{"$text": ...}` as a text that is read lazily."""
    return {name: _lazy(value) for name, value in projected.items()}


def _lazy(value: JsonValue) -> object:
    if not isinstance(value, dict) or value.keys() != {"$text"}:
        return value
    made = cast("dict[str, Any]", value["$text"])
    return TextSource(made["repeat"] * made["times"] + made.get("append", ""))
