"""Which model answers a session, how often, under which prompt: overlays, resolved field by field (runtime.md 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

from lash.checks import COUNT, TEXT, Shape, check, many, of
from lash.config import UNSET, Unset
from lash.runtime.errors import ConfigError
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.models import ModelCatalog
from lash.runtime.sansio.prompt import PromptContribution, PromptLayer, PromptSlot, PromptTemplate
from lash.runtime.turn.settings import SessionPolicy


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """A set of wishes; what is unset is left to the base.

    `base` says what that is for a session made by another one: "new" the core, "inherit" the session that makes it;
    for a session that a host opens both are the core. `max_turns` None means no limit, `prompt_layer` replaces the
    base's layer whole.
    """

    provider: ProviderHandle | Unset = UNSET
    model: str | Unset = UNSET
    model_variant: str | None | Unset = UNSET
    mode: str | Unset = UNSET
    max_context_tokens: int | Unset = UNSET
    max_turns: int | None | Unset = UNSET
    prompt_layer: PromptLayer | Unset = UNSET
    base: Literal["new", "inherit"] = "new"

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in FIELDS}
        check("the model's policy", given, _SHAPES, ConfigError)

    @staticmethod
    def new(**wishes: Any) -> SessionSpec:
        """An overlay over the core. Raises ConfigError (contradictory_options) for a field that there is not."""
        return _spec("new", wishes)

    @staticmethod
    def inherit(**wishes: Any) -> SessionSpec:
        """An overlay over the session that makes the new one. Raises as `new`."""
        return _spec("inherit", wishes)

    def over(self, base: SessionSpec) -> SessionSpec:
        """Both as one, this one's wishes first; combining some of them earlier changes nothing.

        A provider without a model goes back to that provider's default model, a model without a variant to none.
        """
        changes: dict[str, Any] = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not UNSET}
        if self.provider is not UNSET and self.model is UNSET:
            changes |= {"model": UNSET, "model_variant": self.model_variant}
        elif self.model is not UNSET and self.model_variant is UNSET:
            changes["model_variant"] = None
        return replace(base, **changes)


FIELDS = tuple(field.name for field in fields(SessionSpec) if field.name != "base")

_SHAPES = {
    "provider": of(ProviderHandle),
    "model": TEXT,
    "model_variant": TEXT,
    "mode": TEXT,
    "max_context_tokens": COUNT,
    "max_turns": COUNT,
    "prompt_layer": of(PromptLayer),
}

_CONTRIBUTIONS = many(of(PromptContribution), "a sequence of PromptContribution")

_PROMPT_SHAPES = {
    "prompt_template": of(PromptTemplate),
    "prompt": _CONTRIBUTIONS,
    "prompt_slots": Shape(
        "a mapping of PromptSlot to contributions",
        lambda value: (
            isinstance(value, Mapping)
            and all(
                isinstance(slot, PromptSlot) and _CONTRIBUTIONS.fits(given)
                for slot, given in cast("Mapping[object, object]", value).items()
            )
        ),
    ),
    "prompt_layer": of(PromptLayer),
}


def _spec(base: Literal["new", "inherit"], wishes: Mapping[str, Any]) -> SessionSpec:
    for name in wishes:
        if name not in FIELDS:
            raise ConfigError(
                "contradictory_options", f"a session spec has no field {name!r}; there are {', '.join(FIELDS)}"
            )
    return SessionSpec(base=base, **wishes)


def combined(overlays: Iterable[SessionSpec]) -> SessionSpec:
    """Overlays as one, the later over the earlier."""
    result = SessionSpec()
    for overlay in overlays:
        result = overlay.over(result)
    return result


def overlay(spec: SessionSpec | None, keywords: Mapping[str, Any]) -> SessionSpec:
    """A spec with the keywords beside it, which win; None among them means not given, except for the two knobs that
    take None (`model_variant`, `max_turns`)."""
    check("spec", {"spec": spec}, {"spec": of(SessionSpec)}, ConfigError)
    given: dict[str, Any] = {
        name: value
        for name, value in keywords.items()
        if value is not UNSET and (value is not None or name in ("model_variant", "max_turns"))
    }
    return replace(spec or SessionSpec(), **given)


def resolve_policy(spec: SessionSpec, catalog: ModelCatalog) -> SessionPolicy:
    """The policy that a combined overlay comes to.

    Raises ConfigError: contradictory_options without provider or model, missing_max_context_tokens for a model that
    neither the table nor the spec knows the context of, and what the provider says of the variant.
    """
    if spec.provider is UNSET:
        raise ConfigError("contradictory_options", "no provider: give `provider=` to LashCore or to core.session")
    provider = spec.provider
    model = provider.default_model() if spec.model is UNSET else spec.model
    if model is None:
        raise ConfigError("contradictory_options", f"provider {provider.kind!r} has no default model: give `model=`")
    variant = spec.model_variant
    if variant is UNSET:
        variant = provider.default_variant(model)
    provider.validate_variant(model, variant)
    given = None if spec.max_context_tokens is UNSET else spec.max_context_tokens
    sizes = provider.resolve_model_spec(model, catalog, max_context_tokens=given)
    return SessionPolicy(
        provider=provider,
        model=model,
        model_variant=variant,
        max_context_tokens=sizes.context,
        max_turns=None if spec.max_turns is UNSET else spec.max_turns,
        max_turns_set=spec.max_turns is not UNSET,
        output_limit=sizes.output,
    )


def prompt_layer(
    template: PromptTemplate | None,
    prompt: Sequence[PromptContribution],
    slots: Mapping[PromptSlot, Sequence[PromptContribution]] | None,
    layer: PromptLayer | None,
) -> PromptLayer | None:
    """What the prompt keywords say; None where they say nothing.

    Raises ConfigError (contradictory_options) where a whole layer is given beside the others, and for contributions
    under the wrong slot.
    """
    given = {"prompt_template": template, "prompt": prompt, "prompt_slots": slots, "prompt_layer": layer}
    check("the prompt", given, _PROMPT_SHAPES, ConfigError)
    if layer is not None:
        if template is not None or prompt or slots is not None:
            raise ConfigError(
                "contradictory_options",
                "`prompt_layer` stands for `prompt_template`, `prompt` and `prompt_slots`: give it or them",
            )
        return layer
    if template is None and not prompt and slots is None:
        return None
    made = PromptLayer(template)
    for slot, contributions in (slots or {}).items():
        made = made.replace_slot(slot, contributions)
    return made.add(*prompt)
