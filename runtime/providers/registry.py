"""From a provider's specification, a flat JSON object with its kind under `type`, to a handle (providers.md 1)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lash.runtime.errors import ConfigError
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

ProviderSpec: TypeAlias = dict[str, JsonValue]
"""A provider as data: its keys, and its kind under `type`."""


class ProviderConfig(BaseModel):
    """Base of the kinds' configurations: a specification without `type`; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    options: ProviderOptions = Field(default_factory=ProviderOptions)


C = TypeVar("C", bound=ProviderConfig)


def parse_config(kind: str, model: type[C], config: Mapping[str, JsonValue]) -> C:
    """The configuration of a kind as its model; ConfigError (invalid_provider_spec) says which key is wrong and why.

    Values are left out of the message: they may be secrets.
    """
    try:
        return model.model_validate(dict(config))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        # Not chained: pydantic's own text repeats the input.
        raise ConfigError("invalid_provider_spec", f"provider of type {kind!r}: {problems}") from None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a handle is given besides its configuration."""

    clock: Clock
    uniform: Callable[[float, float], float] = random.uniform


class ProviderFactory(Protocol):
    """Makes handles of one kind."""

    @property
    def kind(self) -> str:
        """The kind, as under `type` in a specification."""
        ...

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle for a specification without `type`; ConfigError (invalid_provider_spec) if it does not fit."""
        ...


class ProviderRegistry:
    """The kinds of providers that a program knows; an object like any other, none is global."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._factories: dict[str, ProviderFactory] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are registered, sorted."""
        return tuple(sorted(self._factories))

    def register(self, factory: ProviderFactory) -> None:
        """Add a kind; ConfigError (duplicate_provider_kind) where it is there already."""
        if factory.kind in self._factories:
            raise ConfigError("duplicate_provider_kind", f"provider kind {factory.kind!r} is registered already")
        self._factories[factory.kind] = factory

    def build(self, spec: object) -> ProviderHandle:
        """The handle that a specification describes.

        Raises ConfigError: invalid_provider_spec for one that is no object, has no text under `type` or does not fit
        its kind; unknown_provider_kind for a kind that is not registered.
        """
        if not isinstance(spec, Mapping):
            raise ConfigError(
                "invalid_provider_spec", f"a provider is a JSON object with a type, not {type(spec).__name__}"
            )
        config = dict(cast("Mapping[str, JsonValue]", spec))
        kind = config.pop("type", None)
        if not isinstance(kind, str) or not kind:
            raise ConfigError("invalid_provider_spec", "a provider needs its kind, a text, under the key 'type'")
        factory = self._factories.get(kind)
        if factory is None:
            raise ConfigError(
                "unknown_provider_kind",
                f"there is no provider kind {kind!r}; registered are {', '.join(self.kinds) or 'none'}",
            )
        return factory.build(config, self._surroundings)
