"""Reading pages without a service: what is reached, what is refused, and how much is read."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lash.host.tools.web.backend import FetchedPage
from lash.host.tools.web.local import LocalFetchBackend
from lash.runtime.errors import ConfigError
from lash.runtime.tools.result import ToolError
from lash.testing.clock import FakeClock
from tests.host.tools.web.support import Names, local, refusal

TEXT = "text/plain; charset=utf-8"


def at(server: HTTPServer, path: str = "/", host: str = "site.test") -> str:
    return f"http://{host}:{server.port}{path}"


def replies(server: HTTPServer, data: bytes | str, content_type: str = TEXT, **more: Any) -> str:
    server.expect_request("/page").respond_with_data(data, content_type=content_type, **more)
    return at(server, "/page")


async def test_the_text_of_a_page_is_found(httpserver: HTTPServer) -> None:
    body = "<html><head><title>T</title><script>alert(1)</script></head><body><nav>Menu</nav><article><h1>Tea</h1>"
    body += "".join(f"<p>Paragraph {n} says a lot about tea and how it is made in the morning.</p>" for n in range(9))
    url = replies(httpserver, body + "</article></body></html>", "text/html")
    page = await local().fetch(url)
    assert page.url == url
    assert "Paragraph 3 says a lot about tea" in page.content
    assert "alert(1)" not in page.content


async def test_a_page_may_have_no_text(httpserver: HTTPServer) -> None:
    url = replies(httpserver, "<html><body></body></html>", "text/html")
    assert await local().fetch(url) == FetchedPage(url, "")


@pytest.mark.parametrize(
    ("data", "content_type", "content"),
    [
        (b'{"a": 1}', "application/json", '{"a": 1}'),
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
        ("grün".encode(), "text/plain", "grün"),
        ("\ufeffgrün".encode("utf-16-le"), "text/plain; charset=utf-8", "grün"),
        ("grün".encode(), "text/plain; charset=no-such-thing", "grün"),
        ("grün".encode(), "text/plain; charset=zlib_codec", "grün"),
        (b"\\ud800", "text/plain; charset=raw_unicode_escape", "\\ud800"),
        (b"a-b", "text/plain; charset=punycode", "a-b"),
        (b"a", "text/plain; charset*=utf-8''%00", "a"),
        (b"gr\xfcn", "text/plain", "gr\ufffdn"),
        (b"<rss/>", "application/rss+xml", "<rss/>"),
        (b"", "text/plain", ""),
    ],
)
async def test_other_texts_are_given_as_they_are(
    httpserver: HTTPServer, data: bytes, content_type: str, content: str
) -> None:
    assert (await local().fetch(replies(httpserver, data, content_type))).content == content


async def test_a_page_may_say_itself_what_it_is_written_in(httpserver: HTTPServer) -> None:
    body = '<html><head><meta http-equiv="x" content="text/html; charset=windows-1252"></head><body><p>grün</p></body>'
    assert "grün" in (await local().fetch(replies(httpserver, body.encode("cp1252"), "text/html"))).content


async def test_a_page_that_says_wrongly_to_be_utf_16_is_read_as_utf_8(httpserver: HTTPServer) -> None:
    body = '<html><head><meta charset="utf-16"></head><body><p>grün</p></body>'
    assert "grün" in (await local().fetch(replies(httpserver, body.encode(), "text/html"))).content


@pytest.mark.parametrize("content_type", ["image/png", "application/zip", "video/mp4", "application/octet-stream"])
async def test_what_is_no_text_is_refused(httpserver: HTTPServer, content_type: str) -> None:
    url = replies(httpserver, b"\0\1\2", content_type)
    expected = f"{url} is {content_type}; only pages and other texts can be read"
    assert await refusal(local().fetch(url)) == ("external", "web_not_text", expected)


@pytest.mark.parametrize(("data", "content"), [(b"plain", "plain"), (b"<!doctype html><p>Some text</p>", "Some text")])
async def test_without_a_type_the_body_tells(httpserver: HTTPServer, data: bytes, content: str) -> None:
    def bare(_: Request) -> Response:
        response = Response(data)
        del response.headers["content-type"]
        return response

    httpserver.expect_request("/page").respond_with_handler(bare)
    assert (await local().fetch(at(httpserver, "/page"))).content.strip() == content


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_other_statuses_are_failures(httpserver: HTTPServer, status: int) -> None:
    url = replies(httpserver, "x" * 5000, status=status)
    with pytest.raises(ToolError) as caught:
        await local().fetch(url)
    failure = caught.value.failure
    assert (failure.cls, failure.retry.kind) == ("external", "never" if status == 404 else "safe")
    assert failure.message == f"{url} answered with status {status}: " + "x" * 2048


async def test_a_status_is_told_even_if_its_body_cannot_be_read(httpserver: HTTPServer) -> None:
    url = replies(httpserver, b"x", status=404, headers={"Content-Encoding": "br"})
    assert (await refusal(local().fetch(url)))[2] == f"{url} answered with status 404"


# --- what is reached -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "https://192.168.0.1/",
        "http://224.0.0.1/",
        "http://[fe80::1%25eth0]/",
    ],
)
async def test_what_is_not_on_the_internet_is_refused(url: str) -> None:
    cls, code, message = await refusal(LocalFetchBackend().fetch(url))
    assert (cls, code) in (("permission_denied", "address_not_allowed"), ("external", "web_unreachable"))
    assert code == "address_not_allowed" or "%25" in url
    assert "not on the public internet" in message or "not found" in message


async def test_a_server_of_this_machine_is_not_even_connected_to(httpserver: HTTPServer) -> None:
    for host in ("127.0.0.1", "localhost"):
        cls, _, _ = await refusal(LocalFetchBackend().fetch(at(httpserver, host=host)))
        assert cls == "permission_denied"
    assert httpserver.log == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(httpserver: HTTPServer) -> None:
    backend = local(mixed_test=["127.0.0.1", "10.0.0.1"])
    assert (await refusal(backend.fetch(at(httpserver, host="mixed.test"))))[1] == "address_not_allowed"
    assert httpserver.log == []


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_handler(lambda request: Response(request.headers["Host"]))
    network = Names({"rebound.test": ["127.0.0.1"]})
    resolve = network.resolve

    async def rebinding(host: str, port: int) -> Any:
        found = await resolve(host, port)
        network.names["rebound.test"] = ["10.0.0.1"]
        return found

    network.resolve = rebinding
    page = await LocalFetchBackend(network=network).fetch(at(httpserver, host="rebound.test"))
    assert page.content == f"rebound.test:{httpserver.port}"
    assert network.asked == ["rebound.test"]


async def test_an_address_that_does_not_answer_is_followed_by_the_next(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("here", content_type=TEXT)
    names = Names({"two.test": ["127.0.0.9", "127.0.0.1"]}, open_to=["127.0.0.9", "127.0.0.1"])
    assert (await LocalFetchBackend(network=names).fetch(at(httpserver, host="two.test"))).content == "here"


@pytest.mark.parametrize("port", [22, 25, 1023])
async def test_ports_of_other_services_are_refused(port: int) -> None:
    cls, code, message = await refusal(local().fetch(f"http://site.test:{port}/"))
    assert (cls, code) == ("permission_denied", "address_not_allowed")
    assert f"port {port} belongs to another service" in message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://site.test/", "has to begin with http:// or https://, not ftp"),
        ("file:///etc/passwd", "not file"),
        ("site.test", "not without either"),
        ("http:///path", "names no host"),
        ("http://site.test:99999/", "names no host"),
        ("http://me:secret@site.test/", "holds a user name or a password"),
        ("http://site\n.test/", "the url is none"),
    ],
)
async def test_what_is_no_address_of_a_page_is_refused(url: str, message: str) -> None:
    cls, code, text = await refusal(local().fetch(url))
    assert (cls, code) == ("invalid_request", "invalid_url")
    assert message in text
    assert "secret" not in text


async def test_no_proxy_is_used(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await local().fetch(replies(httpserver, "direct"))).content == "direct"


# --- redirects -----------------------------------------------------------------------------------


def chain(server: HTTPServer, length: int) -> str:
    for n in range(length):
        server.expect_request(f"/{n}").respond_with_data("", status=302, headers={"Location": f"/{n + 1}"})
    server.expect_request(f"/{length}").respond_with_data("end", content_type=TEXT)
    return at(server, "/0")


async def test_five_redirects_are_followed(httpserver: HTTPServer) -> None:
    assert await local().fetch(chain(httpserver, 5)) == FetchedPage(at(httpserver, "/5"), "end")


async def test_a_sixth_redirect_is_not(httpserver: HTTPServer) -> None:
    assert (await refusal(local().fetch(chain(httpserver, 6))))[:2] == ("external", "web_redirects")
    assert "/6" not in [request.path for request, _ in httpserver.log]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://inside.test/", "address_not_allowed"),
        ("http://10.0.0.1/", "address_not_allowed"),
        ("//inside.test/x", "address_not_allowed"),
        ("http://site.test:22/", "address_not_allowed"),
        ("file:///etc/passwd", "invalid_url"),
        ("http://me:secret@site.test/", "invalid_url"),
        ("http://unknown.test/", "web_unreachable"),
    ],
)
async def test_every_redirect_is_checked(httpserver: HTTPServer, location: str, code: str) -> None:
    httpserver.expect_request("/page").respond_with_data("", status=301, headers={"Location": location})
    names = {"site.test": ["127.0.0.1"], "inside.test": ["192.168.0.7"], "10.0.0.1": ["10.0.0.1"]}
    backend = LocalFetchBackend(network=Names(names))
    assert (await refusal(backend.fetch(at(httpserver, "/page"))))[1] == code


async def serving(answer: bytes) -> asyncio.Server:
    """A server that says this to everybody, whatever it is asked."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(say, "127.0.0.1", 0)


def address(server: asyncio.Server) -> str:
    return f"http://site.test:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://[broken/", "web_unreachable"),
        ("http://x:port/", "web_malformed"),
        ("http://site.test:99999999999/", "invalid_url"),
    ],
)
async def test_a_redirect_to_no_address_is_a_failure(location: str, code: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    async with await serving(answer.encode()) as server:
        assert (await refusal(local().fetch(address(server))))[1] == code


async def test_cookies_are_not_carried_from_one_request_to_the_next(httpserver: HTTPServer) -> None:
    moved = {"Location": "/next", "Set-Cookie": "a=b"}
    httpserver.expect_request("/page").respond_with_data("", status=302, headers=moved)
    httpserver.expect_request("/next").respond_with_handler(
        lambda request: Response(request.headers.get("Cookie", "none"), content_type=TEXT)
    )
    assert (await local().fetch(at(httpserver, "/page"))).content == "none"


# --- size and time -------------------------------------------------------------------------------

LIMIT = 5 << 20


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


COMPRESSED = {
    "not at all": (b"text", ""),
    "not at all, and says so": (b"text", "identity"),
    "gzip": (packed(b"text"), "gzip"),
    "gzip in two parts": (packed(b"te") + packed(b"xt"), "gzip"),
    "gzip that is filled up": (packed(b"text") + b"\0" * 20, "gzip"),
    "gzip and more": (packed(b"text") + b"more", "gzip"),
}


@pytest.mark.parametrize(("data", "encoding"), COMPRESSED.values(), ids=COMPRESSED)
async def test_compressed_bodies_are_read(httpserver: HTTPServer, data: bytes, encoding: str) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    assert (await local().fetch(replies(httpserver, data, headers=headers))).content == "text"


TOO_LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "as it is": (lambda: b"x" * (LIMIT + 1), ""),
    "by one byte": (lambda: packed(b"x" * (LIMIT + 1)), "gzip"),
    "a bomb": (lambda: packed(b"\0" * (200 << 20)), "gzip"),
    "a bomb in parts": (lambda: packed(b"\0" * (1 << 20)) * 20, "gzip"),
    "a heap of empty parts": (lambda: packed(b"") * 300_000, "gzip"),
}


@pytest.mark.parametrize(("data", "encoding"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_bodies_that_are_too_large_are_not_read_on(
    httpserver: HTTPServer, data: Callable[[], bytes], encoding: str
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    cls, code, _ = await refusal(local().fetch(replies(httpserver, data(), headers=headers)))
    assert (cls, code) == ("resource_limit", "web_too_large")


async def test_a_body_of_exactly_the_limit_is_read(httpserver: HTTPServer) -> None:
    assert len((await local().fetch(replies(httpserver, b"x" * LIMIT))).content) == LIMIT


BROKEN = {
    "no gzip": (b"no gzip", "gzip"),
    "a part that breaks": (packed(b"x") + packed(b"y")[:5] + b"\xff" * 20, "gzip"),
    "an encoding that was not asked for": (b"x", "br"),
    "deflate": (zlib.compress(b"x"), "deflate"),
    "two encodings": (packed(packed(b"x")), "gzip, gzip"),
}


@pytest.mark.parametrize(("data", "encoding"), BROKEN.values(), ids=BROKEN)
async def test_bodies_that_cannot_be_decompressed_are_a_failure(
    httpserver: HTTPServer, data: bytes, encoding: str
) -> None:
    url = replies(httpserver, data, headers={"Content-Encoding": encoding})
    assert (await refusal(local().fetch(url)))[:2] == ("external", "web_malformed")


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    try:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.001)
    except OSError:
        writer.close()


async def test_a_body_that_never_ends_is_given_up() -> None:
    clock, tasks = FakeClock(), asyncio.all_tasks()
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = address(server)
        fetching = asyncio.create_task(refusal(local(clock=clock).fetch(url)))
        while not clock.slept:
            await asyncio.sleep(0)
        await clock.advance(30)
        assert await fetching == ("timeout", "web_timeout", f"{url} did not answer within 30 s")
        while asyncio.all_tasks() > tasks:
            await asyncio.sleep(0.001)


async def test_an_answer_that_is_no_http_is_a_failure() -> None:
    async with await serving(b"SSH-2.0-OpenSSH\r\n\r\n") as server:
        assert (await refusal(local().fetch(address(server))))[:2] == ("external", "web_unreachable")


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    async with await serving(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf"
    ) as server:
        assert (await refusal(local().fetch(address(server))))[:2] == ("external", "web_unreachable")


async def test_a_page_that_keeps_its_reader_busy_is_given_up(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busy.py").write_text("while True: pass")
    monkeypatch.setattr("lash.host.tools.web.page._CONVERTER", tmp_path / "busy.py")
    monkeypatch.setattr("lash.host.tools.conversion.WALL_S", 0.01)
    url = replies(httpserver, "<p>text</p>", "text/html")
    expected = f"{url} is a page whose text could not be found: it did not end within 0.01 s"
    assert await refusal(local().fetch(url)) == ("external", "web_unreadable", expected)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(ConfigError, match=r"lash-runtime\[web\]") as caught:
        LocalFetchBackend()
    assert caught.value.code == "web_extra_missing"
