"""The parser tables: what the grammar promises, how they are kept, and that importing the package builds nothing."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lashlang.syntax import builder, kinds, tables


def test_the_grammar_has_one_conflict_which_is_wanted(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    from lark import logger

    propagate = logger.propagate
    logger.propagate = True
    try:
        with caplog.at_level(logging.DEBUG, logger.name):
            tables.build_tables(tmp_path / "tables.bin")
    finally:
        logger.propagate = propagate
    conflicts = [record.getMessage() for record in caplog.records if "onflict" in record.getMessage()]
    assert {text.partition("(")[0].strip() for text in conflicts} == {"Shift/Reduce conflict for terminal MINUS:"}


def test_every_action_of_the_grammar_is_a_method_of_the_builder() -> None:
    actions = {rule.action for rule in tables.load_tables().rules if rule.action}
    assert [action for action in actions if not callable(getattr(builder.Builder, action, None))] == []


def test_every_public_method_of_the_builder_is_an_action_of_the_grammar() -> None:
    actions = {rule.action for rule in tables.load_tables().rules}
    helpers = {"check_depth", "close_prefix", "close_ternary", "names_close"}
    public = {name for name in dir(builder.Builder) if not name.startswith("_")} - helpers
    assert public - actions == set()


def test_eager_actions_never_wait_for_the_next_token() -> None:
    loaded = tables.load_tables()
    for action in tables.EAGER:
        numbers = [number for number, rule in enumerate(loaded.rules) if rule.action == action]
        assert numbers
        for number in numbers:
            rows = [row for row in loaded.actions if -number in row]
            assert rows
            assert all(set(row) == {-number} for row in rows)


def test_the_spellings_of_the_lexer_are_those_of_the_grammar() -> None:
    from lark import load_grammar

    reader: Any = load_grammar  # which has no complete annotations
    grammar, _ = reader.load_grammar(tables.GRAMMAR.read_text(encoding="utf-8"), "grammar", [], False)
    terminals = {terminal.name: terminal.pattern.to_regexp() for terminal in grammar.compile(["program"], "*")[0]}
    for spelling, kind in (kinds.SIGNS | kinds.RESERVED).items():
        name = kinds.NAMES[kind]
        if name != "QUESTION":
            assert re.fullmatch(terminals[name], spelling), name


def test_tables_are_built_alike_in_every_process(tmp_path: Path) -> None:
    code = "import sys, pathlib; from lashlang.syntax import tables; tables.build_tables(pathlib.Path(sys.argv[1]))"
    for seed in ("1", "2"):
        subprocess.run([sys.executable, "-c", code, tmp_path / seed], check=True, env={"PYTHONHASHSEED": seed})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tables are loaded from, in a place of its own, with the real tables in it."""
    path = tmp_path / "tables.bin"
    tables.build_tables(path)
    monkeypatch.setattr(tables, "CACHE", path)
    return path


def loads_without_building(monkeypatch: pytest.MonkeyPatch) -> bool:
    built: list[bool] = []
    analyse = tables._analyse  # pyright: ignore[reportPrivateUsage] -- the test watches for it
    monkeypatch.setattr(tables, "_analyse", lambda: built.append(True) or analyse())
    assert tables.load_tables.__wrapped__() == tables.load_tables()
    return not built


def test_tables_are_taken_from_the_file(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.exists()
    assert loads_without_building(monkeypatch)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff"])
def test_tables_are_built_where_the_file_is_unusable(
    kept: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is None:
        kept.unlink()
    else:
        kept.write_bytes(content)
    assert not loads_without_building(monkeypatch)


def test_tables_of_another_lark_or_grammar_are_not_used(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(kept.read_bytes())
    data["key"] = data["key"].replace("lark-", "lark-0.")
    kept.write_text(json.dumps(data), encoding="utf-8")
    assert not loads_without_building(monkeypatch)


def test_importing_the_package_loads_neither_lark_nor_tables() -> None:
    loaded = "'lark' in sys.modules, tables.load_tables.cache_info().currsize"
    code = f"import sys; from lashlang.syntax import tables; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "0"]
