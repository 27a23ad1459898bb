"""The format of scenario files (rlm.md 0): what a scenario may say, and what this build cannot run yet.

Every key is known here or refused by name: a misspelt expectation must not pass unseen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lash.modes.rlm.config import RlmLimits
from lash.runtime.sansio.llm import TerminalReason
from lash.runtime.sansio.values import JsonValue

FORMAT = "rlm-scenarios/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SubmitSchema(_Part):
    """A turn ends by a submitted value of this schema."""

    submit_schema: dict[str, JsonValue]


class Options(_Part):
    """How the session is set up; a turn may set options of its own over those of the scenario."""

    termination: Literal["submit_required", "prose_or_submit"] | SubmitSchema = "submit_required"
    max_turns: int | None = 50
    max_output_chars: int = 10_000
    soft_handoff_tokens: int | None = None
    forced_handoff_tokens: int | None = None
    max_context_tokens: int = 200_000
    limits: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    stream: bool = False
    capabilities: tuple[str, ...] = ()


class Control(_Part):
    """What a control tool asks of the turn: `finish` with a value, or `fail`."""

    finish: JsonValue = None
    fail: dict[Literal["message"], str] | None = None


class ScriptedResult(_Part):
    """What a tool answers to one call."""

    ok: JsonValue = None
    error: str | None = None
    echo: bool = False
    control: Control | None = None
    delay_ms: int = 0


class Preserve(_Part):
    """The argument in which projected values stay references."""

    preserve: str


class ScriptedTool(_Part):
    """A tool of a scenario; its results are used one per call, the last one again and again."""

    name: str
    description: str = ""
    input_schema: dict[str, JsonValue] | None = None
    projection: Literal["materialize"] | Preserve = "materialize"
    results: tuple[ScriptedResult, ...] = Field(min_length=1)


class ScriptedUsage(_Part):
    """Tokens of a reply."""

    input: int = 0
    output: int = 0
    cached: int = 0


class ScriptedError(_Part):
    """Why a reply fails."""

    message: str
    retryable: bool = False


class Reply(_Part):
    """A reply of the model; `chunks` are the pieces of `text` in which it streams."""

    text: str = ""
    reasoning: str | None = None
    chunks: tuple[str, ...] | None = None
    usage: ScriptedUsage | None = None
    terminal_reason: TerminalReason | None = None
    error: ScriptedError | None = None


class CancelOn(_Part):
    """The turn is cancelled at the `nth` event of that name."""

    event: str
    nth: int = Field(default=1, ge=1)


class Child(_Part):
    """The replies to a child session."""

    match: str
    model: tuple[str | Reply, ...]


class SubCall(_Part):
    """The reply to a side call of the model."""

    match: str
    reply: str


class PromptCheck(_Part):
    """Texts in the request of a model call of the turn, counted from 1."""

    call: int = Field(ge=1)
    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    system_contains: tuple[str, ...] = ()


class StepCheck(_Part):
    """What a step of the trajectory has to be; only keys that are given count."""

    code: str | None = None
    error_contains: str | None = None
    error: str | None = None
    final_output: JsonValue = None
    prose: str | None = None


class OutcomeCheck(_Part):
    """How a turn ends: exactly one of the three."""

    finished: Literal["submitted_value", "assistant_message", "tool_value"] | None = None
    stopped: str | None = None
    raises: str | None = None


class Expect(_Part):
    """What has to hold after a turn; only keys that are given are checked."""

    outcome: OutcomeCheck | None = None
    value: JsonValue = None
    text: str | None = None
    reason: str | None = None
    model_calls: int | None = None
    sub_call_count: int | None = None
    child_calls: int | None = None
    handoffs: int | None = None
    events: tuple[str, ...] = ()
    events_forbidden: tuple[str, ...] = ()
    event_counts: dict[str, int] = Field(default_factory=dict[str, int])
    prints: tuple[tuple[str, ...], ...] | None = None
    steps: tuple[StepCheck, ...] | None = None
    prompts: tuple[PromptCheck, ...] = ()
    tools: tuple[str, ...] | None = None
    tool_args: tuple[JsonValue, ...] | None = None
    globals: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    globals_absent: tuple[str, ...] = ()
    visible_prose: tuple[str, ...] | None = None
    usage_sources: tuple[str, ...] | None = None


class ScenarioTurn(_Part):
    """One turn: what is said, what the model replies, what has to come of it."""

    input: str
    projected: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    options: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    restart_before: bool = False
    cancel_on: CancelOn | None = None
    model: tuple[str | Reply, ...]
    expect: Expect


class Scenario(_Part):
    """A session with its turns; `options` are complete, those of the file's defaults included."""

    id: str
    title: str = ""
    covers: tuple[str, ...] = ()
    options: Options = Options()
    projected: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    globals: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    tools: tuple[ScriptedTool, ...] = ()
    turns: tuple[ScenarioTurn, ...] = Field(min_length=1)
    children: tuple[Child, ...] = ()
    sub_calls: tuple[SubCall, ...] = ()

    def options_of(self, turn: ScenarioTurn) -> Options:
        """The options of one of its turns."""
        return _read(Options, self.options.model_dump(mode="json", exclude_unset=True) | turn.options)


P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A file of scenarios: those that could be read with the file's default options, and what is wrong with others."""

    scenarios: tuple[Scenario, ...]
    defaults: Options
    problems: tuple[str, ...]


def load(path: Path) -> ScenarioFile:
    """The scenarios of a file. Raises OSError, and ValueError where it is no file of scenarios at all."""
    data: object = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("a file of scenarios is a JSON object")
    document = cast("dict[str, Any]", data)
    if document.get("format") != FORMAT:
        raise ValueError(f"its format is {document.get('format')!r}; this runner reads {FORMAT!r}")
    unknown = document.keys() - {"format", "notes", "defaults", "scenarios"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r} beside `format`, `notes`, `defaults` and `scenarios`")
    defaults: dict[str, Any] = document.get("defaults", {})
    if defaults.keys() - {"options"}:
        raise ValueError(f"unknown key {sorted(defaults.keys() - {'options'})[0]!r} in `defaults`")
    scenarios: list[Scenario] = []
    problems: list[str] = []
    entries: object = document.get("scenarios")
    if not isinstance(entries, list):
        raise ValueError("`scenarios` is no list")
    for number, entry in enumerate(cast("list[object]", entries), 1):
        if not isinstance(entry, dict):
            raise ValueError(f"scenario {number} is no JSON object")
        given = cast("dict[str, Any]", entry)
        name: object = given.get("id", f"scenario {number}")
        try:
            scenarios.append(_scenario(given, defaults.get("options", {})))
        except (ValidationError, ValueError) as error:
            problems += [f"{name}: {problem}" for problem in _problems(error)]
    return ScenarioFile(tuple(scenarios), _read(Options, defaults.get("options", {})), tuple(problems))


def _read(kind: type[P], data: dict[str, Any]) -> P:
    """The part that JSON data describes, without conversions: a number is no text."""
    return kind.model_validate_json(json.dumps(data))


def _scenario(entry: dict[str, Any], defaults: dict[str, Any]) -> Scenario:
    whole = entry | {"options": defaults | entry.get("options", {})}
    scenario = _read(Scenario, whole)
    for number, turn in enumerate(scenario.turns, 1):
        scenario.options_of(turn)
        for reply in turn.model:
            if isinstance(reply, Reply) and reply.chunks is not None and "".join(reply.chunks) != reply.text:
                raise ValueError(f"turn {number}: the chunks of a reply are not its text")
        for tool in scenario.tools:
            for result in tool.results:
                if len(result.model_fields_set - {"delay_ms"}) != 1:
                    raise ValueError(f"a result of tool {tool.name!r} is one of `ok`, `error`, `echo` and `control`")
                if result.control is not None and len(result.control.model_fields_set) != 1:
                    raise ValueError(f"the control result of tool {tool.name!r} is `finish` or `fail`")
        said = turn.expect.outcome
        if said is not None and len(said.model_fields_set) != 1:
            raise ValueError(f"turn {number}: an outcome is one of `finished`, `stopped` and `raises`")
    return scenario


def _problems(error: ValueError) -> Iterator[str]:
    if not isinstance(error, ValidationError):
        yield str(error)
        return
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(map(str, one["loc"]))
        yield f"unknown key `{where}`" if one["type"] == "extra_forbidden" else f"`{where}`: {one['msg']}"


# --- what later stages bring -----------------------------------------------------------------------

_LATER_TOOLS = {
    "llm_query": "model calls of programs (`llm_query`)",
    "llm_query_batch": "model calls of programs (`llm_query_batch`)",
    "spawn_agent": "subagents",
    "list_async_handles": "async handles",
    "monitor": "monitors",
}
_CALL = re.compile(r"\bcall\s+(\w+)")


def out_of_scope(scenario: Scenario, defaults: Options) -> str | None:
    """What a scenario needs that comes with a later stage; None where it can be run."""
    if scenario.children or scenario.options.capabilities:
        return "subagents"
    for turn in scenario.turns:
        options = scenario.options_of(turn)
        unknown = options.limits.keys() - RlmLimits.model_fields.keys()
        if unknown:
            return f"the budget `{sorted(unknown)[0]}`"
        for name in ("soft_handoff_tokens", "forced_handoff_tokens"):
            wanted: int | None = getattr(options, name)
            if wanted not in (None, getattr(defaults, name)):
                return f"the context budget (`{name}`)"
    if scenario.sub_calls:
        return "model calls of programs"
    own = {tool.name for tool in scenario.tools}
    for text in (reply if isinstance(reply, str) else reply.text for turn in scenario.turns for reply in turn.model):
        for name in _CALL.findall(text):
            if name in _LATER_TOOLS and name not in own:
                return _LATER_TOOLS[name]
    if scenario.covers and set(scenario.covers) & {"14", "17", "18", "19"}:
        return "async handles or subagents (chapters 14 and 17 to 19)"
    return None
