"""Manifest and contract as the `ToolSpec` that prompts and requests show."""

from __future__ import annotations

from typing import Literal

from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.definition import Availability, ToolContract, ToolManifest

_LEVELS: dict[Availability, Literal["searchable", "callable", "showcased"]] = {
    Availability.SEARCHABLE: "searchable",
    Availability.CALLABLE: "callable",
    Availability.SHOWCASED: "showcased",
}


def tool_spec(manifest: ToolManifest, contract: ToolContract, availability: Availability) -> ToolSpec:
    """The spec of a tool; KeyError for one that is off.

    The output schema is the default one where an argument decides about the result.
    """
    follows = contract.output_contract
    output = contract.output_schema if follows is None else follows.default
    return ToolSpec(
        name=manifest.name,
        description=manifest.description,
        input_schema=dict(contract.input_schema),
        output_schema=None if output is None else dict(output),
        availability=_LEVELS[availability],
        examples=contract.examples,
        needs_approval=manifest.needs_approval is not False,
        execution_mode=manifest.execution_mode,
        preserve_projected=manifest.preserve_projected,
        result_type_field=None if follows is None else follows.field,
        input_projections=dict(contract.input_projections),
    )
