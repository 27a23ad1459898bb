"""What a tool gives back, and how it is told to the model (providers.md 12).

A tool's value is JSON in which images stand as `AttachmentRef`. Inside the runtime such a reference has a *tagged*
form, `{"$lash_tool_value": "attachment", "ref": {...}}`, and a record that happens to have that key is escaped, so
that no tool can forge a reference by returning a record of that shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from lash.runtime.errors import LashError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import (
    AnyToolControl,
    AnyToolOutput,
    FailureClass,
    FailureSource,
    RetryAdvice,
    ToolControl,
    ToolFailure,
    ToolOutput,
)
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.tools.paths import path_text

TAG: Final = "$lash_tool_value"

CANCELLED: Final = "tool call cancelled"
"""What the record of a call says that was stopped."""


class ToolError(Exception):
    """Raised by a tool to fail with exactly this: message and code for the model, and whether trying again is safe."""

    def __init__(
        self,
        message: str,
        *,
        cls: FailureClass = "execution",
        code: str = "tool_error",
        retry: Literal["never", "safe"] = "never",
        retry_after_ms: int | None = None,
        raw: JsonValue = None,
    ) -> None:
        super().__init__(message)
        advice = RetryAdvice(retry, after_ms=retry_after_ms if retry == "safe" else None)
        self.failure = ToolFailure(cls, code, message, "tool", advice, raw)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of a call, as providers give it; made by the class methods.

    The value of a success may hold `AttachmentRef`s; `control` asks something of the turn.
    """

    outcome: Literal["success", "failure", "cancelled"]
    value: Any = None
    error: ToolFailure | None = None
    message: str = CANCELLED
    raw: JsonValue = None
    control: AnyToolControl | None = None

    @classmethod
    def success(cls, value: Any = None) -> ToolResult:
        """It worked."""
        return cls("success", value)

    @classmethod
    def failure(
        cls,
        failure: ToolFailure | FailureClass,
        code: str = "tool_error",
        message: str = "",
        *,
        source: FailureSource = "tool",
        retry: RetryAdvice | None = None,
        raw: JsonValue = None,
    ) -> ToolResult:
        """It did not: a failure, or the parts of one."""
        if not isinstance(failure, ToolFailure):
            failure = ToolFailure(failure, code, message, source, retry or RetryAdvice(), raw)
        return cls("failure", error=failure)

    @classmethod
    def cancelled(cls, message: str = CANCELLED, raw: JsonValue = None) -> ToolResult:
        """It was stopped."""
        return cls("cancelled", message=message, raw=raw)

    @classmethod
    def handoff(cls, session_id: str, value: Any = None) -> ToolResult:
        """It worked, and the turn goes on in another session."""
        return cls("success", value, control=ToolControl.Handoff(session_id))

    @classmethod
    def finish(cls, value: Any) -> ToolResult:
        """It worked, and the turn ends with this value; attachments in it are tagged like those of a result."""
        return cls("success", value, control=ToolControl.Finish(tagged(value)))

    @classmethod
    def fail(cls, failure: ToolFailure, value: Any = None) -> ToolResult:
        """It worked, and what it found stops the turn."""
        return cls("success", value, control=ToolControl.Fail(failure))


class ResultInvalid(LashError):
    """A tool's value is no JSON; the text says where."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_tool_result", message)


def tagged(value: object) -> JsonValue:
    """A tool's value as JSON, attachments tagged; ResultInvalid where something in it is no JSON."""
    try:
        return _tagged(value, ())
    except RecursionError:
        raise ResultInvalid("the result is nested too deeply for JSON") from None


def _tagged(value: object, path: tuple[str | int, ...]) -> JsonValue:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ResultInvalid(f"{path_text(path, 'result')}: the text holds half a surrogate pair") from None
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ResultInvalid(f"{path_text(path, 'result')}: {value!r} is no number of JSON")
        return value
    if isinstance(value, AttachmentRef):
        return {TAG: "attachment", "ref": to_json(value)}
    if isinstance(value, Mapping):
        entries: dict[str, JsonValue] = {}
        for key, below in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str):
                raise ResultInvalid(f"{path_text(path, 'result')}: the key {key!r} is no text")
            entries[key] = _tagged(below, (*path, key))
        return {TAG: "object", "entries": entries} if TAG in entries else entries
    if isinstance(value, (list, tuple)):
        return [_tagged(below, (*path, at)) for at, below in enumerate(cast("Sequence[object]", value))]
    raise ResultInvalid(f"{path_text(path, 'result')}: a value of type {type(value).__name__} is no JSON")


def untagged(value: JsonValue, attachment: Callable[[AttachmentRef], Any]) -> Any:
    """The value behind its tagged form; `attachment` says what stands for each attachment."""
    if isinstance(value, list):
        return [untagged(below, attachment) for below in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(TAG)
    if kind == "attachment":
        return attachment(from_json(AttachmentRef, value["ref"]))
    if kind == "object":
        value = cast("dict[str, JsonValue]", value["entries"])
    return {key: untagged(below, attachment) for key, below in value.items()}


def attachment_label(reference: AttachmentRef) -> str:
    """What text shows in the place of an image."""
    parts = [f"[image {reference.id}"]
    if reference.label:
        parts.append(f": {reference.label}")
    if reference.width is not None and reference.height is not None:
        parts.append(f" {reference.width}x{reference.height}")
    return "".join((*parts, "]"))


@dataclass(frozen=True, slots=True)
class ModelReturn:
    """What the model is told of a call: text, and the ids of attachments after it."""

    text: str
    attachments: tuple[str, ...] = ()


def plain_value(value: JsonValue) -> tuple[JsonValue, tuple[str, ...]]:
    """A tagged value with a label for every attachment, and the attachments' ids, each once."""
    found: dict[str, None] = {}

    def labelled(reference: AttachmentRef) -> str:
        found[reference.id] = None
        return attachment_label(reference)

    shown = untagged(value, labelled)
    return shown, tuple(found)


def value_text(value: JsonValue) -> str:
    """A value for the model: text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def model_return(output: AnyToolOutput) -> ModelReturn:
    """What the model is told where no plugin has its own way."""
    match output:
        case ToolOutput.Success(value=value):
            shown, attachments = plain_value(value)
            return ModelReturn(value_text(shown), attachments)
        case ToolOutput.Failure(failure=failure):
            return ModelReturn(f"[Tool execution failed]\n{failure.message}")
        case ToolOutput.Cancelled(message=message):
            return ModelReturn(f"[Tool execution cancelled]\n{message}")


def output_of(result: ToolResult) -> AnyToolOutput:
    """A provider's result in the runtime's form; ResultInvalid where its value is no JSON."""
    match result.outcome:
        case "success":
            return ToolOutput.Success(tagged(result.value))
        case "failure":
            return ToolOutput.Failure(result.error or ToolFailure("execution", "tool_error", result.message))
        case "cancelled":
            return ToolOutput.Cancelled(result.message, result.raw)


def failed(
    cls: FailureClass,
    code: str,
    message: str,
    source: FailureSource = "runtime",
    retry: RetryAdvice | None = None,
) -> ToolOutput.Failure:
    """A failure of the runtime's own."""
    return ToolOutput.Failure(ToolFailure(cls, code, message, source, retry or RetryAdvice()))


def json_bytes(value: JsonValue) -> int:
    """The size of a tagged value's JSON, attachments not counted."""
    shown = untagged(value, lambda _: None)
    return len(json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode())
