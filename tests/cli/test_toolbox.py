"""The tools that come with lash: files under the policy of the flags, the shell, the web, instructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Lash, Ran, block


def call(lash: Lash, tool: str, args: str, *also: str) -> Any:
    """What a call of a tool gives a program."""
    ran = lash.ask(block(f"r = call {tool} {args}\nsubmit r"), also=also)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def offered(lash: Lash, *also: str) -> set[str]:
    """The tools that a model is told of."""
    asked = lash.folder / "asked.json"
    ran = lash.ask({"text": "Yes.", "touch": str(asked)}, also=also)
    assert ran.code == 0, ran.err
    system = json.loads(asked.read_text())["system"]
    known = "read_file ls glob grep write_file apply_patch exec_command start_command write_stdin search_web fetch_url"
    return {name for name in known.split() if f"call {name}" in system or f"{name} {{" in system}


READING = {"read_file", "ls", "glob", "grep"}
WRITING = READING | {"write_file", "apply_patch"}
SHELL = {"exec_command", "start_command", "write_stdin"}


@pytest.mark.parametrize(
    ("flags", "tools"),
    [
        ((), READING),
        (("--no-files",), set[str]()),
        (("--allow-write",), WRITING),
        (("--allow-shell",), READING | SHELL),
        (("--allow-shell", "--no-files"), SHELL),
    ],
)
def test_flags_choose_the_tools(lash: Lash, flags: tuple[str, ...], tools: set[str]) -> None:
    assert offered(lash, *flags) == tools


def test_the_current_directory_is_read_and_nothing_else(lash: Lash) -> None:
    lash.write("here.txt", "inside")
    outside = lash.folder.parent / "there.txt"
    outside.write_text("outside")
    assert "inside" in call(lash, "read_file", '{ path: "here.txt" }')["value"]
    refused = call(lash, "read_file", json.dumps({"path": str(outside)}))
    assert not refused["ok"]
    assert "outside" not in refused["error"]


def test_roots_stand_in_place_of_the_current_directory(lash: Lash) -> None:
    lash.write("a/one.txt", "first")
    lash.write("b/two.txt", "second")
    roots = ("--root", "a", "--root", "b")
    assert "first" in call(lash, "read_file", '{ path: "one.txt" }', *roots)["value"]
    assert "second" in call(lash, "read_file", json.dumps({"path": str(lash.folder / "b/two.txt")}), *roots)["value"]
    lash.write("here.txt", "inside")
    assert not call(lash, "read_file", json.dumps({"path": str(lash.folder / "here.txt")}), *roots)["ok"]


def test_the_directory_of_c_is_the_root(lash: Lash) -> None:
    lash.write("sub/here.txt", "below")
    assert "below" in call(lash, "read_file", '{ path: "here.txt" }', "-C", "sub")["value"]


def test_a_root_that_is_none_is_a_usage_error(lash: Lash) -> None:
    ran = lash.ask("x", also=("--root", "nowhere"))
    assert (ran.code, ran.out) == (2, "")
    assert "--root" in ran.err
    assert "nowhere" in ran.err


def test_without_allow_write_there_is_nothing_to_write_with(lash: Lash) -> None:
    assert not call(lash, "write_file", '{ path: "a.txt", content: "x" }')["ok"]
    assert call(lash, "write_file", '{ path: "a.txt", content: "x" }', "--allow-write")["ok"]
    assert (lash.folder / "a.txt").read_text() == "x"


def test_the_configuration_says_where_may_be_written_and_what_is_denied(lash: Lash) -> None:
    lash.write("home/config.toml", '[files]\nallow_write = ["docs/**"]\ndeny = ["**/.env"]')
    lash.write(".env", "KEY=secret")
    lash.write("docs/x.md", "")
    assert call(lash, "write_file", '{ path: "docs/a.md", content: "x" }')["ok"]
    assert not call(lash, "write_file", '{ path: "a.md", content: "x" }')["ok"]
    assert call(lash, "write_file", '{ path: "a.md", content: "x" }', "--allow-write")["ok"]
    assert not call(lash, "read_file", '{ path: ".env" }', "--allow-write")["ok"]


@pytest.mark.parametrize("flags", [("--no-files", "--root", "."), ("--no-files", "--allow-write")])
def test_flags_that_exclude_each_other_are_told(lash: Lash, flags: tuple[str, ...]) -> None:
    ran = lash.ask("x", also=flags)
    assert ran.code == 2
    assert "exclude each other" in ran.err


def test_a_tool_of_a_taken_name_is_told_with_the_way_on(lash: Lash) -> None:
    lash.write("t.py", "import lash\n@lash.tool\ndef grep(text: str) -> str:\n    'Mine.'\n    return text\n")
    ran = lash.ask(block('submit (call grep { text: "x" })?'), also=("--tools", "t.py"))
    assert (ran.code, ran.out) == (2, "")
    assert "grep" in ran.err
    assert "--no-files leaves out the file tools" in ran.err
    ran = lash.ask(block('submit (call grep { text: "x" })?'), also=("--tools", "t.py", "--no-files"))
    assert (ran.code, ran.out) == (0, "x\n")


# --- shell -------------------------------------------------------------------------------------------


def test_commands_ask_first(lash: Lash) -> None:
    ran = lash.ask(block('r = call exec_command { cmd: "echo hi" }\nsubmit r'), also=("--allow-shell",))
    assert "exec_command needs approval and was denied; --approve allow" in ran.err
    assert not json.loads(ran.out)["ok"]


def test_commands_run_where_that_is_allowed(lash: Lash) -> None:
    found = call(lash, "exec_command", '{ cmd: "pwd" }', "--allow-shell", "--approve", "allow")
    assert found["value"]["output"].strip() == str(lash.folder)


def test_the_configuration_can_let_commands_run_without_asking(lash: Lash) -> None:
    lash.write("home/config.toml", "[approvals]\ntools = []")
    assert call(lash, "exec_command", '{ cmd: "echo hi" }', "--allow-shell")["value"]["output"] == "hi\n"


def test_a_project_cannot_let_commands_run_without_asking(lash: Lash) -> None:
    lash.write(".lash/config.toml", "[approvals]\ntools = []")
    assert not call(lash, "exec_command", '{ cmd: "echo hi" }', "--allow-shell")["ok"]


# --- web ---------------------------------------------------------------------------------------------


def test_a_key_brings_the_web_tools(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", "tvly-x")
    assert offered(lash) == READING | {"search_web", "fetch_url"}


def test_a_key_of_the_configuration_brings_them_as_well(lash: Lash) -> None:
    lash.write("home/config.toml", '[secrets]\ntavily_api_key = { command = ["echo", "tvly-x"] }')
    assert offered(lash) == READING | {"search_web", "fetch_url"}


def test_a_key_that_is_not_there_leaves_them_out_and_says_so(lash: Lash) -> None:
    lash.write("home/config.toml", '[secrets]\ntavily_api_key = { env = "NO_SUCH_KEY" }')
    ran = lash.ask("Yes.")
    assert ran.code == 0
    assert "the web tools are left out: secrets.tavily_api_key: the environment variable NO_SUCH_KEY" in ran.err


# --- instructions and traces -------------------------------------------------------------------------


def system(lash: Lash) -> str:
    """The system prompt of a turn."""
    asked = lash.folder / "asked.json"
    lash.ask({"text": "Ita.", "touch": str(asked)})
    return json.loads(asked.read_text())["system"]


def test_the_model_is_told_the_instructions_of_person_and_project_the_nearest_last(lash: Lash) -> None:
    lash.write("home/AGENTS.md", "Answer in Latin.")
    lash.write("AGENTS.md", "Count in dozens.")
    told = system(lash)
    assert told.index("Answer in Latin.") < told.index("Count in dozens.")


def trace(lash: Lash, ran: Ran, file: Path) -> str:
    assert ran.code == 0, ran.err
    return file.read_text()


def test_secrets_of_the_configuration_are_in_no_trace(lash: Lash) -> None:
    lash.write("home/config.toml", '[secrets]\ntavily_api_key = "tvly-literal-key"').chmod(0o600)
    file = lash.folder / "trace.jsonl"
    ran = lash.ask(block('submit "tvly-literal-key"'), also=("--trace", str(file), "--trace-level", "extended"))
    told = trace(lash, ran, file)
    assert "submit" in told
    assert "tvly-literal-key" not in told
