"""What Google's errors mean (providers.md 4.7, 8)."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from lash.runtime.providers.failure import ProviderFailure
from tests.host.providers.dialects import GOOGLE, HELLO

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


async def fails(
    code: int,
    status: str = "",
    message: str = "no",
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
    http: int | None = None,
) -> ProviderFailure:
    """The failure of a call that Google answers so; `http` is the status where it is another than the code."""
    error = {"code": code, "message": message, "status": status, "details": details or []}

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(http or code, headers=headers or {}, json={"error": error})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        handle = GOOGLE.handle(http_client=client, max_attempts=1, throttle_wait_budget_ms=0)
        with pytest.raises(ProviderFailure) as raised:
            await handle.complete(HELLO)
    return raised.value


@pytest.mark.parametrize(
    ("code", "status", "kind", "retryable"),
    [
        (400, "INVALID_ARGUMENT", "validation", False),
        (401, "UNAUTHENTICATED", "auth", False),
        (403, "PERMISSION_DENIED", "auth", False),
        (404, "NOT_FOUND", "unsupported", False),
        (429, "RESOURCE_EXHAUSTED", "rate_limit", True),
        (500, "INTERNAL", "http", True),
        (503, "UNAVAILABLE", "overloaded", True),
        (504, "DEADLINE_EXCEEDED", "http", True),
    ],
)
@pytest.mark.parametrize("http", [None, 200])
async def test_statuses_mean_the_same_with_and_without_an_http_error(
    code: int, status: str, kind: str, retryable: bool, http: int | None
) -> None:
    failure = await fails(code, status, http=http)
    assert (failure.kind, failure.retryable, failure.code) == (kind, retryable, status)


async def test_a_key_that_is_not_valid_is_no_wrong_argument() -> None:
    details = [{"@type": ERROR_INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
    failure = await fails(400, "INVALID_ARGUMENT", "API key not valid.", details)
    assert (failure.kind, failure.retryable, failure.code) == ("auth", False, "API_KEY_INVALID")


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        (403, "PERMISSION_DENIED", "This API method requires billing to be enabled."),
        (400, "FAILED_PRECONDITION", "The free tier is not available in your country. Please enable billing."),
    ],
)
async def test_an_account_that_nobody_pays_for_is_a_quota(code: int, status: str, message: str) -> None:
    failure = await fails(code, status, message)
    assert (failure.kind, failure.retryable) == ("quota", False)


async def test_a_quota_of_a_minute_is_a_rate_limit_although_it_speaks_of_billing() -> None:
    message = "You exceeded your current quota, please check your plan and billing details."
    failure = await fails(429, "RESOURCE_EXHAUSTED", message)
    assert (failure.kind, failure.retryable) == ("rate_limit", True)


@pytest.mark.parametrize(("delay", "seconds"), [("7s", 7), ("0.25s", 0.25), ("3600s", 3600), ("soon", None), (7, None)])
async def test_the_wait_is_named_in_the_details(delay: object, seconds: float | None) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": RETRY_INFO, "retryDelay": delay}]
    for http in (429, 200):
        failure = await fails(429, "RESOURCE_EXHAUSTED", details=details, http=http)
        assert failure.retry_after_s == seconds


async def test_a_wait_in_a_header_counts_before_one_in_the_details() -> None:
    details = [{"@type": RETRY_INFO, "retryDelay": "7s"}]
    assert (await fails(429, "RESOURCE_EXHAUSTED", details=details, headers={"retry-after": "3"})).retry_after_s == 3


async def test_a_prompt_that_is_too_long_is_an_overflow() -> None:
    message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    failure = await fails(400, "INVALID_ARGUMENT", message)
    assert (failure.kind, failure.retryable, failure.terminal_reason) == ("validation", False, "context_overflow")


async def test_a_model_that_there_is_not_is_unsupported() -> None:
    failure = await fails(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta")
    assert (failure.kind, failure.retryable) == ("unsupported", False)


async def test_errors_in_a_list_are_read_too() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        error = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}
        return httpx2.Response(429, json=[{"error": error}])

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ProviderFailure) as raised:
            await GOOGLE.handle(http_client=client, enabled=False).complete(HELLO)
    assert (raised.value.message, raised.value.code) == ("slow down", "RESOURCE_EXHAUSTED")
