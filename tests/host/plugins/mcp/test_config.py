"""Configurations of servers: what is refused, and what is not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lash.plugins import McpServerConfig
from lash.runtime.errors import ConfigError

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"transport": "stdio"}, "the command is empty"),
    ({"transport": "stdio", "command": "  "}, "the command is empty"),
    ({"transport": "stdio", "command": "a\0b"}, "NUL"),
    ({"transport": "stdio", "command": "x", "args": ["a\0"]}, "NUL"),
    ({"transport": "stdio", "command": "x", "args": "--flag"}, "args"),
    ({"transport": "stdio", "command": "x", "url": "http://h"}, "takes no url"),
    ({"transport": "stdio", "command": "x", "env": {"A=B": "1"}}, "a name that cannot be one"),
    ({"transport": "stdio", "command": "x", "env": {"A": "1\0"}}, "cannot be sent"),
    ({"transport": "sse"}, "the url is empty"),
    ({"transport": "sse", "url": "ftp://h"}, "none of http"),
    ({"transport": "sse", "url": "http://"}, "none of http"),
    ({"transport": "sse", "url": "http://h:99999"}, "none of http"),
    ({"transport": "sse", "url": "http://h", "command": "x"}, "takes no command"),
    ({"transport": "sse", "url": "http://h", "headers": {"A": "b\r\nC: d"}}, "cannot be sent"),
    ({"transport": "sse", "url": "http://h", "headers": {"A": "ü"}}, "cannot be sent"),
    ({"transport": "sse", "url": "http://h", "headers": {"A:": "b"}}, "a name that cannot be one"),
    ({"transport": "stdio", "command": "x", "startup_timeout_ms": 0}, "startup_timeout_ms"),
    ({"transport": "stdio", "command": "x", "call_timeout_ms": -1}, "call_timeout_ms"),
    ({"transport": "stdio", "command": "x", "protocol": "newest"}, "protocol"),
    ({"transport": "stdio", "command": "x", "needs_approval": "*"}, "needs_approval"),
    ({"transport": "stdio", "command": "x", "timeout": 5}, "timeout"),
    ({"transport": "carrier pigeon"}, "transport"),
    ({}, "transport"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[str(case[0]) for case in WRONG])
def test_what_cannot_work_is_refused_with_what_is_wrong(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        McpServerConfig(**given)
    assert raised.value.code == "invalid_mcp_server"


def test_the_constructors_make_what_a_mapping_makes() -> None:
    assert McpServerConfig.stdio("npx", ["-y", "server"], env={"A": "b"}, cwd="/tmp") == McpServerConfig(
        transport="stdio", command="npx", args=["-y", "server"], env={"A": "b"}, cwd="/tmp"
    )
    assert McpServerConfig.sse("http://h/sse").transport == "sse"
    assert McpServerConfig.streamable_http("http://h/mcp", required=False).required is False


def test_what_is_not_given_is_as_documented() -> None:
    config = McpServerConfig.stdio("x")
    assert (config.startup_timeout_ms, config.call_timeout_ms) == (60_000, 600_000)
    assert (config.required, config.protocol, config.needs_approval) == (True, "auto", ())


def test_variables_of_the_environment_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "${ONE}")
    config = McpServerConfig.stdio("x", env={"A": "${ONE}-${TWO}", "B": "$ONE ${} ${1} {ONE}"})
    assert config.env == {"A": "1-${ONE}", "B": "$ONE ${} ${1} {ONE}"}
    assert McpServerConfig.sse("http://h", headers={"X": "Bearer ${ONE}"}).headers == {"X": "Bearer 1"}


def test_a_variable_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ConfigError, match=r"headers uses \$\{NOWHERE\}"):
        McpServerConfig.sse("http://h", headers={"X": "${NOWHERE}"})


def test_no_repr_shows_a_value_of_headers_environment_or_query() -> None:
    one = McpServerConfig.stdio("x", ["--key", "s3cr3t"], env={"KEY": "s3cr3t"})
    two = McpServerConfig.streamable_http("http://me:s3cr3t@h/mcp?key=s3cr3t#s3cr3t", headers={"X": "s3cr3t"})
    assert "s3cr3t" not in f"{one!r}{one}{two!r}{two}{[one, two]}"
    assert repr(one) == (
        "McpServerConfig(transport='stdio', command='x', args=('--key', '[redacted]'), env={'KEY': '[redacted]'})"
    )
    assert "url='http://h/mcp'" in repr(two)


@pytest.mark.parametrize("said", ['it is "q\\u00fcx/1"', "key=q%C3%BCx%2F1", "qüx/1"])
def test_a_secret_is_hidden_however_it_is_written(said: str) -> None:
    hidden = McpServerConfig.stdio("x", env={"KEY": "qüx/1"}).secrets.hide(said)
    assert hidden.count("[redacted]") == 1


def test_an_error_about_a_secret_does_not_tell_it() -> None:
    with pytest.raises(ConfigError) as raised:
        McpServerConfig(transport="sse", url="http://h", headers={"X": ["s3cr3t"]})
    assert "s3cr3t" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        McpServerConfig.sse("http://h", headers={"X": "s3cr3t\n"})
    assert "s3cr3t" not in str(raised.value)


def test_patterns_are_about_the_servers_own_names() -> None:
    config = McpServerConfig.stdio("x", include=["get-*", "put"], exclude=["*-secret"], needs_approval=["put", "get-?"])
    assert [name for name in ("get-a", "get-secret", "put", "other") if config.takes(name)] == ["get-a", "put"]
    assert [name for name in ("get-a", "get-ab", "put") if config.asks_for(name)] == ["get-a", "put"]


def test_what_is_no_way_to_sign_requests_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigError, match=r"no httpx2\.Auth; a token goes into headers") as raised:
        McpServerConfig.sse("http://localhost/sse", auth="Bearer s3cr3t")
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"args": "notes.py"}, r"args is a list of texts, like \['a', 'b'\]"),
        ({"needs_approval": "delete-*"}, "needs_approval is a list of texts"),
        ({"timeout": 5}, "there is no option timeout; there are .*call_timeout_ms"),
        ({"env": ["A=b"]}, "env: "),
        ({"env": {"A": "${B:-c}"}}, r"env uses \$\{B:-c\}; only names of variables"),
    ],
)
def test_a_usual_mistake_is_told_with_what_to_do(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        McpServerConfig.stdio("x", **given)


def test_programs_and_arguments_may_be_paths() -> None:
    made = McpServerConfig.stdio(Path("bin/server"), [Path("a"), "b"], cwd=Path("c"))
    assert (made.command, made.args, made.cwd) == ("bin/server", ("a", "b"), "c")
