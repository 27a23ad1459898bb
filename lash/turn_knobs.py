"""The keywords of a turn, as types: what `session.turn` and its relatives take besides the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import BaseModel

from lash.checks import CALLABLE, FLAG, RECORD, SECONDS, TEXT, Shape, having, many, of
from lash.config import Unset
from lash.runtime.plugins.binding import PluginInput
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.prompt import PromptContribution, PromptLayer, PromptSlot, PromptTemplate
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import EffectController
from lash.runtime.tools.approvals import ApproveCallback
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import TurnActivitySink

Schema = dict[str, JsonValue]


class LiveKnobs(TypedDict, total=False):
    """What any turn takes.

    In RLM mode `projected` are values that programs read lazily under their names, in this turn only, and
    `tool_result_projectors` are asked, with a tool's name and value, for what programs get in its place (None: the
    value itself).

    `provider`, `model`, `model_variant` and the prompt keywords are for this turn, over the session's; `plugin_inputs`
    are what bound plugins are given for it, made by `Binding.input(value)`. `sink` is given every activity, `cancel`
    asks the turn to stop, `effects` carries its effects out (inside a workflow's handler; it needs a `turn_id`),
    `approve` is asked where a tool needs it. With `on_wait` "park" the turn raises `TurnSuspended` when it can do
    nothing but wait for people, and any process can resume it (it needs a journal); with "block" it waits. Where
    another turn runs, this one waits `wait_if_busy` seconds for it. `trace_turn_id` is what the turn is called in the
    trace.
    """

    projected: Mapping[str, object] | None
    tool_result_projectors: Sequence[Callable[[str, Any], Any]]
    provider: ProviderHandle | None
    model: str | None
    model_variant: str | None | Unset
    prompt_template: PromptTemplate | None
    prompt: Sequence[PromptContribution]
    prompt_slots: Mapping[PromptSlot, Sequence[PromptContribution]] | None
    prompt_layer: PromptLayer | None
    plugin_inputs: Sequence[PluginInput]
    sink: TurnActivitySink | None
    cancel: CancelToken | None
    effects: EffectController | None
    approve: ApproveCallback | None
    on_wait: Literal["block", "park"]
    wait_if_busy: float
    trace_turn_id: str | None


class TurnKnobs(LiveKnobs, total=False):
    """What a turn takes that is not resumed: also its id, which makes its commit idempotent, and how it may end.

    In RLM mode `require_submit` says that the turn ends with a submitted value, with a pydantic model or a JSON Schema
    that it has to fit; `allow_prose_or_submit` lets prose end it as well.
    """

    turn_id: str | None
    require_submit: bool | type[BaseModel] | Schema | None
    allow_prose_or_submit: bool


TURN_KNOBS = frozenset(TurnKnobs.__annotations__)
"""Their names."""

TURN_SHAPES = {
    "turn_id": TEXT,
    "trace_turn_id": TEXT,
    "projected": RECORD,
    "tool_result_projectors": many(CALLABLE, "a sequence of functions"),
    "plugin_inputs": many(of(PluginInput), "a sequence of what Binding.input makes"),
    "sink": having("emit", "a sink with an async method `emit`"),
    "cancel": of(CancelToken),
    "effects": having("execute", "an EffectController"),
    "approve": CALLABLE,
    "on_wait": Shape('"block" or "park"', lambda value: value in ("block", "park")),
    "wait_if_busy": SECONDS,
    "allow_prose_or_submit": FLAG,
}
"""What those of them take that are not the session's as well."""
