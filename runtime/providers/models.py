"""The model table: what is known of a model's context (providers.md 10).

The bundled table is `models.toml`, beside this module. Entries that a host gives win over it, and an explicit
`max_context_tokens` over both. An id is found however it is spelled (case, dots or dashes, with or without vendor
prefix, with a date or `-latest` behind it) and never by its family: a size that is not known is asked for.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lash.runtime.errors import ConfigError

_TRAILING_DATE = re.compile(
    r"-(?:latest|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r"|(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))$"
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Tokens of a model's context, and of a reply at most (None: not known)."""

    context: int
    output: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("context", self.context), ("output", self.output)):
            if value is not None and (isinstance(value, bool) or value <= 0):
                raise ConfigError("invalid_model_info", f"ModelInfo: {name} is {value!r}, it must be a positive number")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as it is asked for on the wire, and the tokens that its context and a reply have at most."""

    model: str
    context: int
    output: int


def normalise(model: str) -> str:
    """The id with everything gone that does not matter when ids are compared, the vendor prefix kept."""
    return model.strip().lower().replace(".", "-")


def without_prefix(model: str) -> str:
    """The id behind its last slash."""
    return model.rsplit("/", 1)[-1]


def without_date(model: str) -> str:
    """A normalised id without a trailing date or `-latest`."""
    return _TRAILING_DATE.sub("", model)


def _spellings(model: str) -> Iterator[str]:
    """The ids under which a model may be listed, most exact first: each prefix gone, then the date gone as well."""
    whole = normalise(model)
    parts = whole.split("/")
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    for start in range(len(parts)):
        yield without_date("/".join(parts[start:]))


class _Table:
    """Entries by every spelling that means exactly one of them."""

    def __init__(self, entries: Mapping[str, ModelInfo]) -> None:
        self.ids = tuple(entries)
        self._whole = {normalise(name): (name, info) for name, info in entries.items()}
        self._bare: dict[str, tuple[str, ModelInfo] | None] = {}
        for whole, entry in self._whole.items():
            bare = without_prefix(whole)
            known = self._bare.get(bare, entry)
            # Two vendors may sell one name with different windows; the bare name then says too little.
            self._bare[bare] = entry if known is not None and known[1] == entry[1] else None

    def find(self, model: str) -> tuple[str, ModelInfo] | None:
        """The entry's id and sizes."""
        for spelling in _spellings(model):
            entry = self._whole.get(spelling)
            if entry is None and "/" not in spelling:
                entry = self._bare.get(spelling)
            if entry is not None:
                return entry
        return None


class _Entry(BaseModel):
    """One entry of `models.toml`."""

    model_config = ConfigDict(extra="forbid")
    context: int = Field(gt=0, strict=True)
    output: int | None = Field(default=None, gt=0, strict=True)


class _File(BaseModel):
    """The shape of `models.toml`."""

    model_config = ConfigDict(extra="forbid")
    models: dict[str, _Entry]


def read_bundled(name: str) -> dict[str, Any]:
    """A TOML file that is shipped beside this module."""
    return tomllib.loads(resources.files("lash.runtime.providers").joinpath(name).read_text(encoding="utf-8"))


@cache
def _bundled() -> _Table:
    entries = _File.model_validate(read_bundled("models.toml")).models
    return _Table({name: ModelInfo(entry.context, entry.output) for name, entry in entries.items()})


class ModelCatalog:
    """The bundled table with a host's entries over it."""

    def __init__(self, entries: Mapping[str, ModelInfo] | None = None) -> None:
        self._tables = (_Table(entries or {}), _bundled())

    def ids(self) -> tuple[str, ...]:
        """All ids, the host's first."""
        return tuple(dict.fromkeys(name for table in self._tables for name in table.ids))

    def lookup(self, model: str) -> ModelInfo | None:
        """What is known of a model."""
        found = self._find(model)
        return found[1] if found else None

    def spelling(self, model: str) -> str | None:
        """The id under which the table has a model."""
        found = self._find(model)
        return found[0] if found else None

    def nearest(self, model: str, count: int = 3) -> list[str]:
        """The ids that are most like the given one, best first."""
        by_form = {normalise(name): name for name in self.ids()}
        wanted = normalise(model)
        if "/" not in wanted:
            by_form = {without_prefix(form): name for form, name in by_form.items()}
        return [by_form[form] for form in difflib.get_close_matches(wanted, by_form, n=count, cutoff=0.0)]

    def require(self, model: str, max_context_tokens: int | None = None) -> ModelInfo:
        """The model's sizes, the context being `max_context_tokens` where that is given.

        Raises ConfigError (missing_max_context_tokens) for a model that is not known.
        """
        known = self.lookup(model)
        if max_context_tokens is not None:
            return ModelInfo(max_context_tokens, known.output if known else None)
        if known is None:
            raise ConfigError(
                "missing_max_context_tokens",
                f"the context size of model {model!r} is not known: give max_context_tokens=, or an entry in"
                f" models= such as {{{model!r}: ModelInfo(context=...)}}; the nearest known ids are"
                f" {', '.join(self.nearest(model))}",
            )
        return known

    def _find(self, model: str) -> tuple[str, ModelInfo] | None:
        for table in self._tables:
            if (entry := table.find(model)) is not None:
                return entry
        return None
