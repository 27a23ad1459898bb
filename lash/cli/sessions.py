"""`lash sessions list`, `show` and `fork`; what they find goes to standard output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from lash import CheckpointNotKept, LashCore, UnknownTurn
from lash.cli.asking import in_short
from lash.cli.book import Known, SessionBook, new_id
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.live import brief, call_row
from lash.cli.screen import Screen, cells, clean, cut
from lash.cli.tables import write_table
from lash.cli.transcript import Call, Step, Transcript, TurnRecord, read_transcript
from lash.runtime.sansio.values import JsonValue

T = TypeVar("T")

ENDINGS = {
    "submitted_value": "submitted",
    "assistant_message": "answered",
    "tool_value": "answered by a tool",
    "handoff": "went on in another session",
    "max_turns": "stopped: too many model calls",
    "provider_error": "stopped: the model could not answer",
    "submitted_error": "gave up",
    "tool_error": "stopped by a tool",
}
"""How turns end, in words; what is not here is said as it is called."""


def list_all(*, as_json: bool) -> None:
    """`lash sessions list`."""

    async def work(book: SessionBook) -> list[tuple[Known, str]]:
        return [(known, await book.state(known)) for known in await book.all()]

    found = with_book(work)
    if as_json:
        click.echo(json.dumps([_row(known, state) for known, state in found], ensure_ascii=False, indent=2))
    elif not found:
        click.echo("no sessions yet", err=True)
    else:
        _write_table([_row(known, state) for known, state in found])


def show(session: str, *, turn: int | None, as_json: bool) -> None:
    """`lash sessions show`."""

    async def work(book: SessionBook) -> Transcript:
        return await read_transcript(book, await book.find(session))

    transcript = with_book(work)
    if turn is not None:
        if turn > len(transcript.turns):
            count = len(transcript.turns)
            raise CliError(f"session {transcript.name} has {count} turn{'' if count == 1 else 's'}, so none is {turn}")
        transcript.turns = [transcript.turns[turn - 1]]
    if as_json:
        click.echo(json.dumps(transcript.to_json(), ensure_ascii=False, indent=2))
        return
    page = _Page(Screen(sys.stdout))
    if turn is None:
        page.session(transcript)
    else:
        page.turn(transcript.turns[0], whole=True)


def fork(session: str, *, turn: str | None, name: str | None, as_json: bool) -> None:
    """`lash sessions fork`: the id of the new session is its output."""
    wanted = int(turn) if turn is not None and turn.isdigit() else turn

    async def work(book: SessionBook) -> Known:
        source = await book.find(session)
        chosen = await book.name(name)
        core = LashCore.rlm(store=book.stores, attachments=book.home.attachments())
        try:
            made_id = await core.fork_session(source.id, turn=wanted, new_session_id=new_id())
        except CheckpointNotKept as error:
            kept = "none is" if error.oldest_kept is None else f"the oldest that is kept is {error.oldest_kept}"
            raise CliError(
                f"turn {turn} of session {source.name} cannot be forked any more: {kept} [checkpoint_not_kept]"
            ) from error
        except UnknownTurn as error:
            which = f"turn {turn}" if turn else "turn"
            raise CliError(
                f"session {source.name} has no {which} to fork; `lash sessions show {source.id[:8]}` lists its turns"
            ) from error
        made = await book.find(made_id)
        turns = _turn_of(made.forked_from)
        own: dict[str, JsonValue] = {"used_ms": int(time.time() * 1000), "turns": turns, "mode": source.mode}
        own["provider"] = source.provider
        if source.context is not None:
            own["context"] = source.context.to_json()
        return await book.note(
            made,
            own=own,
            name=chosen,
            cwd=os.getcwd(),
            first_user_message=source.meta.first_user_message if turns else None,
        )

    made = with_book(work)
    if as_json:
        click.echo(json.dumps(_row(made, "idle"), ensure_ascii=False, indent=2))
    else:
        click.echo(made.id)
        click.echo(f"session {made.name}; go on in it with: lash sessions resume {made.id[:8]} PROMPT", err=True)


def _turn_of(origin: JsonValue) -> int:
    """The turn from which a fork begins."""
    turn = origin.get("turn_index") if isinstance(origin, dict) else None
    return turn if isinstance(turn, int) else 0


def with_book(work: Callable[[SessionBook], Coroutine[Any, Any, T]]) -> T:
    """Do something with the stored sessions, and close what it opens."""

    async def run() -> T:
        book = SessionBook(Home.of(os.environ))
        try:
            return await work(book)
        finally:
            await book.aclose()

    return asyncio.run(run())


# --- tables ------------------------------------------------------------------------------------------


def _row(known: Known, state: str) -> dict[str, Any]:
    meta = known.meta
    return {
        "id": known.id,
        "name": known.name,
        "created_ms": meta.created_ms,
        "used_ms": known.used_ms,
        "turns": known.turns,
        "model": meta.model,
        "mode": known.mode,
        "state": state,
        "cwd": meta.cwd,
        "first_message": meta.first_user_message,
        "forked_from": known.forked_from,
    }


def _write_table(rows: list[dict[str, Any]]) -> None:
    """One line a session."""
    now = time.time() * 1000
    columns = {
        "ID": [row["id"][:8] for row in rows],
        "NAME": [clean(row["name"]) for row in rows],
        "AGE": [age((now - row["used_ms"]) / 1000) for row in rows],
        "TURNS": [str(row["turns"]) for row in rows],
        "MODEL": [cut(clean(row["model"] or "-"), 32) for row in rows],
        "MODE": [row["mode"] for row in rows],
        "STATE": [row["state"] for row in rows],
    }
    asked = ("FIRST MESSAGE", [row["first_message"] or "" for row in rows])
    write_table(columns, least_telling=LEAST_TELLING, rest=asked, least_rest=LEAST_MESSAGE)


LEAST_TELLING = ("MODE", "MODEL", "TURNS", "STATE", "AGE")
"""Columns that are left out on a narrow screen, in this order."""

LEAST_MESSAGE = 12
"""Columns that the first message needs to say anything."""


def age(seconds: float) -> str:
    """How long ago, in the largest unit that it fills."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


class _Page:
    """Writes a session for reading."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._width = screen.width if screen.is_terminal else 100

    def session(self, transcript: Transcript) -> None:
        """The head, then every turn in short."""
        screen = self._screen
        model = transcript.model or "no model yet"
        if transcript.variant:
            model += f" ({transcript.variant})"
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(transcript.created_ms / 1000))
        self._line(f"{screen.bold(clean(transcript.name))}  {transcript.id}")
        where = f" in {clean(transcript.cwd)}" if transcript.cwd else ""
        self._line(screen.dim(f"{clean(model)}, {transcript.state}, begun {began}{where}"))
        if isinstance(transcript.forked_from, dict):
            origin = transcript.forked_from
            self._line(screen.dim(f"forked from {origin.get('session_id')} after turn {origin.get('turn_index')}"))
        used = transcript.tokens
        if used.total():
            self._line(screen.dim(f"{used.prompt():,} tokens in, {used.output_tokens:,} out"))
        for turn in transcript.turns:
            self._line("")
            self.turn(turn, whole=False)
        if not transcript.turns:
            self._line("")
            self._line("no turn has been finished" + (f"; asked was: {transcript.asked}" if transcript.asked else ""))
        for approval in transcript.waits_for:
            self._line("")
            waits = clean(f"waits for approval {approval.approval_id}: {in_short(approval)}")
            self._line(screen.bad("? ") + waits)
        kept = [turn.turn for turn in transcript.turns if turn.kept]
        if kept and kept != [turn.turn for turn in transcript.turns]:
            self._line("")
            self._line(screen.dim(f"turns {kept[0]} to {kept[-1]} can be forked; the state of earlier ones is gone"))

    def turn(self, turn: TurnRecord, *, whole: bool) -> None:
        """A turn: the question, what was done, the answer; `whole` with programs, prints and calls."""
        screen = self._screen
        ending = ENDINGS.get(turn.ended, turn.ended.replace("_", " "))
        self._line(f"{screen.bold(f'turn {turn.turn}')}  {screen.dim(ending)}")
        self._text(screen.accent("> "), turn.asked)
        if whole:
            for step in turn.steps:
                self._step(step)
        elif turn.steps:
            calls = [call for step in turn.steps for call in step.calls]
            programs = [step for step in turn.steps if step.code is not None]
            told = [_count(len(programs), "program")] if programs else []
            told.append(_count(len(calls), "call"))
            # A failed call of a program is the program's business; without one it is all that can fail.
            failed = sum(step.error is not None for step in programs) + sum(
                not call.worked for step in turn.steps if step.code is None for call in step.calls
            )
            if failed:
                told.append(f"{failed} failed")
            self._line(screen.dim(f"  {', '.join(told)}"))
        if turn.answer is not None:
            answer = brief(turn.answer)
            if not isinstance(turn.answer, str) and cells(answer) > self._width - 2:
                answer = json.dumps(turn.answer, ensure_ascii=False, indent=2)
            self._text(screen.good("= "), answer)
        elif turn.why is not None:
            self._text(screen.bad(screen.signs("✗ ")), turn.why)

    def _step(self, step: Step) -> None:
        screen = self._screen
        if step.prose.strip():
            self._text("  ", step.prose)
        if step.code is not None:
            self._text(screen.accent(screen.signs("│ ")), step.code)
        for call in step.calls:
            self._call(call)
        for text in step.prints:
            self._text(screen.dim(screen.signs("· ")), text)
        if step.error is not None:
            self._text(screen.bad(screen.signs("✗ ")), step.error)

    def _call(self, call: Call) -> None:
        self._line(call_row(self._screen, call.tool, call.args, call.result, worked=call.worked))

    def _text(self, sign: str, text: str) -> None:
        for line in clean(text).strip("\n").split("\n"):
            self._line(f"{sign}{line}")

    def _line(self, text: str) -> None:
        click.echo(text, color=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
