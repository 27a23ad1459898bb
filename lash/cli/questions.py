"""Questions of durable turns: `lash approvals list`, `allow` and `deny`, and what is told of turns that wait."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from lash import (
    ApprovalError,
    ApprovalRecord,
    Approve,
    Deny,
    Edit,
    LashCore,
    LashError,
    PendingApproval,
    SessionBusyError,
)
from lash.cli.asking import ARGUMENTS, arguments, in_short
from lash.cli.book import Known, SessionBook
from lash.cli.exits import CliError, Exit
from lash.cli.live import brief
from lash.cli.screen import Screen, clean, cut
from lash.cli.sessions import age, with_book
from lash.cli.tables import write_table
from lash.runtime.sansio.values import to_json
from lash.runtime.seams.effects import UnfinishedTurn

PREFIX: Final = "ap:"

SHORTEST_PREFIX: Final = 6

NO_QUESTION: Final = (
    "there is no such open question, and of one that is over the whole id is needed; `lash approvals list` shows those"
    " that are open"
)


def suspended_told(waiting: Sequence[PendingApproval], session: str | None) -> list[str]:
    """What a suspended turn waits for, in lines, and the way on."""
    many = "1 approval" if len(waiting) == 1 else f"{len(waiting)} approvals"
    lines = [f"lash: the turn is suspended and waits for {many}:"]
    lines += [f"  {one.approval_id}  {in_short(one)}" for one in waiting]
    resume = f"; `lash sessions resume {session} --approve ask` asks you here" if session is not None else ""
    return [*lines, f"answer with `lash approvals allow ID` or `lash approvals deny ID --reason TEXT`{resume}"]


def unfinished_told(known: Known, unfinished: UnfinishedTurn) -> str:
    """Why a session can take no other turn, and the way on."""
    if unfinished.approvals:
        ids = ", ".join(one.approval_id for one in unfinished.approvals)
        return (
            f"session {known.name} has a turn that waits for approvals ({ids}): answer with `lash approvals allow ID`"
            f" or `deny ID`, or be asked by `lash sessions resume {known.name} --approve ask`"
        )
    return f"session {known.name} has an interrupted turn; `lash sessions resume {known.name}` drives it on"


def way_on(error: LashError, session: str | None) -> str:
    """What to do about a session that cannot be had."""
    if not isinstance(error, SessionBusyError):
        return ""
    if error.code == "turn_suspended":
        return f"; `lash sessions resume {session}` drives it on"
    return (
        f"; another process runs a turn on {session}, or was killed less than half a minute ago: --wait S waits for it"
    )


def list_all(session: str | None, *, as_json: bool) -> None:
    """`lash approvals list`: the open questions, oldest first."""

    async def work(book: SessionBook) -> list[dict[str, Any]]:
        known = await book.find(session) if session is not None else None
        rows: list[dict[str, Any]] = []
        for one in await _pending(book):
            owner = await book.owning(one.session_id)
            if known is None or (owner is not None and owner.id == known.id):
                told = to_json(one)
                rows.append({**(told if isinstance(told, dict) else {}), "session_name": owner.name if owner else None})
        return rows

    rows = with_book(work)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    elif not rows:
        click.echo("no question is open", err=True)
    else:
        _write(rows)


def answer(text: str, given: Approve | Deny | Edit, *, resume: bool) -> int:
    """`lash approvals allow` and `deny`: record an answer; where it was the last one missing, drive the turn on.

    The exit code is that of the turn, if one is driven on. Raises CliError for a question that is not open.
    """

    async def work(book: SessionBook) -> tuple[PendingApproval, list[PendingApproval], Known | None, str]:
        if not book.home.journal_file.exists():
            raise CliError(NO_QUESTION)
        core = _core(book)
        asked = _find(text, await core.pending_approvals())
        try:
            record = await core.answer_approval(asked or text, given, by=_person())
        except ApprovalError as error:
            raise CliError(_refused(error)) from error
        approval = record.approval
        open_ = [one for one in await core.pending_approvals() if one.turn_id == approval.turn_id]
        owner = await book.owning(approval.session_id)
        state = await book.state(owner) if owner is not None else "idle"
        if asked is None and state == "idle":
            # The same answer again changes nothing, and here there is no turn left to be driven on by it.
            raise CliError(_over(record, "approval_already_answered"))
        return approval, open_, owner, state

    approval, still_open, owner, state = with_book(work)
    screen = Screen(sys.stderr)
    word = {"approve": "approved", "edit": "approved with other arguments", "deny": "denied"}[given.type]
    click.echo(screen.dim(f"{word}: {clean(in_short(approval))}"), err=True)
    if still_open:
        ids = ", ".join(one.approval_id for one in still_open)
        click.echo(f"the turn waits for {len(still_open)} more: {ids}", err=True)
    elif state == "busy":
        # A process that was killed holds its session for a while, and nothing tells it from one that runs.
        way = "" if owner is None else f"; if that was killed, `lash sessions resume {owner.name} --wait 40` does it"
        click.echo(f"the turn goes on in the process that runs it{way}", err=True)
    elif owner is None:
        click.echo(f"session {approval.session_id} is not kept here: drive its turn on where it is", err=True)
    elif not resume:
        click.echo(f"`lash sessions resume {owner.name}` drives the turn on", err=True)
    else:
        from lash.cli.options import TurnOptions
        from lash.cli.printing import resume_turn

        hint = f"the answer is recorded; `lash sessions resume {owner.name}` drives the turn on"
        try:
            code = resume_turn(TurnOptions(session=owner.id), None)
        except CliError as error:
            raise CliError(f"{error}\n{hint}", error.code) from error
        if code == Exit.BUSY:
            click.echo(hint, err=True)
        return code
    return int(Exit.OK)


def edit_of(text: str) -> Edit:
    """The answer of `--edit`. Raises CliError where that is no JSON object."""
    try:
        return Edit(arguments(text))
    except CliError as error:
        raise CliError(f"--edit: {error}") from error


# --- helpers -----------------------------------------------------------------------------------------


def _core(book: SessionBook) -> LashCore:
    """A core that can answer; what it is given is the book's, so it is not closed."""
    return LashCore.rlm(store=book.stores, attachments=book.home.attachments(), effect_host=book.journal())


async def _pending(book: SessionBook) -> list[PendingApproval]:
    if not book.home.journal_file.exists():
        return []
    return await _core(book).pending_approvals()


def _find(text: str, pending: Sequence[PendingApproval]) -> str | None:
    """The id of the open question that a person means; None where none is meant. Raises CliError for several."""
    if len(text) < SHORTEST_PREFIX:
        raise CliError(f"{text!r} is too short: give the first {SHORTEST_PREFIX} characters of an id, or more")
    begun = (text, PREFIX + text)
    found = [one.approval_id for one in pending if one.approval_id.startswith(begun)]
    if len(found) > 1:
        raise CliError(f"{len(found)} open questions begin with {text!r}: {', '.join(found)}; give more of the id")
    if found:
        return found[0]
    return None


def _refused(error: ApprovalError) -> str:
    """Why an answer was not taken, with what has become of the question."""
    record: ApprovalRecord | None = error.record
    if record is None:
        return f"{NO_QUESTION} [{error.code}]"
    if record.state == "pending":
        return f"{error.message} [{error.code}]\n  {record.approval.approval_id}  {in_short(record.approval)}"
    return _over(record, error.code)


def _over(record: ApprovalRecord, code: str) -> str:
    """What has become of a question that is no longer open."""
    told: list[str] = [record.state]
    if record.answer is not None:
        told = [f"answered with {record.answer.type}"]
        if isinstance(record.answer, Deny) and record.answer.reason:
            told.append(f"({record.answer.reason})")
        if isinstance(record.answer, Edit):
            told.append(brief(record.answer.args))
    if record.answered_by:
        told.append(f"by {record.answered_by}")
    if record.answered_ms is not None:
        ago = age(time.time() - record.answered_ms / 1000)
        told.append("just now" if ago == "now" else f"{ago} ago")
    question = f"{record.approval.approval_id}  {in_short(record.approval)}"
    return f"that question is {' '.join(told)} [{code}]\n  {question}"


def _person() -> str | None:
    """Who answers; None where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def _write(rows: list[dict[str, Any]]) -> None:
    """One line a question."""
    now = time.time()
    columns = {
        "ID": [row["approval_id"][: len(PREFIX) + 8] for row in rows],
        "AGE": [age(now - row["requested_ms"] / 1000) for row in rows],
        "SESSION": [clean(row["session_name"] or row["session_id"][:8]) for row in rows],
        "TOOL": [clean(row["tool"]) for row in rows],
    }
    reasons = [f"  ({row['reason']})" if row["reason"] else "" for row in rows]
    asked = [cut(brief(row["args"]), ARGUMENTS) + reason for row, reason in zip(rows, reasons, strict=True)]
    write_table(columns, least_telling=("AGE", "SESSION"), rest=("ARGUMENTS AND REASON", asked), least_rest=20)
