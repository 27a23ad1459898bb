"""Every program in the documentation runs and submits what the text promises."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import lash
import lashlang
from lash.testing.scripted import ScriptedProvider

DOCS = Path(__file__).parent.parent / "docs"

EXPECTED: list[Any] = [
    350,
    ["twelve", None, "t", "C:\\temp\\new"],
    {"count_of": {"tea": 2, "oil": 1}, "members": {"t": ["tea", "tea"], "o": ["oil"]}},
    ["unnamed", 0, "none", True, True],
    {"total": 6, "word": "six", "squares": [1, 9]},
    ["1", "failed: no such page: bad", "2", [True, True, False], "1", "2"],
    [0.5, "value does not match its type at $.items: wanted array, found number"],
    {"pages": {"one": 1, "two": 1}, "failed": [{"url": "bad", "error": "no such page: bad"}]},
    ["a.py", "b.py"],
]


def programs() -> list[str]:
    """The fenced Lashlang blocks of the language page, in order."""
    text = (DOCS / "lashlang.md").read_text(encoding="utf-8")
    return re.findall(r"^```lashlang\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def list_rows(table: str) -> list[dict[str, Any]]:
    """Three orders, whatever the table."""
    return [{"table": table, "total": total} for total in (20, 150, 200)]


def fetch(url: str) -> str:
    """The page of a known address."""
    pages = {"one": "1", "two": "2"}
    if url not in pages:
        raise LookupError(f"no such page: {url}")
    return pages[url]


def test_every_program_of_the_page_has_an_expectation() -> None:
    assert len(programs()) == len(EXPECTED)


@pytest.mark.parametrize("number", range(len(EXPECTED)))
def test_a_program_of_the_page_submits_what_it_should(number: int) -> None:
    outcome = lashlang.Machine().run(programs()[number], tools={"list_rows": list_rows, "fetch": fetch})
    assert outcome.error is None, outcome.error
    assert outcome.value == EXPECTED[number]


def test_the_files_that_the_machine_page_names_exist() -> None:
    root = DOCS.parent
    text = (DOCS / "vm.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:lashlang|grammar|tests|docs)/[A-Za-z0-9_./]+)`", text))
    assert len(named) > 30
    missing = sorted(name for name in named if not (root / name).exists() and not name.endswith("vm.wasm"))
    assert not missing


def readme_blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_program_in_the_readme_counts_words() -> None:
    (source,) = readme_blocks("lashlang")
    texts = {"a": "to be or not", "b": "to go"}

    def read_file(path: str) -> str:
        return texts[path]

    def list_files(folder: str) -> list[str]:
        return [*texts, f"{folder}/missing"]

    outcome = lashlang.Machine().run(source, tools={"list_files": list_files, "read_file": read_file})
    value = outcome.unwrap()
    assert isinstance(value, dict)
    assert value["top"] == [["to", 2], ["be", 1], ["or", 1], ["not", 1], ["go", 1]]
    assert value["failed"] == ["json/missing: 'json/missing'"]


async def test_the_agent_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Report(BaseModel):
        late: list[str]

    @lash.tool
    async def lookup_order(order: str) -> str:
        """The state of an order."""
        return {"A-17": "late", "A-18": "shipped"}[order]

    program = """
    states = { "A-17": (call lookup_order { order: "A-17" })?, "A-18": (call lookup_order { order: "A-18" })? }
    submit { late: [id for id in keys(states) if states[id] == "late"] }
    """
    source, _ = readme_blocks("python")
    provider = ScriptedProvider([f"```lashlang\n{program}```"])
    names = {"provider": provider, "lookup_order": lookup_order, "Report": Report}
    monkeypatch.chdir(tmp_path)
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names)
    assert capsys.readouterr().out == "late=['A-17']\n"


def test_the_machine_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _, source = readme_blocks("python")
    exec(compile(source, "README.md", "exec"), {"__name__": "readme"})
    shown = capsys.readouterr().out
    assert "submitted user 0, user 1, user 2" in shown
    assert "cannot read field `first` of a list" in shown


def test_the_commands_in_the_readme_exist() -> None:
    from lashlang.cli import main

    verbs = set(re.findall(r"^lashlang (\w+)", "".join(readme_blocks("sh")), re.MULTILINE))
    assert verbs == {"run", "check", "disasm", "repl"}
    for verb in verbs:
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0
