"""The tool `grep`: which lines of which files match (plugins.md 13.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from lash.host.system import SystemClock
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath, printable
from lash.host.tools.files.tool import FileTool
from lash.host.tools.search import in_python, ripgrep
from lash.host.tools.search.found import Found
from lash.host.tools.search.lines import Range
from lash.host.tools.search.query import Query, parse_query
from lash.host.tools.search.scope import Scope
from lash.host.tools.search.term import Term, parse_term
from lash.runtime.sansio.values import to_json
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, call_in_thread
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.definition import ToolRetryPolicy
from lash.runtime.tools.provider import ToolCall
from lash.runtime.tools.result import ToolError, ToolResult
from lash.runtime.tools.waiting import run_bounded

_log = logging.getLogger("lash.tools")

SEARCH_S: Final = 3.0
WALL_S: Final = 5.0
_STOP_S: Final = 0.3
"""How long a search that is told to stop may take to put its things away, before its task is cancelled."""

_RETRY_MS: Final = 50
_MOST_QUERY_CHARS: Final = 4096
_MOST_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True)
class GrepMatch:
    """A line that matches; `ranges` count the characters of `excerpt`, columns from 1."""

    path: str
    line: int
    column: int
    byte_column: int
    excerpt: str
    match: str
    ranges: tuple[Range, ...]
    is_definition: bool


@dataclass(frozen=True, slots=True)
class GrepFile:
    """A file in which `count` lines were found, as far as they were counted."""

    path: str
    count: int
    size_bytes: int
    is_binary: bool


@dataclass(frozen=True, slots=True)
class GrepReport:
    """What was found: definitions first, imports last. `truncated` says that there is more than is shown."""

    query: str
    matches: tuple[GrepMatch, ...]
    files: tuple[GrepFile, ...]
    count: int
    shown: int
    files_with_matches: int
    truncated: bool
    regex_fallback_error: str | None
    timed_out: bool = False
    cancelled: bool = False
    error: str | None = None


class Grep(FileTool):
    """`grep` under a policy.

    `rg` on PATH searches where it is there, Python elsewhere; both find the same. `clock` bounds the search.
    """

    def __init__(self, policy: FilePolicy, *, clock: Clock | None = None) -> None:
        super().__init__(policy)
        self._clock = clock or SystemClock()

    @tool(retry=ToolRetryPolicy.safe(2, _RETRY_MS, 150), mutates=False)
    async def grep(
        self,
        ctx: ToolContext,
        query: Annotated[str, Field(max_length=_MOST_QUERY_CHARS)],
        path: str | None = None,
        limit: Annotated[int, Field(ge=1, le=_MOST_LIMIT)] = 20,
    ) -> GrepReport:
        """Search the contents of files line by line.

        A query is a text or a regular expression, which ignores case unless it has capitals. Before it, globs can
        narrow the files down: `*.py !*_test.py src/ def main` searches Python files in directories `src`, but no
        tests. Ignored files of a repository, binary files and files over 10 MiB are left out; at most 10 lines of a
        file are given.

        Args:
            query: Globs, if any, and then what to look for.
            path: The directory or file to search; the working directory if left out.
            limit: How many matching lines to give.
        """
        search = _Search(self.policy, query, path, Found(limit), self._clock)
        forget = ctx.cancel_token.on_cancel(search.token.cancel)
        try:
            ended = await run_bounded(
                self._clock,
                call_in_thread(ctx, search.run),
                token=search.token,
                deadline_s=SEARCH_S,
                cancel_s=_STOP_S,
                grace_s=WALL_S - SEARCH_S,
                name="grep",
            )
        finally:
            forget()
        if ctx.cancel_token.cancelled:
            raise _Cancelled(search.report(cancelled=True))
        if ended.how == "done":
            try:
                return ended.task.result()
            except TimeoutError:
                pass  # the thread has seen that its time is up before this task has
        message = f"The search did not end within {SEARCH_S:g} s: narrow it down by a path or globs"
        raise ToolError(
            message,
            cls="timeout",
            code="grep_timeout",
            retry="safe",
            retry_after_ms=_RETRY_MS,
            raw=to_json(search.report(timed_out=True, error=message)),
        )

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`: a search that was cancelled tells what it has found until then."""
        try:
            return await super().execute(call)
        except _Cancelled as stopped:
            return ToolResult.cancelled(raw=to_json(stopped.report))


class _Cancelled(Exception):
    """The call was cancelled; `report` is what it has found."""

    def __init__(self, report: GrepReport) -> None:
        super().__init__("the search was cancelled")
        self.report = report


class _Search:
    """One call: the query as it is understood, and what was found so far."""

    def __init__(self, policy: FilePolicy, query: str, path: str | None, found: Found, clock: Clock) -> None:
        self.token = CancelToken()
        self._policy = policy
        self._text = query
        self._path = path
        self._found = found
        self._clock = clock
        self._deadline = clock.monotonic() + SEARCH_S
        self._term: Term | None = None
        self._shown = ""

    def run(self) -> GrepReport:
        """Search, in a thread. Raises ToolError, OSError, Stopped, TimeoutError."""
        query = parse_query(self._text, has_path=self._path is not None, exists=self._exists)
        path = self._path if query.path is None else query.path
        base = self._policy.resolve("." if path is None else path)
        self._shown = "" if base.shown == "." else base.shown
        self._term = parse_term(query.term)
        kind = base.kind()
        if kind is None:
            raise ToolError(f"{base.shown} does not exist: look for it with `ls` or `glob`")
        if kind == "file":
            in_python.search_file(self._scope(query, base, self._term), base)
        else:
            self._search_tree(lambda term: self._scope(query, base, term), self._term)
        return self.report()

    def _search_tree(self, scope: Callable[[Term], Scope], term: Term) -> None:
        """Search with `rg`, and without it where there is none that can be used."""
        program = ripgrep.find_rg()
        if program is not None:
            limit = self._found.limit
            self._found = Found(limit, trusted=False)
            try:
                ripgrep.search_tree(program, scope(term))
                return
            except ripgrep.RgRefusal as refusal:
                self._term = term = term.as_literal(str(refusal))
                self._search_tree(scope, term)
                return
            except ripgrep.RgUnusable as error:
                _log.warning("%s cannot be used, so Python searches: %s", program, error)
                self._found = Found(limit)
        in_python.search_tree(scope(term))

    def _scope(self, query: Query, base: ResolvedPath, term: Term) -> Scope:
        return Scope(self._policy, base, query, term, self._found, self.token, self._clock, self._deadline)

    def _exists(self, word: str) -> bool:
        """Whether a word is the path of something that the policy allows to see."""
        try:
            return self._policy.resolve(word).kind() is not None
        except (OSError, ToolError):
            return False

    def report(self, *, timed_out: bool = False, cancelled: bool = False, error: str | None = None) -> GrepReport:
        """What was found so far."""
        found = self._found
        matches, files = found.best()
        return GrepReport(
            query=self._text,
            matches=tuple(
                GrepMatch(
                    self._joined(match.path),
                    match.hit.line,
                    match.hit.column,
                    match.hit.byte_column,
                    match.hit.excerpt,
                    match.hit.match,
                    match.hit.ranges,
                    match.hit.is_definition,
                )
                for match in matches
            ),
            files=tuple(GrepFile(self._joined(one.path), one.count, one.size, one.is_binary) for one in files),
            count=found.count,
            shown=len(matches),
            files_with_matches=found.files,
            truncated=found.cut or len(matches) < found.count,
            regex_fallback_error=None if self._term is None else self._term.error,
            timed_out=timed_out,
            cancelled=cancelled,
            error=error,
        )

    def _joined(self, path: str) -> str:
        """A path as it is told: below the place as it was given."""
        shown = f"{self._shown.rstrip('/')}/{path}" if self._shown and path else path or self._shown
        return printable(shown)
