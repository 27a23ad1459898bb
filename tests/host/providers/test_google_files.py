"""Images that are uploaded before a request of the Gemini API refers to them (providers.md 8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lash.host.providers.google import GoogleProvider
from lash.host.providers.google_exchange import Post
from lash.host.providers.google_files import CHUNK_BYTES, INLINE_BYTES, KEPT_MS, MOST_FILES
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import Block, LlmAttachment, LlmMessage, LlmRequest, LlmToolSpec
from lash.testing.clock import FakeClock
from tests.host.providers.dialects import GOOGLE

MIB = 1024 * 1024
BIG = b"p" * (INLINE_BYTES + 1)

UPLOADS = "https://generativelanguage.googleapis.com/upload/v1beta/files"
GONE = "You do not have permission to access the File 1 or it may not exist."


class Google:
    """The API with its files, played: what is uploaded gets an address, and every request is answered."""

    def __init__(self) -> None:
        self.starts: list[httpx2.Request] = []
        self.pieces: list[httpx2.Request] = []
        self.asked: list[Any] = []
        self.stored: list[bytes] = []
        self.refuse: Callable[[Any], httpx2.Response | None] = lambda body: None
        self.refuse_piece: Callable[[int], httpx2.Response | None] = lambda number: None
        self._open: dict[str, bytes] = {}
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if str(request.url) == UPLOADS:
            self.starts.append(request)
            return httpx2.Response(200, headers={"X-Goog-Upload-URL": f"https://up.invalid/{len(self.starts)}"})
        if request.url.host == "up.invalid":
            return self._piece(request)
        body = json.loads(request.content)
        self.asked.append(body)
        return self.refuse(body) or httpx2.Response(200, content=GOOGLE.whole("hello"))

    def _piece(self, request: httpx2.Request) -> httpx2.Response:
        self.pieces.append(request)
        if (refusal := self.refuse_piece(len(self.pieces))) is not None:
            return refusal
        name = str(request.url)
        assert int(request.headers["x-goog-upload-offset"]) == len(self._open.get(name, b""))
        self._open[name] = self._open.get(name, b"") + request.content
        if request.headers["x-goog-upload-command"] == "upload":
            return httpx2.Response(200, headers={"X-Goog-Upload-Status": "active"})
        self.stored.append(self._open[name])
        file = {"name": f"files/{len(self.stored)}", "uri": f"https://files.invalid/{len(self.stored)}"}
        return httpx2.Response(200, headers={"X-Goog-Upload-Status": "final"}, json={"file": file})

    def handle(self, clock: FakeClock | None = None, **options: Any) -> ProviderHandle:
        chosen = ProviderOptions.model_validate({"reliability": {"enabled": False}, **options})
        return GoogleProvider("test-key", clock=clock or FakeClock(), http_client=self.client, options=chosen)

    def shown(self, number: int = -1) -> list[str]:
        """How the images of a request were sent."""
        found = [part for content in self.asked[number]["contents"] for part in content["parts"]]
        return [part.get("fileData", {}).get("fileUri", "inline") for part in found if "text" not in part]


def images(*data: bytes, mime: str = "image/png") -> LlmRequest:
    attachments = tuple(LlmAttachment(mime, f"store:{number}", data=one) for number, one in enumerate(data))
    blocks = tuple(Block.Image(number) for number in range(len(data)))
    return LlmRequest("model", (LlmMessage("user", (Block.Text("look"), *blocks)),), attachments=attachments)


async def test_images_of_eight_mebibytes_go_with_the_request() -> None:
    google = Google()
    await google.handle().complete(images(b"a" * (INLINE_BYTES - 1), b"b"))
    assert (google.shown(), google.starts) == (["inline", "inline"], [])


async def test_larger_ones_are_uploaded_and_referred_to() -> None:
    google = Google()
    await google.handle().complete(images(BIG, b"small"))
    assert google.stored == [BIG, b"small"]
    assert google.shown() == ["https://files.invalid/1", "https://files.invalid/2"]
    (content,) = google.asked[0]["contents"]
    assert content["parts"][1]["fileData"]["mimeType"] == "image/png"


async def test_images_of_results_and_images_that_are_shown_twice_count() -> None:
    google = Google()
    half = b"h" * (INLINE_BYTES // 2 + 1)
    blocks = (Block.ToolResult("c1", "seen", "f", images=(0,)), Block.Image(0))
    attachment = LlmAttachment("image/png", "store:0", data=half)
    await google.handle().complete(LlmRequest("m", (LlmMessage("user", blocks),), attachments=(attachment,)))
    assert len(google.stored) == 1
    assert [uri for uri in google.shown() if uri != "inline"] == ["https://files.invalid/1"] * 2


async def test_the_upload_is_resumable_as_google_documents_it() -> None:
    google = Google()
    data = b"x" * (2 * CHUNK_BYTES + 7)
    await google.handle(extra_headers={"x-team": "a"}).complete(images(data))
    (start,) = google.starts
    assert start.headers["x-goog-api-key"] == "test-key"
    assert start.headers["x-team"] == "a"
    assert start.headers["x-goog-upload-protocol"] == "resumable"
    assert start.headers["x-goog-upload-command"] == "start"
    assert start.headers["x-goog-upload-header-content-length"] == str(len(data))
    assert start.headers["x-goog-upload-header-content-type"] == "image/png"
    commands = [(one.headers["x-goog-upload-offset"], one.headers["x-goog-upload-command"]) for one in google.pieces]
    assert commands == [
        ("0", "upload"),
        (str(CHUNK_BYTES), "upload"),
        (str(2 * CHUNK_BYTES), "upload, finalize"),
    ]
    assert google.stored == [data]
    assert all("x-goog-api-key" not in piece.headers for piece in google.pieces)


async def test_an_image_is_uploaded_once_in_forty_hours() -> None:
    google, clock = Google(), FakeClock()
    handle = google.handle(clock)
    await handle.complete(images(BIG))
    await clock.advance(KEPT_MS / 1000 - 1)
    await handle.complete(images(BIG))
    assert len(google.stored) == 1
    await clock.advance(1)
    await handle.complete(images(BIG))
    assert (len(google.stored), google.shown()) == (2, ["https://files.invalid/2"])


async def test_the_same_bytes_of_another_type_are_another_file() -> None:
    google = Google()
    handle = google.handle()
    await handle.complete(images(BIG))
    await handle.complete(images(BIG, mime="image/webp"))
    assert len(google.stored) == 2


async def test_calls_at_the_same_time_share_an_upload() -> None:
    google = Google()
    handle = google.handle()
    await asyncio.gather(*(handle.complete(images(BIG)) for _ in range(4)))
    assert (len(google.stored), len(google.asked)) == (1, 4)


async def test_a_cancelled_upload_leaves_the_next_call_free_to_upload() -> None:
    google, clock = Google(), FakeClock()
    handle = google.handle(clock)
    begun = asyncio.Event()

    def stop(number: int) -> httpx2.Response | None:
        if number == 1:
            begun.set()
            call.cancel()
        return None

    google.refuse_piece = stop
    call = asyncio.create_task(handle.complete(images(BIG)))
    with pytest.raises(asyncio.CancelledError):
        await call
    assert begun.is_set()
    await handle.complete(images(BIG))
    assert google.shown() == [f"https://files.invalid/{len(google.stored)}"]


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_file_that_is_not_taken_is_replaced_by_its_bytes_once(status: int) -> None:
    google = Google()
    google.refuse = lambda body: (
        httpx2.Response(status, json={"error": {"message": GONE}}) if "fileData" in json.dumps(body) else None
    )
    handle = google.handle()
    assert (await handle.complete(images(BIG))).full_text == "Hello"
    assert (google.shown(0), google.shown(1)) == (["https://files.invalid/1"], ["inline"])
    google.refuse = lambda body: None
    await handle.complete(images(BIG))
    assert (len(google.stored), google.shown()) == (2, ["https://files.invalid/2"])


async def test_a_request_that_is_refused_without_its_files_too_is_not_repeated_again() -> None:
    google = Google()
    google.refuse = lambda body: httpx2.Response(400, json={"error": {"message": GONE}})
    with pytest.raises(ProviderFailure, match="File"):
        await google.handle().complete(images(BIG))
    assert len(google.asked) == 2


@pytest.mark.parametrize(("status", "message"), [(400, "bad temperature"), (500, GONE)])
async def test_other_failures_are_not_of_the_files(status: int, message: str) -> None:
    google = Google()
    google.refuse = lambda body: httpx2.Response(status, json={"error": {"message": message}})
    with pytest.raises(ProviderFailure):
        await google.handle().complete(images(BIG))
    assert len(google.asked) == 1


async def test_an_upload_that_fails_is_a_failed_attempt() -> None:
    google = Google()
    google.refuse_piece = lambda number: (
        httpx2.Response(503, json={"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})
        if number == 1
        else None
    )
    handle = google.handle(reliability={"base_delay_ms": 0})
    response = await handle.complete(images(BIG), lambda event: None)
    assert [record.kind for record in response.attempts] == ["overloaded"]
    assert google.shown() == ["https://files.invalid/1"]


async def test_a_connection_that_breaks_within_a_refusal_is_worth_another_attempt() -> None:
    class Broken(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"error": '
            raise httpx2.ReadError("gone")

    google = Google()
    google.refuse_piece = lambda number: httpx2.Response(503, stream=Broken()) if number == 1 else None
    response = await google.handle(reliability={"base_delay_ms": 0}).complete(images(BIG), lambda event: None)
    assert [record.kind for record in response.attempts] == ["transport"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="fine"),
        httpx2.Response(200, json={"file": {}}),
        httpx2.Response(200, json=[]),
    ],
)
async def test_an_upload_that_names_no_file_is_a_malformed_reply(answer: httpx2.Response) -> None:
    google = Google()
    google.refuse_piece = lambda number: answer
    with pytest.raises(ProviderFailure) as raised:
        await google.handle().complete(images(BIG))
    assert (raised.value.code, google.asked) == ("malformed_stream", [])


@pytest.mark.parametrize("headers", [{}, {"X-Goog-Upload-URL": "http://host:port/"}])
async def test_a_server_that_names_no_address_for_an_upload_is_malformed(headers: dict[str, str]) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=headers)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        handle = GoogleProvider("k", http_client=client, options=ProviderOptions.model_validate(OFF))
        with pytest.raises(ProviderFailure, match="address"):
            await handle.complete(images(BIG))


OFF = {"reliability": {"enabled": False}}


async def test_a_schema_that_cannot_be_sent_fails_before_anything_is_uploaded() -> None:
    google = Google()
    request = images(BIG)
    tool = LlmToolSpec("f", "", {"properties": {"a": {"$ref": "#/$defs/none"}}})
    with pytest.raises(ProviderFailure, match="gemini"):
        await google.handle().complete(LlmRequest("m", request.messages, request.attachments, tools=(tool,)))
    assert google.starts == []


async def test_no_more_than_a_bounded_number_of_addresses_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_FILES >= 100
    monkeypatch.setattr("lash.host.providers.google_files.MOST_FILES", 2)
    google = Google()
    handle = google.handle()
    for last in (b"1", b"2", b"3", b"3", b"1"):
        await handle.complete(images(BIG + last))
    assert [stored[-1:] for stored in google.stored] == [b"1", b"2", b"3", b"1"]


async def test_the_key_and_the_address_of_an_upload_are_in_no_failure() -> None:
    google = Google()
    google.refuse_piece = lambda number: httpx2.Response(400, json={"error": {"message": "the key test-key-123456"}})
    handle = GoogleProvider(
        "test-key-123456", http_client=google.client, options=ProviderOptions.model_validate(OFF), clock=FakeClock()
    )
    with pytest.raises(ProviderFailure) as raised:
        await handle.complete(images(BIG))
    said = f"{raised.value} {raised.value.raw} {raised.value.headers} {raised.value.request_body}"
    assert "test-key-123456" not in said
    assert "up.invalid" not in said


async def test_an_upload_over_real_sockets(httpserver: HTTPServer) -> None:
    received: list[bytes] = []

    def take(request: Request) -> Response:
        received.append(request.get_data())
        last = "finalize" in request.headers["X-Goog-Upload-Command"]
        file = {"file": {"uri": "https://files.invalid/1"}} if last else {}
        return Response(json.dumps(file), headers={"X-Goog-Upload-Status": "final" if last else "active"})

    address = {"X-Goog-Upload-URL": httpserver.url_for("/resumed")}
    httpserver.expect_ordered_request("/upload/v1beta/files", method="POST").respond_with_data("", headers=address)
    for _ in range(2):
        httpserver.expect_ordered_request("/resumed", method="POST").respond_with_handler(take)
    httpserver.expect_ordered_request(
        "/v1beta/models/model:streamGenerateContent", method="POST", query_string="alt=sse"
    ).respond_with_data(GOOGLE.stream("hello"), content_type="text/event-stream")
    handle = GOOGLE.handle(httpserver.url_for(""))
    assert (await handle.complete(images(BIG), lambda event: None)).full_text == "Hello"
    await handle.aclose()
    httpserver.check()
    assert b"".join(received) == BIG


async def test_a_server_that_has_moved_is_a_failure_that_says_so() -> None:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(301)))
    chosen = ProviderOptions.model_validate({"reliability": {"enabled": False}})
    handle = GoogleProvider("test-key", clock=FakeClock(), http_client=client, options=chosen)
    for request in (images(), images(BIG)):
        with pytest.raises(ProviderFailure) as caught:
            await handle.complete(request, None)
        failure = caught.value
        assert (failure.kind, failure.status, failure.retryable) == ("http", 301, False)
        assert failure.message == "HTTP 301 Moved Permanently"


def test_a_request_does_not_show_its_key() -> None:
    post = Post("https://up.invalid/secret", httpx2.Headers({"x-goog-api-key": "secret"}), b"", httpx2.Timeout(1))
    assert "secret" not in repr(post)
