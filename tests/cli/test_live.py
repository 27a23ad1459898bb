"""The rows and the progress line of a running turn, on a made-up screen."""

from __future__ import annotations

import io
from typing import Any

import pytest

from lash import TurnActivity, TurnEvent
from lash.cli.live import Detail, LiveView
from lash.cli.screen import Screen
from lash.runtime.sansio.tools import ToolFailure, ToolOutput

FORTY = 40


class File(io.StringIO):
    """A file that keeps what is written."""

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]


class Terminal(File):
    """A terminal of forty columns."""

    def isatty(self) -> bool:
        return True


class Shown:
    """A view on a terminal, or on a file, and a clock that the test moves."""

    def __init__(self, stream: io.StringIO, detail: Detail) -> None:
        self.stream = stream
        self.now = 0.0
        self.view = LiveView(Screen(stream), detail, lambda: self.now)
        self._count = 0

    async def emit(self, event: Any, row: str = "") -> None:
        self._count += 1
        number = f"a:{self._count}"
        await self.view.emit(TurnActivity(number, row or number, self._count, "s", "t", False, event))

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def screen(self) -> list[str]:
        """The lines that a person sees: what was drawn over or erased is gone."""
        lines = [""]
        text, at = self.text, 0
        while at < len(text):
            if text.startswith("\r\x1b[K", at):
                lines[-1] = ""
                at += 4
                continue
            if text[at] == "\n":
                lines.append("")
            else:
                lines[-1] += text[at]
            at += 1
        return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(Screen, "width", FORTY)
    return Shown(Terminal(), "normal")


@pytest.fixture
def file() -> Shown:
    return Shown(File(), "normal")


def started(name: str, **args: Any) -> TurnEvent.ToolCallStarted:
    return TurnEvent.ToolCallStarted(f"c:{name}", name, args)


def completed(name: str, value: Any, ms: int = 5, **args: Any) -> TurnEvent.ToolCallCompleted:
    return TurnEvent.ToolCallCompleted(f"c:{name}", name, args, ToolOutput.Success(value), ms)


async def test_a_progress_line_says_what_is_waited_for_and_since_when(terminal: Shown) -> None:
    await terminal.emit(started("fetch", url="http://a"), "tool:1")
    terminal.now = 2.5
    terminal.view.tick()
    assert terminal.screen() == ['⠋ fetch {"url": "http://a"} 2.5 s']
    terminal.now = 75
    terminal.view.tick()
    assert terminal.screen() == ['⠙ fetch {"url": "http://a"} 1 min 15 s']


async def test_a_progress_line_counts_what_runs_beside_it(terminal: Shown) -> None:
    for number in range(3):
        await terminal.emit(started(f"t{number}"), f"tool:{number}")
    terminal.now = 1
    terminal.view.tick()
    assert terminal.screen() == ["⠋ t0 {} +2 more 1.0 s"]


async def test_a_progress_line_fits_whatever_the_arguments_are(terminal: Shown) -> None:
    await terminal.emit(started("write", text="東京" * 1000 + "\n\x1b[2J"), "tool:1")
    terminal.now = 1
    terminal.view.tick()
    (line,) = terminal.screen()
    assert line.endswith("… 1.0 s")
    assert "\x1b" not in line


async def test_a_progress_line_is_gone_before_a_row_comes(terminal: Shown) -> None:
    await terminal.emit(started("fetch"), "tool:1")
    terminal.now = 1
    terminal.view.tick()
    await terminal.emit(completed("fetch", 7, 1000), "tool:1")
    assert terminal.screen() == ["✓ fetch → 7 1.0 s", ""]
    terminal.view.tick()
    assert terminal.screen() == ["✓ fetch → 7 1.0 s", ""]


async def test_waiting_for_the_session_is_shown_until_the_turn_begins(terminal: Shown) -> None:
    terminal.view.waits_for("session")
    terminal.now = 3
    terminal.view.tick()
    assert terminal.screen() == ["⠋ session 3.0 s"]
    await terminal.emit(TurnEvent.ModelRequestStarted(0))
    terminal.view.tick()
    assert terminal.screen() == [""]
    terminal.now = 4
    terminal.view.tick()
    assert terminal.screen() == ["⠙ model 1.0 s"]


async def test_what_takes_a_moment_needs_no_progress_line(terminal: Shown) -> None:
    await terminal.emit(started("fetch"), "tool:1")
    terminal.now = 0.1
    terminal.view.tick()
    assert terminal.text == ""


async def test_there_is_no_progress_line_in_the_middle_of_prose(terminal: Shown) -> None:
    await terminal.emit(TurnEvent.ModelRequestStarted(0))
    await terminal.emit(TurnEvent.AssistantProseDelta("So it "))
    terminal.now = 9
    terminal.view.tick()
    assert terminal.text == "So it "


async def test_there_is_no_progress_line_in_a_file(file: Shown) -> None:
    await file.emit(started("fetch"), "tool:1")
    file.now = 9
    file.view.tick()
    assert file.text == ""


async def test_prose_is_written_as_it_comes_and_a_row_begins_on_a_line_of_its_own(file: Shown) -> None:
    for piece in ("\n\nI ", "look", " now."):
        await file.emit(TurnEvent.AssistantProseDelta(piece))
    assert file.text == "I look now."
    await file.emit(TurnEvent.CodeOutput("42", 0))
    assert file.text == "I look now.\n· 42\n"


async def test_an_escape_sequence_in_two_deltas_is_left_out(file: Shown) -> None:
    for piece in ("red: \x1b[3", "1mred\x1b", "[0m."):
        await file.emit(TurnEvent.AssistantProseDelta(piece))
    assert file.text == "red: red."


async def test_the_newest_prose_is_known(file: Shown) -> None:
    await file.emit(TurnEvent.ModelRequestStarted(0))
    await file.emit(TurnEvent.AssistantProseDelta("Old."))
    await file.emit(TurnEvent.ModelRequestStarted(1))
    await file.emit(TurnEvent.AssistantProseDelta("New"))
    await file.emit(TurnEvent.AssistantProseDelta("."))
    assert file.view.last_prose == "New."


async def test_a_reply_that_broke_off_is_said_to_be_void(file: Shown) -> None:
    await file.emit(TurnEvent.AssistantProseDelta("It is ni"))
    await file.emit(TurnEvent.ModelAttemptReset(("prose:1",), ()))
    await file.emit(TurnEvent.RetryStatus(2, 1, 4, "overloaded\nreally", "http"))
    await file.emit(TurnEvent.AssistantProseDelta("It is ten."))
    assert file.text.splitlines() == [
        "It is ni",
        "(the reply broke off; what was shown of it is void)",
        "model: overloaded (+1 line); next try in 2 s (1 of 4)",
        "It is ten.",
    ]
    assert file.view.last_prose == "It is ten."


async def test_a_call_is_one_line_whatever_it_gave(terminal: Shown) -> None:
    await terminal.emit(completed("read", "line\n" * 500, path="a.txt"), "tool:1")
    row, rest = terminal.screen()
    assert (row, rest) == ("✓ read → line (+499 lines)", "")


async def test_a_call_has_what_was_asked_and_what_was_told(file: Shown) -> None:
    await file.emit(completed("read", "one\ntwo", path="a.txt"), "tool:1")
    assert file.text == '✓ read {"path": "a.txt"} → one (+1 line)\n'


async def test_where_there_is_no_room_a_call_is_told_by_its_result(terminal: Shown) -> None:
    await terminal.emit(completed("a_tool_of_quite_a_long_name", {"n": 1}, query="something"), "tool:1")
    assert terminal.screen()[0] == '✓ a_tool_of_quite_a_long_name → {"n": 1}'


async def test_a_failed_call_is_told_by_its_message(file: Shown) -> None:
    failure = ToolOutput.Failure(ToolFailure("external", "down", "no such host"))
    await file.emit(TurnEvent.ToolCallCompleted("c:1", "fetch", {}, failure, 5))
    assert file.text == "✗ fetch {} → no such host\n"


async def test_a_flood_of_prints_costs_a_line_each(file: Shown) -> None:
    for index in range(100):
        await file.emit(TurnEvent.CodeOutput("x" * 1_000_000, index))
    assert len(file.text) < 100 * 250


async def test_of_many_prints_of_a_program_the_first_are_shown_and_the_others_counted(file: Shown) -> None:
    for index in range(12):
        await file.emit(TurnEvent.CodeOutput(str(index), index))
    await file.emit(TurnEvent.CodeBlockCompleted("lashlang", "", None, True, 1))
    await file.emit(TurnEvent.CodeOutput("next", 0))
    shown = file.text.splitlines()
    assert shown == [*(f"· {index}" for index in range(10)), "· (2 more prints; -v shows all)", "· next"]


async def test_the_place_of_an_error_is_there_however_narrow_the_terminal_is(terminal: Shown) -> None:
    error = "error[unknown_name]: name `something_long` is not defined\n --> line 3, column 5\n 3 | x\n   | ^"
    await terminal.emit(TurnEvent.CodeBlockCompleted("lashlang", "", error, False, 1))
    assert terminal.screen()[0] == "✗ error[unknown_name]… (line 3, column 5)"


async def test_what_a_tool_prints_is_a_row(file: Shown) -> None:
    await file.emit(TurnEvent.AssistantProseDelta("So"))
    file.view.foreign("debug \x1b[31mx")
    assert file.text == "So\ndebug x\n"


async def test_reasoning_is_shown_with_v_alone() -> None:
    for detail, expected in (("normal", ""), ("verbose", "Let me see")):
        shown = Shown(File(), detail)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await shown.emit(TurnEvent.ReasoningDelta("Let me see"))
        assert shown.text == expected


async def test_a_reader_that_has_gone_stops_the_writing_and_not_the_turn() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    shown = Shown(Closed(), "normal")
    await shown.emit(TurnEvent.AssistantProseDelta("So"))
    await shown.emit(TurnEvent.CodeOutput("1", 0))
    shown.view.warn("lash: cancelled")


async def test_a_terminal_without_unicode_is_written_to_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]

    shown = Shown(Ascii(), "normal")
    await shown.emit(completed("fetch", 1), "tool:1")
    await shown.emit(TurnEvent.CodeBlockStarted("lashlang", "print 1"))
    assert shown.text == "+ fetch {} > 1\n| print 1\n"


async def test_a_question_that_is_taken_back_leaves_a_line_of_its_own_to_what_follows(file: Shown) -> None:
    def taken_back() -> None:
        with file.view.question() as say:
            say("run it? ")
            raise TimeoutError

    with pytest.raises(TimeoutError):
        taken_back()
    file.view.warn("too late")
    assert file.text == "run it? \ntoo late\n"
