"""What a tool is: a cheap manifest, which lists can hold by the thousand, and a contract with its schemas.

The two are kept apart so that a registry of thousands of tools never makes a schema that nobody asked for
(providers.md 12).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, TypeAdapter

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.values import JsonValue

if TYPE_CHECKING:
    from lash.runtime.tools.context import ToolContext

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What a tool may be called."""

OPEN_OBJECT: Final[dict[str, JsonValue]] = {"type": "object"}
"""The schema of arguments that nobody described: any object."""


class Unset(Enum):
    """The type of `UNSET`, which stands for "not given" where None means something."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "..."


UNSET: Final = Unset.UNSET


class Availability(IntEnum):
    """How far a tool is offered: not at all, to searches, to calls, or in the prompt as well. Each includes the last.

    Levels can be compared: `Availability.CALLABLE > Availability.SEARCHABLE`.
    """

    OFF = 0
    SEARCHABLE = 1
    CALLABLE = 2
    SHOWCASED = 3

    @property
    def label(self) -> str:
        """The level's name in records and prompts."""
        return self.name.lower()

    @classmethod
    def of(cls, level: Availability | str) -> Availability:
        """The level of that name; ConfigError (invalid_tool) where there is none."""
        if isinstance(level, Availability):
            return level
        found = {one.label: one for one in cls}.get(level)
        if found is None:
            names = ", ".join(one.label for one in cls)
            raise ConfigError("invalid_tool", f"{level!r} is no availability; there are {names}")
        return found


@dataclass(frozen=True, slots=True)
class ToolRetryPolicy:
    """Whether a failed call is tried again, how often in all, and how long is waited (milliseconds).

    The wait before attempt i + 2 is `base_ms * 2**i`, or what the failure asks for, and `max_ms` at most. Only failures
    that say that they are safe to repeat are repeated. `idempotent` is for tools that use the idempotency key.
    """

    kind: Literal["never", "safe", "idempotent"] = "never"
    attempts: int = 1
    base_ms: int = 0
    max_ms: int = 0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.base_ms < 0 or self.max_ms < 0:
            raise ConfigError(
                "invalid_tool", "a retry policy has at least one attempt, and waits that are not negative"
            )

    @classmethod
    def never(cls) -> ToolRetryPolicy:
        """One attempt."""
        return cls()

    @classmethod
    def safe(cls, attempts: int, base_ms: int, max_ms: int) -> ToolRetryPolicy:
        """For tools that change nothing."""
        return cls("safe", attempts, base_ms, max_ms)

    @classmethod
    def idempotent(cls, attempts: int, base_ms: int, max_ms: int) -> ToolRetryPolicy:
        """For tools that do a thing once however often they are asked with one key."""
        return cls("idempotent", attempts, base_ms, max_ms)

    def delay_ms(self, failed_attempts: int, asked_ms: int | None) -> int:
        """How long to wait after so many failed attempts; `asked_ms` is the failure's own wish."""
        wished = self.base_ms * 2 ** (failed_attempts - 1) if asked_ms is None else asked_ms
        return min(wished, self.max_ms)


ApprovalCheck: TypeAlias = "Callable[[dict[str, Any], ToolContext], bool | str | Awaitable[bool | str]]"
"""Whether a call needs a person's yes: a text means yes and is the reason shown."""


@dataclass(frozen=True, slots=True)
class ToolManifest:
    """What is known of a tool without its schemas.

    `mode_availability` replaces `availability` in the modes it names. `activation` "internal" keeps a tool from models.
    `mutates` None is not known. `preserve_projected` names the one argument in which projected values stay references.
    `timeout_ms` is for the whole call; UNSET is the runtime's limit, None no limit. `namespace` and `aliases` are for
    searches. Raises ConfigError (invalid_tool) for a bad name or timeout.
    """

    name: str
    description: str = ""
    availability: Availability = Availability.SHOWCASED
    mode_availability: Mapping[str, Availability] = dataclasses.field(default_factory=dict[str, Availability])
    activation: Literal["always", "internal"] = "always"
    interactive_only: bool = False
    mutates: bool | None = None
    namespace: str | None = None
    aliases: tuple[str, ...] = ()
    execution_mode: Literal["parallel", "serial"] = "parallel"
    retry_policy: ToolRetryPolicy = ToolRetryPolicy()
    preserve_projected: str | None = None
    timeout_ms: int | None | Unset = UNSET
    needs_approval: bool | ApprovalCheck = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                "invalid_tool",
                f"{self.name!r} is no name for a tool: 1 to 64 letters, digits, dashes and underscores",
            )
        if isinstance(self.timeout_ms, int) and self.timeout_ms <= 0:
            raise ConfigError(
                "invalid_tool", f"the timeout of tool {self.name!r} is {self.timeout_ms} ms; None is no limit"
            )

    def available_in(self, mode: str) -> Availability:
        """How far the tool is offered in a mode, before anybody changes it."""
        return self.mode_availability.get(mode, self.availability)

    @property
    def approval_label(self) -> bool | Literal["dynamic"]:
        """Whether calls need approval: no, yes, or some."""
        return self.needs_approval if isinstance(self.needs_approval, bool) else "dynamic"


@dataclass(frozen=True, slots=True)
class ResultFromInput:
    """The result's type is an argument of the call: field `field`, and `default` where it is left out."""

    field: str
    default: Mapping[str, JsonValue] = dataclasses.field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class ToolContract:
    """The schemas of a tool.

    `input_schema` is JSON Schema 2020-12 of an object. `output_schema` documents the value of success; values are held
    against it only with `validate_output`. `input_projections` and `output_projections` are schemas by provider profile
    that go to the wire as they are (providers.md 9). `output_contract` None is static. `examples` are calls.
    """

    input_schema: Mapping[str, JsonValue] = dataclasses.field(default_factory=lambda: dict(OPEN_OBJECT))
    output_schema: Mapping[str, JsonValue] | None = None
    input_projections: Mapping[str, JsonValue] = dataclasses.field(default_factory=dict[str, JsonValue])
    output_projections: Mapping[str, JsonValue] = dataclasses.field(default_factory=dict[str, JsonValue])
    output_contract: ResultFromInput | None = None
    examples: tuple[str, ...] = ()
    validate_output: bool = False


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool's manifest with its contract."""

    manifest: ToolManifest
    contract: ToolContract

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.manifest.name

    @classmethod
    def raw(
        cls,
        name: str,
        description: str = "",
        input_schema: Mapping[str, JsonValue] | None = None,
        output_schema: Mapping[str, JsonValue] | None = None,
        *,
        contract: ToolContract | None = None,
        **manifest: Any,
    ) -> ToolDefinition:
        """A definition from schemas; `contract` gives what else a contract holds, `manifest` what else a manifest does.

        Raises ConfigError (invalid_tool) for a name or schema that cannot be used.
        """
        made = contract or ToolContract()
        if input_schema is not None:
            made = replace(made, input_schema=input_schema)
        if output_schema is not None:
            made = replace(made, output_schema=output_schema)
        if made.input_schema.get("type", "object") != "object":
            raise ConfigError(
                "invalid_tool",
                f"the input schema of tool {name!r} describes {made.input_schema['type']!r}; arguments are an object",
            )
        return cls(ToolManifest(name, description, **manifest), made)

    @classmethod
    def typed(
        cls,
        name: str,
        description: str,
        args: type[BaseModel],
        output: Any = UNSET,
        *,
        contract: ToolContract | None = None,
        **manifest: Any,
    ) -> ToolDefinition:
        """A definition from a pydantic model of the arguments, and any type of the result that pydantic knows."""
        outputs = None if output is UNSET else TypeAdapter(output).json_schema(mode="serialization")
        return cls.raw(name, description, args.model_json_schema(), outputs, contract=contract, **manifest)
