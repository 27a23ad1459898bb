"""What the dialects make of HTTP errors (providers.md 4.2, 4.7)."""

from __future__ import annotations

import httpx2
import pytest

from lash.host.providers.openai_chat import TOOLS_HINT
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest, LlmStreamEvent, LlmToolSpec
from lash.testing.clock import FakeClock
from tests.host.providers.dialects import ANTHROPIC, CHAT, DIALECTS, HELLO, READ_FILE, Dialect
from tests.host.providers.sse_server import Reply, SseServer

JSON = {"content-type": "application/json"}


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


def server(status: int, body: str, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
    """A client to whom everything is answered so."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=JSON | (headers or {}), text=body)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


async def fails(
    dialect: Dialect,
    status: int,
    error: str = '{"message": "no"}',
    request: LlmRequest = HELLO,
    headers: dict[str, str] | None = None,
) -> ProviderFailure:
    """The failure of a call that is answered so; `error` is the JSON of the error in the body."""
    async with server(status, f'{{"error": {error}}}', headers or {}) as client:
        handle = dialect.handle(http_client=client, max_attempts=1, throttle_wait_budget_ms=0)
        with pytest.raises(ProviderFailure) as raised:
            await handle.complete(request)
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "validation", False),
        (401, "auth", False),
        (403, "auth", False),
        (404, "unsupported", False),
        (408, "http", True),
        (409, "http", True),
        (413, "validation", False),
        (418, "http", False),
        (422, "validation", False),
        (429, "rate_limit", True),
        (500, "http", True),
        (502, "http", True),
        (503, "overloaded", True),
        (504, "http", True),
        (529, "overloaded", True),
    ],
)
async def test_statuses(dialect: Dialect, status: int, kind: str, retryable: bool) -> None:
    failure = await fails(dialect, status)
    assert (failure.kind, failure.retryable, failure.status, failure.message) == (kind, retryable, status, "no")


@pytest.mark.parametrize(
    ("status", "error", "kind", "terminal"),
    [
        (400, '{"message": "prompt is too long: 9 > 8"}', "validation", "context_overflow"),
        (400, '{"code": "context_length_exceeded", "message": "no"}', "validation", "context_overflow"),
        (400, '{"code": "content_filter", "message": "no"}', "validation", "content_filter"),
        (429, '{"type": "insufficient_quota", "message": "no"}', "quota", "provider_error"),
        (429, '{"message": "rate limit: tokens per minute, context window"}', "rate_limit", "provider_error"),
        (404, '{"message": "model `m` does not exist"}', "unsupported", "provider_error"),
    ],
)
async def test_what_the_body_says_counts_more_than_the_status(
    dialect: Dialect, status: int, error: str, kind: str, terminal: str
) -> None:
    failure = await fails(dialect, status, error)
    assert (failure.kind, failure.terminal_reason) == (kind, terminal)
    assert failure.retryable is (kind == "rate_limit")


async def test_the_code_of_an_error_is_kept(dialect: Dialect) -> None:
    assert (await fails(dialect, 400, '{"type": "invalid_request_error", "message": "no"}')).code == (
        "invalid_request_error"
    )


@pytest.mark.parametrize(("status", "said", "retryable"), [(500, "false", False), (400, "true", True)])
async def test_the_servers_own_word_on_retrying_counts(
    dialect: Dialect, status: int, said: str, retryable: bool
) -> None:
    assert (await fails(dialect, status, headers={"x-should-retry": said})).retryable is retryable


async def test_an_error_page_has_its_status_as_message(dialect: Dialect) -> None:
    async with server(502, "<html>Bad Gateway</html>") as client:
        with pytest.raises(ProviderFailure) as raised:
            await dialect.handle(http_client=client, enabled=False).complete(HELLO)
    assert (raised.value.message, raised.value.raw) == ("HTTP 502 Bad Gateway", "<html>Bad Gateway</html>")


async def test_a_body_of_megabytes_is_cut(dialect: Dialect) -> None:
    failure = await fails(dialect, 400, '{"message": "no", "more": "' + "x" * 2_000_000 + '"}')
    assert failure.raw is not None
    assert len(failure.raw) <= 64 * 1024


@pytest.mark.parametrize(("status", "code"), [(200, "malformed_stream"), (400, "validation")])
async def test_a_reply_that_is_nested_without_end_is_a_failure_like_others(
    dialect: Dialect, status: int, code: str
) -> None:
    async with server(status, "[" * 50_000) as client:
        with pytest.raises(ProviderFailure) as raised:
            await dialect.handle(http_client=client, enabled=False).complete(HELLO)
    assert raised.value.code == code


async def test_a_connection_that_drops_within_an_error_is_worth_another_attempt(dialect: Dialect) -> None:
    dropped = Reply([b'{"error": {"mess'], 500, JSON, then="drop")
    async with SseServer(dropped, Reply([dialect.stream("hello")])) as real:
        handle = dialect.handle(real.url)
        assert (await handle.complete(HELLO, lambda event: None)).full_text == "Hello"
        await handle.aclose()


async def test_a_date_is_waited_for_up_to_a_minute(dialect: Dialect) -> None:
    clock = FakeClock()
    statuses = list[LlmStreamEvent.RetryStatus]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}
        return httpx2.Response(503, headers=headers, json={"error": {"message": "later"}})

    def listen(event: AnyStreamEvent) -> None:
        if isinstance(event, LlmStreamEvent.RetryStatus):
            statuses.append(event)
            raise InterruptedError

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(InterruptedError):
            await dialect.handle(http_client=client, clock=clock).complete(HELLO, listen)
    assert [(status.wait_seconds, status.deferred) for status in statuses] == [(60, False)]


# Of one dialect


@pytest.mark.parametrize(("status", "error"), [(402, '{"message": "no"}'), (400, '{"type": "billing_error"}')])
async def test_an_unpaid_account_of_anthropic_is_a_quota(status: int, error: str) -> None:
    failure = await fails(ANTHROPIC, status, error)
    assert (failure.kind, failure.retryable) == ("quota", False)


async def test_a_request_too_large_for_anthropic_is_an_overflow() -> None:
    assert (await fails(ANTHROPIC, 413)).terminal_reason == "context_overflow"
    assert (await fails(CHAT, 413)).terminal_reason == "provider_error"


async def test_a_server_without_tools_gets_a_hint() -> None:
    request = LlmRequest("m", HELLO.messages, tools=(READ_FILE,))
    refusal = '{"message": "\\"auto\\" tool choice requires --enable-auto-tool-choice"}'
    failure = await fails(CHAT, 400, refusal, request)
    assert (failure.kind, failure.retryable) == ("unsupported", False)
    assert TOOLS_HINT in failure.message
    assert (await fails(CHAT, 400, refusal)).kind == "validation"
    assert (await fails(CHAT, 400, '{"message": "bad temperature"}', request)).kind == "validation"


async def test_a_schema_that_cannot_be_sent_fails_before_anything_is_sent(dialect: Dialect) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("nothing was to be sent")

    request = LlmRequest("m", HELLO.messages, tools=(LlmToolSpec("f", "", {"properties": 3}),))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ProviderFailure) as raised:
            await dialect.handle(http_client=client).complete(request)
    assert (raised.value.code, raised.value.attempts[0].kind) == ("schema_projection", "validation")


async def test_a_variant_that_the_model_does_not_have_fails_before_anything_is_sent(dialect: Dialect) -> None:
    request = LlmRequest("m", HELLO.messages, model_variant="high")
    with pytest.raises(ProviderFailure) as raised:
        await dialect.handle().complete(request)
    assert (raised.value.kind, raised.value.code) == ("validation", "unknown_variant")
