"""Tavily, as a server on this machine plays it: answers, failures, and where its key is not."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lash.host.tools.web.backend import FetchedPage, SearchHit, SearchResults
from lash.host.tools.web.tavily import TavilyBackend
from lash.runtime.errors import ConfigError
from lash.runtime.tools.result import ToolError
from lash.testing.clock import FakeClock, settle
from tests.host.tools.web.support import KEY, refusal


@pytest.fixture
def tavily(httpserver: HTTPServer) -> TavilyBackend:
    return TavilyBackend(KEY, base_url=httpserver.url_for(""))


async def test_a_search_gives_pages_and_an_answer_and_nothing_else(
    httpserver: HTTPServer, tavily: TavilyBackend
) -> None:
    httpserver.expect_request(
        "/search",
        method="POST",
        json={"query": "tea", "max_results": 2, "include_answer": True},
        headers={"Authorization": f"Bearer {KEY}"},
    ).respond_with_json(
        {
            "query": "tea",
            "answer": "A drink.",
            "response_time": 1,
            "results": [
                {"title": "Tea", "url": "https://tea.test", "content": "Leaves", "score": 0.9, "raw_content": None},
                {"title": None, "url": "https://x.test", "content": None},
                {"title": "Third", "url": "https://y.test", "content": ""},
            ],
        }
    )
    assert await tavily.search("tea", 2) == SearchResults(
        [SearchHit("Tea", "https://tea.test", "Leaves"), SearchHit("", "https://x.test", "")], "A drink."
    )


async def test_a_page_is_fetched(httpserver: HTTPServer, tavily: TavilyBackend) -> None:
    httpserver.expect_request("/extract", method="POST", json={"urls": ["https://tea.test/"]}).respond_with_json(
        {"results": [{"url": "https://tea.test/", "raw_content": "All of it"}], "failed_results": []}
    )
    assert await tavily.fetch("https://tea.test/") == FetchedPage("https://tea.test/", "All of it")


@pytest.mark.parametrize("answer", [{"results": [{"url": "u", "raw_content": None}]}, {"results": []}])
async def test_a_page_may_be_empty(httpserver: HTTPServer, tavily: TavilyBackend, answer: dict[str, Any]) -> None:
    httpserver.expect_request("/extract").respond_with_json(answer)
    assert (await tavily.fetch("u")).content == ""


async def test_a_page_that_cannot_be_read_says_why(httpserver: HTTPServer, tavily: TavilyBackend) -> None:
    httpserver.expect_request("/extract").respond_with_json(
        {"results": [], "failed_results": [{"url": "u", "error": "blocked"}]}
    )
    assert await refusal(tavily.fetch("u")) == ("external", "web_unreadable", "Tavily could not read u: blocked")


@pytest.mark.parametrize(
    ("status", "retry"), [(301, "never"), (400, "never"), (401, "never"), (429, "safe"), (500, "safe"), (503, "safe")]
)
async def test_other_statuses_are_failures(
    httpserver: HTTPServer, tavily: TavilyBackend, status: int, retry: str
) -> None:
    httpserver.expect_request("/search").respond_with_data("no " * 2000, status=status, headers={"Retry-After": "7"})
    with pytest.raises(ToolError) as caught:
        await tavily.search("tea", 1)
    failure = caught.value.failure
    assert (failure.cls, failure.code, failure.retry.kind) == ("external", "web_status", retry)
    assert failure.message == f"Tavily answered with status {status}: " + ("no " * 2000)[:2048].strip()
    assert failure.retry.after_ms == (7000 if retry == "safe" else None)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"<html>", "the answer: Invalid JSON"),
        (b"", "the answer: Invalid JSON"),
        (b"[]", "the answer: "),
        (b'{"results": 1}', "results: "),
        (b'{"results": [{"title": "x"}]}', "results.0.url: "),
        (b'{"results": [], "answer": {}}', "answer: "),
        (b"[" * 1000, "the answer: Invalid JSON"),
        (b"\xff\xfe", "the answer: Invalid JSON"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_failure(
    httpserver: HTTPServer, tavily: TavilyBackend, body: bytes, place: str
) -> None:
    httpserver.expect_request("/search").respond_with_data(body, content_type="application/json")
    cls, code, message = await refusal(tavily.search("tea", 1))
    assert (cls, code) == ("external", "web_malformed")
    assert message.startswith(f"Tavily sent an answer that makes no sense: {place}")


async def test_without_a_key_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAVILY_API_KEY", raising=False)
    backend = TavilyBackend()
    assert not backend.configured
    cls, code, message = await refusal(backend.search("tea", 1))
    assert (cls, code) == ("permission_denied", "web_key_missing")
    assert "TAVILY_API_KEY" in message


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", f" {KEY}\n")
    assert TavilyBackend().configured


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="the key of Tavily has blanks") as caught:
        TavilyBackend(key)
    assert key not in str(caught.value)
    assert caught.value.code == "invalid_web_key"


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("padding", ["", "x" * 2040])
async def test_the_key_is_nowhere_to_be_seen(
    httpserver: HTTPServer,
    tavily: TavilyBackend,
    status: int,
    padding: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(request: Request) -> Response:
        sent = request.headers["Authorization"]
        hit = {"title": sent, "url": sent, "content": padding + sent}
        return Response(padding + json.dumps({"results": [hit]} if not padding else {}), status=status)

    httpserver.expect_request("/search").respond_with_handler(echo)
    try:
        seen = repr(await tavily.search("tea", 1))
    except ToolError as error:
        seen = repr(error) + repr(error.failure)
    seen += repr(tavily) + str(tavily) + caplog.text
    assert KEY not in seen
    assert KEY[:12] not in seen


async def test_a_server_that_is_not_there_is_a_failure_without_the_key() -> None:
    cls, code, message = await refusal(TavilyBackend(KEY, base_url="http://127.0.0.1:9").search("tea", 1))
    assert (cls, code) == ("external", "web_unreachable")
    assert KEY not in message


async def test_an_answer_that_is_too_large_is_not_read(httpserver: HTTPServer, tavily: TavilyBackend) -> None:
    bomb = gzip.compress(b"[" + b" " * (50 << 20) + b"]")
    httpserver.expect_request("/search").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    cls, code, message = await refusal(tavily.search("tea", 1))
    assert (cls, code, message) == (
        "resource_limit",
        "web_too_large",
        "Tavily sent more than 5 MiB, which is the most that is read",
    )


async def test_an_answer_that_does_not_come_is_given_up() -> None:
    clock = FakeClock()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        backend = TavilyBackend(KEY, base_url=f"http://127.0.0.1:{port}", clock=clock)
        search = asyncio.create_task(refusal(backend.search("tea", 1)))
        await asked.wait()
        await clock.advance(29.9)
        assert not search.done()
        await clock.advance(0.2)
        await settle()
        assert await search == ("timeout", "web_timeout", "Tavily did not answer within 30 s")
