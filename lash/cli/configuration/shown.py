"""The configuration as a person sees it: every value with where it comes from, and no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

from lash.cli.configuration.lines import as_toml, dotted, line_of
from lash.cli.configuration.reading import ConfigFile, Settings, literal_secrets
from lash.cli.configuration.schema import LashConfig
from lash.host.providers.environment import PROVIDERS, missing_variables
from lash.host.tracing.redaction import Redactor

Path = tuple[str, ...]

HIDDEN: Final = "(hidden)"

VARIABLES: Final = re.compile(r"(?:(?:Bearer|Basic) )?\$\{\w+\}")
"""A value that is a variable of the environment, which is no secret itself."""

DEFAULTS: Final[tuple[Path, ...]] = (("mode",), ("files", "allow_write"), ("approvals", "tools"))
"""What holds where no file says anything."""

SECRET_PLACES: Final[tuple[Path, ...]] = (
    ("providers", "*", "api_key"),
    ("providers", "*", "options", "extra_headers", "*"),
    ("providers", "*", "env", "*"),
    ("mcp_servers", "*", "env", "*"),
    ("mcp_servers", "*", "headers", "*"),
    ("secrets", "*"),
)

ORDER: Final = (
    *("provider", "model", "variant", "mode", "max_turns", "providers", "models", "model_defaults"),
    *("mcp_servers", "files", "approvals", "secrets"),
)
"""The sections, what is looked for most first."""


ENTRIES: Final = ("providers", "models", "model_defaults", "mcp_servers")
"""Sections whose keys are names of entries."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value, without secrets, and its origin: default, user, project, user and project, or environment.

    `where` is the line of a file, or the variable.
    """

    key: Path
    value: Any
    origin: str
    where: str | None = None

    def line(self) -> tuple[str, str]:
        """As TOML, and the origin in words."""
        return f"{dotted(self.key)} = {as_toml(self.value)}", self.origin + (f" {self.where}" if self.where else "")

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"key": dotted(self.key), "value": self.value, "origin": self.origin, "where": self.where}


def shown(settings: Settings, environment: Mapping[str, str]) -> list[Shown]:
    """Every value that holds, in the order of the sections."""
    values: dict[Path, Shown] = {}
    for key in DEFAULTS:
        values[key] = Shown(key, _default(key), "default")
    values |= _of_file(settings.user_file, "user")
    project = _of_file(settings.project_file, "project")
    # An entry of the project stands in place of the person's, whole; its approvals are added.
    replaced = {key[:2] for key in project if key[0] != "approvals"}
    values = {key: one for key, one in values.items() if key[:2] not in replaced}
    asked = project.pop(("approvals", "tools"), None)
    values |= project
    if asked is not None:
        before = values["approvals", "tools"]
        values["approvals", "tools"] = Shown(
            before.key, settings.asked_first, f"{before.origin} and project", asked.where
        )
    for variable, key in (("LASH_PROVIDER", "provider"), ("LASH_MODEL", "model")):
        if environment.get(variable):
            values[key,] = Shown((key,), environment[variable], "environment", variable)
    for name, variables in PROVIDERS.items():
        if name not in settings.user.providers and not missing_variables(variables, environment):
            variable = variables.base_url_variable or variables.key
            key = "base_url" if variables.base_url_variable else "api_key"
            path = ("providers", name, key)
            values[path] = Shown(path, {"env": variable}, "environment", variable)
    redactor = Redactor(values=[str(_at(settings.user.model_dump(), key)) for key in literal_secrets(settings.user)])
    return [
        Shown(one.key, redactor.redact_json(_without_secrets(one.key, one.value)), one.origin, one.where)
        for one in sorted(values.values(), key=lambda one: ORDER.index(one.key[0]))
    ]


def _default(key: Path) -> Any:
    return _at(LashConfig().model_dump(), key)


def _at(data: Any, key: Path) -> Any:
    for part in key:
        data = data[part]
    return data


def _of_file(file: ConfigFile | None, origin: str) -> dict[Path, Shown]:
    if file is None:
        return {}
    found: dict[Path, Shown] = {}
    for key, value in _leaves(file.data):
        line = line_of(file.lines, key)
        found[key] = Shown(key, value, origin, None if line is None else f"line {line}")
    return found


def _leaves(data: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Keys and values as people write them: a section's or an entry's, whatever is inside of them."""
    for name, value in data.items():
        for inside, item in _items(value):
            if name not in ENTRIES or not inside:
                yield (name, *inside), item
            else:
                yield from (((name, *inside, *key), one) for key, one in _items(item))


def _items(value: Any) -> list[tuple[Path, Any]]:
    """The keys of a table with their values; of anything else itself, without a key."""
    if not isinstance(value, dict):
        return [((), value)]
    return [((key,), item) for key, item in cast("dict[str, Any]", value).items()]


def _without_secrets(key: Path, value: Any) -> Any:
    """The value with secrets hidden; what only points to one stays, but for the arguments of a command."""
    if any(_fits(key, place) for place in SECRET_PLACES):
        return _pointer(value)
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {name: _without_secrets((*key, name), item) for name, item in table.items()}
    return _without_user(value) if isinstance(value, str) else value


def _fits(key: Path, place: Path) -> bool:
    return len(key) == len(place) and all(one in ("*", part) for one, part in zip(place, key, strict=True))


def _pointer(value: Any) -> Any:
    match value:
        case {"command": [program, _, *_]}:
            return {"command": [program, HIDDEN]}
        case dict():
            return cast("dict[str, Any]", value)
        case str() if VARIABLES.fullmatch(value):
            return value
        case _:
            return HIDDEN


def _without_user(text: str) -> str:
    """An address without name, password and query, where tokens are put."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    query = HIDDEN if parts.query else ""
    return urlunsplit(parts._replace(netloc=user + host, query=query))
