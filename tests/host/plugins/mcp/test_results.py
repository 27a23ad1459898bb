"""Answers of servers as results of tools."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.plugins.mcp.results import ResultMapper
from lash.host.plugins.mcp.secrets import Secrets
from lash.runtime.errors import LashError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.tools.result import ToolError, ToolResult
from tests.facade.support import GIF

TEXT = TextContent(text="hello")
IMAGE = ImageContent(data=base64.b64encode(GIF).decode(), mime_type="image/gif")
KEPT = AttachmentRef("kept", "image/gif", len(GIF))
SECRETS = Secrets({"API_KEY": "k3y-of-the-server", "PLACE": "/srv/data"}, {}, "")


class Context:
    """Keeps images, and nothing else."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def put_attachment(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        if not data.startswith(b"GIF"):
            raise LashError("attachment_type", "these bytes are no image")
        self.kept.append(data)
        return KEPT


async def mapped(*content: Any, schema: dict[str, Any] | None = None, **more: Any) -> ToolResult:
    mapper = ResultMapper("docs", SECRETS, McpBounds(attachment_bytes=1000))
    context: Any = Context()
    return await mapper.result(CallToolResult(content=list(content), **more), schema, context)


LINK = ResourceLink(name="a", uri="file:///a")
BLOB = EmbeddedResource(resource=BlobResourceContents(uri="file:///b", blob="AAAA"))

VALUES: list[tuple[list[Any], dict[str, Any], Any]] = [
    ([TEXT], {}, "hello"),
    ([TEXT, TextContent(text="there")], {}, ["hello", "there"]),
    ([], {}, None),
    ([IMAGE], {}, KEPT),
    ([TEXT, IMAGE], {}, ["hello", KEPT]),
    ([LINK], {}, {"type": "resource_link", "name": "a", "uri": "file:///a"}),
    ([BLOB], {}, {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}}),
    ([TEXT], {"structured_content": {"n": 1}}, {"n": 1}),
    ([TEXT, IMAGE], {"structured_content": {"n": 1}}, {"structured": {"n": 1}, "content": ["hello", KEPT]}),
    ([TextContent(text="k3y-of-the-server in /srv/data")], {}, "[redacted] in /srv/data"),
]


@pytest.mark.parametrize(("content", "more", "value"), VALUES, ids=range(len(VALUES)))
async def test_content_becomes_a_value(content: list[Any], more: dict[str, Any], value: Any) -> None:
    assert (await mapped(*content, **more)).value == value


UNUSABLE: list[tuple[Any, str]] = [
    (ImageContent(data="no base64!", mime_type="image/gif"), "is no base64"),
    (ImageContent(data=base64.b64encode(b"no image").decode(), mime_type="image/gif"), "no image"),
    (ImageContent(data=base64.b64encode(bytes(1001)).decode(), mime_type="image/gif"), "is larger than"),
    (ImageContent(data="A" * 100_000, mime_type="image/gif"), "is larger than"),
    (AudioContent(data=base64.b64encode(b"RIFF....WAVE").decode(), mime_type="audio/wav"), "cannot be kept"),
]


@pytest.mark.parametrize(("item", "said"), UNUSABLE, ids=[case[1] for case in UNUSABLE])
async def test_an_image_or_sound_that_cannot_be_kept_fails_the_call(item: Any, said: str) -> None:
    with pytest.raises(ToolError, match=said) as raised:
        await mapped(TEXT, item)
    assert raised.value.failure.code == "mcp_unusable_content"


async def test_an_error_is_a_failure_with_the_texts_and_the_value() -> None:
    with pytest.raises(ToolError) as raised:
        await mapped(TEXT, TextContent(text="k3y-of-the-server"), IMAGE, is_error=True)
    failure = raised.value.failure
    assert (failure.cls, failure.code, failure.message) == ("execution", "mcp_tool_error", "hello\n[redacted]")
    image = {"type": "image", "mimeType": "image/gif", "base64_characters": len(IMAGE.data)}
    assert failure.raw == ["hello", "[redacted]", image]


async def test_an_error_without_a_text_still_says_whose_it_is() -> None:
    with pytest.raises(ToolError, match="a tool of the MCP server 'docs' failed"):
        await mapped(is_error=True)


async def test_a_result_that_breaks_its_own_promise_is_a_failure() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    for more in ({"structured_content": {"n": "k3y-of-the-server"}}, {}):
        with pytest.raises(ToolError, match="promises a result that it does not give") as raised:
            await mapped(TEXT, schema=schema, **more)
        assert (raised.value.failure.cls, raised.value.failure.code) == ("external", "mcp_invalid_output")
        assert "k3y" not in raised.value.failure.message
    assert (await mapped(TEXT, schema=schema, structured_content={"n": 1})).value == {"n": 1}
