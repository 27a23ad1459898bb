"""Which model answers: from flags, the environment, and what a stored session ran with (cli_and_examples.md 2, 3).

In this order: `--provider`; `--base-url`, which alone means an OpenAI-compatible server; the provider that the model's
prefix names or, where the model table knows it, the vendor, if a key for it is set; LASH_PROVIDER; the provider of the
session; the only provider for which there is a key.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lash import ConfigError, ProviderHandle
from lash.cli.exits import CliError, Exit
from lash.cli.naming import nearest
from lash.host.providers.environment import PROVIDERS, Variables, environment_spec, missing_variables
from lash.host.system import SystemClock
from lash.persistence import PersistedSessionConfig
from lash.provider import ModelCatalog, ProviderRegistry, Surroundings, register_all
from lash.runtime.sansio.values import JsonValue

COMPATIBLE: Final = "openai-compatible"

PROGRAMS: Final = ("command", "files")
"""Kinds whose model is a program or a person; it is called like the kind, unless --model names it."""

PROGRAM_CONTEXT_TOKENS: Final = 200_000
"""The context of a model that is a program or a person, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider that the environment can set up: its name, and the variables that say how."""

    name: str
    variables: Variables

    @property
    def kind(self) -> str:
        """The kind of provider it is."""
        return self.variables.kind

    @property
    def key(self) -> str:
        """The variable of its key."""
        return self.variables.key

    @property
    def base_url_variable(self) -> str | None:
        """The variable that says where it is, where that is not fixed."""
        return self.variables.base_url_variable

    def missing(self, environment: Mapping[str, str]) -> str | None:
        """The variable that has to be set before it can be used; None where it can be."""
        return next(iter(missing_variables(self.variables, environment)), None)

    def spec(self, environment: Mapping[str, str], base_url: str | None = None) -> dict[str, JsonValue]:
        """Its specification; `base_url` stands for what the environment says."""
        return environment_spec(self.name, environment, base_url=base_url)


VENDORS: Final = {name: Vendor(name, variables) for name, variables in PROVIDERS.items()}

GATEWAYS: Final = ("openrouter", COMPATIBLE)
"""Vendors of everybody's models: their name in front of a model is no part of it."""

NO_PROVIDER: Final = """\
no model is set up. Do one of these:
  - set the key of a provider: ANTHROPIC_API_KEY, OPENAI_API_KEY or OPENROUTER_API_KEY, and choose with --model
  - name a server that speaks OpenAI's Chat Completions: --base-url http://localhost:8000/v1 --model NAME
    --max-context-tokens N (OPENAI_COMPATIBLE_BASE_URL and OPENAI_COMPATIBLE_API_KEY do the same)
  - let a program answer: --provider 'command:python my_model.py'
  - answer yourself, in files: --provider files:DIR"""


@dataclass(frozen=True, slots=True)
class ModelFlags:
    """What the command line says of the model."""

    provider: str | None = None
    model: str | None = None
    variant: str | None = None
    base_url: str | None = None
    max_context_tokens: int | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The provider and model of a run; a context of None is that of the model table."""

    handle: ProviderHandle
    model: str
    variant: str | None
    max_context_tokens: int | None
    label: str = field(compare=False, default="")


def choose(flags: ModelFlags, environment: Mapping[str, str], stored: PersistedSessionConfig | None) -> Chosen:
    """The model of a run. `stored` is what the session ran with, where it has run.

    Raises CliError: NO_PROVIDER where none is set up or its key is missing, USAGE for a provider, model or variant
    that there is not.
    """
    model = flags.model or (None if stored else environment.get("LASH_MODEL") or None)
    wanted = model or (stored.model if stored else None)
    spec, label, model = _provider(flags, environment, stored, wanted, model)
    if flags.base_url is not None:
        if spec["type"] == "openai":
            raise CliError(
                "--base-url: provider openai has an address of its own; leave --provider out, or write --provider"
                f" {COMPATIBLE}, for another server"
            )
        spec["base_url"] = flags.base_url
    if flags.max_output_tokens is not None:
        spec["options"] = {"max_output_tokens": flags.max_output_tokens}
    registry = ProviderRegistry(Surroundings(SystemClock()))
    register_all(registry)
    try:
        handle = registry.build(spec)
    except ConfigError as error:
        raise CliError(error.message) from error
    variant = flags.variant
    context = flags.max_context_tokens
    if model is None and stored is not None and stored.provider == handle.kind and stored.model is not None:
        model, variant = stored.model, variant or stored.model_variant
    elif model is None:
        model = handle.default_model() or (handle.kind if handle.kind in PROGRAMS else None)
        if model is None:
            raise CliError(f"provider {label} has no model of its own: name one with --model, or in LASH_MODEL")
        variant = variant or handle.default_variant(model)
    if context is None and stored is not None and model == stored.model:
        context = stored.max_context_tokens
    if context is None and handle.kind in PROGRAMS:
        context = PROGRAM_CONTEXT_TOKENS
    _check(handle, model, variant, context)
    return Chosen(handle, model, variant, context, label)


def _provider(
    flags: ModelFlags,
    environment: Mapping[str, str],
    stored: PersistedSessionConfig | None,
    wanted: str | None,
    model: str | None,
) -> tuple[dict[str, JsonValue], str, str | None]:
    """The specification, what to call it, and the model without the name of a gateway."""
    if flags.provider is not None:
        named = _named(flags.provider, environment, base_url=flags.base_url)
        return (*named, _without_gateway(model, named[1]))
    if flags.base_url is not None:
        spec: dict[str, JsonValue] = {"type": COMPATIBLE}
        if key := environment.get("OPENAI_COMPATIBLE_API_KEY"):
            spec["api_key"] = key
        return spec, COMPATIBLE, _without_gateway(model, COMPATIBLE)
    vendor = _vendor_of(wanted)
    if vendor is not None and (model is not None or stored is None) and vendor.missing(environment) is None:
        return vendor.spec(environment), vendor.name, _without_gateway(model, vendor.name)
    if environment.get("LASH_PROVIDER"):
        named = _named(environment["LASH_PROVIDER"], environment, base_url=None)
        return (*named, _without_gateway(model, named[1]))
    if stored is not None and stored.provider is not None:
        return (*_stored(stored.provider, environment), model)
    ready = [one for one in VENDORS.values() if one.missing(environment) is None]
    lacking = vendor.missing(environment) if vendor is not None else None
    if vendor is not None and lacking is not None and not any(one.name in GATEWAYS for one in ready):
        raise CliError(
            f"model {wanted} needs {lacking} in the environment; --provider sends it elsewhere", Exit.NO_PROVIDER
        )
    if len(ready) == 1:
        return ready[0].spec(environment), ready[0].name, model
    if not ready:
        raise CliError(NO_PROVIDER, Exit.NO_PROVIDER)
    names = ", ".join(one.name for one in ready)
    raise CliError(
        f"there are keys for several providers ({names}): choose with --provider, or with --model VENDOR/NAME"
    )


def _named(name: str, environment: Mapping[str, str], *, base_url: str | None) -> tuple[dict[str, JsonValue], str]:
    """The specification of a provider that was named."""
    kind, colon, rest = name.partition(":")
    if colon and kind == "command":
        try:
            argv = shlex.split(rest)
        except ValueError as error:
            raise CliError(f"--provider {name!r}: the command cannot be split into words: {error}") from error
        if not argv:
            raise CliError("--provider command: names no command; write --provider 'command:python my_model.py'")
        return {"type": "command", "argv": [*argv]}, "command"
    if colon and kind == "files":
        if not rest:
            raise CliError("--provider files: names no directory; write --provider files:DIR")
        return {"type": "files", "dir": rest}, "files"
    vendor = VENDORS.get(name)
    if vendor is None:
        known = [*VENDORS, "command:ARGV", "files:DIR"]
        like = nearest(name, known, 1)
        hint = f" Did you mean {like[0]}?" if like else ""
        raise CliError(f"there is no provider {name!r}; there are {', '.join(known)}.{hint}")
    missing = vendor.missing(environment)
    if missing is not None and not (base_url and vendor.base_url_variable):
        raise CliError(f"provider {name} needs {missing} in the environment", Exit.NO_PROVIDER)
    return vendor.spec(environment, base_url), vendor.name


def _stored(kind: str, environment: Mapping[str, str]) -> tuple[dict[str, JsonValue], str]:
    """The provider of a session that has run, set up again from the environment."""
    vendors = [vendor for vendor in VENDORS.values() if vendor.kind == kind]
    for vendor in vendors:
        if vendor.missing(environment) is None:
            return vendor.spec(environment), vendor.name
    if not vendors:
        way = {"command": "--provider command:ARGV", "files": "--provider files:DIR"}.get(kind, "--provider NAME")
        raise CliError(
            f"this session was answered by a provider of kind {kind!r}: name it again with {way}", Exit.NO_PROVIDER
        )
    variables = " or ".join(vendor.missing(environment) or "" for vendor in vendors)
    raise CliError(
        f"this session was answered by a provider of kind {kind!r}, which needs {variables} in the environment;"
        " --provider and --model choose another",
        Exit.NO_PROVIDER,
    )


def _vendor_of(model: str | None) -> Vendor | None:
    """The vendor that a model's prefix names, or in whose part of the model table it is."""
    if model is None:
        return None
    if "/" in model:
        return VENDORS.get(model.partition("/")[0].lower())
    listed = ModelCatalog().spelling(model)
    return VENDORS.get(listed.partition("/")[0]) if listed else None


def _without_gateway(model: str | None, name: str) -> str | None:
    if model is not None and name in GATEWAYS and model.lower().startswith(f"{name}/"):
        return model[len(name) + 1 :]
    return model


def _check(handle: ProviderHandle, model: str, variant: str | None, context: int | None) -> None:
    """Raise CliError (USAGE) for a model or variant that cannot be used, in words of the command line."""
    catalog = ModelCatalog()
    try:
        handle.resolve_model_spec(model, catalog, max_context_tokens=context)
        handle.validate_variant(model, variant)
    except ConfigError as error:
        if error.code != "missing_max_context_tokens":
            raise CliError(error.message) from error
        raise CliError(
            f"the context size of model {model!r} is not known: give --max-context-tokens N, or a model that is known;"
            f" the nearest are {', '.join(catalog.nearest(model))}"
        ) from error
