"""The tool `ls`: the entries of a directory and of those below it (plugins.md 13.3)."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

from pydantic import Field

from lash.host.tools.files.globs import Globs
from lash.host.tools.files.listing import Limit, Listing, listing
from lash.host.tools.files.tool import READING, FileTool
from lash.host.tools.files.walk import Walk, WalkOptions
from lash.runtime.tools.context import ToolContext
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.result import ToolError


class Ls(FileTool):
    """`ls` under a policy."""

    @tool(retry=READING, mutates=False)
    def ls(
        self,
        ctx: ToolContext,
        path: str = ".",
        depth: Annotated[int, Field(ge=1)] | None = 3,
        limit: Limit = 500,
        ignore: list[str] = [],  # noqa: B006 - a default of the schema; every call gets its own
        with_lines: bool = False,
        include_hidden: bool = True,
        respect_gitignore: bool = True,
    ) -> Listing:
        """List what is in a directory, sorted by path.

        Args:
            path: The directory, relative to the working directory or absolute.
            depth: How many levels to go down; null is all of them.
            limit: How many entries to give; null or "none" is all of them.
            ignore: Globs of what to leave out; one without a slash means a name at any level.
            with_lines: Count the lines of text files.
            include_hidden: Include names that begin with a dot.
            respect_gitignore: Leave out what git ignores, inside a repository.
        """
        base = self.policy.resolve(path)
        kind = base.kind()
        if kind != "dir":
            what = "is a file, not a directory: read it with `read_file`" if kind else "does not exist"
            raise ToolError(f"{base.shown} {what}")
        options = WalkOptions(depth, include_hidden, respect_gitignore, Globs(ignore, names=True) if ignore else None)
        with closing(iter(Walk(self.policy, base, options, ctx.cancel_token))) as entries:
            return listing(
                self.policy,
                base,
                entries,
                lambda entry: entry.path,
                limit,
                with_lines=with_lines,
                token=ctx.cancel_token,
            )
