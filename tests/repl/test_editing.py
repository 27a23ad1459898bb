"""What the editor knows of the text in it: colours, completions, and whether Enter ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from lashlang.projection import JsonSource
from lashlang.repl.completion import candidates, signature
from lashlang.repl.highlight import stretches
from lashlang.repl.history import PrivateHistory
from lashlang.repl.session import Session
from lashlang.repl.terminal import LashLexer, SessionCompleter, accepts
from lashlang.repl.tokens import read_pieces


def fetch(url: str, timeout: int = 5) -> str:
    """Fetch a page.

    Slowly.
    """
    return url + str(timeout)


@pytest.fixture
def session() -> Iterator[Session]:
    with Session({"fetch": fetch}, projected={"doc": JsonSource({"a": 1})}) as session:
        yield session


# --- colours -------------------------------------------------------------------------------------------


def classes(text: str) -> dict[str, str]:
    return {text[start:end]: name for start, end, name in stretches(text) if name}


def test_every_kind_of_token_has_its_colour() -> None:
    assert classes('for x in range(10) { y = "s" + null # c (\n} call fetch {}') == {
        "for": "keyword",
        "in": "keyword",
        "range": "builtin",
        "10": "number",
        '"s"': "string",
        "null": "constant",
        "# c (": "comment",
        "call": "keyword",
        "fetch": "tool",
    }


def test_words_are_coloured_by_what_they_mean_where_they_stand() -> None:
    assert classes("while true { break }") == {"while": "keyword", "true": "constant", "break": "keyword"}
    assert classes("break = 1") == {"1": "number"}
    assert classes("r.for  x.len  len") == {}
    assert classes("a not in b") == {"not": "keyword", "in": "keyword"}
    assert classes("// all of it") == {"// all of it": "comment"}


def test_what_is_refused_is_marked_and_what_follows_is_coloured_still() -> None:
    assert classes("let x = 1_0 + 2") == {"let": "error", "1_0": "error", "2": "number"}
    assert classes("x = 'abc\nfor") == {"'abc\nfor": "string"}
    assert classes(":vars x") == {":vars": "command"}


texts = st.text(st.sampled_from("ab1 _.\n\t\r\"'#/&§(){}[]?:=+;rf\ufeff\ud800\x00") | st.characters(), max_size=60)


@given(texts)
def test_every_character_comes_back_whatever_the_text(text: str) -> None:
    assert "".join(text[start:end] for start, end, _ in stretches(text)) == text
    line = LashLexer().lex_document(Document(text))
    number = text.count("\n") + 1
    assert "\n".join("".join(fragment[1] for fragment in line(at)) for at in range(number)) == text
    assert line(number) == []


@given(texts)
def test_pieces_are_in_order_and_between_them_is_no_token(text: str) -> None:
    at = 0
    for piece in read_pieces(text).items:
        assert at <= piece.start < piece.end <= len(text)
        at = piece.end


# --- completions -----------------------------------------------------------------------------------------


def names(before: str, session: Session) -> list[str]:
    return [found.text for found in candidates(before, session)]


def test_names_of_all_kinds_are_completed(session: Session) -> None:
    session.run("forest = 1")
    assert names("print fo", session) == ["forest", "format(", "for"]
    assert names("x = 1\ndo", session) == ["doc"]
    assert "forest" in names("", session)
    assert names("len", session) == ["len("]


def test_a_builtin_comes_with_its_signature(session: Session) -> None:
    (found,) = candidates("pad_le", session)
    assert (found.text, found.replaced) == ("pad_left(", 6)
    assert found.about.startswith("pad_left(s, n, [fill])")


def test_fields_are_those_of_the_variable(session: Session) -> None:
    session.run('r = { one: { two: 2, "odd key": 3, for: 4 }, xs: [{ id: 1 }] }')
    assert names("r.", session) == ["one", "xs"]
    assert names("print r.one.", session) == ["two", "for"]
    assert names("r.one.t", session) == ["two"]
    assert names("r.xs[0].", session) == ["id"]
    assert names("r.xs[-1].", session) == ["id"]
    assert names('r["one"].', session) == ["two", "for"]
    assert names("{ ok: true, value: 1 }.", session) == []
    assert names("r.xs.", session) == []
    assert names("gone.", session) == []
    assert names("r.xs[i].", session) == []
    assert names("len(r).", session) == []


def test_looking_for_fields_changes_nothing(session: Session) -> None:
    session.run("r = { a: { b: 1 } }")
    used, last = session.fuel_used, session.last
    assert names("r.a.", session) == ["b"]
    assert (session.fuel_used, session.last, session.names()) == (used, last, ["r"])


def test_tools_and_their_arguments_are_completed(session: Session) -> None:
    assert list(candidates("x = call fe", session)) == [("fetch", 2, "{ url, timeout? } Fetch a page.")]
    assert names("call fetch { ", session) == ["url:", "timeout:"]
    assert names("call fetch { url: f(1, 2), t", session) == ["timeout:"]
    assert names("call fetch { url: t", session)[0] == "type_of("
    assert "url:" not in names("call gone { u", session)
    assert "url:" not in names("{ u", session)


@pytest.mark.parametrize("before", ["x = 'fo", "# fo", "x // fo", '"""\nfo'])
def test_nothing_is_completed_in_texts_and_comments(session: Session, before: str) -> None:
    assert names(before, session) == []


def test_signatures_of_any_callable_can_be_asked_for() -> None:
    assert signature(fetch) == "{ url, timeout? }"
    assert signature(lambda: None) == "{}"
    assert signature(dict) == "{}"


def completions(text: str, session: Session) -> list[str]:
    found = SessionCompleter(session).get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [completion.text for completion in found]


def test_commands_and_what_they_take_are_completed(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state.lash").write_bytes(b"")
    session.run("value = 1")
    assert completions(":fo", session) == [":fork", ":forks"]
    assert completions(":help sort", session) == ["sort", "sort_by"]
    assert completions(":help :un", session) == [":undo"]
    assert completions(":vars v", session) == ["value"]
    assert completions(":load st", session) == ["ate.lash"]
    assert completions(":fuel ", session) == []
    assert completions("val", session) == ["value", "values(", "validate("]


# --- Enter -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("x = 1", "", True),
        (":vars", "", True),
        ("x = [", "", False),
        ("x = [\n", "", True),
        ("x = [\n  ", "", True),
        ('x = """\n', "", False),
        ("x = '\n", "", True),
        ("x = 1", "\ny = 2", False),
        ("x ", "= 1", False),
        ("x = 1\n", "\n", True),
        ("", "", True),
    ],
)
def test_enter_ends_a_whole_text_and_any_text_on_an_empty_line(before: str, after: str, ends: bool) -> None:
    assert accepts(Document(before + after, len(before))) is ends


# --- history -------------------------------------------------------------------------------------------------


def test_the_history_is_private_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "new" / "history"
    told: list[str] = []
    history = PrivateHistory(file, told.append)
    history.store_string("x = 1")
    history.store_string("if x {\n  y\n}")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert PrivateHistory(file, told.append).load_history_strings() == ["if x {\n  y\n}", "x = 1"]
    assert told == []


def test_a_history_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    told: list[str] = []
    history = PrivateHistory(tmp_path / "file" / "history", told.append)
    history.store_string("x")
    history.store_string("y")
    assert len(told) == 1
    assert told[0].endswith("Not a directory") or told[0].endswith("File exists")


def test_a_history_that_is_a_folder_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    assert PrivateHistory(tmp_path, told.append).load_history_strings() == []
    assert "Is a directory" in told[0]
