"""What the system prompt says of the tools, whichever mode it is: only the line above each tool is the mode's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.signature import NEEDS_APPROVAL, parameter_lines, return_lines

TITLE = "Tools"

MOST_EXAMPLES = 2
"""Examples of one tool that are shown."""


def document_tool(spec: ToolSpec, heading: str, longest_example: int | None = None) -> str:
    """One tool: how it is called (`heading`), what it does, its parameters, its result, examples.

    Examples of more than `longest_example` characters are cut; None cuts none.
    """
    return "\n".join(_lines(spec, heading, longest_example))


def tools_section(parts: Iterable[str], notes: Iterable[str]) -> PromptContribution | None:
    """The part of the system prompt about the tools, None where there is nothing to say.

    `parts` are the tools' documents, `notes` what plugins say of the tools as a whole.
    """
    texts = [*parts, *(note.strip() for note in notes if note.strip())]
    return PromptContribution.execution(TITLE, "\n\n".join(texts)) if texts else None


def _lines(spec: ToolSpec, heading: str, longest_example: int | None) -> Iterator[str]:
    yield f"### {heading}"
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
    if examples := [_cut(one.strip(), longest_example) for one in spec.examples[:MOST_EXAMPLES] if one.strip()]:
        yield f"Examples: {'; '.join(examples)}"


def _cut(example: str, longest: int | None) -> str:
    return example if longest is None or len(example) <= longest else f"{example[: longest - 1]}…"
