"""`search_web` and `fetch_url` (plugins.md 13.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lash.host.tools.web.backend import FetchBackend, FetchedPage, SearchBackend, SearchResults
from lash.host.tools.web.tavily import TavilyBackend
from lash.host.tools.web.url import check_url
from lash.runtime.tools.decorator import tool, tools_of
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolResult


class _WebTool(ListedTools):
    """A provider of the one tool that its class defines with `@tool`."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        return [one.definition.manifest for one in tools_of(self)]

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        (found,) = tools_of(self)
        return found.resolve_contract(name)

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`."""
        (found,) = tools_of(self)
        return await found.execute(call)


class WebSearch(_WebTool):
    """The tool `search_web`; `backend` None is Tavily with the key in TAVILY_API_KEY."""

    def __init__(self, backend: SearchBackend | None = None) -> None:
        self._backend = backend or TavilyBackend()

    @tool(mutates=False)
    async def search_web(self, query: str, limit: Annotated[int, Field(ge=1, le=20)] = 5) -> SearchResults:
        """Search the web.

        Args:
            query: What to look for.
            limit: How many pages at most.

        Returns:
            The pages found, the best first, and an answer in words where there is one.
        """
        return await self._backend.search(query, limit)


class FetchUrl(_WebTool):
    """The tool `fetch_url`; `backend` None is Tavily with the key in TAVILY_API_KEY."""

    def __init__(self, backend: FetchBackend | None = None) -> None:
        self._backend = backend or TavilyBackend()

    @tool(mutates=False)
    async def fetch_url(self, url: str) -> FetchedPage:
        """Read the text of a web page.

        Args:
            url: Where it is; http and https only.

        Returns:
            Where the page was found, and its text, which may be empty.
        """
        return await self._backend.fetch(str(check_url(url)))
