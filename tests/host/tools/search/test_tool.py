"""`grep` as a tool: single files, limits, time, cancellation, refusals."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lash.host.system import SystemClock
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.search import in_python, ripgrep, tool
from lash.host.tools.search.tool import Grep
from lash.runtime.errors import ConfigError
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, ToolProgress, TurnContext, close_context, open_context
from lash.runtime.tools.provider import ToolCall
from lash.runtime.tools.result import ToolResult
from lash.runtime.tools.threads import ToolThreads
from lash.testing.clock import FakeClock
from tests.host.tools.search.support import ENGINES, call, grep, places, use
from tests.runtime.tools.support import bench, failure


async def test_one_file_is_searched_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("tea\nno\nTEA\n")
    whole = str(tmp_path / "a.txt")
    for query, path, shown in [("tea", "a.txt", "a.txt"), ("a.txt tea", None, "a.txt"), ("*.md tea", whole, whole)]:
        report = await grep(tmp_path, query, path=path)
        assert places(report) == [(shown, 1), (shown, 3)]
        assert report["files"] == [{"path": shown, "count": 2, "size_bytes": 11, "is_binary": False}]


async def test_a_large_file_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate((10 << 20) + 1)
    assert failure(await call(tmp_path, "tea", path="a.txt")) == (
        "execution",
        "file_too_large",
        "a.txt has 10485761 bytes; files of up to 10485760 bytes are searched",
    )


async def test_a_binary_file_is_named_as_one_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"tea\n\0")
    report = await grep(tmp_path, "tea", path="a.bin")
    assert (report["matches"], report["count"], report["files_with_matches"]) == ([], 0, 0)
    assert report["files"] == [{"path": "a.bin", "count": 0, "size_bytes": 5, "is_binary": True}]


async def test_what_does_not_exist_is_told(tmp_path: Path) -> None:
    assert failure(await call(tmp_path, "tea", path="no")) == (
        "execution",
        "tool_error",
        "no does not exist: look for it with `ls` or `glob`",
    )


@pytest.mark.parametrize("path", ["../out", "/etc", "link", "secret", "/dev/zero", "pipe"])
async def test_a_search_stays_under_the_policy(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    for folder in (root / "secret", tmp_path / "out"):
        folder.mkdir(parents=True)
        (folder / "tea.txt").write_text("tea")
    (root / "link").symlink_to(tmp_path / "out")
    os.mkfifo(root / "pipe")
    policy = FilePolicy([root], deny=["secret"])
    assert failure(await call(root, "tea", policy, path=path))[:2] == ("permission_denied", "path_not_allowed")
    # As the first word of a query it is no path but a part of what is looked for.
    report = await grep(root, f"{path} tea", policy)
    assert (report["count"], report["error"]) == (0, None)


@pytest.mark.parametrize(("query", "limit"), [("tea", 0), ("tea", 10_001), ("t" * 4097, 1)])
async def test_arguments_beyond_their_bounds_are_refused(tmp_path: Path, query: str, limit: int) -> None:
    assert failure(await call(tmp_path, query, limit=limit))[1] == "invalid_tool_args"


@pytest.mark.parametrize("engine", ENGINES)
async def test_no_more_is_kept_than_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    use(monkeypatch, engine)
    for number in range(300):
        (tmp_path / f"{number:03}.txt").write_text("tea\n" * 10 + ("def tea\n" if number == 299 else ""))
    report = await grep(tmp_path, "tea", limit=2)
    assert places(report) == [("000.txt", 1), ("000.txt", 2)]
    assert (report["count"], report["shown"], report["files_with_matches"]) == (3000, 2, 300)
    assert [file["path"] for file in report["files"]] == ["000.txt", "001.txt"]


def test_the_tool_needs_a_policy() -> None:
    with pytest.raises(ConfigError) as raised:
        Grep(None)  # type: ignore[arg-type]
    assert raised.value.code == "file_policy_required"


def check_timeout(output: Any, found: list[tuple[str, int]]) -> None:
    """The failure of a search that took too long, with what it had found."""
    assert isinstance(output, ToolOutput.Failure)
    told = output.failure
    assert (told.cls, told.code) == ("timeout", "grep_timeout")
    assert told.message == "The search did not end within 3 s: narrow it down by a path or globs"
    raw: Any = told.raw
    assert places(raw) == found
    assert (raw["timed_out"], raw["cancelled"], raw["error"]) == (True, False, told.message)


async def test_an_expression_that_goes_wrong_ends_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("xxy\n" + "x" * 5000 + "\n")
    use(monkeypatch, "python")
    monkeypatch.setattr(tool, "SEARCH_S", 0.05)
    async with bench([Grep(FilePolicy([tmp_path]), clock=SystemClock())]) as tools:
        tools.clock.sleep = no_sleep  # type: ignore[method-assign] - the wait before the second attempt
        output = (await tools.call("grep", {"query": "(x+x+)+y"})).output
    assert isinstance(output, ToolOutput.Failure)
    assert (output.failure.code, output.failure.retry.kind) == ("grep_timeout", "exhausted")


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0 if seconds < 1 else 60)


async def test_a_search_that_takes_too_long_gives_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("tea\n")
    use(monkeypatch, "python")
    clock = FakeClock()
    reached, searched = threading.Event(), in_python.Matcher.file_hits
    tokens: list[CancelToken] = []

    def file_hits(self: Any, path: str, data: bytes) -> Any:
        token: CancelToken = self._scope.token
        if tokens:
            reached.set()
            token.wait_blocking(60)
        tokens.append(token)
        return searched(self, path, data)

    monkeypatch.setattr(in_python.Matcher, "file_hits", file_hits)
    async with attempt(Grep(FilePolicy([tmp_path]), clock=clock), {"query": "tea"}) as running:
        await asyncio.to_thread(reached.wait, 60)
        await clock.advance(2.9)
        assert not running.done()
        await clock.advance(0.2)
        with pytest.raises(Exception, match="did not end within 3 s") as raised:
            await running
    failed: Any = raised.value
    (found,) = [place for place in (("a.txt", 1), ("b.txt", 1)) if place in places(failed.failure.raw)]
    check_timeout(ToolOutput.Failure(failed.failure), [found])
    assert (failed.failure.retry.kind, failed.failure.retry.after_ms) == ("safe", 50)


@pytest.mark.parametrize("kind", ["rg", "python"])
async def test_a_cancelled_search_gives_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a.txt").write_text("tea\n")
    reached = threading.Event()
    if kind == "rg":
        program = tmp_path / "rg"
        program.write_text(STAND_IN.format(python=sys.executable))
        program.chmod(0o755)
        monkeypatch.setattr(ripgrep, "find_rg", lambda: str(program))
        taken = ripgrep._Reader.take  # pyright: ignore[reportPrivateUsage]

        def take(self: Any, message: Any) -> None:
            taken(self, message)
            if message["type"] == "end":
                reached.set()

        monkeypatch.setattr(ripgrep._Reader, "take", take)  # pyright: ignore[reportPrivateUsage]
    else:
        use(monkeypatch, "python")
        walk = in_python.Walk.__iter__

        def entries(self: Any) -> Any:
            yield from walk(self)
            reached.set()
            self._token.wait_blocking(60)
            in_python.stop_if(self._token)

        monkeypatch.setattr(in_python.Walk, "__iter__", entries)
    token = CancelToken()
    async with attempt(Grep(FilePolicy([tmp_path / "root"])), {"query": "tea"}, token) as running:
        await asyncio.to_thread(reached.wait, 60)
        token.cancel()
        result = await running
    raw: Any = result.raw
    assert result.outcome == "cancelled"
    assert places(raw) == [("a.txt", 1)]
    assert (raw["timed_out"], raw["cancelled"], raw["count"]) == (False, True, 1)


STAND_IN = """#!{python}
import json, sys, time
path = {{"text": sys.argv[-1] + "/a.txt"}}
match = {{"path": path, "lines": {{"text": "tea\\n"}}, "line_number": 1, "absolute_offset": 0,
         "submatches": [{{"match": {{"text": "tea"}}, "start": 0, "end": 3}}]}}
for kind, data in [("begin", {{"path": path}}), ("match", match), ("end", {{"path": path, "binary_offset": None}})]:
    print(json.dumps({{"type": kind, "data": data}}), flush=True)
time.sleep(600)
"""
"""Finds a line as `rg` does, and then never ends."""


class attempt:  # noqa: N801 - used like a function
    """One attempt of a call with a token of its own, as a task."""

    def __init__(self, provider: Grep, args: dict[str, Any], token: CancelToken | None = None) -> None:
        self._provider = provider
        self._threads = ToolThreads()
        self._context = ToolContext(
            session_id="s",
            turn_id="t",
            turn_context=TurnContext(0, 0, "standard"),
            tool_call_id="c",
            tool_name="grep",
            cancel_token=token or CancelToken(),
        )
        self._call = ToolCall("grep", args, self._context, ToolProgress("c"))

    async def __aenter__(self) -> asyncio.Task[ToolResult]:
        surface: Any = None
        open_context(self._context, None, surface, self._threads)
        self._task = asyncio.create_task(self._provider.execute(self._call))
        return self._task

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        close_context(self._context)
        self._threads.close()
