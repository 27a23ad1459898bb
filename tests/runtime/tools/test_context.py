"""What tools reach from their context, and what they do not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from lash.runtime.errors import LashError
from lash.runtime.plugins.binding import PluginBinding
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import SessionSnapshot, ToolContext, ToolProgress, TurnContext
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.definition import Availability
from lash.runtime.tools.surface import CatalogEntry
from tests.runtime.tools.support import bench, value


class Services:
    """Everything that the runtime does for tools, done simply."""

    def session_model(self) -> str:
        return "model-1"

    async def snapshot_session(self, session_id: str | None) -> SessionSnapshot:
        return SessionSnapshot(session_id or "own", "stub", 3, (), ())

    async def direct_completion(self, request: LlmRequest, usage_source: str, call_id: str) -> LlmResponse:
        return LlmResponse(f"{request.model} {usage_source} {call_id}")

    def take_usage(self, call_id: str) -> tuple[TokenLedgerEntry, ...]:
        return ()

    async def put_attachment(self, data: bytes, label: str | None) -> AttachmentRef:
        return AttachmentRef("id", "image/png", len(data), label=label)

    async def describe_attachment(self, attachment_id: str) -> None: ...

    def plugin_input(self, plugin_id: str) -> Any:
        return {"a": 1} if plugin_id == "mine" else None


class Mine(PluginBinding[None, dict[str, int]]):
    ID = "mine"


async def test_a_tool_reaches_the_services_by_name() -> None:
    @tool
    async def look(ctx: ToolContext) -> list[Any]:
        completion: Any = await ctx.direct_completion(LlmRequest("m", ()), "side")
        return [
            ctx.session_id,
            ctx.turn_id,
            ctx.turn_context.execution_mode,
            ctx.session_model(),
            (await ctx.session_snapshot()).session_id,
            (await ctx.snapshot_session("other")).session_id,
            completion.full_text,
            (await ctx.put_attachment(b"123", label="l")).byte_len,
            ctx.plugin_input(Mine),
            [entry.name for entry in ctx.tool_catalog()],
            ctx.idempotency_key,
        ]

    async with bench([look], services=Services()) as on:
        assert value(await on.call("look")) == [
            "s",
            "t",
            "stub",
            "model-1",
            "own",
            "other",
            "m side c1",
            3,
            {"a": 1},
            ["look"],
            "lash-tool:s:c1:look",
        ]


async def test_a_tool_may_change_how_far_tools_are_offered() -> None:
    @tool
    async def promote(ctx: ToolContext) -> None:
        ctx.set_tools_availability(["promote"], "callable")

    async with bench([promote]) as on:
        await on.call("promote")
        assert on.registry.surface("stub").availability("promote") is Availability.CALLABLE


async def test_a_context_that_was_kept_is_of_no_use_after_its_call() -> None:
    kept: list[ToolContext] = []

    @tool
    async def keep(ctx: ToolContext) -> None:
        kept.append(ctx)

    async with bench([keep], services=Services()) as on:
        await on.call("keep")
        with pytest.raises(LashError) as error:
            kept[0].session_model()
        assert error.value.code == "tool_context_closed"


ALLOWED = (
    *(str, int, float, bool, bytes, type(None), list, dict, tuple, set, frozenset),
    *(ToolContext, ToolProgress, TurnContext, CancelToken, CatalogEntry),
)


def attributes(thing: Any) -> Iterator[Any]:
    """Everything that can be read from an object without calling anything."""
    if isinstance(thing, (list, tuple, set, frozenset)):
        yield from thing  # pyright: ignore[reportUnknownVariableType]
    elif isinstance(thing, dict):
        yield from thing.values()  # pyright: ignore[reportUnknownVariableType]
    else:
        yield from getattr(thing, "__dict__", {}).values()
        for one in type(thing).__mro__:
            slots = one.__dict__.get("__slots__", ())
            yield from (getattr(thing, name) for name in slots if name != "__weakref__" and hasattr(thing, name))


async def test_no_attribute_of_a_context_leads_to_the_runtime() -> None:
    reached: list[str] = []

    @tool
    async def walk(ctx: ToolContext, progress: ToolProgress) -> None:
        pending: list[Any] = [ctx, progress, *ctx.tool_catalog()]
        seen: set[int] = set()
        while pending:
            thing = pending.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            module = type(thing).__module__
            if module.startswith("lash") and not isinstance(thing, ALLOWED):
                reached.append(type(thing).__name__)
            pending += list(attributes(thing))

    async with bench([walk], services=Services()) as on:
        await on.call("walk")
    assert reached == []


async def test_contexts_are_not_kept_by_the_runtime() -> None:
    given: list[weakref.ref[ToolContext]] = []

    @tool
    async def look(ctx: ToolContext) -> None:
        given.append(weakref.ref(ctx))

    async with bench([look]) as on:
        await on.call("look")
        gc.collect()
        (context,) = given
        assert context() is None
