"""A server's answers and errors as results of tools (plugins.md 11)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    REQUEST_TIMEOUT,
    URL_ELICITATION_REQUIRED,
    AudioContent,
    CallToolResult,
    ImageContent,
    TextContent,
)

from lash.host.plugins.mcp.bounds import MIB, McpBounds
from lash.host.plugins.mcp.outputs import output_problem
from lash.host.plugins.mcp.secrets import Secrets
from lash.runtime.errors import LashError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import FailureClass
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.context import ToolContext
from lash.runtime.tools.result import ToolError, ToolResult

INVALID_OUTPUT: Final = "mcp_invalid_output"
INPUT_REQUIRED: Final = "mcp_input_required"
CONNECTION_LOST: Final = "mcp_connection_lost"

PROBLEM_CHARS: Final = 500
"""How much is told of what is wrong with a result: it quotes the result, which may be of any length."""

_BY_CODE: Final[dict[int, tuple[FailureClass, str]]] = {
    REQUEST_TIMEOUT: ("timeout", "mcp_call_timeout"),
    CONNECTION_CLOSED: ("unavailable", CONNECTION_LOST),
    INVALID_PARAMS: ("invalid_request", "mcp_invalid_params"),
    URL_ELICITATION_REQUIRED: ("external", INPUT_REQUIRED),
}


def lost(server: str, reason: str) -> ToolError:
    """The server is not there; a tool that may be repeated is."""
    return ToolError(
        f"the MCP server {server!r} is not available: {reason}", cls="unavailable", code=CONNECTION_LOST, retry="safe"
    )


def timed_out(server: str, seconds: float) -> ToolError:
    """The server has not answered."""
    message = f"the MCP server {server!r} did not answer within {seconds:g} s"
    return ToolError(message, cls="timeout", code="mcp_call_timeout")


def asked_for_input(server: str, said: str) -> ToolError:
    """The server wanted something of a user or a model, which it is not given."""
    message = f"the MCP server {server!r} asked for input of a user or a model, which tools are not given: {said}"
    return ToolError(message, cls="external", code=INPUT_REQUIRED)


def protocol_failure(server: str, error: MCPError, most: int) -> ToolError:
    """What an error of the protocol means for the call."""
    cls, code = _BY_CODE.get(error.code, ("external", "mcp_protocol_error"))
    message = f"the MCP server {server!r} answered with an error: {error.message[:most]} ({error.code})"
    if code == CONNECTION_LOST:
        return lost(server, error.message[:most])
    return ToolError(message, cls=cls, code=code)


class ResultMapper:
    """Makes results of one server's answers."""

    def __init__(self, server: str, secrets: Secrets, bounds: McpBounds) -> None:
        self._server = server
        self._secrets = secrets
        self._bounds = bounds

    async def result(
        self, answer: CallToolResult, output_schema: Mapping[str, JsonValue] | None, context: ToolContext
    ) -> ToolResult:
        """The result of a call; raises ToolError where it failed, or its content cannot be taken."""
        if answer.is_error:
            raise self.failure(answer)
        structured = answer.structured_content
        if output_schema is not None:
            self._check(structured, "structured_content" in answer.model_fields_set, output_schema)
        values = [await self._item(item, context) for item in answer.content]
        if structured is not None:
            has_attachments = any(isinstance(value, AttachmentRef) for value in values)
            shown = self._secrets.hide_in(structured)
            return ToolResult.success({"structured": shown, "content": values} if has_attachments else shown)
        return ToolResult.success(values[0] if len(values) == 1 else values or None)

    def failure(self, answer: CallToolResult) -> ToolError:
        """The failure that a server tells as a result."""
        texts = [item.text for item in answer.content if isinstance(item, TextContent)]
        said = self._secrets.hide("\n".join(texts))[: self._bounds.error_chars]
        return ToolError(
            said or f"a tool of the MCP server {self._server!r} failed without saying why",
            cls="execution",
            code="mcp_tool_error",
            raw=self._raw(answer),
        )

    def _raw(self, answer: CallToolResult) -> JsonValue:
        """What the server said, images left out; None where that is too much to be kept with every failure."""
        value = answer.structured_content
        if value is None:
            items: list[Any] = [_plain(item) for item in answer.content]
            value = items[0] if len(items) == 1 else items
        value = self._secrets.hide_in(value)
        try:
            return value if len(json.dumps(value, allow_nan=False)) <= self._bounds.raw_bytes else None
        except ValueError:
            return None

    def _check(self, structured: Any, present: bool, schema: Mapping[str, JsonValue]) -> None:
        problem = output_problem(structured, schema) if present else "there is no structured content"
        if problem is not None:
            raise ToolError(
                f"the MCP server {self._server!r} promises a result that it does not give: "
                f"{self._secrets.hide(problem)[:PROBLEM_CHARS]}",
                cls="external",
                code=INVALID_OUTPUT,
            )

    async def _item(self, item: Any, context: ToolContext) -> Any:
        """One piece of content as a value."""
        match item:
            case TextContent():
                return self._secrets.hide_in(item.text)
            case ImageContent() | AudioContent():
                return await self._attachment(item, context)
            case _:
                return self._secrets.hide_in(item.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def _attachment(self, item: ImageContent | AudioContent, context: ToolContext) -> AttachmentRef:
        what, most = f"the {item.type} in the result ({item.mime_type[:64]})", self._bounds.attachment_bytes
        if len(item.data) > (most + 2) // 3 * 4 + 4:
            raise _unusable(f"{what} is larger than {most / MIB:g} MiB")
        try:
            data = base64.b64decode(item.data, validate=True)
        except (binascii.Error, ValueError):
            raise _unusable(f"{what} is no base64") from None
        if len(data) > most:
            raise _unusable(f"{what} is larger than {most / MIB:g} MiB")
        try:
            return await context.put_attachment(data)
        except LashError as error:
            raise _unusable(f"{what} cannot be kept: {error.message}") from error


def _unusable(message: str) -> ToolError:
    return ToolError(message, cls="external", code="mcp_unusable_content")


def _plain(item: Any) -> JsonValue:
    if isinstance(item, TextContent):
        return item.text
    if isinstance(item, ImageContent | AudioContent):
        return {"type": item.type, "mimeType": item.mime_type, "base64_characters": len(item.data)}
    return item.model_dump(mode="json", by_alias=True, exclude_none=True)
