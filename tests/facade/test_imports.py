"""What comes with lash is loaded when it is used: nobody pays at start for tools, servers and SDKs of others."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

LAZY = ("lash", "lash.plugins", "lash.tools", "lash.provider")
ALL = "pydantic httpx2 wcmatch pathspec jsonschema regex pypdf imagesize mcp trafilatura anthropic openai aiosqlite"
TOOLS = "httpx2 wcmatch pathspec pypdf imagesize mcp trafilatura anthropic openai aiosqlite"


def loaded(code: str, watched: str) -> list[str]:
    program = f"{code}\nimport sys\nprint(*[name for name in {watched.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", LAZY)
def test_importing_a_list_of_names_loads_nothing_of_what_it_lists(module: str) -> None:
    assert loaded(f"import {module}", ALL) == []


def test_a_core_without_the_tools_that_come_with_lash_loads_nothing_of_theirs() -> None:
    code = (
        "import lash\n"
        "from lash.testing.scripted import ScriptedProvider\n"
        "lash.LashCore.standard(provider=ScriptedProvider([]), model='m', max_context_tokens=1000)\n"
        "lash.LashCore.rlm(provider=ScriptedProvider([]), model='m', max_context_tokens=1000)"
    )
    assert loaded(code, TOOLS) == []


def test_file_tools_load_no_client_of_the_web() -> None:
    code = (
        "from pathlib import Path\n"
        "from lash.plugins import PluginStack, StandardToolOptions\n"
        "from lash.tools import FilePolicy\n"
        "PluginStack.standard_tools(StandardToolOptions(files=FilePolicy([Path.cwd()])))"
    )
    assert loaded(code, "httpx2 pypdf mcp trafilatura anthropic openai") == []


@pytest.mark.parametrize("name", LAZY)
def test_every_name_that_is_promised_is_there_and_listed(name: str) -> None:
    module = importlib.import_module(name)
    for one in module.__all__:
        assert getattr(module, one) is not None
    unlisted = f"import sys, {name}\nprint(*set(sys.modules[{name!r}].__all__) - set(dir({name})))"
    assert subprocess.run([sys.executable, "-c", unlisted], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("name", LAZY)
def test_a_name_that_is_not_there_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = getattr(importlib.import_module(name), "nothing")  # noqa: B009 -- a name that a checker refuses


def test_a_lazy_name_is_the_thing_itself_and_looked_up_once() -> None:
    import lash.plugins
    from lash.stacks import PluginStack

    assert lash.plugins.PluginStack is PluginStack
    assert vars(lash.plugins)["PluginStack"] is PluginStack
