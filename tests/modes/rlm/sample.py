"""Events, messages and a request for the tests of what the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.projector import RlmContextProjector
from lash.modes.rlm.prompt.projected import describe_projected, projected_contribution
from lash.modes.rlm.prompt.tools import tools_contribution
from lash.modes.rlm.prompt.variables import describe, variables_view
from lash.modes.rlm.types import RlmDiagnostic, RlmTrajectoryEntry, StepImage, as_event
from lash.modes.rlm.view import RlmView
from lash.runtime.sansio.driver import ProjectionInput
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, Role
from lash.runtime.sansio.messages import Message, MessageSequence, Part, PluginOrigin, SessionEvent, SessionEventRecord
from lash.runtime.sansio.prompt import PromptLayer, render_prompt
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput, ToolSpec
from lash.runtime.sansio.values import JsonValue


def message(number: str, role: Role, text: str, *, transient: bool = False) -> Message:
    origin = PluginOrigin("some_plugin", transient=True) if transient else None
    return Message(number, role, (Part(f"{number}.p0", "text", text),), origin)


def said(number: str, role: Role, text: str) -> SessionEvent.Conversation:
    return SessionEvent.Conversation(message(number, role, text))


def step(number: int, code: str = "x = 1", *, turn: str = "t1", **more: Any) -> SessionEvent.Mode:
    entry = {"id": f"step:{turn}:{number}", "turn_id": turn, "turn_index": 1, "mode_iteration": number, "code": code}
    return as_event(RlmTrajectoryEntry.model_validate({**entry, **more}))


def diagnostic() -> SessionEvent.Mode:
    return as_event(RlmDiagnostic(phase="llm_extraction", payload={"decision": "execute"}))


def called(call_id: str, tool: str = "fetch", value: JsonValue = 1) -> SessionEvent.Tool:
    return SessionEvent.Tool(call_id, ToolCallRecord(call_id, tool, {"q": 1}, ToolOutput.Success(value)))


def messages_of(events: Sequence[SessionEventRecord]) -> MessageSequence:
    return MessageSequence(event.message for event in events if isinstance(event, SessionEvent.Conversation))


def projection_input(
    events: Sequence[SessionEventRecord],
    *,
    messages: Sequence[Message] | None = None,
    iteration: int = 0,
    offset: int = 0,
    max_turns: int | None = None,
    termination: JsonValue = None,
    view: RlmView | None = None,
    system_prompt: str = "SYSTEM",
    turn: str = "t1",
) -> ProjectionInput:
    return ProjectionInput(
        session_id="s",
        turn_id=turn,
        messages=messages_of(events) if messages is None else MessageSequence(messages),
        events=tuple(events),
        mode_iteration=iteration,
        mode_run_offset=offset,
        max_turns=max_turns,
        termination=termination,
        autonomous=False,
        model="model-1",
        model_variant=None,
        system_prompt=system_prompt,
        tool_specs=(),
        mode_view=None if view is None else view.as_json(),
    )


def project(events: Sequence[SessionEventRecord], config: RlmConfig | None = None, **more: Any) -> LlmRequest:
    return RlmContextProjector(config or RlmConfig()).project(projection_input(events, **more), use_tools=False)


def texts(messages: Sequence[LlmMessage]) -> list[str]:
    """The texts of messages, each as one."""
    return ["\n".join(block.text for block in one.blocks if isinstance(block, Block.Text)) for one in messages]


def shown(request: LlmRequest) -> str:
    """What a person sees of a request."""
    parts: list[str] = []
    for one in request.messages:
        for block in one.blocks:
            match block:
                case Block.Text(text=text, cache_breakpoint=marked):
                    parts.append(f"<<< {one.role}{', cached up to here' if marked else ''} >>>\n{text}")
                case Block.Image(attachment_idx=index):
                    parts.append(f"<<< {one.role}, image {index}: {request.attachments[index].reference} >>>")
                case _:
                    raise AssertionError(block)
    return "\n\n".join(parts)


SEARCH = ToolSpec(
    name="search-docs",
    description="Find pages by their words.",
    input_schema={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "Words to look for."},
            "limit": {"type": "integer", "minimum": 1, "default": 10},
        },
        "required": ["query"],
    },
    output_schema={
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "score": {"type": "number", "description": "0 to 1."}},
            "required": ["id", "score"],
        },
    },
    examples=('(call search_docs { query: "tea" })?', "call search_docs { query: q, limit: 3 }", "a third one"),
)


def sample_request() -> str:
    """A whole request: an earlier turn, a few steps of this one, every part of the tail."""
    pages: JsonValue = [{"id": "p1", "score": 0.9}, {"id": "p2", "score": 1}]
    system = (
        [tools_contribution([SEARCH], ["Pages are read-only."])],
        [projected_contribution([describe_projected("handbook", "Chapter one\n" * 500)])],
    )
    layer = PromptLayer().add(*(one for part in system for one in part if one is not None))
    prompt = render_prompt(layer, "(the execution prompt)", [SEARCH])
    view = RlmView(
        variables=variables_view(
            [
                describe("pages", pages),
                describe("best", {"id": "p1", "score": 0.9}),
                describe("text", "tea " * 1000),
                describe("n", 3),
            ],
            ["zebra"],
        ),
        queued=("user message: hurry up",),
        budgets=("Tool calls: 41 of 50 used.",),
    )
    events = [
        said("m1", "user", "Which tea is best?"),
        step(0, 'submit "green"', turn="t0", final_output={"value": "green"}),
        said("m2", "user", "Show me pages."),
        diagnostic(),
        called("c1"),
        step(
            1,
            'pages = (call search_docs { query: "tea" })?\nprint len(pages)\nprint pages',
            prose="Searching.",
            output=("2", str(pages)),
            tool_call_ids=("c1",),
            images=(StepImage(id="img1", media_type="image/png", label="chart", width=3, height=2, byte_len=70),),
            blocks_seen=2,
        ),
        step(2, "print nope", error="error[unknown_name]: name `nope` is not defined\n--> line 1, column 7"),
        step(3, "text = pages[0].id"),
    ]
    schema: JsonValue = {"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}}}
    request = project(
        events,
        iteration=4,
        offset=1,
        max_turns=4,
        termination={"kind": "submit_required", "output_schema": {**schema, "required": ["ok"]}},
        view=view,
        system_prompt=prompt,
    )
    return shown(request)
