"""What goes to standard output: the answer, or JSON in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, TextIO

from lash import LashError, TurnActivity, TurnFinish, TurnOutcome, TurnResult, TurnSuspended
from lash.cli.options import Output
from lash.cli.screen import clean
from lash.runtime.remote import RemoteTurnActivity, RemoteTurnResult
from lash.runtime.sansio.outcome import AnyTurnFinish
from lash.runtime.sansio.values import JsonValue


class Answers:
    """Writes answers to a stream in one of the forms of `--json`.

    `reader_gone` is called once, when nobody reads the stream any more; what is written after that goes nowhere.
    """

    def __init__(self, out: TextIO, form: Output, reader_gone: Callable[[], None]) -> None:
        self._out = out
        self._form: Output = form
        self._reader_gone = reader_gone
        self._gone = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        return self._out.isatty()

    def activity(self, activity: TurnActivity) -> None:
        """Write an activity, where they are wanted."""
        if self._form == "stream":
            self._line(RemoteTurnActivity.from_core(activity).model_dump_json())

    def result(self, result: TurnResult[Any], *, shown: str, session_name: str | None) -> None:
        """Write the answer of a turn; a stopped one has none. `shown` is what is on the same screen already."""
        if self._form != "text":
            metadata: dict[str, JsonValue] = {} if session_name is None else {"session_name": session_name}
            self._line(RemoteTurnResult.from_core(result, **metadata).model_dump_json())
        elif isinstance(result.outcome, TurnOutcome.Finished):
            answer = answer_text(result.outcome.finish)
            if not shown or shown.strip() != answer:
                self._line(clean(answer) if self.is_terminal else answer)

    def suspended(self, error: TurnSuspended, *, session_id: str, session_name: str | None) -> None:
        """Write that a turn waits for approvals, for those who read JSON."""
        if self._form != "text":
            metadata: dict[str, JsonValue] = {"session_id": session_id, "turn_id": error.turn_id}
            if session_name is not None:
                metadata["session_name"] = session_name
            waiting = RemoteTurnResult(status="suspended", pending=error.approvals, metadata=metadata)
            self._line(waiting.model_dump_json())

    def failed(self, error: LashError) -> None:
        """Write that a turn could not be recorded, for those who read JSON."""
        if self._form != "text":
            self._line(RemoteTurnResult.failed(error).model_dump_json())

    def _line(self, line: str) -> None:
        if self._gone:
            return
        try:
            self._out.write(f"{line}\n")
            self._out.flush()
        except BrokenPipeError:
            self._gone = True
            # Nothing may be left for the interpreter to flush into the pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
            self._reader_gone()


def answer_text(finish: AnyTurnFinish) -> str:
    """The answer that ended a turn: text as it is, null as nothing, other values as indented JSON."""
    match finish:
        case TurnFinish.AssistantMessage(text=text):
            return text.strip()
        case TurnFinish.SubmittedValue(value=None) | TurnFinish.ToolValue(value=None):
            return ""
        case TurnFinish.SubmittedValue(value=str(text)) | TurnFinish.ToolValue(value=str(text)):
            return text
        case TurnFinish.SubmittedValue(value=value) | TurnFinish.ToolValue(value=value):
            return json.dumps(value, ensure_ascii=False, indent=2)
