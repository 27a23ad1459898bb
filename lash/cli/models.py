"""Which model answers: from flags, the environment, the session, and the configuration (cli_and_examples.md 2, 3).

The provider is, in this order: `--provider`; `--base-url`, which alone means an OpenAI-compatible server; the one that
the model's prefix names or, where the model table knows it, its vendor, if that can be used and no provider was named
as close to the command line as the model was; the session's own; LASH_PROVIDER; `provider` of the configuration; the
only one that can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lash import ConfigError, ProviderHandle
from lash.cli.configuration.reading import Settings
from lash.cli.exits import CliError, Exit
from lash.cli.providers import COMPATIBLE, GATEWAYS, PROGRAMS, Providers, Source, Spec, build
from lash.host.providers.environment import environment_spec
from lash.persistence import PersistedSessionConfig
from lash.provider import ModelCatalog

PROGRAM_CONTEXT_TOKENS: Final = 200_000
"""The context of a model that is a program or a person, where nobody says otherwise."""

NO_PROVIDER: Final = """\
no model is set up. Do one of these:
  - set the key of a provider (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or OPENROUTER_API_KEY), and choose
    with --model
  - write three lines into {path}:
      [providers.anthropic]
      type = "anthropic"
      api_key = {{ command = ["pass", "show", "anthropic"] }}    or {{ file = "..." }}, or {{ env = "..." }}
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
    """The provider and model of a run; a context of None is that of the model table. `label` is the provider's name."""

    handle: ProviderHandle
    model: str
    variant: str | None
    max_context_tokens: int | None
    label: str = field(compare=False, default="")


def choose(
    flags: ModelFlags,
    environment: Mapping[str, str],
    stored: PersistedSessionConfig | None,
    settings: Settings | None = None,
    stored_label: str | None = None,
) -> Chosen:
    """The model of a run. `stored` is what the session ran with, `stored_label` its provider's name, where it has run.

    Raises CliError: NO_PROVIDER where none is set up or its key is missing, USAGE for a provider, model or variant
    that there is not.
    """
    return _Choice(flags, environment, stored, settings or Settings(), stored_label).made()


class _Choice:
    """One choice under way."""

    def __init__(
        self,
        flags: ModelFlags,
        environment: Mapping[str, str],
        stored: PersistedSessionConfig | None,
        settings: Settings,
        stored_label: str | None,
    ) -> None:
        self._flags = flags
        self._environment = environment
        self._stored = stored
        self._stored_label = stored_label
        self._settings = settings
        self._config = settings.user
        self._providers = Providers(settings, environment)
        self._catalog = ModelCatalog(settings.models)
        # Environment and configuration speak of new sessions; one that has run has its own.
        self._env_model = None if stored else environment.get("LASH_MODEL") or None
        self._env_provider = environment.get("LASH_PROVIDER") or None
        self._config_model = None if stored else self._config.model

    def made(self) -> Chosen:
        """The choice."""
        flags, stored = self._flags, self._stored
        spec, label = self._provider()
        if flags.base_url is not None:
            if spec["type"] == "openai":
                raise CliError(
                    "--base-url: provider openai has an address of its own; leave --provider out, or write --provider"
                    f" {COMPATIBLE}, for another server"
                )
            spec["base_url"] = flags.base_url
        if flags.max_output_tokens is not None:
            options = spec.get("options")
            given = options if isinstance(options, dict) else {}
            spec["options"] = {**given, "max_output_tokens": flags.max_output_tokens}
        handle = build(spec)
        model, variant = self._model(handle, label)
        variant = flags.variant or variant
        context = flags.max_context_tokens
        if context is None and stored is not None and model == stored.model:
            context = stored.max_context_tokens
        if context is None and handle.kind in PROGRAMS and self._catalog.lookup(model) is None:
            context = PROGRAM_CONTEXT_TOKENS
        self._check(handle, model, variant, context)
        return Chosen(handle, model, variant, context, label)

    # --- the provider ------------------------------------------------------------------------------

    def _provider(self) -> tuple[Spec, str]:
        """The specification, and what to call it."""
        flags, providers = self._flags, self._providers
        if flags.provider is not None:
            return providers.named(flags.provider, flags.base_url)
        if flags.base_url is not None:
            return self._server(flags.base_url)
        prefixed, nearer = self._prefixed()
        if prefixed is not None and nearer and prefixed.missing() is None:
            return prefixed.spec(), prefixed.name
        if self._stored is not None and self._stored.provider is not None:
            return self._of_session(self._stored.provider)
        if self._env_provider is not None or self._config.provider is not None:
            return self._said()
        ready = providers.ready()
        lacking = prefixed.missing() if prefixed is not None else None
        if prefixed is not None and lacking is not None and not any(one.name in GATEWAYS for one in ready):
            raise CliError(f"model {self._wanted()} needs {lacking}; --provider sends it elsewhere", Exit.NO_PROVIDER)
        if len(ready) == 1:
            return ready[0].spec(), ready[0].name
        if not ready:
            raise CliError(NO_PROVIDER.format(path=self._settings.user_path), Exit.NO_PROVIDER)
        names = ", ".join(one.name for one in ready)
        raise CliError(
            f"several providers can be used ({names}): choose with --provider, with --model VENDOR/NAME, or with"
            f" `provider` in {self._settings.user_path}"
        )

    def _said(self) -> tuple[Spec, str]:
        """The provider that environment or configuration name. What is wrong with it is told with the place."""
        file = self._settings.user_file
        name, place = self._env_provider, "LASH_PROVIDER"
        if name is None:
            name, place = self._config.provider or "", file.place(("provider",)) if file is not None else ""
        try:
            return self._providers.named(name)
        except CliError as error:
            raise CliError(f"{place}: {error}", error.code) from error

    def _server(self, base_url: str) -> tuple[Spec, str]:
        """The server at an address that is all that is known of it; its key is the one for such servers."""
        return environment_spec(COMPATIBLE, self._environment, base_url=base_url), COMPATIBLE

    def _wanted(self) -> str | None:
        """The model that somebody named, flag, environment or file."""
        return self._flags.model or self._env_model or self._config_model

    def _prefixed(self) -> tuple[Source | None, bool]:
        """The provider that the wanted model names, and whether that is said nearer to the command line than any
        provider is."""
        model = self._wanted()
        if model is None:
            return None, False
        sources = self._providers.sources
        listed = model if "/" in model else self._catalog.spelling(model) or ""
        vendor, slash, _ = listed.partition("/")
        source = sources.get(vendor) or sources.get(vendor.lower()) if slash else None
        if self._flags.model is not None:
            return source, True
        if self._env_model is not None:
            return source, self._env_provider is None
        return source, self._env_provider is None and self._config.provider is None

    def _of_session(self, kind: str) -> tuple[Spec, str]:
        """The provider of a session that has run, set up again: by its name, else any one of its kind."""
        providers = self._providers
        named = providers.sources.get(self._stored_label or "")
        if named is not None and named.kind == kind:
            return providers.named(named.name)
        said = self._env_provider or self._config.provider or ""
        other = providers.sources.get(said)
        if kind == (other.kind if other is not None else said.partition(":")[0]):
            return self._said()
        sources = providers.of_kind(kind)
        for source in sources:
            if source.missing() is None:
                return source.spec(), source.name
        if not sources:
            way = {"command": "--provider command:ARGV", "files": "--provider files:DIR"}.get(kind, "--provider NAME")
            raise CliError(
                f"this session was answered by a provider of kind {kind!r}: name it again with {way}", Exit.NO_PROVIDER
            )
        variables = " or ".join(source.missing() or "" for source in sources)
        raise CliError(
            f"this session was answered by a provider of kind {kind!r}, which needs {variables};"
            " --provider and --model choose another",
            Exit.NO_PROVIDER,
        )

    # --- the model ---------------------------------------------------------------------------------

    def _model(self, handle: ProviderHandle, label: str) -> tuple[str, str | None]:
        """The model and its variant, but for that of the flag."""
        stored, config = self._stored, self._config
        said = self._flags.model or self._env_model
        if said is not None:
            return self._without_provider(said, label), self._variant(handle, label, said, None)
        if stored is not None and stored.provider == handle.kind and stored.model is not None:
            return stored.model, stored.model_variant
        if self._config_model is not None and self._is_for(self._config_model, label):
            model = self._without_provider(self._config_model, label)
            return model, self._variant(handle, label, model, config.variant)
        entry = self._settings.model_defaults.get(label) if stored is None else None
        model = entry.model if entry is not None else None
        model = model or handle.default_model() or (handle.kind if handle.kind in PROGRAMS else None)
        if model is None:
            raise CliError(
                f"provider {label} has no model of its own: name one with --model, in LASH_MODEL, or as `model` in"
                f" {self._settings.user_path}"
            )
        model = self._without_provider(model, label)
        return model, self._variant(handle, label, model, config.variant if stored is None else None)

    def _is_for(self, model: str, label: str) -> bool:
        """Whether the file's model is meant for the provider that was chosen: its `provider`, or its prefix's."""
        if self._config.provider is not None:
            return self._config.provider.partition(":")[0] == label
        source, _ = self._prefixed()
        return label not in PROGRAMS and (source is None or source.name == label or label in GATEWAYS)

    def _variant(self, handle: ProviderHandle, label: str, model: str, said: str | None) -> str | None:
        """The variant of a new choice: what the file says with the model, the provider's entry, the table's default."""
        entry = self._settings.model_defaults.get(label)
        if said is None and entry is not None and entry.model in (None, model):
            said = entry.variant
        return said or handle.default_variant(model)

    def _without_provider(self, model: str, label: str) -> str:
        """The model without the name of the provider in front, where that is no vendor's."""
        own = label in GATEWAYS or (label in self._providers.configured and label not in VENDOR_PREFIXES)
        if own and model.lower().startswith(f"{label.lower()}/"):
            return model[len(label) + 1 :]
        return model

    def _check(self, handle: ProviderHandle, model: str, variant: str | None, context: int | None) -> None:
        """Raise CliError for a model or variant that cannot be used, in words of the command line."""
        try:
            handle.resolve_model_spec(model, self._catalog, max_context_tokens=context)
            handle.validate_variant(model, variant)
        except ConfigError as error:
            if error.code != "missing_max_context_tokens":
                raise CliError(error.message) from error
            raise CliError(
                f"the context size of model {model!r} is not known: give --max-context-tokens N, write"
                f' [models."{model}"] with `context = N` into {self._settings.user_path}, or name a model that is'
                f" known; the nearest are {', '.join(self._catalog.nearest(model))}"
            ) from error


VENDOR_PREFIXES: Final = ("anthropic", "openai", "google")
"""Prefixes that are part of a model's name; providers whose APIs do not want them take them off themselves."""
