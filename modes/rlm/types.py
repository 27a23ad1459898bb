"""What RLM mode writes into a session (rlm.md 21): events with the mode id `rlm`, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lash.runtime.sansio.messages import SessionEvent
from lash.runtime.sansio.values import JsonValue

MODE_ID = "rlm"
PLUGIN_ID = "mode_rlm"
EVENTS_VERSION = 1


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepImage(_Event):
    """An image that a step printed."""

    id: str
    media_type: str
    label: str | None = None
    width: int | None = None
    height: int | None = None
    byte_len: int = 0


class RlmTrajectoryEntry(_Event):
    """One executed program: what the model wrote, what it printed, how it ended.

    `tool_call_ids` name the session's tool records; `final_output` is `{"value": v}` of an accepted `submit`;
    `mode_iteration` counts from 0 in the session.
    """

    kind: Literal["trajectory"] = "trajectory"
    id: str
    turn_id: str
    turn_index: int
    mode_iteration: int
    prose: str = ""
    reasoning: str = ""
    code: str
    output: tuple[str, ...] = ()
    tool_call_ids: tuple[str, ...] = ()
    images: tuple[StepImage, ...] = ()
    error: str | None = None
    final_output: dict[str, JsonValue] | None = None
    duration_ms: int = 0
    blocks_seen: int = 1


class RlmSeed(_Event):
    """What a session begins with: variables, and projected bindings as `{"value": v}` or `{"ref": ref}`.

    `termination` says how its turns end where the host says nothing.
    """

    kind: Literal["seed"] = "seed"
    globals: dict[str, JsonValue] = Field(default_factory=dict)
    projected: tuple[tuple[str, dict[str, JsonValue]], ...] = ()
    termination: dict[str, JsonValue] | None = None


class RlmGlobalsPatch(_Event):
    """Variables that a host sets where they are not bound."""

    kind: Literal["globals_patch"] = "globals_patch"
    set_default: dict[str, JsonValue]


class RlmDiagnostic(_Event):
    """What the driver decided and why; never shown to the model."""

    kind: Literal["diagnostic"] = "diagnostic"
    phase: str
    payload: dict[str, JsonValue]


RlmEvent: TypeAlias = Annotated[
    RlmTrajectoryEntry | RlmSeed | RlmGlobalsPatch | RlmDiagnostic, Field(discriminator="kind")
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RlmEvent)


def as_event(event: RlmTrajectoryEntry | RlmSeed | RlmGlobalsPatch | RlmDiagnostic) -> SessionEvent.Mode:
    """The event as the session stores it."""
    return SessionEvent.Mode(MODE_ID, event.model_dump(mode="json"))


def read_event(record: object) -> RlmTrajectoryEntry | RlmSeed | RlmGlobalsPatch | RlmDiagnostic | None:
    """The event in a record, None where it is none of this mode; pydantic.ValidationError for a broken one."""
    if not isinstance(record, SessionEvent.Mode) or record.mode_id != MODE_ID:
        return None
    return _ADAPTER.validate_python(record.payload)
