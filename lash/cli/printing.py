"""One turn from the shell: the answer on standard output, everything else on standard error, the rest an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from jsonschema import Draft202012Validator, SchemaError

from lash import (
    CancelToken,
    LashCore,
    LashError,
    LashSession,
    PromptContribution,
    SessionBusyError,
    Turn,
    TurnActivity,
    TurnOutcome,
    TurnResult,
)
from lash.cli.answers import Answers
from lash.cli.book import Known, SessionBook
from lash.cli.capture import captured, own_output
from lash.cli.context import Context, ContextStore
from lash.cli.exits import CliError, Exit, exit_of, exit_of_error, why_stopped
from lash.cli.home import Home
from lash.cli.instructions import project_instructions
from lash.cli.live import LiveView
from lash.cli.models import Chosen, ModelFlags, choose
from lash.cli.options import TurnOptions
from lash.cli.screen import Screen
from lash.cli.tools import load_tools
from lash.persistence import PersistedSessionConfig
from lash.runtime.sansio.values import JsonValue
from lash.tracing import TraceLevel

AUTONOMOUS: Final = PromptContribution.guidance(
    "Nobody is watching",
    "This turn runs unattended: no question will be answered. Decide open points yourself, work until the task is "
    "done, and make sure that a result is right before you report it.",
)

TICK_S: Final = 0.2
"""How often the progress line is drawn."""


def print_turn(options: TurnOptions, prompt: str) -> int:
    """`lash -p`: run one turn; the exit code. Raises CliError for what cannot be begun."""
    return _Run(options, _Given.of(options, prompt)).main(resumes=False)


def resume_turn(options: TurnOptions, prompt: str | None) -> int:
    """`lash sessions resume`: finish what was interrupted, then run the prompt, if any; the exit code."""
    return _Run(options, _Given.of(options, prompt)).main(resumes=True)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a turn is given, read and checked before anything runs; `prompt` is None where only a rest is driven on."""

    prompt: str | None
    variables: dict[str, JsonValue]
    schema: dict[str, JsonValue] | None
    tools: tuple[object, ...]

    @staticmethod
    def of(options: TurnOptions, prompt: str | None) -> _Given:
        """What the command line gives; also enters the directory. Raises CliError and click.UsageError."""
        if options.cwd is not None:
            try:
                os.chdir(options.cwd)
            except OSError as error:
                raise CliError(f"--cwd {options.cwd}: {error.strerror or error}") from error
        text = _standard_input() if prompt == "-" else prompt
        if text is not None and not text.strip():
            raise CliError("the prompt is empty: a turn needs some text")
        if text is not None and not _is_text(text):
            raise CliError("the prompt is no text in the encoding of this terminal: write it as UTF-8")
        return _Given(
            text,
            options.globals(),
            read_schema(options.output_schema),
            tuple(tool for given in options.tools for tool in load_tools(given)),
        )


def _is_text(text: str) -> bool:
    """Whether every byte of an argument was decoded; what was not stands in it as a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CliError(f"the prompt on standard input is no UTF-8 text (byte {error.start})") from error


def read_schema(file: Path | None) -> dict[str, JsonValue] | None:
    """The JSON Schema in a file. Raises CliError where there is none."""
    if file is None:
        return None
    try:
        schema: JsonValue = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(schema, dict):
            raise CliError(f"--output-schema {file}: a JSON Schema is an object, not {type(schema).__name__}")
        Draft202012Validator.check_schema(cast("dict[str, Any]", schema))
    except SchemaError as error:
        raise CliError(f"--output-schema {file}: no JSON Schema: {error.message}") from error
    except OSError as error:
        raise CliError(f"--output-schema {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CliError(f"--output-schema {file}: no JSON: {error}") from error
    return schema


@dataclass(slots=True)
class _Place:
    """The session that turns run on: open, and with its record where it is stored."""

    session: LashSession
    book: SessionBook | None = None
    known: Known | None = None
    context: Context | None = None


class _Run:
    """One command that runs turns: a `TurnActivitySink` of theirs."""

    def __init__(self, options: TurnOptions, given: _Given) -> None:
        self._options = options
        self._given = given
        screen = Screen(sys.stderr)
        self._view = LiveView(
            screen, "quiet" if options.quiet else "verbose" if options.verbose else "normal", time.monotonic
        )
        self._token = CancelToken()
        self._answers = Answers(
            own_output(), options.output, lambda: self._token.cancel("nobody reads the standard output")
        )
        self._one_screen = screen.is_terminal and self._answers.is_terminal and not options.quiet
        self._running: asyncio.Future[TurnResult[Any]] | None = None
        self._active = False
        self._interrupts = 0
        self._timed_out = False

    def main(self, *, resumes: bool) -> int:
        """Run the command; its exit code."""
        with captured(self._view, logs=self._options.verbose):
            try:
                return asyncio.run(self._main(resumes=resumes))
            except LashError as error:
                self._view.finish()
                self._answers.failed(error)
                self._view.warn(f"lash: {error.message} [{error.code}]{_way_on(error, self._options.session)}")
                return exit_of_error(error)
            finally:
                self._view.finish()

    async def _main(self, *, resumes: bool) -> int:
        ticking = asyncio.create_task(self._tick())
        try:
            with self._ctrl_c(asyncio.get_running_loop()):
                if self._options.ephemeral:
                    with tempfile.TemporaryDirectory(prefix="lash-") as folder:
                        return await self._ephemeral(ContextStore(Path(folder)))
                return await self._stored(resumes=resumes)
        finally:
            ticking.cancel()

    # --- sessions ----------------------------------------------------------------------------------

    async def _ephemeral(self, contexts: ContextStore) -> int:
        chosen = self._choose(None)
        context = self._context(contexts)
        core = LashCore.rlm(tools=self._given.tools, **self._trace())
        async with self._opened(core, "ephemeral", chosen, contexts, context) as session:
            return await self._turns(_Place(session), resumes=False)

    async def _stored(self, *, resumes: bool) -> int:
        home = Home.of(os.environ)
        book, contexts = SessionBook(home), ContextStore(home.contexts)
        try:
            known = await book.find(self._options.session) if self._options.session else None
            head = await book.head(known) if known is not None else None
            unfinished = known is not None and await book.unfinished(head.session_id if head is not None else known.id)
            if resumes and self._given.prompt is None and not unfinished:
                raise CliError("this session has no interrupted turn: give a prompt for another one")
            chosen = self._choose(head.config if head is not None else None)
            home.make()
            context = self._context(contexts)
            new = known is None
            if known is None:
                first = self._given.prompt or ""
                known = await book.make(name=self._options.name, context=context, first=first, model=chosen.model)
            place = None
            try:
                core = LashCore.rlm(
                    tools=self._given.tools,
                    store=book.stores,
                    attachments=home.attachments(),
                    effect_host=home.journal() if self._options.durable or unfinished else None,
                    **self._trace(),
                )
                async with self._opened(core, known.id, chosen, contexts, context or known.context) as session:
                    place = _Place(session, book, known, context)
                    return await self._turns(place, resumes=resumes and unfinished)
            finally:
                if new and not self._options.durable and (place is None or not place.session.read_view().turn_index):
                    await book.stores.delete_store(known.id)  # nothing was committed: there is nothing to go on with
        finally:
            await book.aclose()

    def _choose(self, stored: PersistedSessionConfig | None) -> Chosen:
        options = self._options
        flags = ModelFlags(
            options.provider,
            options.model,
            options.variant,
            options.base_url,
            options.max_context_tokens,
            options.max_output_tokens,
        )
        chosen = choose(flags, os.environ, stored)
        if chosen.handle.kind == "files":
            folder = chosen.handle.to_spec().get("dir")
            self._view.note(f"answer {folder}/request-N.json in reply-N.txt beside it", whole=True)
        return chosen

    def _trace(self) -> dict[str, Any]:
        """Where the trace goes."""
        if self._options.trace is None:
            return {}
        level = TraceLevel(self._options.trace_level or TraceLevel.STANDARD.value)
        return {"trace_jsonl_path": self._options.trace, "trace_level": level}

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
        instructions = project_instructions(Path.cwd(), Home.of(os.environ).folder)
        knobs["prompt"] = [AUTONOMOUS, *instructions]
        if self._options.max_turns is not None:
            knobs["max_turns"] = self._options.max_turns
        if context is not None:
            knobs["projected"] = {"context": contexts.binding(context)}
        if self._given.variables:
            knobs["globals"] = self._given.variables
        async with AsyncExitStack() as stack:
            stack.push_async_callback(chosen.handle.aclose)
            await stack.enter_async_context(core)
            yield await stack.enter_async_context(core.session(session_id, **knobs))

    # --- turns -------------------------------------------------------------------------------------

    async def _turns(self, place: _Place, *, resumes: bool) -> int:
        """Drive on what was interrupted, if so wished, and if that went well run the prompt; the exit code."""
        wait, session = self._options.wait or 0.0, place.session
        code: int = Exit.OK
        if resumes:
            code = await self._turn(place, session.resume_turn(sink=self, cancel=self._token, wait_if_busy=wait))
        if self._given.prompt is not None and code == Exit.OK:
            schema = self._given.schema
            turn = session.turn(
                self._given.prompt,
                require_submit=schema,
                allow_prose_or_submit=schema is None,
                sink=self,
                cancel=self._token,
                wait_if_busy=wait,
            )
            code = await self._turn(place, turn)
        return code

    async def _turn(self, place: _Place, turn: Turn[TurnResult[Any]]) -> int:
        """Run a turn and write what it came to; the exit code."""
        self._view.waits_for("session")
        began = time.monotonic()
        timeout = self._options.timeout
        timer = None if timeout is None else asyncio.get_running_loop().call_later(timeout, self._overdue)
        self._running, self._active = asyncio.ensure_future(turn.result()), False
        try:
            result = await self._running
        except asyncio.CancelledError:
            if not self._token.cancelled:
                raise
            raise CliError(f"cancelled before the turn began ({self._token.reason})", self._gave_up()) from None
        finally:
            if timer is not None:
                timer.cancel()
        if place.book is not None and place.known is not None:
            place.known = await place.book.used(place.known, context=place.context, result=result)
        self._view.finish()
        name = place.known.name if place.known is not None else None
        self._answers.result(result, shown=self._view.last_prose if self._one_screen else "", session_name=name)
        self._view.note(_summary(result, place.known, time.monotonic() - began))
        if isinstance(result.outcome, TurnOutcome.Stopped):
            self._view.warn(f"lash: {why_stopped(result.outcome.stop)}")
        return exit_of(result.outcome, timed_out=self._timed_out)

    async def emit(self, activity: TurnActivity) -> None:
        """Take one activity."""
        self._active = True
        self._answers.activity(activity)
        await self._view.emit(activity)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._view.tick()

    # --- stopping ----------------------------------------------------------------------------------

    @contextmanager
    def _ctrl_c(self, loop: asyncio.AbstractEventLoop) -> Generator[None]:
        """Ctrl+C asks the turn to stop, which commits; a second one ends the process, whatever the loop is doing."""

        def interrupted(*_: object) -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                self._view.finish()
                os._exit(Exit.CANCELLED)
            loop.call_soon_threadsafe(self._cancel)

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _cancel(self) -> None:
        self._view.note("cancelling; Ctrl+C again ends at once")
        self._stop("interrupted")

    def _overdue(self) -> None:
        self._timed_out = True
        self._stop(f"timeout after {self._options.timeout:g} s")

    def _stop(self, reason: str) -> None:
        """Ask the turn to stop; one that still waits for its session is given up, as there is nothing to commit."""
        self._token.cancel(reason)
        if self._running is not None and not self._active:
            self._running.cancel()

    def _gave_up(self) -> Exit:
        return Exit.LIMIT if self._timed_out else Exit.CANCELLED


def _summary(result: TurnResult[Any], known: Known | None, seconds: float) -> str:
    """A turn in one line, with the session to go on in."""
    parts = [f"turn {result.turn_index}", f"{seconds:.1f} s"]
    if used := result.total_usage().total():
        parts.insert(1, f"{used:,} tokens")
    if known is not None:
        parts.insert(0, f"session {known.name} ({known.id[:8]})")
    return " · ".join(parts)


def _way_on(error: LashError, session: str | None) -> str:
    """What to do about a session that cannot be had."""
    if not isinstance(error, SessionBusyError):
        return ""
    if error.code == "turn_suspended":
        return f"; `lash sessions resume {session}` drives it on"
    return (
        f"; another process runs a turn on {session}, or was killed less than half a minute ago: --wait S waits for it"
    )
