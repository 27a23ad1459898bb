"""Tool documentation in the form in which programs call the tools (rlm.md 6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.signature import NEEDS_APPROVAL, parameter_lines, return_lines, signature

TITLE = "Tools"

MOST_EXAMPLES = 2
"""Examples of one tool that are shown."""


def tools_contribution(
    specs: Sequence[ToolSpec], notes: Iterable[str] = (), discovery_tool: str | None = None
) -> PromptContribution | None:
    """The part of the system prompt about the tools, None where there is nothing to say.

    Tools that are showcased are documented, in the order given; of others that can be called only the number is told,
    and only with the name of a tool that finds them. `notes` are what plugins say of the tools as a whole.
    """
    parts = [tool_doc(spec) for spec in specs if spec.availability == "showcased"]
    others = sum(spec.availability == "callable" for spec in specs)
    if discovery_tool is not None and others:
        parts.append(f"{others} more tools are omitted here: find them with `{discovery_tool}`.")
    parts += [note.strip() for note in notes if note.strip()]
    return PromptContribution.execution(TITLE, "\n\n".join(parts)) if parts else None


def tool_doc(spec: ToolSpec) -> str:
    """One tool: how it is called, what it does, its parameters, its result, examples."""
    return "\n".join(_lines(spec))


def _lines(spec: ToolSpec) -> Iterator[str]:
    yield f"### {signature(spec)}"
    if description := spec.description.strip():
        yield description
    if spec.needs_approval:
        yield NEEDS_APPROVAL
    if parameters := parameter_lines(spec):
        yield "Parameters:"
        yield from parameters
    if returned := return_lines(spec):
        yield "Return fields:"
        yield from returned
    if examples := [example.strip() for example in spec.examples[:MOST_EXAMPLES] if example.strip()]:
        yield f"Examples: {'; '.join(examples)}"
