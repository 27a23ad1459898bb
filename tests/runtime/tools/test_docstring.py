"""The forms in which docstrings describe parameters and results."""

from __future__ import annotations

import pytest

from lash.runtime.tools.docstring import parse

GOOGLE = """Find things.

    More of it.

    Args:
        query (str): What to find,
            over two lines.
        limit: Most.

            A second paragraph.
    Returns:
        The things.

    Raises:
        ValueError: never
    """

NUMPY = """Find things.

    More of it.

    Parameters
    ----------
    query : str
        What to find,
        over two lines.
    limit : int, optional
        Most.

        A second paragraph.

    Returns
    -------
    list of str
        The things.

    Raises
    ------
    ValueError
        never
    """

SPHINX = """Find things.

    More of it.

    :param str query: What to find,
        over two lines.
    :param limit: Most. A second paragraph.
    :type limit: int
    :returns: The things.
    :rtype: list
    :raises ValueError: never
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX])
def test_every_form_gives_the_same_parts(text: str) -> None:
    doc = parse(text)
    assert doc.description.startswith("Find things.\n\nMore of it.")
    assert doc.parameters == {"query": "What to find, over two lines.", "limit": "Most. A second paragraph."}
    assert doc.returns == "The things."
    assert "never" in doc.description
    assert "query" not in doc.description


def test_numpy_parameters_may_share_a_line() -> None:
    doc = parse("X.\n\nParameters\n----------\na, b : int\n    Both.\n")
    assert doc.parameters == {"a": "Both.", "b": "Both."}


def test_a_text_without_sections_is_all_description() -> None:
    text = "Look: this is not a section.\n\nNote: nor is this."
    assert parse(text).description == text


def test_an_empty_docstring_has_no_parts() -> None:
    assert (parse("").description, parse("").parameters, parse("").returns) == ("", {}, "")


def test_the_result_may_stand_on_the_line_of_its_title() -> None:
    assert parse("X.\n\nReturns: The sum.\n").returns == "The sum."


def test_text_after_a_section_belongs_to_the_description() -> None:
    assert parse("X.\n\nArgs:\n    a: One.\n\nMore.\n").description == "X.\n\nMore."
