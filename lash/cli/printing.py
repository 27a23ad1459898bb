"""One turn from the shell: the answer on standard output, everything else on standard error, the rest an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from lash import (
    LashCore,
    LashError,
    LashSession,
    PluginError,
    PromptContribution,
    Turn,
    TurnActivity,
    TurnOutcome,
    TurnResult,
    TurnSuspended,
)
from lash.cli.answers import Answers
from lash.cli.asking import Way, agreed, approver, has_terminal, way_of
from lash.cli.book import Known, SessionBook
from lash.cli.capture import captured, own_output
from lash.cli.composing import Composer, not_composed
from lash.cli.context import Context, ContextStore
from lash.cli.exits import CliError, Exit, exit_of, exit_of_error, why_stopped
from lash.cli.given import Given, check_mode, enter
from lash.cli.home import Home
from lash.cli.live import LiveView
from lash.cli.models import Chosen, ModelFlags, choose
from lash.cli.options import TurnOptions
from lash.cli.providers import PROGRAMS
from lash.cli.questions import suspended_told, unfinished_told, way_on
from lash.cli.screen import Screen
from lash.cli.servers import servers
from lash.cli.stopping import Stopper
from lash.persistence import PersistedSessionConfig
from lash.plugins import McpServerConfig
from lash.runtime.sansio.values import JsonValue
from lash.turn_knobs import LiveKnobs, TurnKnobs

AUTONOMOUS: Final = PromptContribution.guidance(
    "Nobody is watching",
    "This turn runs unattended: no question will be answered. Decide open points yourself, work until the task is "
    "done, and make sure that a result is right before you report it.",
)

TICK_S: Final = 0.2
"""How often the progress line is drawn."""


def print_turn(options: TurnOptions, prompt: str) -> int:
    """`lash -p`: run one turn; the exit code. Raises CliError for what cannot be begun."""
    return _Run(options, Given.of(options, prompt)).main(resumes=False)


def resume_turn(options: TurnOptions, prompt: str | None) -> int:
    """`lash sessions resume`: finish what was suspended or interrupted, then run the prompt, if any; the exit code.

    That goes on where it was begun and with the options of then, where the command line says nothing else.
    """
    enter(options.cwd)
    found = asyncio.run(_unfinished(options.session or ""))
    options = replace(options, cwd=None, session=found.id)
    if found.kept:
        folder = found.kept.get("cwd")
        options = replace(options.over(found.kept), cwd=Path(folder) if isinstance(folder, str) else None)
    return _Run(options, Given.of(options, prompt)).main(resumes=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """A session that is to go on; `kept` are the options of its unfinished turn, with the folder it was begun in."""

    id: str
    kept: dict[str, JsonValue]


async def _unfinished(session: str) -> _Found:
    book = SessionBook(Home.of(os.environ))
    try:
        known = await book.find(session)
        head = await book.head(known)
        unfinished = await book.unfinished(head.session_id if head is not None else known.id)
        return _Found(known.id, known.kept if unfinished is not None else {})
    finally:
        await book.aclose()


@dataclass(slots=True)
class _Place:
    """The session that turns run on: open, and with its record where it is stored; `provider` is whom it asks."""

    session: LashSession
    provider: str
    book: SessionBook | None = None
    known: Known | None = None
    context: Context | None = None


class _Run:
    """One command that runs turns: a `TurnActivitySink` of theirs."""

    def __init__(self, options: TurnOptions, given: Given) -> None:
        self._options = options
        self._given = given
        screen = Screen(sys.stderr)
        self._view = LiveView(
            screen, "quiet" if options.quiet else "verbose" if options.verbose else "normal", time.monotonic
        )
        self._way: Way = way_of(options.approve, sys.stdin, sys.stderr)
        self._stopper = Stopper(self._view)
        self._answers = Answers(
            own_output(), options.output, lambda: self._stopper.token.cancel("nobody reads the standard output")
        )
        self._one_screen = screen.is_terminal and self._answers.is_terminal and not options.quiet
        self._composer: Composer | None = None

    def main(self, *, resumes: bool) -> int:
        """Run the command; its exit code."""
        with captured(self._view, logs=self._options.verbose):
            try:
                return asyncio.run(self._main(resumes=resumes))
            except LashError as error:
                self._view.finish()
                self._answers.failed(error)
                self._view.warn(f"lash: {error.message} [{error.code}]{way_on(error, self._options.session)}")
                return exit_of_error(error)
            finally:
                self._view.finish()

    async def _main(self, *, resumes: bool) -> int:
        for warning in self._given.settings.warnings:
            self._view.note(f"warning: {warning}", whole=True)
        ticking = asyncio.create_task(self._tick())
        try:
            with self._stopper.on_signals():
                if self._options.ephemeral:
                    with tempfile.TemporaryDirectory(prefix="lash-") as folder:
                        return await self._ephemeral(ContextStore(Path(folder)))
                return await self._stored(resumes=resumes)
        finally:
            ticking.cancel()

    # --- sessions ----------------------------------------------------------------------------------

    async def _ephemeral(self, contexts: ContextStore) -> int:
        mode = self._mode(None, None)
        chosen = self._choose(None, None, mode)
        context = self._context(contexts)
        core = await self._core(mode)
        async with self._opened(core, "ephemeral", chosen, contexts, context) as session:
            return await self._turns(_Place(session, chosen.label), resumes=False)

    async def _stored(self, *, resumes: bool) -> int:
        home = Home.of(os.environ)
        book, contexts = SessionBook(home), ContextStore(home.contexts)
        try:
            known = await book.find(self._options.session) if self._options.session else None
            head = await book.head(known) if known is not None else None
            leaf = None if known is None else head.session_id if head is not None else known.id
            unfinished = None if leaf is None else await book.unfinished(leaf)
            if resumes and self._given.prompt is None and unfinished is None:
                raise CliError("this session has no suspended or interrupted turn: give a prompt for another one")
            if known is not None and unfinished is not None and not resumes and await book.state(known) != "busy":
                raise CliError(unfinished_told(known, unfinished), Exit.BUSY)
            if unfinished is not None and unfinished.approvals and self._options.approve is None:
                # Going on with a turn decides none of its questions.
                self._way = "ask" if self._way == "ask" else "park"
            mode = self._mode(known, head.config.mode if head is not None else None)
            chosen = self._choose(head.config if head is not None else None, known, mode)
            home.make()
            context = self._context(contexts)
            new = known is None
            if known is None:
                first = self._given.prompt or ""
                known = await book.make(
                    name=self._options.name, context=context, first=first, model=chosen.model, mode=mode
                )
            durable = self._stopper.resumable = self._options.is_durable or unfinished is not None
            if durable and unfinished is None:
                own: dict[str, JsonValue] = {"options": {**self._options.kept(), "cwd": os.getcwd()}}
                if context is not None:
                    own["context"] = {**context.to_json()}
                known = await book.note(known, own=own)
            place = None
            try:
                core = await self._core(
                    mode,
                    store=book.stores,
                    attachments=home.attachments(),
                    effect_host=home.journal() if durable else None,
                )
                async with self._opened(core, known.id, chosen, contexts, context or known.context) as session:
                    place = _Place(session, chosen.label, book, known, context)
                    return await self._turns(place, resumes=resumes and unfinished is not None)
            finally:
                committed = place is not None and place.session.read_view().turn_index
                if new and not committed and await book.unfinished(known.id) is None:
                    await book.stores.delete_store(known.id)  # there is nothing to go on with
        finally:
            await book.aclose()

    def _mode(self, known: Known | None, stored: str | None) -> str:
        """The mode of the session: its own, else that of the flag or the configuration. Raises CliError."""
        wanted, own = self._options.mode, stored or (known.mode if known is not None else None)
        if known is not None and wanted not in (None, own):
            raise CliError(
                f"session {known.name} is in mode {own},"
                " and a session keeps its mode: leave --mode out, or begin a new one"
            )
        mode = own or wanted or self._given.settings.user.mode
        check_mode(self._options, mode)
        return mode

    async def _core(self, mode: str, **kept: Any) -> LashCore:
        """The core, with what keeps its sessions; asks about a project's servers first, and connects them."""
        composer = self._composer = Composer(self._options, self._given, partial(self._view.note, whole=True))
        told = self._options.approve is not None
        approve = approver(self._way, self._view, os.environ, told=told)

        async def compose() -> LashCore:
            found: dict[str, McpServerConfig] = {}
            if not self._options.no_mcp:
                found = await servers(
                    self._given.settings,
                    Home.of(os.environ),
                    trusted=self._options.trust_project,
                    ask=partial(agreed, self._view) if has_terminal(sys.stdin, sys.stderr) else None,
                    tell=self._view.warn,
                )
            if found:
                self._view.waits_for("MCP servers")
            return await composer.core(mode, found, approve, **kept)

        try:
            return await self._stopper.run(compose())
        except BaseException:
            composer.close()
            raise

    def _choose(self, stored: PersistedSessionConfig | None, known: Known | None, mode: str) -> Chosen:
        options = self._options
        flags = ModelFlags(
            options.provider,
            options.model,
            options.variant,
            options.base_url,
            options.max_context_tokens,
            options.max_output_tokens,
        )
        label = known.provider if known is not None else None
        chosen = choose(flags, os.environ, stored, self._given.settings, label)
        kind = chosen.handle.kind
        if mode != "rlm" and kind in PROGRAMS:
            raise CliError(f"a model behind {kind}: has no tool calls, which mode {mode} needs: use --mode rlm")
        if kind == "files":
            folder = chosen.handle.to_spec().get("dir")
            self._view.note(f"answer {folder}/request-N.json in reply-N.txt beside it", whole=True)
        return chosen

    def _context(self, contexts: ContextStore) -> Context | None:
        if self._options.context is None:
            return None
        context = contexts.keep(self._options.context)
        if context.skipped:
            shown = ", ".join(context.skipped[:5])
            more = f" and {len(context.skipped) - 5} more" if len(context.skipped) > 5 else ""
            self._view.note(f"context: left out {shown}{more}")
        return context

    @asynccontextmanager
    async def _opened(
        self, core: LashCore, session_id: str, chosen: Chosen, contexts: ContextStore, context: Context | None
    ) -> AsyncGenerator[LashSession]:
        knobs: dict[str, Any] = {
            "provider": chosen.handle,
            "model": chosen.model,
            "model_variant": chosen.variant,
            "max_context_tokens": chosen.max_context_tokens,
        }
        knobs["prompt"] = [AUTONOMOUS]
        if self._options.max_turns is not None:
            knobs["max_turns"] = self._options.max_turns
        if context is not None:
            knobs["projected"] = {"context": contexts.binding(context)}
        if self._given.variables:
            knobs["globals"] = self._given.variables
        async with AsyncExitStack() as stack:
            stack.push_async_callback(chosen.handle.aclose)
            if self._composer is not None:
                stack.callback(self._composer.close)
            await stack.enter_async_context(core)
            try:
                session = await stack.enter_async_context(core.session(session_id, **knobs))
            except PluginError as error:
                raise not_composed(error) from error
            yield session

    # --- turns -------------------------------------------------------------------------------------

    async def _turns(self, place: _Place, *, resumes: bool) -> int:
        """Drive on what was interrupted, if so wished, and if that went well run the prompt; the exit code."""
        wait, session = self._options.wait or 0.0, place.session
        code: int = Exit.OK
        if resumes:
            live: LiveKnobs = {
                "sink": self,
                "cancel": self._stopper.token,
                "wait_if_busy": wait,
                "on_wait": self._on_wait,
            }
            code = await self._turn(place, session.resume_turn(**live))
        if self._given.prompt is not None and code == Exit.OK:
            schema = self._given.schema
            knobs: TurnKnobs = {
                "sink": self,
                "cancel": self._stopper.token,
                "wait_if_busy": wait,
                "on_wait": self._on_wait,
            }
            if session.mode == "rlm":
                knobs |= {"require_submit": schema, "allow_prose_or_submit": schema is None}
            code = await self._turn(place, session.turn(self._given.prompt, **knobs))
        return code

    async def _turn(self, place: _Place, turn: Turn[TurnResult[Any]]) -> int:
        """Run a turn and write what it came to; the exit code."""
        self._view.waits_for("session")
        began = time.monotonic()
        try:
            with self._stopper.within(self._options.timeout):
                result = await self._stopper.run(turn.result())
        except TurnSuspended as suspended:
            return await self._suspended(place, suspended)
        if place.book is not None and place.known is not None:
            why = why_stopped(result.outcome.stop) if isinstance(result.outcome, TurnOutcome.Stopped) else None
            place.known = await place.book.used(
                place.known, context=place.context, result=result, provider=place.provider, why=why
            )
        self._view.finish()
        name = place.known.name if place.known is not None else None
        self._answers.result(result, shown=self._view.last_prose if self._one_screen else "", session_name=name)
        self._view.note(_summary(result, place.known, time.monotonic() - began))
        if isinstance(result.outcome, TurnOutcome.Stopped):
            self._view.warn(f"lash: {why_stopped(result.outcome.stop)}")
        return exit_of(result.outcome, timed_out=self._stopper.timed_out)

    async def _suspended(self, place: _Place, suspended: TurnSuspended) -> int:
        """Tell what a turn waits for, and the way on; the exit code."""
        self._view.finish()
        session_id, name = place.session.session_id, place.known.name if place.known is not None else None
        if place.book is not None and place.known is not None:
            place.known = await place.book.note(place.known, own={"leaf": session_id})
        self._answers.suspended(suspended, session_id=session_id, session_name=name)
        for line in suspended_told(suspended.approvals, name):
            self._view.warn(line)
        return Exit.SUSPENDED

    @property
    def _on_wait(self) -> Literal["block", "park"]:
        return "park" if self._way == "park" else "block"

    async def emit(self, activity: TurnActivity) -> None:
        """Take one activity."""
        self._stopper.begun = True
        self._answers.activity(activity)
        await self._view.emit(activity)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._view.tick()


def _summary(result: TurnResult[Any], known: Known | None, seconds: float) -> str:
    """A turn in one line, with the session to go on in."""
    parts = [f"turn {result.turn_index}", f"{seconds:.1f} s"]
    if used := result.total_usage().total():
        parts.insert(1, f"{used:,} tokens")
    if known is not None:
        parts.insert(0, f"session {known.name} ({known.id[:8]})")
    return " · ".join(parts)
