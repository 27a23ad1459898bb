"""The tool `glob`: files and directories whose path matches a pattern (plugins.md 13.3)."""

from __future__ import annotations

from contextlib import closing

from lash.host.tools.files.globs import Globs
from lash.host.tools.files.listing import Limit, Listing, listing
from lash.host.tools.files.tool import READING, FileTool
from lash.host.tools.files.walk import Walk, WalkOptions
from lash.runtime.tools.context import ToolContext
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.result import ToolError


class Glob(FileTool):
    """`glob` under a policy."""

    @tool(retry=READING, mutates=False)
    def glob(
        self,
        ctx: ToolContext,
        pattern: str,
        path: str = ".",
        limit: Limit = 100,
        with_lines: bool = False,
        include_hidden: bool = True,
        respect_gitignore: bool = True,
    ) -> Listing:
        """Find files and directories by a pattern of their path, the newest first.

        Args:
            pattern: Like `*.py`, `src/**/test_*` or `*.{ts,tsx}`; relative to `path`, and `*` goes across slashes.
            path: The directory to look in, relative to the working directory or absolute.
            limit: How many entries to give; null or "none" is all of them.
            with_lines: Count the lines of text files.
            include_hidden: Include names that begin with a dot.
            respect_gitignore: Leave out what git ignores, inside a repository.
        """
        wanted = Globs([pattern])
        base = self.policy.resolve(path)
        kind = base.kind()
        if kind != "dir":
            what = "is a file; `path` is the directory to look in, `pattern` what to look for"
            raise ToolError(f"{base.shown} {what if kind else 'does not exist'}")
        options = WalkOptions(None, include_hidden, respect_gitignore)
        with closing(iter(Walk(self.policy, base, options, ctx.cancel_token))) as entries:
            return listing(
                self.policy,
                base,
                (entry for entry in entries if wanted.match(entry.path)),
                lambda entry: (-entry.modified_ns, entry.path),
                limit,
                with_lines=with_lines,
                token=ctx.cancel_token,
            )
