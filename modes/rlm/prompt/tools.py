"""Tool documentation in the form in which programs call the tools (rlm.md 6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.documentation import document_tool, tools_section
from lash.runtime.tools.signature import signature


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
    return tools_section(parts, notes)


def tool_doc(spec: ToolSpec) -> str:
    """One tool: how it is called, what it does, its parameters, its result, examples."""
    return document_tool(spec, signature(spec))
