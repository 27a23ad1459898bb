"""Projected bindings in the system prompt (rlm.md 6.4, 20.1): what is there, how large, and how it begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from lash.modes.rlm.prompt.preview import cut, inline, preview
from lash.modes.rlm.prompt.types_text import label, shape_of
from lash.modes.rlm.view import ProjectedView
from lash.runtime.sansio.prompt import PromptContribution
from lashlang.textsource import TextSource
from lashlang.values import Value

LONGEST_PREVIEW = 160
"""Characters of a preview."""

MOST_LENGTHS = 20
"""Items of a list of texts whose lengths are told."""

TITLE = "Projected variables"

INTRO = (
    "Bound already in every program under these names, and read-only. Use them by name instead of typing their "
    "contents again; of large ones take slices, or search them."
)


def describe_projected(name: str, value: Value | TextSource) -> ProjectedView:
    """What the prompt tells of a binding to plain data, an image, a `TextSource` or a list of those.

    A `TextSource` is read for it if it was not before: once, when the binding is made, is the time to call this.
    """
    if isinstance(value, TextSource):
        newlines = value.count("\n")
        size = value.len()
        lines = newlines + (size > 0 and not value.ends_with("\n"))
        head = value.slice(0, LONGEST_PREVIEW)
        return ProjectedView(name=name, type="str", chars=size, lines=lines, preview=preview(head))
    kind = label(shape_of(value), {})
    if isinstance(value, str):
        lines = value.count("\n") + (value != "" and not value.endswith("\n"))
        return ProjectedView(name=name, type=kind, chars=len(value), lines=lines, preview=_preview(value))
    if isinstance(value, list):
        items = cast("list[Value]", value)
        if items and all(isinstance(item, str | TextSource) for item in items):
            lengths = tuple(len(item) if isinstance(item, str) else cast("TextSource", item).len() for item in items)
            return ProjectedView(
                name=name, type=kind, items=len(items), chars=sum(lengths), item_chars=lengths[:MOST_LENGTHS]
            )
        return ProjectedView(name=name, type=kind, items=len(items), preview=_preview(value))
    if isinstance(value, dict):
        return ProjectedView(name=name, type=kind, keys=len(cast("dict[str, Value]", value)), preview=_preview(value))
    return ProjectedView(name=name, type=kind, preview=_preview(value))


def _preview(value: Value) -> str:
    text = inline(value, LONGEST_PREVIEW)
    if text is not None:
        return text
    text = preview(value[:LONGEST_PREVIEW] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_PREVIEW else f"{text[: LONGEST_PREVIEW - 1]}…"


def projected_contribution(bindings: Iterable[ProjectedView]) -> PromptContribution | None:
    """The part of the system prompt about the bindings, None without any."""
    lines = [projected_line(one) for one in sorted(bindings, key=lambda one: one.name)]
    return PromptContribution.environment(TITLE, "\n".join([INTRO, *lines])) if lines else None


def projected_line(binding: ProjectedView) -> str:
    """One binding in one line."""
    sizes = {"chars": binding.chars, "lines": binding.lines, "items": binding.items, "keys": binding.keys}
    told = [f"{count} {unit}" for unit, count in sizes.items() if count is not None]
    if binding.item_chars:
        more = (binding.items or 0) > len(binding.item_chars)
        told.append(f"item chars {', '.join(map(str, binding.item_chars))}{', …' if more else ''}")
    shown = f" ≈ {cut(binding.preview, 4 * LONGEST_PREVIEW)}" if binding.preview else ""
    return f"- `{binding.name}`: {binding.type}, {', '.join(['read-only', *told])}{shown}"
