"""What tests of `grep` share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lash.host.system import SystemClock
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.search import ripgrep
from lash.host.tools.search.tool import Grep
from lash.runtime.sansio.tools import CompletedToolCall
from tests.runtime.tools.support import bench, value

RG = shutil.which("rg", path=os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", ""))))
"""The program, be it beside an interpreter that runs without its environment."""

ENGINES = ["python", pytest.param("rg", marks=pytest.mark.skipif(RG is None, reason="rg is not installed"))]
"""With `rg`, and without it."""


def use(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Search with that engine."""
    monkeypatch.setattr(ripgrep, "find_rg", lambda: RG if engine == "rg" else None)


async def call(root: Path, query: str, policy: FilePolicy | None = None, **args: Any) -> CompletedToolCall:
    """A call of the tool."""
    async with bench([Grep(policy or FilePolicy([root]), clock=SystemClock())]) as tools:
        return await tools.call("grep", {"query": query, **args})


async def grep(root: Path, query: str, policy: FilePolicy | None = None, **args: Any) -> Any:
    """The report of a search."""
    return value(await call(root, query, policy, **args))


def places(report: Any) -> list[tuple[str, int]]:
    """Path and line of each match."""
    return [(match["path"], match["line"]) for match in report["matches"]]
