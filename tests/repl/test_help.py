"""What `:help` tells is true: every example shows what the page says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lashlang.compiler.builtins import BUILTINS
from lashlang.repl import pages
from lashlang.repl.commands import COMMANDS
from lashlang.repl.completion import KEYWORDS
from lashlang.repl.display import show
from lashlang.repl.help import builtins, topic_of, topics
from lashlang.repl.session import Session


def add(a: int, b: int) -> int:
    """The tool of the pages' examples."""
    return a + b


@pytest.fixture
def prints() -> list[str]:
    return []


@pytest.fixture
def session(prints: list[str]) -> Iterator[Session]:
    with Session({"add": add}, on_print=prints.append) as session:
        yield session


def test_every_builtin_has_its_page_and_no_other_has_one() -> None:
    assert sorted(builtins()) == sorted(builtin.name for builtin in BUILTINS)


@pytest.mark.parametrize("builtin", BUILTINS, ids=lambda builtin: builtin.name)
def test_a_signature_takes_as_many_arguments_as_the_builtin(builtin: object) -> None:
    name, least, most = builtin  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    signature = builtins()[name].signature
    parameters = signature[len(name) + 1 : -1].split(", ")  # pyright: ignore[reportUnknownArgumentType]
    assert sum(not parameter.startswith(("[", "…")) for parameter in parameters) == least
    if most is not None:
        assert len(parameters) == most


@pytest.mark.parametrize("name", [builtin.name for builtin in BUILTINS])
def test_the_example_of_a_builtin_shows_what_its_page_says(session: Session, name: str) -> None:
    entry = builtins()[name]
    ran = session.run(entry.example)
    assert ran.value is not None
    assert show(ran.value.value, 200) == entry.shown
    assert f"{name}(" in entry.example


@pytest.mark.parametrize("name", list(topics()))
def test_the_examples_of_a_page_show_what_it_says(session: Session, prints: list[str], name: str) -> None:
    shown: list[str] = []
    claimed: list[str] = []
    for paragraph in topics()[name].text.split("\n\n"):
        lines = paragraph.split("\n")
        first = next((at for at, line in enumerate(lines) if line.startswith("> ")), len(lines))
        for line in lines[first:]:
            if not line.startswith("> "):
                claimed.append(line)
                continue
            ran = session.run(line[2:])
            shown += [f"| {text}" for text in prints]
            prints.clear()
            assert ran.outcome is not None
            if ran.outcome.error is not None:
                shown.append(f"! {ran.outcome.error.kind}")
            elif ran.value is not None:
                shown.append(show(ran.value.value, 200))
    assert shown == claimed


def test_lines_of_the_pages_fit_a_terminal() -> None:
    assert [line for topic in topics().values() for line in topic.text.split("\n") if len(line) > 84] == []


@pytest.mark.parametrize("word", KEYWORDS)
def test_every_word_of_the_language_leads_to_a_page(word: str) -> None:
    assert topic_of(word) is not None


def test_no_two_pages_claim_one_word() -> None:
    words = [word for topic in topics().values() for word in (topic.name, *topic.also)]
    assert sorted(words) == sorted(set(words))


def test_the_overview_names_every_command_builtin_and_page() -> None:
    overview = pages.page("", COMMANDS)
    assert overview is not None
    said = overview.replace(",", " ").split()
    assert set(pages.words(COMMANDS)) <= set(said)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_page(name: str) -> None:
    assert (pages.page(f":{name}", COMMANDS) or "").startswith(f":{name}")


@pytest.mark.parametrize("word", ["sort_by", "sort_by(", "`sort_by`", "sort_by()"])
def test_a_builtin_is_found_however_it_is_written(word: str) -> None:
    assert (pages.page(word, COMMANDS) or "").startswith("sort_by(xs, key, [desc])\n")


def test_an_unknown_word_has_no_page_but_a_neighbour() -> None:
    assert pages.page("sort_bye", COMMANDS) is None
    assert pages.near("sort_bye", COMMANDS) == "sort_by"
