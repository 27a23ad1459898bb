"""Providers out of environment variables, and out of configurations that point to their keys."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from lash.host.providers import register_all
from lash.host.providers.environment import PROVIDERS, configured, environment_spec, resolve_secrets
from lash.runtime.errors import ConfigError
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.registry import ProviderRegistry, ProviderSpec, Surroundings
from lash.runtime.sansio.values import JsonValue
from lash.testing.clock import FakeClock

ALL = {variables.key: "a-key" for variables in PROVIDERS.values()} | {"OPENAI_COMPATIBLE_BASE_URL": "http://host/v1"}


def build(spec: object) -> ProviderHandle:
    registry = ProviderRegistry(Surroundings(FakeClock()))
    register_all(registry)
    return registry.build(spec)


def missing(name: str, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as raised:
        environment_spec(name, environ)
    assert raised.value.code == "missing_credential"
    return raised.value.message


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("anthropic", {"type": "anthropic", "api_key": "a-key"}),
        ("openai", {"type": "openai", "api_key": "a-key"}),
        ("google", {"type": "google", "api_key": "a-key"}),
        ("openrouter", {"type": "openai-compatible", "base_url": "https://openrouter.ai/api/v1", "api_key": "a-key"}),
        ("openai-compatible", {"type": "openai-compatible", "base_url": "http://host/v1", "api_key": "a-key"}),
    ],
)
def test_variables_make_a_provider(name: str, spec: ProviderSpec) -> None:
    assert environment_spec(name, ALL) == spec
    assert build(environment_spec(name, ALL)).to_spec() == spec


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("google", "GEMINI_API_KEY"),
        ("openrouter", "OPENROUTER_API_KEY"),
        ("openai-compatible", "OPENAI_COMPATIBLE_BASE_URL"),
    ],
)
@pytest.mark.parametrize("value", [None, "", " \n"])
def test_the_variable_that_is_not_set_is_named(name: str, variable: str, value: str | None) -> None:
    environ = {key: text for key, text in ALL.items() if key != variable} | ({} if value is None else {variable: value})
    assert missing(name, environ) == f"provider {name!r} needs the environment variable {variable}"


def test_a_server_that_wants_no_key_needs_none() -> None:
    spec = environment_spec("openai-compatible", {"OPENAI_COMPATIBLE_BASE_URL": "http://host/v1"})
    assert spec == {"type": "openai-compatible", "base_url": "http://host/v1"}


def test_an_address_may_be_given_instead() -> None:
    spec = environment_spec("openai-compatible", {"OPENAI_COMPATIBLE_API_KEY": "a-key"}, base_url="http://other/v1")
    assert spec == {"type": "openai-compatible", "base_url": "http://other/v1", "api_key": "a-key"}


def test_an_address_does_not_stand_for_a_key() -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        environment_spec("anthropic", {}, base_url="http://gateway")


def test_a_line_break_behind_a_key_is_not_part_of_it() -> None:
    assert environment_spec("openai", {"OPENAI_API_KEY": "a-key\n"})["api_key"] == "a-key"


def test_the_process_has_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ALL:
        monkeypatch.delenv(variable, raising=False)
    assert configured() == ()
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    assert configured() == ("openai",)
    assert environment_spec("openai")["api_key"] == "a-key"


def test_what_no_variables_are_known_for_is_named_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"'telepathy'.*anthropic, openai") as raised:
        environment_spec("telepathy", ALL)
    assert raised.value.code == "unknown_provider"


TOML = """
type = "anthropic"
api_key = { env = "ANTHROPIC_API_KEY" }
options = { cache_retention = "long", extra_headers = { X-Api-Key = { env = "OPENAI_API_KEY" } } }
"""


def test_a_configuration_may_point_to_its_secrets() -> None:
    spec = resolve_secrets(tomllib.loads(TOML), {"ANTHROPIC_API_KEY": "one", "OPENAI_API_KEY": "two"})
    options = {"cache_retention": "long", "extra_headers": {"X-Api-Key": "two"}}
    assert spec == {"type": "anthropic", "api_key": "one", "options": options}
    assert build(spec).to_spec() == spec


def test_a_secret_may_be_in_a_file_or_printed_by_a_command(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    printing: list[JsonValue] = [sys.executable, "-c", "print('from the command')"]
    assert resolve_secrets({"api_key": {"file": str(tmp_path / "key")}}) == {"api_key": "from the file"}
    assert resolve_secrets({"api_key": {"command": printing}}) == {"api_key": "from the command"}


def test_what_is_no_secret_stays_as_it_is() -> None:
    spec: ProviderSpec = {
        "type": "command",
        "argv": ["model"],
        "env": {"env": "X"},
        "options": {"extra_body": {"a": 1}},
    }
    assert resolve_secrets(spec, {}) == spec
    assert resolve_secrets({"api_key": "plain"}, {}) == {"api_key": "plain"}


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ({"env": "NOT_SET"}, "the environment variable NOT_SET is not set"),
        ({"file": "/nowhere/key"}, "the file /nowhere/key cannot be read: No such file"),
        ({"command": ["/nowhere/program"]}, "/nowhere/program gave no secret: FileNotFoundError"),
        ({"command": [sys.executable, "-c", "raise SystemExit(3)"]}, "ended with status 3"),
        ({"command": [sys.executable, "-c", ""]}, "is not set or is empty"),
        ({"command": [sys.executable, 5]}, "gave no secret: TypeError"),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place(secret: JsonValue, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve_secrets({"api_key": secret}, {})
    assert raised.value.code == "missing_credential"
    assert raised.value.message.startswith("api_key: ")
    assert said in raised.value.message


@pytest.mark.parametrize("secret", [{}, {"keyring": "x"}, {"env": 3}, {"env": "A", "file": "b"}, {"command": []}])
def test_what_points_nowhere_is_refused(secret: JsonValue) -> None:
    with pytest.raises(ConfigError, match=r"options\.extra_headers\.X-Key: a secret is a text") as raised:
        resolve_secrets({"options": {"extra_headers": {"X-Key": secret}}}, {})
    assert raised.value.code == "invalid_provider_spec"
