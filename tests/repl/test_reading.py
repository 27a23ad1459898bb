"""When a text is complete, and how a stream falls into blocks and commands."""

from __future__ import annotations

import pytest

from lashlang.repl.reading import entries, indentation, is_blank, is_command, is_complete, is_finished


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "1 +\n2",
        "if x { 1 }",
        "for x in xs {\n  print x\n}",
        'x = """a\n\nb"""',
        "submit",
        "# only a comment (",
        "x = 1 # (",
        "x = '('",
        "a ? b",
        "",
    ],
)
def test_a_whole_block_is_complete(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize(
    "text",
    [
        "x =",
        "x = 1 +",
        "[1,",
        "f(1",
        "if x",
        "if x {",
        "if x { 1 } else",
        "for i in xs",
        "x.",
        "call",
        "call t",
        "print",
        "x not",
        "a ??",
        "x = 'abc",
        'x = """abc"',
        'x = r"abc',
        "parallel { a: 1,",
        "Type {",
    ],
)
def test_a_text_that_could_go_on_only_is_not_complete(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize(
    "text", ["x = )", "let x = 1", "1_000", "x = 1 §", "foo(1))", "f(1]", "[1}", "f'x'", "\ufeff}"]
)
def test_a_text_that_nothing_can_mend_is_complete(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize("mistake", ["let y = 1", "y = 1_000", "y = §", "y = f'x'", "f(1]", "g)", "h]]"])
def test_a_mistake_inside_brackets_does_not_end_the_text(mistake: str) -> None:
    assert not is_complete(f"for x in xs {{\n  {mistake}\n")


@pytest.mark.parametrize(
    ("text", "white"),
    [("if x {", "  "), ("if x { y([", "      "), ("x = 1 +", ""), ("x = '{", ""), ("if x {\n  1\n}", "")],
)
def test_a_new_line_is_indented_by_the_open_brackets(text: str, white: str) -> None:
    assert indentation(text) == white


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("x = 1", True),
        ("x = [", False),
        ("x = [\n", True),
        ("x = [\n\t", True),
        ("x = 'a\n", True),
        ('x = """a\n', False),
        ("x = r'''a\n\n", False),
        (":vars", True),
        ("", True),
    ],
)
def test_an_empty_line_finishes_a_text_but_not_inside_triple_quotes(text: str, finished: bool) -> None:
    assert is_finished(text) is finished


@pytest.mark.parametrize(
    ("text", "blank"), [("", True), (" ;\t# c", True), ("# a\n// b\n", True), ("x", False), ("'", False)]
)
def test_a_text_without_tokens_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) is blank


@pytest.mark.parametrize(
    ("text", "command"), [(":vars", True), ("  :vars x", True), (":?", True), (": b", False), ("x", False)]
)
def test_a_command_is_a_colon_and_a_word(text: str, command: bool) -> None:
    assert is_command(text) is command


def split(text: str) -> list[str]:
    return [entry.text for entry in entries(text.split("\n"))]


def test_a_stream_falls_into_its_statements() -> None:
    assert split("x = 1\n\nprint x\nfor i in x {\n  y\n\n  z\n}\nw") == [
        "x = 1\n",
        "print x",
        "for i in x {\n  y\n\n  z\n}",
        "w",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "if x { 1 }\nelse { 2 }",
        "if x { 1 }\n# otherwise\n\nelse if y { 2 }",
        "x = 5\n- 3",
        "x = a\n  .b\n  .c",
        "x = c\n ? 1\n : 2",
        "x = a\n  not in b",
        "x = a\nand b",
        "x = r\n?",
    ],
)
def test_a_line_that_continues_a_statement_belongs_to_it(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    "line", ["[1]", "(1)", "not x", "x", "'text'", "if x { }", "parallel { }", "{ }", "}", "else { }", "§"]
)
def test_a_line_that_does_not_continue_stands_for_itself(line: str) -> None:
    assert split(f"y = 1\n{line}") == ["y = 1", line]


def test_commands_stand_between_blocks_and_are_text_inside_them() -> None:
    assert split("x = 1\n:vars\nf(c ? a\n :b)\n :undo ") == ["x = 1", ":vars", "f(c ? a\n :b)", ":undo"]


def test_a_mistake_in_a_body_does_not_set_its_other_lines_free() -> None:
    text = "for x in xs {\n  let y = 1\n  call delete {}\n}"
    assert split(text + "\nz") == [text, "z"]


def test_an_entry_knows_its_line() -> None:
    found = list(entries(["", "# c", "x", "", ":vars", "f(", "1)"]))
    assert [entry.line for entry in found] == [3, 5, 6]


def test_what_is_left_unfinished_comes_at_the_end() -> None:
    assert split("x = [1,\n2") == ["x = [1,\n2"]
