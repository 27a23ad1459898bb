"""Providers out of what a user has set: keys in environment variables, and keys that a configuration only points to.

    registry.build(environment_spec("anthropic"))
    registry.build(resolve_secrets({"type": "openai", "api_key": {"env": "OPENAI_API_KEY"}}))

The rules are those of the command line's chapter (cli_and_examples.md 3); they hold for any program. No message of an
error has a key in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lash.host.providers.openai_profiles import OPENROUTER_URL
from lash.runtime.errors import ConfigError
from lash.runtime.providers.registry import ProviderSpec
from lash.runtime.sansio.values import JsonValue

COMMAND_TIMEOUT_S = 10.0
"""How long a command that prints a secret may run."""


@dataclass(frozen=True, slots=True)
class Variables:
    """What the environment says of a provider of that kind: its key, and where it is where that is not fixed."""

    kind: str
    key: str
    key_needed: bool = True
    base_url: str | None = None
    base_url_variable: str | None = None


PROVIDERS: dict[str, Variables] = {
    "anthropic": Variables("anthropic", "ANTHROPIC_API_KEY"),
    "openai": Variables("openai", "OPENAI_API_KEY"),
    "google": Variables("google", "GEMINI_API_KEY"),
    "openrouter": Variables("openai-compatible", "OPENROUTER_API_KEY", base_url=OPENROUTER_URL),
    "openai-compatible": Variables(
        "openai-compatible",
        "OPENAI_COMPATIBLE_API_KEY",
        key_needed=False,
        base_url_variable="OPENAI_COMPATIBLE_BASE_URL",
    ),
}
"""The providers that need no configuration but their variables, by name."""


def configured(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names of the providers for which everything that they need is set."""
    found = os.environ if environ is None else environ
    return tuple(name for name, variables in PROVIDERS.items() if not missing_variables(variables, found))


def environment_spec(
    name: str, environ: Mapping[str, str] | None = None, *, base_url: str | None = None
) -> ProviderSpec:
    """The specification of a provider with the key that the environment has for it.

    `base_url` says where it is, in place of what the environment says. Raises ConfigError: unknown_provider for a name
    that no variables are known for, missing_credential, naming the variable, where one is not set.
    """
    variables = PROVIDERS.get(name)
    if variables is None:
        raise ConfigError(
            "unknown_provider", f"no variables are known for provider {name!r}; there are {', '.join(PROVIDERS)}"
        )
    found = os.environ if environ is None else environ
    missing = missing_variables(variables, found)
    if base_url:
        missing = [variable for variable in missing if variable == variables.key]
    if missing:
        raise ConfigError(
            "missing_credential", f"provider {name!r} needs the environment variable {' and '.join(missing)}"
        )
    spec: ProviderSpec = {"type": variables.kind}
    if where := base_url or variables.base_url or _value(variables.base_url_variable, found):
        spec["base_url"] = where
    if key := _value(variables.key, found):
        spec["api_key"] = key
    return spec


def missing_variables(variables: Variables, environ: Mapping[str, str]) -> list[str]:
    """The variables of a provider that are needed and not set."""
    needed = [variables.key] if variables.key_needed else []
    if variables.base_url_variable is not None:
        needed.append(variables.base_url_variable)
    return [variable for variable in needed if not _value(variable, environ)]


def _value(variable: str | None, environ: Mapping[str, str]) -> str:
    """What is set, without the line break that a careless `export` leaves; empty is as good as unset."""
    return environ.get(variable, "").strip() if variable is not None else ""


def resolve_secrets(spec: Mapping[str, JsonValue], environ: Mapping[str, str] | None = None) -> ProviderSpec:
    """The specification with its key, and the values of its extra headers, in place of what points to them.

    A secret is a text, or an object with one of `env` (a variable), `file` (a path) and `command` (a list, whose
    standard output it is). Raises ConfigError: missing_credential where there is nothing at that place,
    invalid_provider_spec for an object that is none of these.
    """
    found = os.environ if environ is None else environ
    resolved = dict(spec)
    if "api_key" in resolved:
        resolved["api_key"] = _secret(resolved["api_key"], "api_key", found)
    options = resolved.get("options")
    if isinstance(options, dict) and isinstance(headers := options.get("extra_headers"), dict):
        secrets: dict[str, JsonValue] = {
            name: _secret(value, f"options.extra_headers.{name}", found) for name, value in headers.items()
        }
        resolved["options"] = {**options, "extra_headers": secrets}
    return resolved


def _secret(value: JsonValue, place: str, environ: Mapping[str, str]) -> JsonValue:
    match value:
        case {"env": str(variable), **others} if not others:
            text, where = _value(variable, environ), f"the environment variable {variable}"
        case {"file": str(path), **others} if not others:
            text, where = _read_file(path, place), f"the file {path}"
        case {"command": [str(program), *_], **others} if not others:
            text, where = _run(cast("list[str]", value["command"]), place), f"the output of {program}"
        case dict():
            raise ConfigError(
                "invalid_provider_spec",
                f"{place}: a secret is a text, or {{env = NAME}}, {{file = PATH}} or {{command = [...]}}",
            )
        case _:
            return value
    if not text:
        raise ConfigError("missing_credential", f"{place}: {where} is not set or is empty")
    return text


def _read_file(path: str, place: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError("missing_credential", f"{place}: the file {path} cannot be read: {reason}") from None


def _run(command: list[str], place: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=True, text=True)
    except subprocess.TimeoutExpired:
        reason = f"it took longer than {COMMAND_TIMEOUT_S:g} s"
    except subprocess.CalledProcessError as error:
        reason = f"it ended with status {error.returncode}"
    except (OSError, ValueError, TypeError) as error:
        # Not UTF-8, not to be started, or not a list of texts.
        reason = type(error).__name__
    else:
        return done.stdout.strip()
    raise ConfigError("missing_credential", f"{place}: {command[0]} gave no secret: {reason}")
