"""The providers that a run can name: entries of the configuration, what the environment has a key for, and programs.

An entry of the configuration hides the provider of the same name that the environment alone would give.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from lash import ConfigError, ProviderHandle
from lash.cli.configuration.lines import dotted
from lash.cli.configuration.reading import Settings
from lash.cli.exits import CliError, Exit
from lash.cli.naming import nearest
from lash.host.providers.environment import PROVIDERS, environment_spec, missing_variables, resolve_secrets
from lash.host.system import SystemClock
from lash.provider import ProviderRegistry, Surroundings, register_all
from lash.runtime.sansio.values import JsonValue

COMPATIBLE: Final = "openai-compatible"

GATEWAYS: Final = ("openrouter", COMPATIBLE)
"""Providers of everybody's models: their name in front of a model is no part of it."""

PROGRAMS: Final = ("command", "files")
"""Kinds whose model is a program or a person; it is called like the kind, unless --model names it."""

NO_SECRET: Final = "not-looked-up"
NO_URL: Final = "http://localhost"
"""What stands for secrets and addresses where they do not matter."""

Spec = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Source:
    """A provider that can be set up. `entry` is what the configuration says of it; None where that is nothing."""

    name: str
    kind: str
    environment: Mapping[str, str]
    entry: Mapping[str, JsonValue] | None = None
    place: str = ""

    def missing(self) -> str | None:
        """What has to be there before it can be used, in words; None where nothing is known to be missing.

        No command is run for it.
        """
        if self.entry is None:
            lacking = missing_variables(PROVIDERS[self.name], self.environment)
            return f"{lacking[0]} in the environment" if lacking else None
        match self.pointed().get("api_key"):
            case {"env": str(variable)} if not self.environment.get(variable, "").strip():
                return f"{variable} in the environment"
            case {"file": str(path)} if not Path(path).expanduser().is_file():
                return f"the file {path}"
            case _:
                return None

    def pointed(self) -> Spec:
        """The configured specification with what points to its secrets.

        The kinds of the vendors themselves take the usual variable where no key is said; servers of others do not.
        """
        spec: Spec = dict(self.entry or {})
        usual = PROVIDERS.get(self.kind)
        if usual is not None and usual.key_needed and "api_key" not in spec:
            spec.update({"api_key": {"env": usual.key}})
        return spec

    def sketch(self) -> Spec:
        """Its specification with made-up secrets: enough for all that needs no server, and nothing is looked up."""
        spec: Spec = {"type": self.kind}
        if self.entry is not None:
            spec = self.pointed()
        usual = PROVIDERS.get(self.name) if self.entry is None else None
        if usual is not None and usual.key_needed:
            spec["api_key"] = NO_SECRET
        if usual is not None and self.kind == COMPATIBLE:
            spec["base_url"] = usual.base_url or self.environment.get(usual.base_url_variable or "", "") or NO_URL
        if "api_key" in spec:
            spec["api_key"] = NO_SECRET
        options = spec.get("options")
        headers = options.get("extra_headers") if isinstance(options, dict) else None
        if isinstance(options, dict) and isinstance(headers, dict):
            spec["options"] = {**options, "extra_headers": {**dict.fromkeys(headers, NO_SECRET)}}
        return spec

    def spec(self, base_url: str | None = None) -> Spec:
        """Its specification, secrets and all. Raises CliError: NO_PROVIDER for a secret that is not there."""
        try:
            if self.entry is None:
                return environment_spec(self.name, self.environment, base_url=base_url)
            spec = resolve_secrets(self.pointed(), self.environment)
        except ConfigError as error:
            where = f" ({self.place})" if self.place else ""
            said = error.message if self.entry is None else f"provider {self.name}: {error.message}{where}"
            raise CliError(said, Exit.NO_PROVIDER if error.code == "missing_credential" else Exit.USAGE) from error
        return spec | ({"base_url": base_url} if base_url else {})


class Providers:
    """All that there are for a run."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.configured = {
            name: Source(name, entry.type, environment, entry.spec(), _place(settings, name))
            for name, entry in settings.user.providers.items()
        }
        usual = {
            name: Source(name, variables.kind, environment)
            for name, variables in PROVIDERS.items()
            if name not in self.configured
        }
        self.sources = {**self.configured, **usual}

    def ready(self) -> list[Source]:
        """Those for which everything is there."""
        return [source for source in self.sources.values() if source.missing() is None]

    def named(self, name: str, base_url: str | None = None) -> tuple[Spec, str]:
        """The specification of a provider that somebody named, and what to call it.

        Raises CliError: USAGE for a name that there is not, NO_PROVIDER where its key is missing.
        """
        answering = program(name)
        if answering is not None:
            return answering, cast("str", answering["type"])
        source = self.source(name)
        missing = source.missing()
        if missing is not None and not (base_url and name == COMPATIBLE):
            way = ", or --base-url" if name == COMPATIBLE else ""
            raise CliError(f"provider {name} needs {missing}{way}{_at(source)}", Exit.NO_PROVIDER)
        return source.spec(base_url), name

    def source(self, name: str) -> Source:
        """The provider of a name that is no program's. Raises CliError for a name that there is not."""
        if name not in self.sources:
            known = [*self.sources, "command:ARGV", "files:DIR"]
            like = nearest(name, known, 1)
            hint = f" Did you mean {like[0]}?" if like else ""
            raise CliError(f"there is no provider {name!r}; there are {', '.join(known)}.{hint}")
        return self.sources[name]

    def of_kind(self, kind: str) -> list[Source]:
        """Those of a kind, configured ones first."""
        return [source for source in self.sources.values() if source.kind == kind]


def build(spec: Spec) -> ProviderHandle:
    """The handle for a specification. Raises CliError for one that does not fit its kind, or is of no known kind."""
    registry = ProviderRegistry(Surroundings(SystemClock()))
    register_all(registry)
    try:
        return registry.build(spec)
    except ConfigError as error:
        raise CliError(error.message) from error


def _place(settings: Settings, name: str) -> str:
    return settings.user_file.place(("providers", name)) if settings.user_file is not None else ""


def _at(source: Source) -> str:
    return f" ({dotted(('providers', source.name))} in {source.place})" if source.place else ""


def program(name: str) -> Spec | None:
    """The specification behind `command:ARGV` and `files:DIR`; None for what is neither."""
    kind, colon, rest = name.partition(":")
    if colon and kind == "command":
        try:
            argv = shlex.split(rest)
        except ValueError as error:
            raise CliError(f"--provider {name}: the command cannot be split into words: {error}") from error
        if not argv:
            raise CliError("--provider command: names no command; write --provider 'command:python my_model.py'")
        return {"type": "command", "argv": [*argv]}
    if colon and kind == "files":
        if not rest:
            raise CliError("--provider files: names no directory; write --provider files:DIR")
        return {"type": "files", "dir": rest}
    return None
