"""Every command of `docs/cli.md` runs and prints what the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Lash, Ran, block

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")

ANSWERS = {
    "Which of 3, 17 and 5": "17",
    "lines of the log are errors": block('submit len(grep_text(context, "error"))'),
    "Which errors are these": block(
        'names = []\nfor l in lines(context) {\n  names = push(names, slice(l, 7))\n}\nsubmit join(names, ", ")'
    ),
    "two teas and an oil": block(
        'submit (call price { item: "tea" })? * 2 + (call price { item: "oil" })?',
    ),
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
        assert ran.code == 0, f"{command}: {ran.err}"
        assert without_ids(ran.out) == without_ids(output), command


def run(page: Lash, command: str) -> Ran:
    """Run a command of the page; with what stands before a pipe as its standard input."""
    before, pipe, behind = command.rpartition(" | ")
    stdin = subprocess.run(["sh", "-c", before], capture_output=True, check=True).stdout if pipe else b""
    name, *arguments = shlex.split(behind)
    assert name == "lash"
    return page(*arguments, stdin=stdin)


def test_the_page_shows_every_command() -> None:
    shown = " ".join(command for commands in sections().values() for command, _ in commands)
    for command in ("lash -p", "sessions list", "sessions show", "sessions resume", "sessions fork"):
        assert command in shown


def test_the_page_names_no_option_that_there_is_not(lash: Lash) -> None:
    known = lash("--help").out + lash("sessions", "show", "--help").out
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--json"}
    assert named <= set(re.findall(r"--[a-z][a-z-]+", known))
    assert len(named) > 15
