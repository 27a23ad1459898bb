"""Every command of `docs/cli.md` runs and prints what the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lash.cli.configuration.schema import SECTIONS, LashConfig
from tests.cli.conftest import Lash, Ran, block

PATH = Path(__file__).parents[2] / "docs"
PAGE = (PATH / "cli.md").read_text(encoding="utf-8")

ANSWERS = {
    "Which of 3, 17 and 5": "17",
    "lines of the log are errors": block('submit len(grep_text(context, "error"))'),
    "Which errors are these": block(
        'names = []\nfor l in lines(context) {\n  names = push(names, slice(l, 7))\n}\nsubmit join(names, ", ")'
    ),
    "two teas and an oil": block(
        'submit (call price { item: "tea" })? * 2 + (call price { item: "oil" })?',
    ),
    "What is in server.log": block('submit (call read_file { path: "server.log" })?'),
    "Order two teas": block('submit (call order { item: "tea", count: 2 })?'),
    "Name the cheapest": block('submit { name: "tea", price: (call price { item: "tea" })? }'),
    "Remember the prices": block(
        'prices = {\n  tea: (call price { item: "tea" })?,\n  oil: (call price { item: "oil" })?\n}\nsubmit "noted"'
    ),
    "And their sum": block("submit prices.tea + prices.oil"),
    "Twice that": block("submit 2 * (prices.tea + prices.oil)"),
    "And their product": block("submit prices.tea * prices.oil"),
}

MODEL = '''
"""Answers the question that comes last in a request."""
import json, sys

answers = json.load(open(sys.argv[1]))
for line in sys.stdin:
    request = json.loads(line)
    said = "\\n".join(message["content"] for message in request["messages"])
    text = answers[max(answers, key=said.rfind)]
    print(json.dumps({"id": request["id"], "text": text}), flush=True)
'''

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "integer"}},
    "required": ["name", "price"],
}


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a text in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def sections() -> dict[str, list[tuple[str, str]]]:
    """By section of the page, its commands, each with what it prints."""
    found: dict[str, list[tuple[str, str]]] = {}
    for section in PAGE.split("\n## ")[1:]:
        shown = "".join(blocks(section, "console"))
        if shown:
            title = section.partition("\n")[0]
            found[title] = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", shown, re.MULTILINE)
    return found


def without_ids(text: str) -> str:
    """The text with what is different each time in place of ids."""
    text = re.sub(r"\bap:[0-9a-f]{8}\b", "QUESTION", text)
    return re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|^[0-9a-f]{8}\b", "ID", text, flags=re.MULTILINE)


@pytest.fixture
def page(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> Lash:
    """The command line in a folder as the page has it, with a model that knows the page's answers."""
    for name, text in zip(("shop.py", "my_model.py"), blocks(PAGE, "python"), strict=True):
        lash.write(name, text)
    lash.write("server.log", "start\nerror: disk full\nerror: no route\nstop\n")
    lash.write("answer.json", json.dumps(SCHEMA))
    model, answers = lash.write(".model.py", MODEL), lash.write(".answers.json", json.dumps(ANSWERS))
    monkeypatch.setenv("LASH_PROVIDER", f"command:{sys.executable} -S {model} {answers}")
    return lash


@pytest.mark.parametrize("section", sections())
def test_the_commands_of_a_section_print_what_the_page_says(section: str, page: Lash) -> None:
    for command, output in sections()[section]:
        ran = run(page, command)
        assert ran.code == (6 if "--approve park" in command else 0), f"{command}: {ran.err}"
        assert without_ids(ran.out) == without_ids(output), command


def run(page: Lash, command: str) -> Ran:
    """Run a command of the page; with what stands before a pipe as its standard input.

    An id of a question stands for the one that is open.
    """
    if "ap:" in command:
        command = re.sub(r"ap:[0-9a-f]{8}", page("approvals", "list", "--json").json[0]["approval_id"], command)
    before, pipe, behind = command.rpartition(" | ")
    stdin = subprocess.run(["sh", "-c", before], capture_output=True, check=True).stdout if pipe else b""
    name, *arguments = shlex.split(behind)
    assert name == "lash"
    return page(*arguments, stdin=stdin)


def test_the_page_shows_every_command() -> None:
    shown = " ".join(command for commands in sections().values() for command, _ in commands)
    commands = (
        "lash -p, sessions list, sessions show, sessions resume, sessions fork, approvals list, approvals allow, models"
    )
    for command in commands.split(", "):
        assert command in shown


def test_the_page_names_no_option_that_there_is_not(lash: Lash) -> None:
    commands = ("", "sessions show", "approvals allow", "approvals deny", "models")
    known = "".join(lash(*command.split(), "--help").out for command in commands)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--json"}
    assert named <= set(re.findall(r"--[a-z][a-z-]+", known))
    assert len(named) > 15


# --- the page on configuration ------------------------------------------------------------------------

CONFIGURATION = (PATH / "configuration.md").read_text(encoding="utf-8")


def test_the_file_of_the_page_is_a_configuration_that_can_be_used(lash: Lash) -> None:
    (text,) = blocks(CONFIGURATION, "toml")
    lash.write("home/config.toml", text)
    ran = lash("config", "check")
    assert ran.code == 0, ran.err


def test_the_page_has_every_key_that_there_is() -> None:
    for section in (LashConfig, *SECTIONS.values()):
        for key in section.model_fields:
            assert re.search(rf"\b{key}\b", CONFIGURATION), key


def test_the_page_shows_what_is_shown(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "".join(blocks(CONFIGURATION, "console")).partition("$ lash config show\n")[2]
    monkeypatch.setenv("LASH_MODEL", "anthropic/claude-sonnet-4.6")
    lash.write(
        "home/config.toml",
        'provider = "router"\n\n[providers.router]\ntype = "openai-compatible"\n'
        'base_url = "https://openrouter.ai/api/v1"\napi_key = { env = "OPENROUTER_API_KEY" }\n',
    )
    lines = lash("config", "show").out.splitlines()
    assert lines[2:] == shown.splitlines()[2:]


@pytest.mark.parametrize("page", ["cli.md", "configuration.md"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (PATH / page).read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        assert (PATH / (file or page)).is_file(), target
        heads = re.findall(r"^#+ (.*)$", (PATH / (file or page)).read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, (
            target
        )
