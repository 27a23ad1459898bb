"""What the tests of the turn machine share: a driver that answers from a list, and short ways to drive a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.driver import (
    TURN_SOURCE,
    AnyDriverAction,
    DriverAction,
    DriverContext,
    ProjectionInput,
    WaitingExec,
    WaitingLlm,
)
from lash.runtime.sansio.effects import AnyEffect, Effect, ExecFailure, ExecResponse, Response
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, LlmResponse, TerminalReason
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, MessageSequence, Part, PluginOrigin, SessionEvent
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnFinish, TurnOutcome
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolOutput
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue

ASKING = (
    Effect.SyncExecutionSurface,
    Effect.LlmCall,
    Effect.ToolCalls,
    Effect.ExecCode,
    Effect.Checkpoint,
)
"""The effects that expect an answer."""

Answer: TypeAlias = list[AnyDriverAction] | Callable[[DriverContext], list[AnyDriverAction]]

CALL = LlmRequest("model-1", (LlmMessage("user", (Block.Text("hello"),)),))
CALLS = (PendingToolCall("call-1", "search", {"q": "x"}), PendingToolCall("call-2", "fetch", {"url": "y"}))
PROSE_END = TurnOutcome.Finished(TurnFinish.AssistantMessage("bye"))


class ListDriver:
    """Answers with the next entry of a list, whatever it is asked, and notes what it was asked."""

    mode_id = "listed"
    version = 1

    def __init__(self, *answers: Answer, handles_output_limit: bool = False) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []
        self.contexts: list[DriverContext] = []
        self.handles_output_limit = handles_output_limit

    def _answer(self, name: str, ctx: DriverContext, what: Any) -> list[AnyDriverAction]:
        self.asked.append((name, what))
        self.contexts.append(ctx)
        answer = self.answers.pop(0)
        return answer(ctx) if callable(answer) else answer

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        return self._answer("prepare", ctx, None)

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        return self._answer("llm", ctx, (waiting, response, text_streamed))

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        return self._answer("tools", ctx, completed)

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        return self._answer("exec", ctx, (waiting, result))


class TextProjector:
    """Makes one block of text of each message."""

    def __init__(self) -> None:
        self.seen: list[ProjectionInput] = []

    def project(self, ctx: ProjectionInput, use_tools: bool) -> LlmRequest:
        self.seen.append(ctx)
        texts = [LlmMessage(message.role, (Block.Text(message.text()),)) for message in ctx.messages]
        return LlmRequest(ctx.model, (LlmMessage("system", (Block.Text(ctx.system_prompt),)), *texts))


def config(driver: Any, **changes: Any) -> TurnMachineConfig:
    """A configuration with that driver."""
    settings: dict[str, Any] = {
        "projector": TextProjector(),
        "model": "model-1",
        "session_id": "s",
        "turn_id": "t",
        "system_prompt": "be brief",
        **changes,
    }
    return TurnMachineConfig(driver=driver, **settings)


def message(text: str, role: Any = "user", *, name: str = "m1", transient: bool = False) -> Message:
    """A message of one text."""
    return Message(name, role, (Part(f"{name}.p0", "text", text),), PluginOrigin("p", True) if transient else None)


def said(text: str, name: str = "m1", *, transient: bool = False) -> SessionEvent.Conversation:
    """The event of such a message."""
    return SessionEvent.Conversation(message(text, name=name, transient=transient))


def noted(n: int = 1) -> SessionEvent.Mode:
    """An event of a mode."""
    return SessionEvent.Mode("listed", {"n": n})


def machine_of(driver: Any, **changes: Any) -> TurnMachine:
    """A machine at the beginning of a turn with one message."""
    return TurnMachine(config(driver, **changes), MessageSequence((message("hello"),)))


def drain(machine: TurnMachine) -> list[AnyEffect]:
    """All effects up to the point where the machine waits or is done."""
    effects: list[AnyEffect] = []
    while (effect := machine.poll_effect()) is not None:
        effects.append(effect)
    return effects


def shown(effects: Sequence[AnyEffect]) -> list[AnyTurnEvent]:
    """The events among effects."""
    return [effect.event for effect in effects if isinstance(effect, Effect.Emit)]


def names(effects: Sequence[AnyEffect]) -> list[str]:
    """The effects' wire names, an event's own for each Emit."""
    return [effect.event.type if isinstance(effect, Effect.Emit) else effect.type for effect in effects]


def start_llm(
    request: LlmRequest = CALL, driver_state: JsonValue = None, usage_source: str = TURN_SOURCE
) -> DriverAction.StartLlm:
    """An action that calls the model."""
    return DriverAction.StartLlm(request, driver_state, usage_source)


def reply(
    text: str = "hi", reason: TerminalReason = "stop", usage: TokenUsage | None = None, **changes: Any
) -> LlmResponse:
    """A model's answer."""
    return LlmResponse(text, (Block.Text(text),), usage or TokenUsage(10, 5), reason, **changes)


def answered(number: int, result: Any = None, *, streamed: bool = False) -> Response.LlmComplete:
    """The response to a model call."""
    return Response.LlmComplete(number, result or reply(), streamed)


def results_of(number: int, calls: Sequence[PendingToolCall] = CALLS) -> Response.ToolResults:
    """The response to a batch: every call worked."""
    done = (CompletedToolCall(call.call_id, call.tool_name, call.args, ToolOutput.Success(1)) for call in calls)
    return Response.ToolResults(number, tuple(done))


@dataclass
class Run:
    """A machine driven by hand: `effects` are those of the last drain, `all` those of the whole turn."""

    machine: TurnMachine
    all: list[AnyEffect] = field(default_factory=list[AnyEffect])
    effects: list[AnyEffect] = field(default_factory=list[AnyEffect])

    def __post_init__(self) -> None:
        self.drain()

    def drain(self) -> list[AnyEffect]:
        """Poll all there is."""
        self.effects = drain(self.machine)
        self.all += self.effects
        return self.effects

    @property
    def outstanding(self) -> int:
        """The number of the last effect that expects an answer."""
        return max((effect.id for effect in self.all if isinstance(effect, ASKING)), default=0)

    def llm(self, result: Any = None, *, streamed: bool = False) -> list[AnyEffect]:
        """Answer a model call."""
        assert self.machine.handle_response(answered(self.outstanding, result, streamed=streamed))
        return self.drain()

    def tools(self) -> list[AnyEffect]:
        """Answer the batch `CALLS`."""
        assert self.machine.handle_response(results_of(self.outstanding))
        return self.drain()

    def executed(self, result: ExecResponse | ExecFailure | None = None) -> list[AnyEffect]:
        """Answer a program."""
        assert self.machine.handle_response(Response.ExecResult(self.outstanding, result or ExecResponse()))
        return self.drain()

    def checked(self, **what: Any) -> list[AnyEffect]:
        """Answer a checkpoint."""
        assert self.machine.handle_response(Response.CheckpointDone(self.outstanding, **what))
        return self.drain()

    def synced(self, **what: Any) -> list[AnyEffect]:
        """Answer a surface sync."""
        assert self.machine.handle_response(Response.ExecutionSurfaceSynced(self.outstanding, **what))
        return self.drain()

    @property
    def outcome(self) -> AnyTurnOutcome | None:
        """How the turn ended."""
        return self.machine.outcome


def run(*answers: Answer, handles_output_limit: bool = False, **changes: Any) -> Run:
    """A turn whose driver answers from the list."""
    return Run(machine_of(ListDriver(*answers, handles_output_limit=handles_output_limit), **changes))
