"""Secrets in records, in every spelling, and what is no secret."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.tracing.encoding import encode_record
from lash.host.tracing.redaction import Redactor
from lash.host.tracing.secret_search import environment_secrets
from lash.runtime.seams.trace import TraceContext, TraceEvent, TraceLimits, TraceRecord
from lash.runtime.seams.trace_events import TraceError, TraceToolOutcome, TraceToolOutput
from lash.runtime.turn.trace_limits import bounded
from tests.host.tracing.samples import EVENTS, record

SECRET = 'p/w"ö + 8-long'
"""A value with everything that escapes change."""


def redactor(**more: Any) -> Redactor:
    given: dict[str, Any] = {"environment": {}}
    return Redactor(**(given | more))


def redacted(text: str, **more: Any) -> str:
    return redactor(**more).redact_text(text)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_what_holds_no_secret_stays_as_it_is(event: Any) -> None:
    assert redactor().redact(record(event)) == record(event)


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET))[3:-3],
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET).lower().replace("p/w", "p/w"),
        SECRET.replace("/", "\\/"),
    ],
)
def test_a_known_value_is_found_in_every_spelling(spelling: str) -> None:
    shown = redacted(f"before {spelling} after", values=[SECRET])
    assert re.fullmatch(r"before \[redacted:value:[0-9a-f]{8}\] after", shown)


def test_values_learnt_later_are_found_too() -> None:
    known = redactor()
    assert known.redact_text("hunter22") == "hunter22"
    known.learn_secrets(["hunter22"])
    assert "hunter22" not in known.redact_text("hunter22")


def test_equal_secrets_have_equal_tags_and_different_ones_have_not() -> None:
    one, same, other = redacted("value-one value-one value-two", values=["value-one", "value-two"]).split()
    assert one == same != other


def test_a_value_that_contains_another_is_replaced_as_one() -> None:
    shown = redacted("abcdefgh", values=["cdef", "abcdefgh"])
    assert re.fullmatch(r"\[redacted:value:[0-9a-f]{8}\]", shown)


def test_values_that_are_very_short_are_let_be() -> None:
    assert redacted("a word of it", values=["it", ""]) == "a word of it"


@pytest.mark.parametrize(
    "name", ["API_KEY", "github_token", "MySecret", "DB_PASSWD", "AWS_CREDENTIALS", "COOKIE_JAR", "BASIC_AUTH"]
)
def test_environment_variables_with_the_name_of_a_secret_are_secret(name: str) -> None:
    assert environment_secrets({name: "12345678", "PATH": "/usr/bin/all"}) == ["12345678"]
    assert environment_secrets({name: "1234567"}) == []
    assert "12345678" not in redacted("it is 12345678.", environment={name: "12345678"})


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "of-the-process")
    assert "of-the-process" not in Redactor().redact_text("it is of-the-process.")


@pytest.mark.parametrize(
    "key",
    [
        *("authorization", "Proxy-Authorization", "x-api-key", "API_KEY", "apiKey", "access_token", "refreshToken"),
        *("id-token", "client_secret", "password", "PASSWD", "secret", "Cookie", "set-cookie", "private_key"),
    ],
)
def test_values_under_secret_keys_are_replaced_at_any_depth(key: str) -> None:
    hidden = redactor().redact_json({"rows": [{"headers": {key: "open sesame", "other": "stays"}}]})
    assert "sesame" not in json.dumps(hidden)
    assert "stays" in json.dumps(hidden)
    for text in (
        json.dumps({key: "open sesame", "other": "stays"}),
        json.dumps(json.dumps({key: {"a": ["open sesame"]}, "other": "stays"})),
        repr({key: "open sesame", "other": "stays"}),
    ):
        shown = redacted(text)
        assert "sesame" not in shown, shown
        assert "stays" in shown


def test_a_secret_key_whose_value_is_a_structure_loses_it_whole() -> None:
    shown = redactor().redact_json({"cookie": {"a": "open sesame"}, "password": 12345678, "secret": None})
    assert re.fullmatch(r"\[redacted:key:[0-9a-f]{8}\]", str(shown["cookie"]))  # type: ignore[index]  # pyright: ignore
    assert "12345678" not in json.dumps(shown)
    assert shown["secret"] is None  # type: ignore[index,call-overload]  # pyright: ignore


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("anthropic_key", "sk-ant-api03-AbCd_efgh-1234"),
        ("api_key", "sk-proj-AbCdEfGh1234"),
        ("google_key", "AIzaSyA1234567890abcdefg"),
        ("github_token", "ghp_abcdefghij1234567890"),
        ("github_token", "gho_abcdefghij1234567890"),
        ("github_token", "github_pat_11ABCDEFG0123456789"),
        ("slack_token", "xoxb-123456789012-abcdef"),
        ("slack_token", "xoxs-123456789012-abcdef"),
        ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN"),
    ],
)
def test_keys_of_well_known_services_are_found(kind: str, secret: str) -> None:
    for text in (f"it is {secret}, I think", secret, f'{{"k": "{secret}"}}', f"a\\n{secret}\\n", f"?k={secret}&b=1"):
        shown = redacted(text)
        assert secret not in shown
        assert re.search(rf"\[redacted:{kind}:[0-9a-f]{{8}}\]", shown), shown


def test_a_private_key_is_replaced_with_all_its_lines() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
    for text in (key, json.dumps(key)):
        shown = redacted(f"see {text} there")
        assert "MIIEow" not in shown
        assert "IBAAKC" not in shown
        assert shown.endswith("there")


def test_a_private_key_without_an_end_is_replaced_to_the_end() -> None:
    assert "MIIE" not in redacted("-----BEGIN PRIVATE KEY-----\nMIIE")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://ann:hunter2@db.example/x", r"postgres://ann:\[redacted:url_password:\w{8}\]@db\.example/x"),
        (quote("https://ann:hunter2@db", safe=""), r"https%3A%2F%2Fann%3A\[redacted:url_password:\w{8}\]%40db"),
        ("https:\\/\\/ann:hunter2@db", r"https:\\/\\/ann:\[redacted:url_password:\w{8}\]@db"),
    ],
)
def test_the_password_of_an_address_is_replaced_and_nothing_else_of_it(text: str, shown: str) -> None:
    assert re.fullmatch(shown, redacted(text))


@pytest.mark.parametrize(
    "text",
    [
        "count the tokens and the secret keys of the password manager",
        "https://example.com/a:b@c",
        "risk-averse task-list disk-usage",
        "see sk-ip and AKIA",
        "ann@example.com wrote at 10:30",
        "a private key is a KEY",
        '{"tokens": 12, "max_tokens": "9", "secretary": "ann"}',
    ],
)
def test_prose_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_keys_and_patterns_of_the_host_are_added() -> None:
    own = redactor(extra_keys=["Pin-Code"], extra_patterns=[r"EMP-\d+", r"card (?P<secret>\d{4})"])
    assert "1234" not in json.dumps(own.redact_json({"pin_code": "1234"}))
    shown = own.redact_text("EMP-77 has card 5678.")
    assert re.fullmatch(r"\[redacted:pattern:\w{8}\] has card \[redacted:pattern:\w{8}\]\.", shown)


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\('"):
        Redactor(extra_patterns=["("])


def test_fields_that_are_to_be_dropped_are_left_out() -> None:
    paths = ["tool_call_completed.output", "mode_step.payload.code", "llm_call_started.request.tools"]
    own = redactor(drop_fields=paths)
    output = TraceToolOutput(TraceToolOutcome("success", "all of it"))
    event = TraceEvent.ToolCallCompleted("c", "n", {"a": 1}, output, 3)
    assert own.redact(record(event)) == record(TraceEvent.ToolCallCompleted("c", "n", {"a": 1}, None, 3))
    step = TraceEvent.ModeStep("rlm", {"code": "submit 1", "prints": []})
    assert own.redact(record(step)) == record(TraceEvent.ModeStep("rlm", {"prints": []}))
    (asked,) = (one for one in EVENTS if isinstance(one, TraceEvent.LlmCallStarted))
    left = own.redact(record(asked)).event
    assert isinstance(left, TraceEvent.LlmCallStarted)
    assert left.request.tools == ()
    assert left.request.model == "m"


@pytest.mark.parametrize("path", ["output", "no_type.output", "tool_call_completed.colour", "tool_call_completed.name"])
def test_a_field_that_cannot_be_dropped_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=path.rsplit(".", maxsplit=1)[-1]):
        Redactor(drop_fields=[path])


def test_every_text_of_a_record_is_searched() -> None:
    secret = "hunter22"
    event = TraceEvent.LlmCallFailed(TraceError(f"refused {secret}", raw=json.dumps({"k": secret})))
    dirty = TraceRecord("i", "t", event, TraceContext(metadata={"a": [secret]}, run_id=secret), (f"payload.{secret}",))
    assert secret.encode() not in encode_record(redactor(values=[secret]).redact(dirty))


def test_a_secret_that_is_the_key_of_a_map_is_replaced() -> None:
    assert "hunter22" not in json.dumps(redactor(values=["hunter22"]).redact_json({"hunter22": 1}))


def test_redacting_twice_changes_nothing_more() -> None:
    own = redactor(values=["hunter22"])
    once = own.redact_json({"password": "hunter22", "text": 'sk-ant-abcdefgh {"secret": "x"} hunter22'})
    assert own.redact_json(once) == once


@given(st.text(), st.integers(0, 10))
def test_a_secret_is_found_whatever_stands_round_it(noise: str, place: int) -> None:
    secret = "qZ7!known-value"
    shown = redactor(values=[secret]).redact_text(noise[:place] + secret + noise[place:])
    assert secret not in shown


@pytest.mark.parametrize("secret", ["hunter22-hunter33-hunter44", "sk-ant-" + "a1b2" * 10])
def test_a_secret_that_a_limit_cut_in_two_leaves_no_half(secret: str) -> None:
    own = redactor(values=[secret] if secret.startswith("hunter") else [])
    for shift in range(0, len(secret) + 120, 3):
        text = f"{'x' * (60 + shift)} {secret} {'y' * 2_000}"
        event, _ = bounded(TraceEvent.Custom("n", text), TraceLimits(512))
        shown = str(own.redact(record(event)).event.payload)  # type: ignore[union-attr]  # pyright: ignore
        for length in range(8, len(secret) + 1):
            assert secret[:length] not in shown, (shift, shown)


def test_a_redactor_does_not_show_what_it_knows() -> None:
    assert "hunter22" not in repr(redactor(values=["hunter22"]))
