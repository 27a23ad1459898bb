"""What a failure means: the default rules (providers.md 4.2), in the order in which later ones win.

A vendor's own classifier derives from `DefaultClassifier`, translates its exceptions in `recognise` and adds what it
knows in `classify`. Nothing here knows a vendor: status codes, error types and texts are those the field shares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from lash.runtime.providers.failure import FailureKind, ProviderFailure

RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

KIND_OF_STATUS: dict[int, FailureKind] = {
    400: "validation",
    401: "auth",
    403: "auth",
    404: "unsupported",
    413: "validation",
    422: "validation",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
"""Kinds of HTTP statuses; any other error status is `http`."""

KIND_OF_TYPE: dict[str, tuple[FailureKind, bool]] = {
    "overloaded_error": ("overloaded", True),
    "overloaded": ("overloaded", True),
    "rate_limit_error": ("rate_limit", True),
    "rate_limit_exceeded": ("rate_limit", True),
    "api_error": ("http", True),
    "server_error": ("http", True),
    "internal_server_error": ("http", True),
    "service_unavailable": ("http", True),
    "temporarily_unavailable": ("http", True),
    "timeout_error": ("timeout", True),
    "authentication_error": ("auth", False),
    "permission_error": ("auth", False),
    "invalid_request_error": ("validation", False),
}
"""Kind and retryability of the error types that come in bodies, with no error status."""

RETRYABLE_KINDS = frozenset({"transport", "timeout", "stream"})
"""Kinds that are worth another attempt where no status says otherwise."""

OVERFLOW_TEXTS = (
    "context_length",
    "context length",
    "maximum context",
    "max context",
    "context window",
    "prompt is too long",
    "prompt too long",
    "request_too_large",
    "request too large",
    "input is too long",
    "maximum prompt length is",
    "reduce the length of the messages",
    "reduce the length of your prompt",
    "available context size",
    "model token limit",
    "token limit exceeded",
    "too many tokens",
    "maximum number of tokens",
    "too large for model with",
)
"""Texts that say the prompt was too long for the model, in lower case."""

OVERFLOW_PAIR = ("input token count", "exceeds the maximum")
"""Two texts that say so together."""

THROTTLE_TEXTS = (
    "rate limit",
    "rate_limit",
    "ratelimit",
    "throttl",
    "too many requests",
    "tokens per minute",
    "quota",
)
"""Texts beside which an overflow text means tokens per time, not tokens per prompt."""

_TOKENS_PER_MINUTE = re.compile(r"(?<![a-z])tpm(?![a-z])")
"""Another such text, which as a mere part of a word (`httpmethod`) means nothing."""

QUOTING_CODES = frozenset({"malformed_stream", "malformed_reply", "truncated_stream", "command_ended"})
"""Failures whose text quotes a model or a log, whose words say nothing about the failure."""

QUOTA_TEXTS = ("insufficient_quota", "usage_limit_reached", "usage_not_included", "billing_hard_limit")
"""Names of an exhausted account. The bare word quota is none: per-minute limits are called so too."""

FILTER_CODES = ("content_filter", "policy_violation", "bio_policy", "prohibited_content")
"""Parts of the codes and types that say a filter has stopped the reply."""

UNKNOWN_MODEL_TEXTS = ("model_not_found", "unsupported model")

_MODEL_DOES_NOT_EXIST = re.compile(r"model\b.*\b(does not exist|not found|doesn't exist)", re.IGNORECASE | re.DOTALL)


def parse_retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Seconds that the headers ask to wait; None where they do not, or not legibly.

    `retry-after-ms` counts before `retry-after`, which holds seconds, whole or not, or an HTTP date. A date that has
    passed is no wait. Header names are expected in lower case.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return max(0.0, (when - now).total_seconds())


def _number(text: str | None) -> float | None:
    """The finite number, zero or more, that the text is."""
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None


class DefaultClassifier:
    """The rules that hold for every vendor. `now_ms` is the clock that HTTP dates are measured against."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms

    def recognise(self, error: Exception) -> ProviderFailure:
        """An exception of a transport as a failure, with the exception as its cause."""
        match error:
            case ProviderFailure():
                return error
            case TimeoutError():
                failure = ProviderFailure("timeout", _say(error))
            case json.JSONDecodeError():
                failure = ProviderFailure("stream", _say(error), code="malformed_stream")
            case OSError() | EOFError():
                failure = ProviderFailure("transport", _say(error))
            case _:
                failure = ProviderFailure("unknown", _say(error))
        failure.__cause__ = error
        return failure.with_traceback(error.__traceback__)

    def classify(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure with kind, retryability, wait and terminal reason settled; later rules win."""
        kind, retryable = self._by_origin(failure)
        retryable = failure.retry_verdict if failure.retry_verdict is not None else retryable
        terminal = failure.terminal_reason

        said = failure.headers.get("x-should-retry", "").strip().lower()
        if said in ("true", "false"):
            retryable = said == "true"

        names = " ".join(_names(failure))
        said_by_server = f"{names} {failure.message}".lower()
        quoting = failure.wire_code in QUOTING_CODES
        if not quoting and is_context_overflow(f"{said_by_server} {failure.raw or ''}".lower()):
            kind, retryable, terminal = "validation", False, "context_overflow"
        if not quoting and any(name in said_by_server for name in QUOTA_TEXTS):
            kind, retryable = "quota", False
        if any(name in names for name in FILTER_CODES):
            retryable, terminal = False, "content_filter"
        missing = failure.status == 404 and _MODEL_DOES_NOT_EXIST.search(failure.message)
        if not quoting and (missing or any(name in said_by_server for name in UNKNOWN_MODEL_TEXTS)):
            kind, retryable = "unsupported", False

        wait = failure.retry_after_s
        if wait is None:
            wait = parse_retry_after(failure.headers, self._now_ms())
        return failure.replace(kind=kind, retryable=retryable, terminal_reason=terminal, retry_after_s=wait)

    def _by_origin(self, failure: ProviderFailure) -> tuple[FailureKind, bool]:
        """Kind and retryability by status, else by the error type in the body, else by the kind reported."""
        if failure.status is not None and failure.status >= 400:
            return KIND_OF_STATUS.get(failure.status, "http"), failure.status in RETRYABLE_STATUS
        names = _names(failure)
        for name in names:
            if name in KIND_OF_TYPE:
                return KIND_OF_TYPE[name]
        for name in names:
            if re.fullmatch(r"[45]\d\d", name):
                number = int(name)
                return KIND_OF_STATUS.get(number, "http"), number in RETRYABLE_STATUS or number >= 500
        return failure.kind, failure.kind in RETRYABLE_KINDS


def is_context_overflow(text: str) -> bool:
    """Whether a lower-case text says that the prompt was too long, and not that there were too many tokens a minute."""
    said = any(part in text for part in OVERFLOW_TEXTS) or all(part in text for part in OVERFLOW_PAIR)
    return said and not any(part in text for part in THROTTLE_TEXTS) and not _TOKENS_PER_MINUTE.search(text)


def _names(failure: ProviderFailure) -> list[str]:
    """The error codes and types that the failure and its JSON body name, in lower case."""
    try:
        body: object = json.loads(failure.raw) if failure.raw else None
    except (ValueError, RecursionError):
        body = None
    outer = _members(body)
    inner = _members(outer.get("error"))
    found = (failure.wire_code, inner.get("type"), inner.get("code"), outer.get("code"), outer.get("type"))
    return [str(name).strip().lower() for name in found if isinstance(name, str | int) and name != ""]


def _members(value: object) -> dict[str, object]:
    """The value if it is a JSON object, else an empty one."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _say(error: Exception) -> str:
    """The type and, if it has one, the text of an exception."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
