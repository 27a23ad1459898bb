"""Actions: what a plugin offers to the host, typed; a model never calls them (plugins.md 1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from lash.runtime.errors import PluginError, SessionError
from lash.runtime.sansio.values import JsonValue

A = TypeVar("A", bound=BaseModel)
O = TypeVar("O")  # noqa: E741 - args and output, as the contract calls them

ActionKind = Literal["query", "command"]
"""A query looks; what a command changes of its plugin's state is stored."""


@dataclass(frozen=True, slots=True)
class ActionDefinition:
    """An action: its name, unique in a session, and the types of its arguments and output, any that pydantic knows."""

    name: str
    kind: ActionKind = "command"
    description: str = ""
    args: Any = dict
    output: Any = None


class PluginOp(Generic[A, O]):
    """A base for actions that are written as classes: `NAME`, `KIND`, and the models `Args` and `Output`."""

    NAME: ClassVar[str]
    KIND: ClassVar[ActionKind] = "command"
    Args: ClassVar[type[BaseModel]]
    Output: ClassVar[Any] = None

    @classmethod
    def definition(cls) -> ActionDefinition:
        """The action that the class describes."""
        return ActionDefinition(cls.NAME, cls.KIND, (cls.__doc__ or "").strip(), cls.Args, cls.Output)


ActionHook = Callable[[Any], Any | Awaitable[Any]]
"""Does an action: takes the arguments, gives the output."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action with the plugin that offers it."""

    plugin_id: str
    definition: ActionDefinition
    hook: ActionHook

    def arguments(self, args: JsonValue) -> Any:
        """The arguments as the action takes them; SessionError (invalid_action_args) where they do not fit."""
        try:
            return TypeAdapter(self.definition.args).validate_python(args)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "arguments"
            message = f"action {self.definition.name!r}: {place}: {first['msg']}"
            raise SessionError("invalid_action_args", message) from error

    def result(self, given: object) -> JsonValue:
        """The output as JSON; PluginError (invoke) where it is not what the action promises."""
        try:
            made = TypeAdapter(self.definition.output).validate_python(given)
            return TypeAdapter(self.definition.output).dump_python(made, mode="json")
        except (ValidationError, PydanticSerializationError) as error:
            message = f"its action {self.definition.name!r} gave what it does not promise: {error}"
            raise PluginError("invoke", self.plugin_id, message) from error
