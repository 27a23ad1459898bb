"""`batch`: one call that stands for many, for models that make one call at a time (providers.md 14).

It is no tool that runs tools. The driver takes a well-formed batch apart before anything is dispatched, so its entries
are calls like all others: scheduled, hooked, approved, recorded and replayed one by one. Afterwards their results are
put together as the result of the one call that the model made. A malformed batch is dispatched as it is and fails by
its schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from lash.modes.standard.calls import BATCH, MOST_ENTRIES, arguments, entry_id, pending
from lash.modes.standard.messages import CallResult, call_result, images_of
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import Availability, ToolContract, ToolDefinition, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolError, ToolResult, model_return, plain_value, value_text

DESCRIPTION = (
    f"Runs up to {MOST_ENTRIES} independent tool calls at once and gives all their results, by index. "
    "One that fails does not stop the others. A batch cannot hold another one."
)

_DEFINITION = ToolDefinition.raw(
    BATCH,
    DESCRIPTION,
    {
        "type": "object",
        "properties": {
            "tool_calls": {
                "type": "array",
                "description": "the calls",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "tool": {"type": "string", "description": "the name of the tool"},
                        "parameters": {"type": "object", "description": "its arguments"},
                    },
                    "required": ["tool", "parameters"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["tool_calls"],
        "additionalProperties": False,
    },
    availability=Availability.CALLABLE,
)


class Batch(ListedTools):
    """The tool as the model sees it."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`."""
        return (_DEFINITION.manifest,)

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        return _DEFINITION.contract if name == BATCH else None

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`: reached only where a hook mended a malformed batch, which comes too late."""
        raise ToolError("the batch was malformed when it was made: make it again", cls="invalid_request")


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a batch: the call that it becomes, or why it becomes none."""

    tool: str
    call: PendingToolCall | str


def dispatched(call: Block.ToolCall, *, with_batch: bool) -> tuple[PendingToolCall, ...]:
    """What is dispatched for a call of the model: the call itself, or the entries of a batch."""
    entries = _entries(call) if with_batch else None
    if entries is None:
        return (pending(call),)
    return tuple(entry.call for entry in entries if isinstance(entry.call, PendingToolCall))


def answered(calls: Sequence[Block.ToolCall], completed: Sequence[CompletedToolCall]) -> list[CallResult]:
    """The results of the model's calls, in their order, from those of all that was dispatched, in its order."""
    left, results = list(reversed(completed)), list[CallResult]()
    for call in calls:
        if left and left[-1].call_id == call.call_id:
            results.append(call_result(left.pop()))
        else:
            results.append(_joined(call, _entries(call) or [], iter(left.pop, None)))
    return results


def _entries(call: Block.ToolCall) -> list[_Entry] | None:
    """The entries of a well-formed batch; None for everything else."""
    args = arguments(call.input_json) if call.tool_name == BATCH else None
    if not isinstance(args, dict) or args.keys() != {"tool_calls"}:
        return None
    given = args["tool_calls"]
    if not isinstance(given, list) or not given or not all(map(_is_entry, given)):
        return None
    return [_entry(call, index, cast("dict[str, JsonValue]", entry)) for index, entry in enumerate(given)]


def _is_entry(entry: JsonValue) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"tool", "parameters"}
        and isinstance(entry["tool"], str)
        and isinstance(entry["parameters"], dict)
    )


def _entry(call: Block.ToolCall, index: int, entry: dict[str, JsonValue]) -> _Entry:
    tool = cast("str", entry["tool"])
    if index >= MOST_ENTRIES:
        return _Entry(tool, f"not run: a batch has {MOST_ENTRIES} calls at most; make another one")
    if tool == BATCH:
        return _Entry(tool, "not run: a batch cannot hold another one; list its calls in this one")
    return _Entry(tool, PendingToolCall(entry_id(call.call_id, index), tool, entry["parameters"]))


def _joined(call: Block.ToolCall, entries: Sequence[_Entry], completed: Iterator[CompletedToolCall]) -> CallResult:
    """The result of a batch, whose calls are the next ones that were completed."""
    told: list[JsonValue] = []
    images: list[AttachmentRef] = []
    for index, entry in enumerate(entries):
        shown: dict[str, JsonValue] = {"index": index, "tool": entry.tool}
        if isinstance(entry.call, str):
            shown |= {"success": False, "duration_ms": 0, "error": entry.call}
        else:
            done = next(completed)
            shown |= {"success": done.succeeded, "duration_ms": done.duration_ms}
            shown |= {"result": _result(done)} if done.succeeded else {"error": done.model_return}
            images += images_of(done)
        told.append(shown)
    return CallResult(call.call_id, call.tool_name, value_text({"results": told}), images=tuple(images))


def _result(call: CompletedToolCall) -> JsonValue:
    """The value of a call that worked; its text where a plugin has cut it for the model or added to it."""
    assert isinstance(call.output, ToolOutput.Success)
    whole = model_return(call.output).text == call.model_return
    return plain_value(call.output.value)[0] if whole else call.model_return
