"""The files of `golden/`: one tool as each mode shows it, for people to review and for tests to compare.

`python -m tests.modes.standard.goldens` writes them anew. Each file holds the Lashlang signature, the contract that
standard mode shows, the documentation in the prompts of both modes, and the JSON schemas as the provider layer gets
them.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import lash
from lash.modes.rlm.prompt.tools import tool_doc as rlm_doc
from lash.modes.standard.prompt import tool_doc as standard_doc
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.specs import tool_spec
from lash.tools import Availability, ToolDefinition

FOLDER = Path(__file__).parent / "golden"


class State(enum.Enum):
    """Where an order is."""

    OPEN = "open"
    SHIPPED = "shipped"


class Place(BaseModel):
    """Where something goes."""

    street: str
    zip: Annotated[str, Field(pattern=r"^\d{5}$")]
    country: Literal["DE", "FR"] = "DE"


class Line(BaseModel):
    """One line of an order."""

    item: str = Field(description="the article's number")
    count: Annotated[int, Field(ge=1, le=99)] = 1
    tags: list[str] = []


class Order(BaseModel):
    """An order with its lines."""

    id: str
    lines: list[Line] = Field(description="what is ordered")
    to: Place
    state: State = State.OPEN


class Folder(BaseModel):
    """A folder that holds folders."""

    name: str
    inside: list[Folder] = []


class Options(TypedDict, total=False):
    """How to search."""

    exact: bool
    most: int


@dataclass
class Card:
    """A means of payment."""

    kind: Literal["card"]
    number: str


@dataclass
class Cash:
    """Another one."""

    kind: Literal["cash"]
    note: str | None = None


@lash.tool
async def place_order(order: Order, rush: bool = False) -> Order:
    """Place an order.

    Args:
        order: what is to be sent, and where
        rush: whether it is urgent

    Returns:
        the order as it was taken
    """
    raise NotImplementedError


@lash.tool
async def tree(root: Folder, deepest: int | None = None) -> Folder:
    """Folders within folders."""
    raise NotImplementedError


@lash.tool(examples=['pay { by: { kind: "cash" }, amount: 3 }'])
async def pay(by: Annotated[Card | Cash, Field(discriminator="kind")], amount: Annotated[float, Field(gt=0)]) -> None:
    """Pay, in one way or another."""
    raise NotImplementedError


@lash.tool
def find(
    query: str | list[str],
    since: date | None = None,
    states: list[State] | None = None,
    options: Options = {},  # noqa: B006 - a default that is an object
    limit: Annotated[int, Field(ge=1, le=100, description="how many at most")] = 20,
) -> list[dict[str, Any]]:
    """Find orders by words."""
    raise NotImplementedError


@lash.tool
def ping() -> str:
    """Say something."""
    raise NotImplementedError


DASHED = ToolDefinition.raw(
    "mcp__shop__get-price",
    "A tool of somebody else, with a schema of their own.",
    {
        "type": "object",
        "properties": {
            "sku": {"type": "string", "minLength": 3, "description": "stock-keeping unit"},
            "at": {"type": "string", "format": "date"},
            "content-type": {"enum": ["json", "xml", None], "default": "json"},
            "filter": {
                "oneOf": [
                    {"const": "all"},
                    {"type": "object", "properties": {"min": {"type": "number"}}, "required": ["min"]},
                ]
            },
        },
        "required": ["sku"],
        "additionalProperties": True,
    },
    {"type": ["number", "null"], "description": "null where it is not sold"},
)


def specs() -> dict[str, ToolSpec]:
    """The tools by the names of their files."""
    dashed = tool_spec(DASHED.manifest, DASHED.contract, Availability.SHOWCASED)
    return {one.name: one for one in (place_order.spec, tree.spec, pay.spec, find.spec, ping.spec, dashed)}


def shown(spec: ToolSpec) -> str:
    """One tool in all its forms."""
    from lash.runtime.tools.signature import compact_contract, signature

    parts = {
        "Lashlang signature": signature(spec),
        "Contract in standard mode": compact_contract(spec),
        "Prompt of RLM mode": rlm_doc(spec),
        "Prompt of standard mode": standard_doc(spec),
        "Input schema": json.dumps(spec.input_schema, indent=2),
        "Output schema": json.dumps(spec.output_schema, indent=2),
    }
    return "\n\n".join(f"==== {title}\n{text}" for title, text in parts.items()) + "\n"


def goldens() -> dict[str, str]:
    """Text by file name."""
    return {f"{name}.txt": shown(spec) for name, spec in specs().items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in goldens().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
