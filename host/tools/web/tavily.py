"""Search and page texts by Tavily (https://docs.tavily.com, endpoints `/search` and `/extract`)."""

from __future__ import annotations

import os
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from lash.host.system import SystemClock
from lash.host.tools.web.backend import FetchedPage, SearchHit, SearchResults
from lash.host.tools.web.transfer import ENCODINGS, TIMEOUT_S, in_time, read_body, status_failure, without_secret
from lash.runtime.errors import ConfigError
from lash.runtime.sansio.values import whole_texts
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ToolError

URL: Final = "https://api.tavily.com"
KEY_VARIABLE: Final = "TAVILY_API_KEY"
WHO: Final = "Tavily"

M = TypeVar("M", bound=BaseModel)


class _Hit(BaseModel):
    title: str | None = None
    url: str
    content: str | None = None


class _Found(BaseModel):
    results: list[_Hit]
    answer: str | None = None


class _Page(BaseModel):
    url: str
    raw_content: str | None = None


class _Unread(BaseModel):
    url: str | None = None
    error: str | None = None


class _Extracted(BaseModel):
    results: list[_Page]
    failed_results: list[_Unread] = []


class TavilyBackend:
    """A `WebBackend`.

    Arguments: `api_key` is the key; None is what the variable TAVILY_API_KEY holds. `base_url` is where the service is.
    Without a key every call fails and says so. Raises ConfigError (invalid_web_key) for a key that no header can carry.
    """

    def __init__(self, api_key: str | None = None, *, base_url: str = URL, clock: Clock | None = None) -> None:
        given = os.environ.get(KEY_VARIABLE, "").strip() if api_key is None else api_key
        # HTTP would refuse such a key itself, with the key in the error's text.
        if not all("!" <= character <= "~" for character in given):
            raise ConfigError(
                "invalid_web_key",
                f"the key of {WHO} has blanks, line breaks or characters outside ASCII, which no key has",
            )
        self._key = given
        self._base_url = base_url.rstrip("/")
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"TavilyBackend(base_url={self._base_url!r})"

    @property
    def configured(self) -> bool:
        """Whether there is a key."""
        return bool(self._key)

    async def search(self, query: str, limit: int) -> SearchResults:
        """See `SearchBackend`."""
        found = await self._ask("search", {"query": query, "max_results": limit, "include_answer": True}, _Found)
        hits = [SearchHit(hit.title or "", hit.url, hit.content or "") for hit in found.results[:limit]]
        return SearchResults(hits, found.answer)

    async def fetch(self, url: str) -> FetchedPage:
        """See `FetchBackend`."""
        extracted = await self._ask("extract", {"urls": [url]}, _Extracted)
        if extracted.results:
            page = extracted.results[0]
            return FetchedPage(page.url, page.raw_content or "")
        if extracted.failed_results:
            reason = extracted.failed_results[0].error or "no reason was given"
            raise ToolError(f"{WHO} could not read {url}: {reason}", cls="external", code="web_unreadable")
        return FetchedPage(url, "")

    async def _ask(self, endpoint: str, body: dict[str, Any], kind: type[M]) -> M:
        """One request and its answer. Raises ToolError."""
        if not self._key:
            raise ToolError(
                f"{WHO} needs a key: give TavilyBackend(api_key=...) or set {KEY_VARIABLE}",
                cls="permission_denied",
                code="web_key_missing",
            )
        return await in_time(self._clock, WHO, self._post(endpoint, body, kind))

    async def _post(self, endpoint: str, body: dict[str, Any], kind: type[M]) -> M:
        headers = {"authorization": f"Bearer {self._key}", "accept-encoding": ENCODINGS}
        async with (
            httpx2.AsyncClient(timeout=TIMEOUT_S, headers=headers) as client,
            client.stream("POST", f"{self._base_url}/{endpoint}", json=whole_texts(body)) as response,
        ):
            if not response.is_success:
                raise await status_failure(WHO, response, self._key)
            data = without_secret(await read_body(WHO, response), self._key)
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise ToolError(
                f"{WHO} sent an answer that makes no sense: {place}: {first['msg']}",
                cls="external",
                code="web_malformed",
            ) from None
