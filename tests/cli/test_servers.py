"""MCP servers of the configuration: whose run, what is asked first, what is told where they cannot."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lash.cli.configuration.reading import ConfigurationError, read_settings
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.servers import TRUST, servers
from tests.cli.conftest import ROOT, Lash, Ran, block
from tests.cli.test_terminal import on_terminal

SERVER = ROOT / "tests/host/plugins/mcp/raw_server.py"
CALL = block('r = (call mcp__raw__echo { text: "hello" })?\nsubmit r')
NONE = block("submit 1")


def entry(*arguments: str, more: str = "") -> str:
    """`[mcp_servers.raw]` of a configuration, which starts a server that is quick."""
    args = json.dumps(["-S", str(SERVER), *arguments])
    return f"[mcp_servers.raw]\ntransport = 'stdio'\ncommand = {json.dumps(sys.executable)}\nargs = {args}\n{more}"


def user(lash: Lash, text: str) -> None:
    """The person's file."""
    lash.write("home/config.toml", text)


def project(lash: Lash, text: str) -> Path:
    """The project's file."""
    return lash.write(".lash/config.toml", text)


def ask(lash: Lash, code: str, *also: str) -> Ran:
    """A turn in a process of its own, without a terminal."""
    return lash.process("-p", "Go.", "--provider", lash.script(code), *also)


def test_a_server_of_the_person_is_used(lash: Lash) -> None:
    user(lash, entry())
    ran = ask(lash, CALL)
    assert (ran.code, ran.out) == (0, "hello\n"), ran.err


def test_no_mcp_uses_none(lash: Lash) -> None:
    user(lash, entry())
    ran = ask(lash, block('submit call mcp__raw__echo { text: "x" }'), "--no-mcp")
    assert "there is no tool 'mcp__raw__echo'" in ran.err


def test_a_server_that_cannot_be_reached_ends_the_run_with_a_way_on(lash: Lash) -> None:
    user(lash, entry("dies"))
    ran = ask(lash, NONE)
    assert (ran.code, ran.out) == (1, "")
    assert "MCP servers cannot be reached:\n  raw: " in ran.err
    assert "--no-mcp runs without them" in ran.err
    assert lash("sessions", "list", "--json").json == []


def test_a_server_that_is_not_required_is_done_without(lash: Lash) -> None:
    user(lash, entry("dies", more="required = false"))
    assert ask(lash, NONE).code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("transport = 'stdio'", "the command is empty"),
        ("transport = 'sse'\nurl = 'ftp://x'", "the url is none of http:// or https://"),
        ("transport = 'sse'\nurl = 'http://x'\ncommand = 'x'", "takes no command"),
        ("transport = 'sse'\nurl = 'http://x'\nheaders = { a = '${NO_SUCH}' }", "no such environment variable"),
    ],
)
def test_an_entry_that_cannot_work_is_told_with_its_place(lash: Lash, text: str, told: str) -> None:
    user(lash, f"\n[mcp_servers.x]\n{text}")
    ran = lash.ask(NONE)
    assert ran.code == 2
    assert "config.toml:2: mcp_servers.x: " in ran.err
    assert told in ran.err
    checked = lash("config", "check")
    assert told in checked.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("transport = 'tcp'", "has to be 'stdio', 'streamable_http' or 'sse'"),
        ("transport = 'stdio'\ncomand = 'x'", "unknown key `mcp_servers.x.comand`; did you mean `command`?"),
        ("command = 'x'", "`transport` is missing"),
    ],
)
def test_a_wrong_key_of_an_entry_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.toml").write_text(f"[mcp_servers.x]\n{text}")
    with pytest.raises(ConfigurationError) as raised:
        read_settings({"LASH_HOME": str(tmp_path)}, tmp_path / "none")
    assert told in str(raised.value)


# --- servers of a project ----------------------------------------------------------------------------


def test_without_a_terminal_a_projects_server_is_left_out(lash: Lash) -> None:
    file = project(lash, entry())
    ran = ask(lash, NONE)
    assert ran.code == 0
    assert f"the MCP servers of {file} are not started: nobody has agreed to them; --trust-project" in ran.err
    assert not (lash.home / TRUST).exists()


def test_trust_project_starts_them_for_this_run(lash: Lash) -> None:
    project(lash, entry())
    assert ask(lash, CALL, "--trust-project").out == "hello\n"
    assert "are not started" in ask(lash, NONE).err


def on_screen(lash: Lash, code: str, answer: str) -> str:
    """A turn on a terminal with somebody who answers the question for servers."""
    typed = False

    def types(write: Callable[[str], None]) -> Callable[[str], None]:
        def seen(text: str) -> None:
            nonlocal typed
            if "agreed? " in text and not typed:
                typed = True
                write(answer)

        return seen

    argv = lash.argv("-p", "Go.", "--provider", lash.script(code))
    return re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", on_terminal(argv, columns=200, types=types)[1]).replace("\r", "")


def test_a_yes_is_asked_for_once_for_a_content(lash: Lash) -> None:
    file = project(lash, entry(more="env = { A = '${HOME}' }"))
    first = on_screen(lash, CALL, "y\n")
    assert f"{file} wants to use these MCP servers; what they start runs with your rights:" in first
    assert f"raw: {sys.executable} -S {SERVER} (is given HOME of your environment)" in first
    assert "hello" in first
    assert stat.S_IMODE(os.stat(lash.home / TRUST).st_mode) == 0o600
    assert ask(lash, CALL).out == "hello\n"  # later runs need no terminal
    file.write_text(entry("noisy"))
    assert "nobody has agreed to them" in ask(lash, NONE).err


def test_a_no_is_kept_as_well(lash: Lash) -> None:
    project(lash, entry())
    assert "hello" not in on_screen(lash, NONE, "n\n")
    assert "agreed? " not in on_screen(lash, NONE, "y\n")
    assert "you have said no to them; --trust-project" in ask(lash, NONE).err


def test_the_persons_server_stays_where_the_projects_is_refused(lash: Lash) -> None:
    user(lash, entry())
    project(lash, entry("dies"))
    assert ask(lash, CALL).out == "hello\n"


async def no_question(lines: list[str]) -> bool:
    raise AssertionError(lines)


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', "{", '{"FILE": {"sha256": "HASH", "agreed": "yes"}}'])
async def test_answers_that_cannot_be_read_are_no_agreement(tmp_path: Path, content: str) -> None:
    work, home = tmp_path / "work", Home(tmp_path / "home")
    (work / ".lash").mkdir(parents=True)
    (work / ".lash" / "config.toml").write_text("[mcp_servers.x]\ntransport = 'sse'\nurl = 'http://x'")
    home.make()
    made = read_settings({"LASH_HOME": str(home.folder)}, work)
    assert made.project_file is not None
    told = content.replace("FILE", str(made.project_file.path)).replace("HASH", made.project_file.sha256)
    (home.folder / TRUST).write_text(told)
    said: list[str] = []
    assert await servers(made, home, trusted=False, ask=None, tell=said.append) == {}
    assert "nobody has agreed" in said[0]


async def test_without_servers_of_a_project_nothing_is_asked(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / ".lash").mkdir(parents=True)
    (work / ".lash" / "config.toml").write_text("[models.m]\ncontext = 5")
    made = read_settings({"LASH_HOME": str(tmp_path)}, work)
    assert await servers(made, Home(tmp_path), trusted=False, ask=no_question, tell=print) == {}


async def test_a_name_that_no_server_can_have_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[mcp_servers.a__b]\ntransport = 'sse'\nurl = 'http://x'")
    made = read_settings({"LASH_HOME": str(tmp_path)}, tmp_path)
    with pytest.raises(CliError, match=r"mcp_servers\.a__b"):
        await servers(made, Home(tmp_path), trusted=False, ask=None, tell=print)


def test_show_hides_what_servers_are_given(lash: Lash) -> None:
    user(lash, entry(more="env = { A_TOKEN = 'literal-secret', B = '${HOME}' }"))
    shown = lash("config", "show").out
    assert "literal-secret" not in shown
    assert 'mcp_servers.raw.env = { A_TOKEN = "(hidden)", B = "${HOME}" }' in shown
