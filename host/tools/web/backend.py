"""What stands behind `search_web` and `fetch_url`: protocols that any service can be put behind, and their results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A page that was found, with an excerpt of it or a summary."""

    title: str
    url: str
    content: str


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found, the best first, and an answer in words where the service writes one."""

    results: list[SearchHit] = field(default_factory=list[SearchHit])
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """The text of a page, and where it was found in the end; a page may have no text."""

    url: str
    content: str


class SearchBackend(Protocol):
    """Searches the web."""

    async def search(self, query: str, limit: int) -> SearchResults:
        """The best pages, `limit` at most. Raises `lash.tools.ToolError` for whatever goes wrong."""
        ...


class FetchBackend(Protocol):
    """Reads pages."""

    async def fetch(self, url: str) -> FetchedPage:
        """The text of a page; the tool has checked that it is an http or https address. Raises ToolError."""
        ...


class WebBackend(SearchBackend, FetchBackend, Protocol):
    """Does both, as most services do."""
