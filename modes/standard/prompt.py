"""What standard mode says in the system prompt: how to act, and the showcased tools (providers.md 14).

All tools that can be called go with the request as the provider wants them; the prompt explains those that are
showcased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.signature import NEEDS_APPROVAL, compact_contract, parameter_lines, return_lines

GUIDANCE = """\
Act by calling tools directly. Make calls that do not need each other's results together, in one reply; wait for a \
result only where the next call needs it. A call that failed says why: mend it or take another way. Where no tool is \
needed, and when the work is done, answer in prose; a reply without tool calls ends your turn."""

BATCH = "If you can make only one call in a reply, `batch` makes several at once."

TITLE = "Tools"

MOST_EXAMPLES = 2
"""Examples of one tool that are shown."""

LONGEST_EXAMPLE = 240
"""Characters of an example that are shown."""


def execution_prompt(specs: Sequence[ToolSpec], batch: str) -> str:
    """How to act; `batch` is the name of the tool that stands for many, which is told of where it is offered."""
    return f"{GUIDANCE}\n{BATCH}" if any(spec.name == batch for spec in specs) else GUIDANCE


def tools_contribution(specs: Sequence[ToolSpec], notes: Sequence[str] = ()) -> PromptContribution | None:
    """The part of the system prompt about the tools, None where there is nothing to say.

    Showcased tools are documented, in the order given. `notes` are what plugins say of the tools as a whole.
    """
    parts = [tool_doc(spec) for spec in specs if spec.availability == "showcased"]
    parts += [note.strip() for note in notes if note.strip()]
    return PromptContribution.execution(TITLE, "\n\n".join(parts)) if parts else None


def tool_doc(spec: ToolSpec) -> str:
    """One tool: its contract, what it does, its parameters, its result, examples."""
    return "\n".join(_lines(spec))


def _lines(spec: ToolSpec) -> Iterator[str]:
    yield f"### {compact_contract(spec)}"
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
    if examples := [_cut(example.strip()) for example in spec.examples[:MOST_EXAMPLES] if example.strip()]:
        yield f"Examples: {'; '.join(examples)}"


def _cut(example: str) -> str:
    return example if len(example) <= LONGEST_EXAMPLE else f"{example[: LONGEST_EXAMPLE - 1]}…"
