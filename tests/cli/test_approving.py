"""Approvals during a turn: by rule, and at the terminal."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lash.cli.asking import described
from lash.runtime.sansio.activity import PendingApproval
from tests.cli.conftest import Lash, Ran, block
from tests.cli.test_terminal import on_terminal

TOOLS = '''
import lash

@lash.tool(needs_approval=lambda args, ctx: "because it costs")
async def buy(item: str) -> str:
    """Buy something."""
    return f"bought {item}"

@lash.tool
async def look(item: str) -> str:
    """Look at something."""
    return f"seen {item}"
'''

BUY = block('r = call buy { item: "tea" }\nsubmit r')
LOOK = block('r = call look { item: "tea" }\nsubmit r')


@pytest.fixture
def tools(lash: Lash) -> tuple[str, str]:
    """The flag for the tools."""
    return "--tools", str(lash.write("tools.py", TOOLS))


def test_without_a_terminal_the_answer_is_no_and_the_flag_is_named(lash: Lash, tools: tuple[str, str]) -> None:
    ran = lash.ask(BUY, also=tools)
    assert ran.code == 0
    assert "denied by the user: nobody can be asked" in json.loads(ran.out)["error"]
    assert "buy needs approval and was denied; --approve allow says yes to all, --approve park" in ran.err


def test_the_way_on_is_told_once(lash: Lash, tools: tuple[str, str]) -> None:
    twice = block('a = call buy { item: "tea" }\nb = call buy { item: "oil" }\nsubmit 1')
    assert lash.ask(twice, also=tools).err.count("--approve park") == 1


def test_a_denial_that_was_asked_for_names_no_flag(lash: Lash, tools: tuple[str, str]) -> None:
    ran = lash.ask(BUY, also=(*tools, "--approve", "deny"))
    assert "buy needs approval and was denied\n" in ran.err
    assert "--approve" not in ran.err


def test_allow_says_yes(lash: Lash, tools: tuple[str, str]) -> None:
    ran = lash.ask(BUY, also=(*tools, "--approve", "allow"))
    assert json.loads(ran.out) == {"ok": True, "value": "bought tea"}


def test_asking_without_a_terminal_is_a_usage_error(lash: Lash, tools: tuple[str, str]) -> None:
    ran = lash.ask(BUY, also=(*tools, "--approve", "ask"))
    assert (ran.code, ran.out) == (2, "")
    assert "--approve ask needs a terminal" in ran.err
    assert "--approve park" in ran.err


@pytest.mark.parametrize(("patterns", "denied"), [(["look"], True), (["lo*"], True), (["loo"], False), (["*"], True)])
def test_patterns_of_the_configuration_make_tools_ask(
    lash: Lash, tools: tuple[str, str], patterns: list[str], denied: bool
) -> None:
    lash.write("home/config.toml", f"[approvals]\ntools = {json.dumps(patterns)}")
    assert json.loads(lash.ask(LOOK, also=tools).out)["ok"] is not denied


# --- at the terminal ---------------------------------------------------------------------------------


class Typist:
    """Types an answer each time a question is on the screen that it has an answer for."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def bind(self, write: Callable[[str], None]) -> Callable[[str], None]:
        """What `on_terminal` tells of what is on the screen."""

        def seen(text: str) -> None:
            asked = len(re.findall(r"arguments: |no reason\): ", text))
            while self.asked < asked and self.answers:
                self.asked += 1
                write(self.answers.pop(0))

        return seen


def ask(lash: Lash, tools: tuple[str, str], *answers: str, code: str = BUY, editor: str = "vi") -> tuple[int, str]:
    """Run a turn on a terminal with somebody who answers; exit code and what was on the screen."""
    typist = Typist(*answers)
    argv = lash.argv("-p", "Go.", "--provider", lash.script(code), *tools)
    code_, text = on_terminal(argv, columns=100, types=typist.bind, EDITOR=editor, VISUAL="")
    return code_, re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", text).replace("\r", "")


def test_a_question_shows_tool_reason_place_and_arguments(lash: Lash, tools: tuple[str, str]) -> None:
    code, text = ask(lash, tools, "y\n")
    assert code == 0
    question = text[text.index("? buy") :]
    assert question.startswith(
        "? buy needs your approval, line 1, column 5\n"
        "  because it costs\n"
        '  {\n    "item": "tea"\n  }\n'
        "run it? [y]es, [n]o, [e]dit the arguments: y\n"
        "approved\n"
    )
    assert '"bought tea"' in question


@pytest.mark.parametrize("answers", [("n\n", "too dear\n"), ("n too dear\n",), ("what\n", "\n", "no too dear\n")])
def test_no_with_a_reason_reaches_the_program(lash: Lash, tools: tuple[str, str], answers: tuple[str, ...]) -> None:
    code, text = ask(lash, tools, *answers)
    assert code == 0
    assert "denied by the user: too dear" in text


def test_the_end_of_input_is_a_no(lash: Lash, tools: tuple[str, str]) -> None:
    _, text = ask(lash, tools, "\x04")
    assert "closed without an answer" in text


def editor(lash: Lash, script: str) -> str:
    """An editor that does what the script says to the file `$1`."""
    file = lash.write("editor.sh", f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_arguments_can_be_edited(lash: Lash, tools: tuple[str, str]) -> None:
    change = editor(lash, 'echo \'{"item": "oil"}\' > "$1"')
    code, text = ask(lash, tools, "e\n", "y\n", editor=change)
    assert code == 0
    assert 'approved with {"item": "oil"}' in text
    assert '"bought oil"' in text


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo '[1' > \"$1\"", "that is no JSON"),
        ('echo 7 > "$1"', "arguments are a JSON object, not int"),
        ("exit 3", "the editor ended with status 3: nothing was changed"),
    ],
)
def test_what_an_editor_leaves_that_is_no_object_is_told_and_asked_again(
    lash: Lash, tools: tuple[str, str], script: str, told: str
) -> None:
    code, text = ask(lash, tools, "e\n", "y\n", editor=editor(lash, script))
    assert code == 0
    assert told in text
    assert '"bought tea"' in text


def test_an_editor_that_there_is_not_is_told(lash: Lash, tools: tuple[str, str]) -> None:
    _, text = ask(lash, tools, "e\n", "y\n", editor="no-such-editor")
    assert "'no-such-editor' cannot be started" in text


def test_ctrl_c_in_a_question_cancels_the_turn(lash: Lash, tools: tuple[str, str]) -> None:
    code, text = ask(lash, tools, "\x03")
    assert code == 130
    assert "cancelling" in text
    assert lash("sessions", "show", "last", "--json").json["turns"][0]["ended"] == "cancelled"


def test_what_was_typed_before_a_question_answers_nothing(lash: Lash, tools: tuple[str, str]) -> None:
    slow = lash.write(
        "slow.py",
        "import lash, time\n@lash.tool\ndef nap() -> None:\n    'Nap.'\n    print('asleep')\n"
        "    import pathlib\n    while not pathlib.Path('typed').exists(): time.sleep(0.01)\n",
    )
    code = block('call nap {}\nr = call buy { item: "tea" }\nsubmit r')
    typed = False

    def bind(write: Callable[[str], None]) -> Callable[[str], None]:
        answer = Typist("n late\n").bind(write)

        def seen(text: str) -> None:
            nonlocal typed
            if "asleep" in text and not typed:
                typed = True
                write("y\n")
                Path("typed").write_text("")
            answer(text)

        return seen

    argv = lash.argv("-p", "Go.", "--provider", lash.script(code), *tools, "--tools", str(slow))
    _, text = on_terminal(argv, columns=100, types=bind)
    assert "denied by the user: late" in text


def test_a_question_cannot_steer_the_terminal_and_is_bounded() -> None:
    args = {"text": "\x1b[2Jgone", "lines": ["x"] * 100}
    pending = PendingApproval("ap:1", "s", None, "t", "c", "run", args, "why\nso", None, None, 1, 0, None)  # type: ignore[arg-type]
    lines = described(pending)
    assert lines[:3] == ["? run needs your approval", "  why", "  so"]
    assert "\x1b" not in "\n".join(lines)
    assert lines[-1].endswith("more lines; e shows all in the editor)")


def test_a_text_of_megabytes_does_not_push_the_question_off_the_screen() -> None:
    huge = "x" * 3_000_000
    pending = PendingApproval("ap:1", "s", None, "t", "c", "run", {"text": huge}, huge, None, None, 1, 0, None)
    shown = described(pending)
    assert sum(map(len, shown)) < 3000
    assert "more characters; e shows all in the editor" in shown[-2]


# --- later, by another process -----------------------------------------------------------------------

COUNTED = '''
import pathlib
import lash

@lash.tool(needs_approval=True)
async def buy(item: str) -> str:
    """Buy something."""
    file = pathlib.Path("bought")
    file.write_text((file.read_text() if file.exists() else "") + item + "\\n")
    return f"bought {item}"
'''

ENDS = block('r = call buy { item: "tea" }\nsubmit r.ok ? "done" : r.error')


@pytest.fixture
def parked(lash: Lash) -> Ran:
    """A run whose turn waits for an approval."""
    lash.write("tools.py", COUNTED)
    return lash.ask(ENDS, also=("--tools", "tools.py", "--approve", "park", "--name", "shop"))


def question(lash: Lash) -> dict[str, Any]:
    """The only open question."""
    (one,) = lash("approvals", "list", "--json").json
    return one


def bought(lash: Lash) -> list[str]:
    """What the tool was run with."""
    file = lash.folder / "bought"
    return file.read_text().split() if file.exists() else []


def test_a_parked_turn_is_exit_6_and_names_what_it_waits_for(lash: Lash, parked: Ran) -> None:
    assert (parked.code, parked.out) == (6, "")
    asked = question(lash)
    assert f"lash: the turn is suspended and waits for 1 approval:\n  {asked['approval_id']}  buy" in parked.err
    assert "`lash approvals allow ID`" in parked.err
    assert "`lash sessions resume shop --approve ask`" in parked.err
    assert lash("sessions", "list", "--json").json[0]["state"] == "suspended"


def test_pending_questions_are_in_the_json_of_the_result(lash: Lash) -> None:
    lash.write("tools.py", COUNTED)
    ran = lash.ask(ENDS, also=("--tools", "tools.py", "--approve", "park", "--json"))
    assert ran.code == 6
    assert ran.json["status"] == "suspended"
    assert [one["approval_id"] for one in ran.json["pending"]] == [question(lash)["approval_id"]]


def test_the_list_shows_questions(lash: Lash, parked: Ran) -> None:
    head, row = lash.process("approvals", "list").out.splitlines()
    assert head.split() == ["ID", "AGE", "SESSION", "TOOL", "ARGUMENTS", "AND", "REASON"]
    assert re.fullmatch(r'ap:[0-9a-f]{8}  now  shop     buy   \{"item": "tea"\}', row)
    assert lash("approvals", "list", "--session", "shop").out.splitlines() == [head, row]
    lash.ask("Yes.", also=("--name", "other"))
    assert lash("approvals", "list", "--session", "other") == (0, "", "no question is open\n")


def test_without_questions_the_list_is_empty(lash: Lash) -> None:
    assert lash("approvals", "list") == (0, "", "no question is open\n")
    assert lash("approvals", "list", "--json").json == []
    assert not lash.home.exists()


def test_allowing_runs_the_tool_once_and_ends_the_turn(lash: Lash, parked: Ran) -> None:
    ran = lash.process("approvals", "allow", question(lash)["approval_id"])
    assert (ran.code, ran.out) == (0, "done\n"), ran.err
    assert 'approved: buy {"item": "tea"}' in ran.err
    assert bought(lash) == ["tea"]
    assert lash("sessions", "list", "--json").json[0]["state"] == "idle"
    assert lash("approvals", "list", "--json").json == []


def test_allowing_with_other_arguments_runs_it_with_those(lash: Lash, parked: Ran) -> None:
    ran = lash("approvals", "allow", question(lash)["approval_id"][3:9], "--edit", '{"item": "oil"}')
    assert (ran.code, ran.out) == (0, "done\n"), ran.err
    assert bought(lash) == ["oil"]


def test_denying_ends_the_turn_without_the_tool(lash: Lash, parked: Ran) -> None:
    ran = lash("approvals", "deny", question(lash)["approval_id"][:6], "--reason", "too dear")
    assert (ran.code, ran.out) == (0, "denied by the user: too dear\n"), ran.err
    assert bought(lash) == []


def test_no_resume_leaves_the_turn_to_sessions_resume(lash: Lash, parked: Ran) -> None:
    ran = lash("approvals", "allow", question(lash)["approval_id"], "--no-resume")
    assert (ran.code, ran.out, bought(lash)) == (0, "", [])
    assert "`lash sessions resume shop` drives the turn on" in ran.err
    os.chdir(lash.home)  # a resumed turn goes on where it was begun
    assert lash("sessions", "resume", "shop").out == "done\n"
    assert bought(lash) == ["tea"]


def test_resuming_too_early_waits_again(lash: Lash, parked: Ran) -> None:
    ran = lash("sessions", "resume", "shop")
    assert (ran.code, ran.out, bought(lash)) == (6, "", [])
    assert question(lash)["approval_id"] in ran.err


def test_a_resumed_turn_can_be_answered_by_rule(lash: Lash, parked: Ran) -> None:
    assert lash("sessions", "resume", "shop", "--approve", "allow").out == "done\n"
    assert bought(lash) == ["tea"]


def test_the_turn_waits_until_the_last_question_is_answered(lash: Lash) -> None:
    lash.write("tools.py", COUNTED)
    both = block('p = parallel { a: call buy { item: "tea" }, b: call buy { item: "oil" } }\nsubmit "done"')
    ran = lash.ask(both, also=("--tools", "tools.py", "--approve", "park"))
    assert ran.code == 6, ran.err
    one, other = (row["approval_id"] for row in lash("approvals", "list", "--json").json)
    first = lash("approvals", "allow", one)
    assert (first.code, first.out, bought(lash)) == (0, "", [])
    assert f"the turn waits for 1 more: {other}" in first.err
    last = lash("approvals", "deny", other)
    assert (last.code, last.out) == (0, "done\n"), last.err
    assert len(bought(lash)) == 1


def test_another_turn_on_a_suspended_session_is_exit_7_with_the_ways_on(lash: Lash, parked: Ran) -> None:
    ran = lash.ask("Never.", also=("--session", "shop"))
    assert (ran.code, ran.out) == (7, "")
    assert question(lash)["approval_id"] in ran.err
    assert "lash approvals allow" in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("allow", "ap:0123456789"), "there is no such open question"),
        (("allow", "ap:0"), "too short"),
        (("allow", "ID", "--edit", "7"), "--edit: arguments are a JSON object, not int"),
        (("allow", "ID", "--edit", "{"), "--edit: that is no JSON"),
        (("allow", "ID", "--edit", '{"thing": 1}'), "the question stays open"),
    ],
)
def test_an_answer_that_cannot_be_is_exit_2(lash: Lash, parked: Ran, arguments: tuple[str, ...], told: str) -> None:
    asked = question(lash)["approval_id"]
    ran = lash("approvals", *(asked if one == "ID" else one for one in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert question(lash)["approval_id"] == asked


@pytest.mark.parametrize("again", [("allow",), ("deny", "--reason", "too dear")])
def test_an_answered_question_is_told_with_its_answer(lash: Lash, parked: Ran, again: tuple[str, ...]) -> None:
    asked = question(lash)["approval_id"]
    lash("approvals", "deny", asked, "--reason", "too dear")
    ran = lash("approvals", again[0], asked, *again[1:])
    assert (ran.code, ran.out) == (2, "")
    assert "that question is answered with deny (too dear) by " in ran.err
    assert f'{asked}  buy {{"item": "tea"}}' in ran.err


def test_nothing_can_be_answered_where_no_turn_was_durable(lash: Lash) -> None:
    ran = lash("approvals", "allow", "ap:012345")
    assert (ran.code, lash.home.exists()) == (2, False)


def test_parking_and_keeping_nothing_exclude_each_other(lash: Lash) -> None:
    ran = lash.ask("x", also=("--approve", "park", "--ephemeral"))
    assert ran.code == 2
    assert "--ephemeral keeps nothing" in ran.err


def test_a_parked_turn_that_asks_nothing_just_ends(lash: Lash) -> None:
    ran = lash.ask("Hello.", also=("--approve", "park"))
    assert (ran.code, ran.out) == (0, "Hello.\n")


def test_a_flag_goes_before_what_a_turn_was_begun_with(lash: Lash) -> None:
    lash.write("tools.py", COUNTED)
    ran = lash.ask(ENDS, also=("--tools", "tools.py", "--approve", "park", "--name", "shop", "-q", "--json"))
    assert ran.code == 6
    assert "suspended" in ran.err
    resumed = lash("sessions", "resume", "shop", "--approve", "allow", "-v", "--json=stream")
    assert resumed.code == 0
    assert len(resumed.out.splitlines()) > 3
    assert "│ r = call buy" in resumed.err


def test_a_context_that_came_with_a_parked_turn_is_there_when_it_goes_on(lash: Lash) -> None:
    lash.write("tools.py", COUNTED)
    lash.write("data.txt", "one two")
    lash.ask("Hello.", also=("--name", "shop"))
    code = block('r = call buy { item: "tea" }\nsubmit context')
    flags = ("--session", "shop", "--context", "data.txt", "--tools", "tools.py", "--approve", "park")
    assert lash.ask(code, also=flags).code == 6
    ran = lash("approvals", "allow", question(lash)["approval_id"])
    assert (ran.code, ran.out) == (0, "one two\n"), ran.err


def test_a_suspended_session_shows_what_it_waits_for(lash: Lash, parked: Ran) -> None:
    asked = question(lash)["approval_id"]
    assert f'? waits for approval {asked}: buy {{"item": "tea"}}' in lash("sessions", "show", "shop").out
    assert lash("sessions", "show", "shop", "--json").json["waits_for"][0]["approval_id"] == asked


def test_an_answer_is_kept_where_the_turn_cannot_be_driven_on(lash: Lash, parked: Ran) -> None:
    (lash.folder / "tools.py").rename(lash.folder / "moved.py")
    ran = lash("approvals", "allow", question(lash)["approval_id"])
    assert (ran.code, ran.out) == (2, "")
    assert "the answer is recorded; `lash sessions resume shop` drives the turn on" in ran.err
    (lash.folder / "moved.py").rename(lash.folder / "tools.py")
    assert lash("sessions", "resume", "shop").out == "done\n"


def test_a_turn_that_another_process_runs_hears_of_the_answer_there(lash: Lash) -> None:
    lash.write("tools.py", COUNTED)
    script = lash.script(ENDS)
    seen: dict[str, Ran] = {}

    def types(_: Callable[[str], None]) -> Callable[[str], None]:
        def screen(text: str) -> None:
            if "arguments: " in text and not seen:
                seen["answer"] = lash.process("approvals", "allow", question(lash)["approval_id"])

        return screen

    argv = lash.argv("-p", "Go.", "--provider", script, "--tools", "tools.py", "--durable")
    code, text = on_terminal(argv, columns=100, types=types)
    assert seen["answer"].code == 0
    assert "the turn goes on in the process that runs it; if that was killed, `lash sessions resume" in (
        seen["answer"].err
    )
    assert code == 0
    assert "done" in text
    assert bought(lash) == ["tea"]


def test_the_same_answer_again_drives_a_turn_on_that_was_left(lash: Lash, parked: Ran) -> None:
    asked = question(lash)["approval_id"]
    lash("approvals", "allow", asked, "--no-resume")
    ran = lash("approvals", "allow", asked)
    assert (ran.code, ran.out, bought(lash)) == (0, "done\n", ["tea"])
