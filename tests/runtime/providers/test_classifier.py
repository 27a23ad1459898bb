from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.providers.classifier import DefaultClassifier, parse_retry_after
from lash.runtime.providers.failure import ProviderFailure

NOW_MS = 1_000_000_000_000
CLASSIFIER = DefaultClassifier(lambda: NOW_MS)


def classify(failure: ProviderFailure) -> ProviderFailure:
    return CLASSIFIER.classify(failure)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "validation", False),
        (401, "auth", False),
        (402, "http", False),
        (403, "auth", False),
        (404, "unsupported", False),
        (408, "http", True),
        (409, "http", True),
        (413, "validation", False),
        (422, "validation", False),
        (425, "http", True),
        (429, "rate_limit", True),
        (500, "http", True),
        (501, "http", False),
        (502, "http", True),
        (503, "overloaded", True),
        (504, "http", True),
        (529, "overloaded", True),
    ],
)
def test_a_status_decides(status: int, kind: str, retryable: bool) -> None:
    failure = classify(ProviderFailure("unknown", "no", status=status))
    assert (failure.kind, failure.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("overloaded_error", "overloaded", True),
        ("rate_limit_exceeded", "rate_limit", True),
        ("api_error", "http", True),
        ("temporarily_unavailable", "http", True),
        ("timeout_error", "timeout", True),
        ("authentication_error", "auth", False),
        ("invalid_request_error", "validation", False),
        ("429", "rate_limit", True),
        ("507", "http", True),
        ("404", "unsupported", False),
        ("something_else", "unknown", False),
    ],
)
def test_without_an_error_status_the_type_decides_wherever_it_stands(name: str, kind: str, retryable: bool) -> None:
    bodies = [{"type": "error", "error": {"type": name}}, {"error": {"code": name}}, {"code": name}]
    failures = [ProviderFailure("unknown", "no", status=200, raw=json.dumps(body)) for body in bodies]
    for failure in [ProviderFailure("unknown", "no", code=name), *failures]:
        found = classify(failure)
        assert (found.kind, found.retryable) == (kind, retryable)


def test_a_numeric_code_in_a_body_counts() -> None:
    assert classify(ProviderFailure("unknown", "no", raw='{"error": {"code": 503}}')).kind == "overloaded"


@pytest.mark.parametrize("kind", ["transport", "timeout", "stream"])
def test_a_failure_of_the_wire_is_retryable(kind: str) -> None:
    assert classify(ProviderFailure(kind, "cut")).retryable  # pyright: ignore[reportArgumentType]


def test_the_senders_verdict_wins_over_kind_and_status() -> None:
    assert not classify(ProviderFailure("transport", "gone", retryable=False)).retryable
    assert classify(ProviderFailure("http", "no", status=400, retryable=True)).retryable


@pytest.mark.parametrize(("word", "expected"), [("true", True), ("False", False), ("maybe", True)])
def test_the_servers_word_wins_over_the_status(word: str, expected: bool) -> None:
    assert classify(ProviderFailure("http", "no", status=500, headers={"x-should-retry": word})).retryable is expected


@pytest.mark.parametrize(
    "text",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "This model's Maximum Context length is 8192 tokens",
        "context_length_exceeded",
        "Input token count (1200000) exceeds the maximum number of tokens allowed",
        "request (9000 tokens) exceeds the available context size",
        "Please reduce the length of the messages",
    ],
)
def test_a_prompt_that_is_too_long_is_a_context_overflow(text: str) -> None:
    for failure in (
        ProviderFailure("http", text, status=400),
        ProviderFailure("http", "bad", status=500, raw=text),
        ProviderFailure("http", "bad", status=400, code=text),
    ):
        found = classify(failure)
        assert (found.kind, found.retryable, found.terminal_reason) == ("validation", False, "context_overflow")


@pytest.mark.parametrize(
    "text",
    [
        "rate limit reached for the context window",
        "too many tokens, throttling",
        "too many tokens (TPM): limit 30000",
        "too many tokens for your quota",
    ],
)
def test_too_many_tokens_a_minute_are_no_context_overflow(text: str) -> None:
    found = classify(ProviderFailure("http", text, status=429))
    assert (found.kind, found.retryable, found.terminal_reason) == ("rate_limit", True, "provider_error")


def test_letters_inside_a_word_do_not_void_an_overflow() -> None:
    assert classify(ProviderFailure("http", "httpmethod: prompt too long", status=400)).terminal_reason == (
        "context_overflow"
    )


def test_what_a_malformed_reply_quotes_is_no_verdict() -> None:
    found = classify(ProviderFailure("stream", "bad line: 'the context window'", code="malformed_reply"))
    assert (found.kind, found.retryable) == ("stream", True)


@pytest.mark.parametrize("code", ["insufficient_quota", "usage_limit_reached", "billing_hard_limit"])
def test_an_exhausted_account_is_not_retried(code: str) -> None:
    raw = json.dumps({"error": {"type": "requests", "code": code}})
    found = classify(ProviderFailure("http", "no", status=429, raw=raw))
    assert (found.kind, found.retryable) == ("quota", False)


def test_the_bare_word_quota_is_no_exhausted_account() -> None:
    assert classify(ProviderFailure("http", "Quota exceeded for requests per minute", status=429)).retryable


@pytest.mark.parametrize(
    "code",
    [
        "content_filter",
        "content_policy_violation",
        "image_content_policy_violation",
        "bio_policy",
        "prohibited_content",
    ],
)
def test_a_content_filter_ends_the_call(code: str) -> None:
    raw = f'{{"error": {{"code": "{code}"}}}}'
    found = classify(ProviderFailure("http", "no", status=500, raw=raw))
    assert (found.retryable, found.terminal_reason) == (False, "content_filter")


def test_the_word_for_a_filter_in_a_message_is_no_filter() -> None:
    assert classify(ProviderFailure("http", "content_filter service down", status=503)).retryable


@pytest.mark.parametrize(
    "failure",
    [
        ProviderFailure("http", "no", status=400, code="model_not_found"),
        ProviderFailure("http", "Unsupported model: x", status=500),
        ProviderFailure("http", "The model `x` does not exist", status=404),
    ],
)
def test_a_model_that_does_not_exist_is_unsupported(failure: ProviderFailure) -> None:
    found = classify(failure)
    assert (found.kind, found.retryable) == ("unsupported", False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 09 Sep 2001 01:46:50 GMT"}, 10),
        ({"retry-after": "Sun, 09 Sep 2001 01:46:30 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW_MS) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_parser(value: str) -> None:
    seconds = parse_retry_after({"retry-after": value}, NOW_MS)
    assert seconds is None or seconds >= 0


def test_a_wait_that_the_transport_read_itself_is_kept() -> None:
    failure = ProviderFailure("http", "no", status=429, headers={"retry-after": "7"}, retry_after_s=3)
    assert classify(failure).retry_after_s == 3


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (TimeoutError(), "timeout", "timeout"),
        (ConnectionResetError("reset"), "transport", "transport"),
        (asyncio.IncompleteReadError(b"", 4), "transport", "transport"),
        (json.JSONDecodeError("bad", "{", 0), "stream", "malformed_stream"),
        (ZeroDivisionError("oops"), "unknown", "unknown"),
    ],
)
def test_common_exceptions_are_recognised(error: Exception, kind: str, code: str) -> None:
    failure = CLASSIFIER.recognise(error)
    assert (failure.kind, failure.code, failure.__cause__) == (kind, code, error)


@given(st.text(max_size=60), st.text(max_size=60), st.none() | st.integers(100, 599))
def test_classifying_twice_changes_nothing_more(message: str, raw: str, status: int | None) -> None:
    once = classify(ProviderFailure("unknown", message, raw=raw, status=status))
    twice = classify(once)
    assert (twice.kind, twice.retryable, twice.terminal_reason) == (once.kind, once.retryable, once.terminal_reason)
