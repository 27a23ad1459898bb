"""Records to test with: one of every type, made by hand."""

from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.seams.trace import AnyTraceEvent, TraceContext, TraceEvent, TraceRecord
from lash.runtime.seams.trace_events import (
    TraceAttachment,
    TraceBlock,
    TraceError,
    TraceHandoff,
    TraceMessage,
    TraceMessagesBase,
    TracePromptComponent,
    TraceRequest,
    TraceResponse,
    TraceTool,
    TraceToolOutcome,
    TraceToolOutput,
)

PLACE = TraceContext(session_id="s", turn_id="t", turn_index=0, mode_iteration=1, metadata={"team": "blue"})

USAGE = TokenUsage(10, 20, 30, 40, 5)

BLOCKS = (
    TraceBlock.Text("hello", cache_breakpoint=True),
    TraceBlock.Image(2),
    TraceBlock.ToolCall("c", "search", '{"q": 1}', item_id="i", has_signature=True),
    TraceBlock.ToolResult("c", "search", "found"),
    TraceBlock.Reasoning("because", summary=("short",), has_encrypted=True, redacted=True),
)

EVENTS: tuple[AnyTraceEvent, ...] = (
    TraceEvent.SessionStarted({"mode": "rlm"}),
    TraceEvent.TurnStarted({"input_items": 1}),
    TraceEvent.PromptBuilt("hash", 12, (TracePromptComponent("a", "slot", "hash", 12),)),
    TraceEvent.LlmCallStarted(
        TraceRequest(
            model="m",
            provider="p",
            messages=(TraceMessage("user", BLOCKS),),
            messages_base=TraceMessagesBase("id-7", 2),
            messages_tail=(TraceMessage("assistant", BLOCKS[:1]),),
            attachments=(TraceAttachment("image/png", "cat.png", "abc", 3),),
            tools=(TraceTool("search", "Finds.", {"type": "object"}),),
            tool_choice="auto",
            output_spec={"type": "json_object"},
            generation={"max_output_tokens": 100},
            stream=True,
        )
    ),
    TraceEvent.LlmCallCompleted(TraceResponse("hi", 12, 3, "stop", "id", "m-1", BLOCKS[:1]), USAGE, {"in": 1}),
    TraceEvent.LlmCallFailed(TraceError("busy", True, "provider_error", "529", "raw"), 2),
    TraceEvent.ToolCallStarted("c", "search", {"q": None, "list": [], "x": 0.5}, "parent"),
    TraceEvent.ToolCallCompleted(
        "c",
        "search",
        {"q": [1, {"deep": {}}]},
        TraceToolOutput(TraceToolOutcome("success", []), {"type": "finish"}),
        5,
        replayed=True,
    ),
    TraceEvent.ApprovalRequested("ap:1", "c", "search", {"q": 1}, "because", 2, 99),
    TraceEvent.ApprovalAnswered("ap:1", "c", "edit", None, {"q": 2}, "ann", 1200),
    TraceEvent.TurnSuspended(("ap:1",)),
    TraceEvent.TurnResumed("replay", 4),
    TraceEvent.ModeStep("rlm", {"code": "submit 1"}),
    TraceEvent.TokensUsed("turn", "m", USAGE, USAGE),
    TraceEvent.TurnCompleted("handoff", "handoff", 7, TraceHandoff("h:1")),
    TraceEvent.ProviderStreamEvent("p", 1, 2, "delta", raw_len=2, raw_sha256="abc", raw_json="{}"),
    TraceEvent.RuntimeStreamEvent(1, 2, "text_delta", raw_text="a", visible_text="", usage=USAGE),
    TraceEvent.Custom("plugin.x.y", "text"),
)


def record(event: AnyTraceEvent, number: int = 0, context: TraceContext = PLACE) -> TraceRecord:
    """A record of an event, with a made-up id and time."""
    return TraceRecord(f"id-{number}", "2026-01-02T03:04:05.006Z", event, context)
