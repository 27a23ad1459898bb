from __future__ import annotations

import json

from lash.runtime.providers.failure import MAX_ERROR_RAW_CHARS, MAX_RAW_BYTES, ProviderFailure
from lash.runtime.sansio.llm import AttemptRecord
from lash.runtime.sansio.usage import NO_USAGE


def test_secret_headers_are_redacted_and_names_are_lower_case() -> None:
    headers = {"Authorization": "Bearer k", "X-Api-Key": "k", "Set-Cookie": "a=b", "Retry-After": "3"}
    assert ProviderFailure("http", "no", headers=headers).headers == {
        "authorization": "[redacted]",
        "x-api-key": "[redacted]",
        "set-cookie": "[redacted]",
        "retry-after": "3",
    }


def test_secrets_in_a_body_are_redacted_and_json_stays_json() -> None:
    raw = '{"sent": {"x-api-key": "sk-\\"1", "Authorization": "Bearer sk-2"}, "kept": 1}'
    failure = ProviderFailure("http", "no", raw=raw)
    assert failure.raw is not None
    assert json.loads(failure.raw) == {"sent": {"x-api-key": "[redacted]", "Authorization": "[redacted]"}, "kept": 1}


def test_secrets_in_plain_text_are_redacted_to_the_end_of_their_line() -> None:
    failure = ProviderFailure("http", "no", raw="authorization: Bearer abc def\ncookie: a=b; c=d\nhost: x")
    assert failure.raw == "authorization: [redacted]\ncookie: [redacted]\nhost: x"


def test_a_long_body_keeps_head_and_tail() -> None:
    failure = ProviderFailure("http", "no", raw="ä" * MAX_RAW_BYTES + "end")
    assert failure.raw is not None
    assert len(failure.raw.encode()) <= MAX_RAW_BYTES
    assert failure.raw.startswith("ä")
    assert failure.raw.endswith("end")


def test_the_error_for_the_turn_is_shorter_still() -> None:
    error = ProviderFailure("http", "no", raw="a" * 5_000 + "z" * 5_000, code="c", retryable=True).to_error()
    assert error.raw is not None
    assert len(error.raw) == MAX_ERROR_RAW_CHARS
    assert (error.raw[0], error.raw[-1]) == ("a", "z")
    assert (error.message, error.code, error.retryable) == ("no", "c", True)


def test_without_a_code_of_the_vendor_the_kind_is_the_code() -> None:
    failure = ProviderFailure("timeout", "late")
    assert (failure.code, failure.wire_code) == ("timeout", None)


def test_replace_changes_what_is_named_and_keeps_the_cause() -> None:
    record = AttemptRecord(1, NO_USAGE, "http", "no")
    failure = ProviderFailure("http", "no", status=500, headers={"a": "b"}, retry_after_s=2)
    failure.__cause__ = OSError("why")
    changed = failure.replace(kind="overloaded", attempts=(record,))
    assert (changed.kind, changed.status, changed.headers, changed.retry_after_s) == ("overloaded", 500, {"a": "b"}, 2)
    assert (changed.attempts, changed.__cause__) == ((record,), failure.__cause__)


def test_the_request_body_is_redacted_at_any_depth() -> None:
    failure = ProviderFailure("http", "no", request_body={"list": [{"Cookie": "c", "n": 1}]})
    assert failure.request_body == {"list": [{"Cookie": "[redacted]", "n": 1}]}
