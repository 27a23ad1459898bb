"""`lash -p`: what goes where, and which exit code it leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from lash.runtime.remote import RemoteTurnActivity, RemoteTurnResult
from tests.cli.conftest import Lash, block

TOOLS = '''
import lash

@lash.tool
async def lookup(item: str) -> dict[str, int]:
    """The price of an item."""
    print("looking for", item)
    return {"price": {"tea": 12, "oil": 30}[item]}
'''

GIVES_UP = '''
import lash
from lash.runtime.sansio.tools import ToolFailure

@lash.tool
async def buy() -> lash.ToolResult:
    """Buy it."""
    return lash.ToolResult.fail(ToolFailure("execution", "broke", "out of money"))
'''


def test_prose_that_ends_the_turn_is_the_answer(lash: Lash) -> None:
    ran = lash.ask("It is **seven**.")
    assert (ran.code, ran.out) == (0, "It is **seven**.\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('"text as it is\\nin lines"', "text as it is\nin lines\n"),
        ('{ a: [1, "ü"] }', '{\n  "a": [\n    1,\n    "ü"\n  ]\n}\n'),
        ("null", "\n"),
        ("12", "12\n"),
    ],
)
def test_a_submitted_value_is_the_answer(lash: Lash, value: str, shown: str) -> None:
    ran = lash.ask(f"I compute.\n{block(f'print 1{chr(10)}submit {value}')}")
    assert (ran.code, ran.out) == (0, shown)


def test_prose_programs_calls_and_prints_are_rows_of_standard_error(lash: Lash) -> None:
    tools = str(lash.write("tools.py", TOOLS))
    code = 'r = (call lookup { item: "tea" })?\nprint r\nsubmit r.price'
    ran = lash.ask(f"Prices first.\n{block(code)}", also=("--tools", tools))
    assert (ran.code, ran.out) == (0, "12\n")
    rows = ran.err.splitlines()
    assert rows[:5] == [
        "Prices first.",
        '│ r = (call lookup { item: "tea" })?',
        "│ print r",
        "│ submit r.price",
        "looking for tea",
    ]
    assert rows[5].startswith('✓ lookup {"item": "tea"} → {"price": 12}')
    assert rows[6] == '· {"price":12}'
    assert re.fullmatch(r"session \w+-\w+ \([0-9a-f]{8}\) · turn 1 · 120 tokens · \d+\.\d s", rows[7])
    assert len(rows) == 8


def test_nothing_is_written_to_standard_error_with_q(lash: Lash) -> None:
    ran = lash.ask(block("print 1\nsubmit 2"), also=("-q",))
    assert ran == (0, "2\n", "")


def test_with_v_prints_are_whole(lash: Lash) -> None:
    code = 'print "one\\ntwo\\nthree"\nsubmit 1'
    short, whole = lash.ask(block(code)), lash.ask(block(code), also=("-v",))
    assert "· one (+2 lines)\n" in short.err
    assert "· one\n· two\n· three\n" in whole.err


def test_a_long_program_is_cut_without_v(lash: Lash) -> None:
    code = "\n".join(f"x{i} = {i}" for i in range(40)) + "\nsubmit 1"
    short, whole = lash.ask(block(code)), lash.ask(block(code), also=("-v",))
    assert "│ x29 = 29\n│ (11 more lines; -v shows all)\n" in short.err
    assert "│ x39 = 39\n│ submit 1\n" in whole.err


def test_an_error_of_a_program_is_told_with_its_place(lash: Lash) -> None:
    ran = lash.ask(block("x = 1\nsubmit x.y"), block("submit 2"))
    (row,) = [line for line in ran.err.splitlines() if line.startswith("✗")]
    assert re.search(r"cannot read field `y` of a number \(line 2, column 8\)$", row)
    assert (ran.code, ran.out) == (0, "2\n")


def test_a_failed_call_is_told_with_its_reason_and_without_a_traceback(lash: Lash) -> None:
    tools = str(lash.write("tools.py", TOOLS))
    ran = lash.ask(block('r = call lookup { item: "gold" }\nsubmit r.ok'), also=("--tools", tools))
    assert '✗ lookup {"item": "gold"} → KeyError: \'gold\'' in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == "false\n"


def test_no_escape_code_reaches_a_file(lash: Lash) -> None:
    ran = lash.ask(f"\x1b[31mred\x1b[0m \x1b]0;title\x07now\n{block('print 1' + chr(10) + 'submit 2')}")
    assert "\x1b" not in ran.err
    assert ran.err.startswith("red now\n")


def test_the_answer_reaches_a_file_as_it_is(lash: Lash) -> None:
    assert lash.ask(block('submit "\\u001b[31mred"')).out == "\x1b[31mred\n"


def test_the_prompt_can_come_from_standard_input(lash: Lash, tmp_path: Path) -> None:
    asked = tmp_path / "asked.json"
    script = lash.script({"text": "Yes.", "touch": str(asked)})
    assert lash("-p", "-", "--provider", script, stdin="Wie spät ist es?\n").out == "Yes.\n"
    assert "Wie spät ist es?" in json.loads(asked.read_text())["messages"][0]["content"]


def test_the_model_is_told_that_nobody_is_there(lash: Lash, tmp_path: Path) -> None:
    asked = tmp_path / "asked.json"
    lash.ask({"text": "Yes.", "touch": str(asked)})
    assert "unattended" in json.loads(asked.read_text())["system"]


def test_variables_are_there_before_the_first_program(lash: Lash) -> None:
    ran = lash.ask(block("submit [n + 1, names]"), also=("--var", "n=41", "--var", 'names=["a"]', "--json"))
    assert ran.json["outcome"]["finish"]["value"] == [42, ["a"]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("n", "NAME=JSON"),
        ("=1", "NAME=JSON"),
        ("n=abc", "no JSON"),
        ("n=NaN", "NaN"),
        (r'n="\ud800"', "no program can have this value"),
        ("in=1", "this name"),
        ("context=1", "this name"),
        ("history=1", "this name"),
    ],
)
def test_a_variable_that_cannot_be_is_told(lash: Lash, given: str, said: str) -> None:
    ran = lash.ask("x", also=("--var", given))
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("prompt", ["", " \n", "\udcff"])
def test_a_prompt_that_is_no_text_is_told(lash: Lash, prompt: str) -> None:
    ran = lash.ask("x", prompt=prompt)
    assert (ran.code, ran.out) == (2, "")
    assert "the prompt is" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ("--ephemeral", "--session", "x"),
        ("--ephemeral", "--durable"),
        ("-q", "-v"),
        ("--json", "--json=stream"),
        ("--session", "x", "--name", "y"),
        ("--trace-level", "extended"),
        ("--json=other",),
        ("--max-turns", "0"),
        ("--timeout", "0"),
        ("--cwd", "nowhere"),
        ("--output-schema", "nowhere.json"),
        ("--output-schema", "."),
    ],
)
def test_options_that_cannot_be_are_told(lash: Lash, options: tuple[str, ...]) -> None:
    ran = lash.ask("x", also=options)
    assert (ran.code, ran.out) == (2, "")
    assert options[0].partition("=")[0] in ran.err


@pytest.mark.parametrize("text", ["{", "[1]", '{"type": 7}'])
def test_a_schema_that_is_none_is_told(lash: Lash, text: str) -> None:
    ran = lash.ask("x", also=("--output-schema", str(lash.write("s.json", text))))
    assert ran.code == 2
    assert "--output-schema" in ran.err


def test_files_are_those_of_the_directory_that_is_entered(lash: Lash) -> None:
    lash.write("sub/schema.json", '{"type": "integer"}')
    lash.write("sub/notes.txt", "12345")
    ran = lash.ask(
        block("submit len(context)"), also=("-C", "sub", "--output-schema", "schema.json", "--context", "notes.txt")
    )
    assert (ran.code, ran.out) == (0, "5\n")


def test_the_options_of_a_turn_are_not_those_of_other_commands(lash: Lash) -> None:
    ran = lash("--model", "x", "sessions", "list")
    assert ran.code == 2
    assert "go with -p" in ran.err


def test_a_question_without_its_option_is_told_how_to_ask(lash: Lash) -> None:
    ran = lash("Which is the largest?")
    assert (ran.code, ran.out) == (2, "")
    assert 'lash -p "..."' in ran.err


def test_a_number_that_is_none_is_told_without_the_words_of_programmers(lash: Lash) -> None:
    assert "'soon' is not a valid number of seconds" in lash("-p", "Go.", "--timeout", "soon").err
    assert "'few' is not a valid whole number" in lash("-p", "Go.", "--max-turns", "few").err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is one of Linux")
@pytest.mark.parametrize("command", [("-p", "Go."), ("--help",)])
def test_a_full_disk_is_told_without_a_traceback(lash: Lash, command: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            lash.argv(*command),
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "LASH_PROVIDER": lash.script("Yes.")},
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_anything_help_goes_to_standard_error(lash: Lash) -> None:
    ran = lash()
    assert (ran.code, ran.out) == (2, "")
    assert "--print" in ran.err


def test_a_person_can_be_the_model(lash: Lash) -> None:
    inbox = lash.folder / "inbox"
    inbox.mkdir()
    answering = threading.Thread(target=answer_first_request, args=(inbox,))
    answering.start()
    ran = lash("-p", "Which is larger, 3 or 4?", "--provider", f"files:{inbox}")
    answering.join()
    assert (ran.code, ran.out) == (0, "Four.\n")
    assert f"answer {inbox}/request-N.json in reply-N.txt" in ran.err


def answer_first_request(inbox: Path) -> None:
    until = time.monotonic() + 60
    while not (inbox / "request-1.json").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert "Which is larger" in (inbox / "request-1.json").read_text()
    (inbox / "reply-1.txt").write_text("Four.")


# --- JSON --------------------------------------------------------------------------------------------


def test_json_is_one_result(lash: Lash) -> None:
    ran = lash.ask(block("submit { a: 1 }"), also=("--json",))
    (line,) = ran.out.splitlines()
    result = RemoteTurnResult.model_validate_json(line)
    assert (result.status, result.protocol_version) == ("finished", 1)
    assert json.loads(line)["outcome"] == {
        "finish": {"value": {"a": 1}, "type": "submitted_value"},
        "type": "finished",
    }
    assert result.usage.total() == 120
    assert result.metadata["turn_index"] == 1
    assert re.fullmatch(r"\w+-\w+", str(result.metadata["session_name"]))


def test_a_stream_of_json_ends_with_the_result(lash: Lash) -> None:
    ran = lash.ask("Hello there, whoever you are.", also=("--json=stream", "-q"))
    *lines, last = ran.out.splitlines()
    activities = [RemoteTurnActivity.model_validate_json(line) for line in lines]
    assert [one.sequence for one in activities] == list(range(1, len(activities) + 1))
    deltas: list[Any] = [json.loads(line)["event"] for line in lines]
    prose = "".join(event["text"] for event in deltas if event["type"] == "assistant_prose_delta")
    assert prose == "Hello there, whoever you are."
    assert RemoteTurnResult.model_validate_json(last).status == "finished"


def test_the_wire_models_refuse_what_they_do_not_know() -> None:
    adapter: TypeAdapter[RemoteTurnResult] = TypeAdapter(RemoteTurnResult)
    with pytest.raises(ValueError, match="protocol_version"):
        adapter.validate_python({"protocol_version": 2, "status": "finished"})
    with pytest.raises(ValueError, match="colour"):
        adapter.validate_python({"status": "finished", "colour": "red"})


# --- exit codes --------------------------------------------------------------------------------------


def test_a_wrong_answer_goes_back_to_the_model_where_a_schema_is_required(lash: Lash) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    file = str(lash.write("schema.json", json.dumps(schema)))
    ran = lash.ask(block('submit { n: "seven" }'), block("submit { n: 7 }"), also=("--output-schema", file))
    assert (ran.code, json.loads(ran.out)) == (0, {"n": 7})


def test_a_model_that_cannot_answer_is_exit_1(lash: Lash) -> None:
    ran = lash.ask({"error": "no more today"})
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1].startswith("lash: the model could not answer: no more today")


def test_a_tool_that_ends_the_turn_with_an_error_is_exit_4(lash: Lash) -> None:
    file = str(lash.write("tools.py", GIVES_UP))
    ran = lash.ask(block("call buy {}"), also=("--tools", file))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.endswith("lash: tool buy ended the turn: out of money\n")


def test_too_many_model_calls_are_exit_5(lash: Lash) -> None:
    schema = str(lash.write("schema.json", '{"type": "object"}'))
    ran = lash.ask(block("x = 1"), block("x = 2"), also=("--max-turns", "2", "--output-schema", schema))
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.endswith("lash: no answer within 2 model calls; --max-turns raises the limit\n")


def test_a_turn_that_takes_too_long_is_exit_5_and_committed(lash: Lash) -> None:
    ran = lash.ask({"text": "Well, ", "hang": True}, also=("--timeout", "0.05"))
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.endswith("lash: cancelled (timeout after 0.05 s)\n")
    assert lash("sessions", "list", "--json").json[0]["turns"] == 1


def test_a_home_that_cannot_be_written_is_told_with_the_way_round(lash: Lash) -> None:
    lash.home.parent.mkdir(exist_ok=True)
    lash.home.write_text("a file")
    ran = lash.ask("Yes.")
    assert ran.code == 2
    assert "LASH_HOME" in ran.err
    assert "--ephemeral" in ran.err
    assert lash.ask("Yes.", also=("--ephemeral",)).out == "Yes.\n"


def test_an_ephemeral_session_leaves_nothing(lash: Lash) -> None:
    ran = lash.ask("Yes.", also=("--ephemeral",))
    assert (ran.code, ran.out) == (0, "Yes.\n")
    assert not lash.home.exists()


def test_the_home_is_for_its_owner_alone(lash: Lash) -> None:
    lash.ask("Yes.")
    assert lash.home.stat().st_mode & 0o777 == 0o700


def test_a_trace_is_written(lash: Lash) -> None:
    file = lash.folder / "trace.jsonl"
    lash.ask("Yes.", also=("--trace", str(file), "--trace-level", "extended"))
    assert all(json.loads(line) for line in file.read_text().splitlines())
    assert file.stat().st_size > 0
