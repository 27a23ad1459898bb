"""What the machine lets a driver and a projector see: read-only views of its memory."""

from __future__ import annotations

from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.driver import DriverContext, ProjectionInput
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.record import TurnRecord


def driver_context(config: TurnMachineConfig, record: TurnRecord) -> DriverContext:
    """The view of a driver. Only the message ids it takes leave a trace in the record."""

    def project_llm_request(use_tools: bool) -> LlmRequest:
        return config.projector.project(_projection_input(config, record), use_tools)

    def new_message_id(scope: str) -> str:
        number, record.next_message_seq = record.next_message_seq, record.next_message_seq + 1
        return f"m:{config.turn_id}:{scope}:{number}"

    def turn_limit_final_to_schedule() -> Message | None:
        if config.max_turns is None or record.grace_scheduled:
            return None
        return config.turn_limit_final_message(new_message_id("turn_limit"), config.max_turns)

    return DriverContext(
        session_id=config.session_id,
        turn_id=config.turn_id,
        messages=record.messages,
        events=record.events,
        mode_iteration=record.mode_iteration,
        mode_run_offset=record.mode_run_offset,
        max_turns=config.max_turns,
        model_calls=record.model_calls,
        grace_scheduled=record.grace_scheduled,
        termination=record.termination,
        autonomous=config.autonomous,
        project_llm_request=project_llm_request,
        turn_limit_final_to_schedule=turn_limit_final_to_schedule,
        new_message_id=new_message_id,
    )


def _projection_input(config: TurnMachineConfig, record: TurnRecord) -> ProjectionInput:
    return ProjectionInput(
        session_id=config.session_id,
        turn_id=config.turn_id,
        messages=record.messages,
        events=record.events,
        mode_iteration=record.mode_iteration,
        mode_run_offset=record.mode_run_offset,
        max_turns=config.max_turns,
        termination=record.termination,
        autonomous=config.autonomous,
        model=config.model,
        model_variant=config.model_variant,
        system_prompt=record.surface.system_prompt,
        tool_specs=record.surface.tool_specs,
        mode_view=record.surface.mode_view,
    )
