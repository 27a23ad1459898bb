"""`--tools`: what is a tool, and what is said of modules without."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import pytest

from lash import Tool
from lash.cli.exits import CliError
from lash.cli.tools import load_tools
from tests.cli.conftest import Lash, block

MODULE = '''
"""Some tools."""
import lash
from helpers import WORD

@lash.tool
def one() -> str:
    """The first."""
    return WORD

@lash.tool
def two() -> int:
    """The second."""
    return 2

class Shop:
    @lash.tool
    def three(self) -> int:
        """The third."""
        return 3

shop = Shop()
some = [one, shop]
none = []
number = 5
'''

numbers = itertools.count()


@pytest.fixture
def module(lash: Lash) -> Iterator[str]:
    """The name of a module with tools, in the current directory."""
    name = f"tools_of_a_test_{next(numbers)}"
    lash.write("helpers.py", "WORD = 'one'")
    lash.write(f"{name}.py", MODULE)
    path, modules = list(sys.path), set(sys.modules)
    yield name
    sys.path[:] = path
    for added in set(sys.modules) - modules:
        if added.startswith(("tools_of_a_test", "lash_tools_", "helpers")):
            del sys.modules[added]


def names(tools: list[object]) -> list[str]:
    return [one.name if isinstance(one, Tool) else type(one).__name__ for one in tools]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{}", ["one", "two"]),
        ("{}.py", ["one", "two"]),
        ("./{}.py", ["one", "two"]),
        ("{}:two", ["two"]),
        ("{}.py:two", ["two"]),
        ("{}:shop", ["Shop"]),
        ("{}:shop.three", ["three"]),
        ("{}:some", ["one", "Shop"]),
    ],
)
def test_tools_are_found(module: str, given: str, expected: list[str]) -> None:
    assert names(load_tools(given.format(module))) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("no_such_module", "no module 'no_such_module'"),
        ("no_such.py", "no file no_such.py"),
        ("{}:too", "did you mean 'two'?"),
        ("{}:number", "5 is no tool"),
        ("{}:none", "the list is empty"),
        ("json", "decorate functions with @lash.tool"),
    ],
)
def test_what_holds_no_tools_is_told(module: str, given: str, said: str) -> None:
    with pytest.raises(CliError) as raised:
        load_tools(given.format(module))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise KeyError('gone')", "broken.py:2: KeyError: 'gone'"),
        ("import a_module_that_is_not_there", "broken.py:1: ModuleNotFoundError"),
        ("def f(:", "broken.py:1: SyntaxError"),
        ("raise SystemExit(3)", "broken.py:1: SystemExit: 3"),
        ("import lash\n@lash.tool\ndef f(*x):\n    pass", "broken.py:2: ConfigError: f cannot be a tool"),
    ],
)
def test_a_module_that_fails_says_where(lash: Lash, text: str, said: str) -> None:
    lash.write("broken.py", text)
    ran = lash.ask("Yes.", also=("--tools", "broken.py"))
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_two_tools_of_one_name_are_told_before_anything_runs(module: str, lash: Lash) -> None:
    ran = lash.ask("Yes.", also=("--tools", module, "--tools", f"{module}.py"))
    assert ran.code == 2
    assert "one" in ran.err
    assert lash("sessions", "list", "--json").json == []


def test_a_program_calls_tools_of_several_places(module: str, lash: Lash) -> None:
    also = ("--tools", f"{module}:two", "--tools", f"{module}.py:shop")
    ran = lash.ask(block("submit (call two {})? + (call three {})?"), also=also)
    assert (ran.code, ran.out) == (0, "5\n")
