"""Which models a provider has by default, how its API spells them, and their variants (providers.md 10).

A variant says how much a model thinks (`low`, `high`, ...). What there is for which model is data, `variants.toml`
beside this module; code only reads rows, so that a new model needs no release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from lash.runtime.errors import ConfigError
from lash.runtime.providers.models import ModelCatalog, normalise, read_bundled, without_date, without_prefix

Tier = Literal["low", "medium", "high"]
"""How capable the model of an agent should be."""


@dataclass(frozen=True, slots=True)
class VariantSetting:
    """What a variant is on the wire: nothing, an effort by name, an adaptive effort, or a budget of tokens."""

    style: Literal["none", "effort", "adaptive", "budget"]
    effort: str | None = None
    budget_tokens: int | None = None


class VariantRow(BaseModel):
    """The variants of the models whose ids match one of the globs; see the head of `variants.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    match: tuple[str, ...]
    names: tuple[str, ...]
    default: str
    style: Literal["effort", "adaptive", "budget"]
    budgets: dict[str, int] = {}
    clamp: dict[str, str] = {}

    @model_validator(mode="after")
    def _consistent(self) -> VariantRow:
        for name in (self.default, *self.clamp.values()):
            if name not in self.names:
                raise ValueError(f"{name!r} is none of the names {', '.join(self.names)}")
        if self.style == "budget" and set(self.budgets) != set(self.names) - {"none"}:
            raise ValueError("every name but none needs a budget, and no other has one")
        return self

    def setting(self, variant: str) -> VariantSetting:
        """What is sent for a variant that is in `names` or `clamp`."""
        name = self.clamp.get(variant, variant)
        if name == "none":
            return VariantSetting("none")
        if self.style == "budget":
            return VariantSetting("budget", budget_tokens=self.budgets[name])
        return VariantSetting(self.style, effort=name)


class ProviderModels(BaseModel):
    """One provider's part of `variants.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    prefix: str = ""
    own_spelling: bool = False
    default_model: str | None = None
    agent_models: dict[Tier, str] = {}
    variants: tuple[VariantRow, ...] = ()


class VariantTable:
    """Models and variants by provider."""

    def __init__(self, providers: Mapping[str, ProviderModels]) -> None:
        self._providers = dict(providers)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> VariantTable:
        """The table that a TOML document describes; ConfigError (invalid_variants) says what is wrong and where."""
        try:
            return cls(TypeAdapter(dict[str, ProviderModels]).validate_python(document))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError("invalid_variants", f"variants: {where}: {first['msg']}") from error

    @staticmethod
    @cache
    def bundled() -> VariantTable:
        """The table that is shipped."""
        return VariantTable.parse(read_bundled("variants.toml"))

    def of(self, provider: str) -> ProviderModels:
        """A provider's part; an empty one where the table has none."""
        return self._providers.get(provider, ProviderModels())

    def over(self, rows: Mapping[str, Sequence[VariantRow]]) -> VariantTable:
        """A table with these rows before the present ones of each provider."""
        changed = {
            name: self.of(name).model_copy(update={"variants": (*more, *self.of(name).variants)})
            for name, more in rows.items()
        }
        return VariantTable({**self._providers, **changed})


class ModelPolicy(Protocol):
    """Names and variants of a provider's models; see `TableModelPolicy`."""

    def default_model(self) -> str | None:
        """The model of a session that names none; None where there is no default."""
        ...

    def default_agent_model(self, tier: Tier) -> str | None:
        """The default model of an agent of that tier."""
        ...

    def resolve_model(self, model: str) -> str:
        """The id as the provider's API wants it."""
        ...

    def context_lookup_model(self, model: str) -> str:
        """The id as the model table has it: with the vendor prefix."""
        ...

    def output_limit(self, model: str) -> int | None:
        """Tokens of a reply at most; None where that is not known."""
        ...

    def supported_variants(self, model: str) -> tuple[str, ...]:
        """The variants of a model, least first."""
        ...

    def default_variant(self, model: str) -> str | None:
        """The variant of a session that names none."""
        ...

    def variant_setting(self, model: str, variant: str | None) -> VariantSetting | None:
        """What to send for a variant; None for no variant. Raises ConfigError (unknown_variant)."""
        ...


class TableModelPolicy:
    """The policy that the tables describe for one provider; an unlisted provider has no defaults and no variants."""

    def __init__(
        self, provider: str, *, variants: VariantTable | None = None, catalog: ModelCatalog | None = None
    ) -> None:
        self._models = (variants or VariantTable.bundled()).of(provider)
        self._catalog = catalog or ModelCatalog()

    def default_model(self) -> str | None:
        """The model of a session that names none; None where there is no default."""
        return self._models.default_model

    def default_agent_model(self, tier: Tier) -> str | None:
        """The default model of an agent of that tier; the default model where the table names none."""
        return self._models.agent_models.get(tier, self._models.default_model)

    def resolve_model(self, model: str) -> str:
        """The id without this provider's prefix, in the spelling of the vendor's API where the table has it."""
        prefix = self._models.prefix
        bare = model[len(prefix) :] if prefix and model.lower().startswith(prefix) else model
        if not self._models.own_spelling:
            return bare
        listed = self._catalog.spelling(prefix + bare)
        # A dated id names a snapshot: found by the entry without date, it must stay what it is.
        same = listed is not None and normalise(listed) == normalise(prefix + bare)
        return listed[len(prefix) :] if same and listed is not None else bare

    def context_lookup_model(self, model: str) -> str:
        """The id with this provider's prefix."""
        prefix = self._models.prefix
        return model if model.lower().startswith(prefix) else prefix + model

    def output_limit(self, model: str) -> int | None:
        """Tokens of a reply at most; None where the model table does not say."""
        known = self._catalog.lookup(self.context_lookup_model(model))
        return None if known is None else known.output

    def supported_variants(self, model: str) -> tuple[str, ...]:
        """The variants of a model, least first; none where no row matches."""
        row = self._row(model)
        return row.names if row else ()

    def default_variant(self, model: str) -> str | None:
        """The variant of a session that names none."""
        row = self._row(model)
        return row.default if row else None

    def variant_setting(self, model: str, variant: str | None) -> VariantSetting | None:
        """What to send for a variant; None for no variant. Raises ConfigError (unknown_variant)."""
        if variant is None:
            return None
        row = self._row(model)
        if row is None:
            raise ConfigError("unknown_variant", f"model {model!r} has no variants, so {variant!r} cannot be chosen")
        if variant not in row.names and variant not in row.clamp:
            raise ConfigError(
                "unknown_variant", f"model {model!r} has no variant {variant!r}: choose one of {', '.join(row.names)}"
            )
        return row.setting(variant)

    def _row(self, model: str) -> VariantRow | None:
        """The first row that matches the model."""
        name = without_date(without_prefix(normalise(model)))
        return next((row for row in self._models.variants if any(fnmatchcase(name, glob) for glob in row.match)), None)
