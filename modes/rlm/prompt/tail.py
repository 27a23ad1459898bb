"""The iteration tail: the one part of a request that changes every time, and stands last (rlm.md 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lash.modes.rlm.config import RlmTermination
from lash.modes.rlm.prompt.anchors import LAST_ITERATION
from lash.modes.rlm.schema import Schema
from lash.modes.rlm.view import RlmView, VariablesView, VariableView
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.signature import label, return_lines

LONGEST_SECTION = 8192
"""Characters of the variables section."""

LONGEST_REST = 1000
"""Characters for the names of variables that are not described."""

MOST_QUEUED = 10
"""Queued events that are told one by one."""

WARNED_ITERATIONS = 2
"""Iterations left, the present one included, from which on the limit is told."""

FORMATS = {
    "markdown": "Write the answer as Markdown.",
    "raw": "Write the answer as plain text without markup.",
}
"""What the named answer formats say; any other format is told in its own words."""

FINISH_BY_SUBMIT = (
    "The turn ends only when a program runs `submit <value>`, and that value is the answer. Prose, however complete, "
    "does not end the turn."
)

FINISH_EITHER_WAY = (
    "End the turn in one of two ways: reply in prose without a block, and the prose is the answer, or `submit <value>` "
    "in a program. Do not repeat in prose what you submit."
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the turn stands: `iteration` counts from 1 in the turn, `max_turns` None is no limit."""

    iteration: int
    max_turns: int | None
    history_length: int


def iteration_tail(position: Position, view: RlmView, termination: RlmTermination) -> str:
    """The tail; parts that would be empty are left out."""
    parts = [
        f"## Iteration {position.iteration}",
        _queued(view.queued),
        _section("Variables", variables_section(view.variables, position.history_length)),
        _section("Finishing", FINISH_EITHER_WAY if termination.kind == "prose_or_submit" else FINISH_BY_SUBMIT),
    ]
    if termination.output_schema is not None:
        parts.append(_section("Required output", _required(termination.output_schema)))
    else:
        parts.append(_section("Answer format", FORMATS.get(view.answer_format, view.answer_format.strip())))
    parts.append(_section("Limits", "\n".join([*_iterations_left(position), *view.budgets])))
    return "\n\n".join(filter(None, parts))


def _section(title: str, text: str) -> str:
    return f"## {title}\n{text}" if text else ""


def _queued(events: tuple[str, ...]) -> str:
    if not events:
        return ""
    lines = [f"- {event}" for event in events[:MOST_QUEUED]]
    if len(events) > MOST_QUEUED:
        lines.append(f"- and {len(events) - MOST_QUEUED} more")
    return "\n".join(["Since the last block:", *lines])


def _required(schema: Schema) -> str:
    # The lines are those of a tool that returns what `submit` takes.
    lines = return_lines(ToolSpec("submit", "", {}, schema if isinstance(schema, dict) else None))
    return "\n".join([f"`submit` takes a value of this type: `{label(schema)}`", *lines])


def _iterations_left(position: Position) -> Iterator[str]:
    if position.max_turns is None:
        return
    left = position.max_turns - position.iteration + 1
    if left == 1:
        yield f"This is the {LAST_ITERATION} of the turn."
    elif 1 < left <= WARNED_ITERATIONS:
        yield f"{left} iterations are left in this turn, this one included."


# --- variables -------------------------------------------------------------------------------------


def variables_section(view: VariablesView, history_length: int) -> str:
    """The variables, as many as fit into `LONGEST_SECTION` characters; of the rest the names."""
    history = f"- history: list, {history_length} items, read-only"
    intro = "Live now, all in full; what is marked ≈ is shown here in part only."
    room = LONGEST_SECTION - len(intro) - len(history) - LONGEST_REST - 4
    definitions = {one.name: one.definition for one in view.types}
    needed: set[str] = set()
    lines: list[str] = []
    left_out: list[str] = []
    for variable in view.described:
        line = _variable(variable)
        more = [name for name in variable.uses if name not in needed]
        cost = len(line) + 1 + sum(len(definitions[name]) + 1 for name in more)
        if cost > room:
            left_out.append(variable.name)
            continue
        room -= cost
        needed.update(more)
        lines.append(line)
    told = [text for name, text in definitions.items() if name in needed]
    rest = _rest(sorted([*left_out, *view.rest]))
    return "\n".join([intro, *told, *lines, history, *([rest] if rest else [])])


def _variable(variable: VariableView) -> str:
    if variable.inline is not None:
        return f"- {variable.name}: {variable.type} = {variable.inline}"
    size = f", {variable.size}" if variable.size else ""
    return f"- {variable.name}: {variable.type}{size} ≈ {variable.preview or ''}"


def _rest(names: list[str]) -> str:
    """One line with as many names as fit."""
    if not names:
        return ""
    text = f"Also live: {', '.join(names)}"
    if len(text) <= LONGEST_REST:
        return text
    kept: list[str] = []
    room = LONGEST_REST - len("Also live:  and 1000000000 more")
    for name in names:
        if len(name) + 2 > room:
            break
        room -= len(name) + 2
        kept.append(name)
    return f"Also live: {', '.join(kept)} and {len(names) - len(kept)} more"
