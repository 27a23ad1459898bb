"""What standard mode says in the system prompt: how to act, and the showcased tools (providers.md 14).

All tools that can be called go with the request as the provider wants them; the prompt explains those that are
showcased.
"""

from __future__ import annotations

from collections.abc import Sequence

from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.documentation import document_tool, tools_section
from lash.runtime.tools.signature import compact_contract

GUIDANCE = """\
Act by calling tools directly. Make calls that do not need each other's results together, in one reply; wait for a \
result only where the next call needs it. A call that failed says why: mend it or take another way. Where no tool is \
needed, and when the work is done, answer in prose; a reply without tool calls ends your turn."""

BATCH = "If you can make only one call in a reply, `batch` makes several at once."

LONGEST_EXAMPLE = 240
"""Characters of an example that are shown."""


def execution_prompt(specs: Sequence[ToolSpec], batch: str) -> str:
    """How to act; `batch` is the name of the tool that stands for many, which is told of where it is offered."""
    return f"{GUIDANCE}\n{BATCH}" if any(spec.name == batch for spec in specs) else GUIDANCE


def tools_contribution(specs: Sequence[ToolSpec], notes: Sequence[str] = ()) -> PromptContribution | None:
    """The part of the system prompt about the tools, None where there is nothing to say.

    Showcased tools are documented, in the order given. `notes` are what plugins say of the tools as a whole.
    """
    return tools_section((tool_doc(spec) for spec in specs if spec.availability == "showcased"), notes)


def tool_doc(spec: ToolSpec) -> str:
    """One tool: its contract, what it does, its parameters, its result, examples."""
    return document_tool(spec, compact_contract(spec), LONGEST_EXAMPLE)
