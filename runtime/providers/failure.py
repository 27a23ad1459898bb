"""`ProviderFailure`: what a model call that did not work is, whatever the vendor (providers.md 4.1).

A transport raises it with what the wire said; the classifier (`classifier.py`) decides what that means; the ladder
(`ladder.py`) decides what is done about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from lash.runtime.errors import LashError
from lash.runtime.sansio.llm import AttemptRecord, LlmCallError, LlmResponse, TerminalReason
from lash.runtime.sansio.values import JsonValue

FailureKind = Literal[
    "transport",
    "timeout",
    "stream",
    "http",
    "auth",
    "validation",
    "rate_limit",
    "overloaded",
    "quota",
    "unsupported",
    "cancelled",
    "unknown",
]
"""What sort of failure it is."""

MAX_RAW_BYTES = 64 * 1024
"""How much of a reply's body a failure keeps."""

MAX_ERROR_RAW_CHARS = 4_000
"""How much of it an `LlmCallError` keeps, half of it from the head and half from the tail."""

REDACTED = "[redacted]"

MIN_SECRET_CHARS = 8
"""How long a key is at least."""

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie"}
)
"""Headers, and keys of JSON objects, whose values are never shown."""

_SECRET_IN_TEXT = re.compile(
    r"""(["']?\b(?:"""
    + "|".join(sorted(SECRET_HEADERS, key=len, reverse=True))
    + r""")["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\r\n,}]+)""",
    re.IGNORECASE,
)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with lower-case names, secret values replaced."""
    return {name.lower(): REDACTED if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}


def redact_text(text: str) -> str:
    """The text with the values of secret headers replaced, wherever `name: value` or `"name": "value"` stands."""
    return _SECRET_IN_TEXT.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    """The match with its value replaced, in the same quotes, so that JSON stays JSON."""
    name, value = found.groups()
    quote = value[0] if value[0] in "\"'" else ""
    return f"{name}{quote}{REDACTED}{quote}"


def redact_json(value: JsonValue) -> JsonValue:
    """The JSON value with the values of secret keys replaced, at any depth."""
    if isinstance(value, dict):
        return {key: REDACTED if key.lower() in SECRET_HEADERS else redact_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact_json(item) for item in value]
    return value


def cut_middle(text: str, limit: int) -> str:
    """The text if it has at most `limit` characters, else its head and its tail with a mark between them."""
    if len(text) <= limit:
        return text
    mark = f"\n[... {len(text) - limit} characters left out ...]\n"
    room = max(0, limit - len(mark))
    return text[: room - room // 2] + mark + text[len(text) - room // 2 :]


def cut_bytes(text: str, limit: int) -> str:
    """As `cut_middle`, the limit being one of UTF-8 bytes."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    mark = f"\n[... {len(encoded) - limit} bytes left out ...]\n"
    half = max(0, limit - len(mark)) // 2
    return encoded[:half].decode("utf-8", "ignore") + mark + encoded[len(encoded) - half :].decode("utf-8", "ignore")


class ProviderFailure(LashError):
    """A model call that did not work.

    Arguments: `kind` and `message` say what happened. `retryable` is None where the sender does not know, which
    leaves it to the classifier; True and False are the sender's own verdict, which only the server's word
    (`x-should-retry`) and the rules for overflow, quota, filters and unknown models override. `status` is the HTTP
    status, `code` the vendor's error code or type, `raw` the reply's body, `headers` its headers. `retry_after_s` is
    how long the server asks to wait; the classifier reads it from the headers where it is None. `partial` is what had
    arrived when a stream broke.

    `raw`, `headers` and `request_body` are redacted, and `raw` cut, when the failure is made, so that no later reader
    has to think of it. `attempts` is filled in by the handle: every attempt of the call that raised the failure.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retryable: bool | None = None,
        status: int | None = None,
        code: str | None = None,
        raw: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        terminal_reason: TerminalReason = "provider_error",
        request_body: JsonValue = None,
        partial: LlmResponse | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
    ) -> None:
        super().__init__(code or kind, message, retryable=bool(retryable))
        self.kind: FailureKind = kind
        self.retry_verdict = retryable
        self.status = status
        self.wire_code = code
        self.raw = None if raw is None else cut_bytes(redact_text(raw), MAX_RAW_BYTES)
        self.headers = redact_headers(headers or {})
        self.retry_after_s = retry_after_s
        self.terminal_reason: TerminalReason = terminal_reason
        self.request_body = redact_json(request_body)
        self.partial = partial
        self.attempts = attempts

    def replace(self, **changes: Any) -> ProviderFailure:
        """A failure that differs in the given constructor arguments, with the same cause and traceback."""
        fields: dict[str, Any] = {
            "kind": self.kind,
            "message": self.message,
            "retryable": self.retry_verdict,
            "status": self.status,
            "code": self.wire_code,
            "raw": self.raw,
            "headers": self.headers,
            "retry_after_s": self.retry_after_s,
            "terminal_reason": self.terminal_reason,
            "request_body": self.request_body,
            "partial": self.partial,
            "attempts": self.attempts,
        }
        changed = ProviderFailure(**(fields | changes))
        changed.__cause__ = self.__cause__
        return changed.with_traceback(self.__traceback__)

    def without(self, secrets: Iterable[str]) -> ProviderFailure:
        """The failure with every one of the secrets replaced in its texts; servers that refuse a key may repeat it.

        What is shorter than `MIN_SECRET_CHARS` is no secret, and would be found in innocent words.
        An exception behind it whose text has one is left out of the chain, for it would be shown with a traceback.
        """
        known = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS]

        def hidden(text: str) -> str:
            for secret in known:
                text = text.replace(secret, REDACTED)
            return text

        changed = self.replace(
            message=hidden(self.message),
            raw=None if self.raw is None else hidden(self.raw),
            headers={name: hidden(value) for name, value in self.headers.items()},
        )
        cause: BaseException | None = self.__cause__
        while cause is not None:
            if hidden(str(cause)) != str(cause):
                changed.__cause__ = None
                break
            cause = cause.__cause__ or cause.__context__
        return changed

    def to_error(self) -> LlmCallError:
        """The failure as the turn machine is told of it."""
        return LlmCallError(
            message=self.message,
            retryable=self.retryable,
            code=self.code,
            terminal_reason=self.terminal_reason,
            raw=None if self.raw is None else cut_middle(self.raw, MAX_ERROR_RAW_CHARS),
            request_body=self.request_body,
            attempts=self.attempts,
        )
