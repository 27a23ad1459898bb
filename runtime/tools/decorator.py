"""`@tool`: a typed Python function becomes a tool (providers.md 12.1).

The parameters' annotations make the input schema, the return annotation the output schema, the docstring the
descriptions; arguments arrive converted, results leave as JSON. What cannot work raises where the decorator stands.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from types import FrameType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.context import call_in_thread
from lash.runtime.tools.conversion import Arguments, Results
from lash.runtime.tools.definition import (
    NAME,
    UNSET,
    ApprovalCheck,
    Availability,
    ToolContract,
    ToolDefinition,
    ToolManifest,
    ToolRetryPolicy,
    Unset,
)
from lash.runtime.tools.docstring import Docstring, read_docstring
from lash.runtime.tools.provider import ToolCall, ToolProvider
from lash.runtime.tools.result import ToolResult
from lash.runtime.tools.signature import signature
from lash.runtime.tools.specs import tool_spec

P = ParamSpec("P")
R = TypeVar("R")

LASHLANG_KEYWORDS: Final = frozenset(
    "if else for in parallel await cancel submit print call and or not true false null".split()
)
"""The words that are no names in a Lashlang program (lashlang.md 1); a test compares them with the language's own."""


class Tool(Generic[P, R]):
    """A function that is a tool: callable as before, and a `ToolProvider` of one tool.

    `definition` is its manifest and contract, `signature` how a Lashlang program calls it.
    """

    def __init__(
        self, function: Callable[P, R], definition: ToolDefinition, arguments: Arguments, results: Results, bound: bool
    ) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.definition = definition
        self._arguments = arguments
        self._results = results
        self._bound = bound

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        if instance is None or self._bound:
            return self
        made = copy(self)
        made.__wrapped__ = self.__wrapped__.__get__(instance, owner)  # type: ignore[attr-defined]
        made._bound = True
        return made

    def __repr__(self) -> str:
        return f"<tool {self.definition.name}>"

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.definition.name

    @property
    def signature(self) -> str:
        """The tool as a Lashlang call."""
        return signature(self.spec)

    @property
    def spec(self) -> ToolSpec:
        """The tool as prompts and requests show it."""
        manifest = self.definition.manifest
        return tool_spec(manifest, self.definition.contract, manifest.availability)

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """See `ToolProvider`. Raises ConfigError (invalid_tool) for a method that was taken from its class."""
        if not self._bound:
            raise ConfigError(
                "invalid_tool", f"{self.__qualname__} is a method: give the object it belongs to, not the method"
            )
        return (self.definition.manifest,)

    def resolve_manifest(self, name: str) -> ToolManifest | None:
        """See `ToolProvider`."""
        return self.definition.manifest if name == self.name else None

    def resolve_contract(self, name: str) -> ToolContract | None:
        """See `ToolProvider`."""
        return self.definition.contract if name == self.name else None

    async def execute(self, call: ToolCall) -> ToolResult:
        """See `ToolProvider`: converts the arguments, runs the function, converts its result."""
        keywords = await self._arguments.convert(call)
        if isinstance(keywords, ToolResult):
            return keywords
        function = cast("Callable[..., Any]", self.__wrapped__)
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function)):
            returned = await function(**keywords)
        else:
            returned = await call_in_thread(call.context, lambda: function(**keywords))
        return self._results.convert(returned)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    availability: Availability | str = Availability.SHOWCASED,
    execution_mode: Any = "parallel",
    retry: ToolRetryPolicy | None = None,
    mutates: bool | None = None,
    interactive_only: bool = False,
    timeout_ms: int | None | Unset = UNSET,
    needs_approval: bool | ApprovalCheck = False,
    preserve_projected: str | None = None,
    validate_output: bool = False,
    namespace: str | None = None,
    aliases: Sequence[str] = (),
    examples: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    availability: Availability | str = Availability.SHOWCASED,
    execution_mode: Any = "parallel",
    retry: ToolRetryPolicy | None = None,
    mutates: bool | None = None,
    interactive_only: bool = False,
    timeout_ms: int | None | Unset = UNSET,
    needs_approval: bool | ApprovalCheck = False,
    preserve_projected: str | None = None,
    validate_output: bool = False,
    namespace: str | None = None,
    aliases: Sequence[str] = (),
    examples: Sequence[str] = (),
) -> Any:
    """Make a tool of a plain or `async` function or method; with or without options.

    The options are the fields of `ToolManifest` and `ToolContract` of those names. Plain functions run in threads of
    their own, `async` ones on the loop. Raises ConfigError (invalid_tool) for what cannot be a tool.
    """
    names = _local_names(_caller(inspect.currentframe()))

    def decorate(function: Callable[..., Any]) -> Tool[..., Any]:
        _check_function(function)
        hints = _hints(function, names)
        doc = read_docstring(function)
        own_name = name or function.__name__
        _check_name(own_name, function)
        arguments = Arguments(function, hints, doc)
        results = Results(function.__name__, hints.get("return", UNSET), doc.returns)
        _check_documented(function, doc)
        if preserve_projected is not None and preserve_projected not in arguments.names:
            raise _invalid(function, f"preserve_projected names {preserve_projected!r}, which is no parameter")
        manifest = ToolManifest(
            name=own_name,
            description=doc.description if description is None else description,
            availability=Availability.of(availability),
            execution_mode=execution_mode,
            retry_policy=retry or ToolRetryPolicy.never(),
            mutates=mutates,
            interactive_only=interactive_only,
            timeout_ms=timeout_ms,
            needs_approval=needs_approval,
            preserve_projected=preserve_projected,
            namespace=namespace,
            aliases=tuple(aliases),
        )
        contract = ToolContract(
            arguments.schema, results.schema, examples=tuple(examples), validate_output=validate_output
        )
        return Tool(function, ToolDefinition(manifest, contract), arguments, results, not _is_method(function))

    return decorate if function is None else decorate(function)


def tools_of(owner: object) -> list[Tool[..., Any]]:
    """The tools that an object's class defines as methods, in the order of their definition, bound to the object."""
    names = [
        name
        for one in reversed(type(owner).__mro__)
        for name, value in vars(one).items()
        if isinstance(value, Tool) or (isinstance(value, staticmethod) and isinstance(value.__func__, Tool))
    ]
    found = [getattr(owner, name) for name in dict.fromkeys(names)]
    return [one for one in found if isinstance(one, Tool)]


def as_providers(tools: Sequence[object]) -> list[ToolProvider]:
    """What an application lists as its tools: `@tool` functions, providers, and objects with `@tool` methods.

    Raises ConfigError (invalid_tool) for anything else, naming it.
    """
    providers: list[ToolProvider] = []
    for one in tools:
        if callable(getattr(one, "tool_manifests", None)) and not isinstance(one, type):
            provider = cast("ToolProvider", one)
            provider.tool_manifests()  # an unbound method says here, where it is listed, that it is one
            providers.append(provider)
        elif not isinstance(one, type) and (methods := tools_of(one)):
            providers += methods
        else:
            raise ConfigError(
                "invalid_tool",
                f"{one!r} is no tool: give functions decorated with @tool, providers, or objects with @tool methods",
            )
    return providers


def _invalid(function: Callable[..., Any], message: str) -> ConfigError:
    shown = getattr(function, "__qualname__", repr(function))
    return ConfigError("invalid_tool", f"{shown} cannot be a tool: {message}")


def _check_function(function: object) -> None:
    if isinstance(function, (staticmethod, classmethod)):
        raise ConfigError(
            "invalid_tool", "@tool stands below @staticmethod, next to the function; @classmethod cannot be one"
        )
    if not inspect.isfunction(function):
        raise ConfigError("invalid_tool", f"{function!r} is no function, so it cannot be a tool")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _invalid(function, "it is a generator; return a list instead")


def _check_name(name: str, function: Callable[..., Any]) -> None:
    if not NAME.fullmatch(name):
        raise _invalid(function, f"{name!r} is no name of 1 to 64 letters, digits and underscores")
    if not (name.isidentifier() and name.isascii()):
        raise _invalid(function, f"{name!r} is no identifier, so no Lashlang program could call it")
    if name in LASHLANG_KEYWORDS:
        raise _invalid(function, f"{name!r} is a word of Lashlang; give another with @tool(name=...)")


def _check_documented(function: Callable[..., Any], doc: Docstring) -> None:
    known = inspect.signature(function).parameters
    for documented in doc.parameters:
        if documented not in known:
            raise _invalid(function, f"its docstring describes {documented!r}, which is no parameter")


def _is_method(function: Callable[..., Any]) -> bool:
    """Whether the function waits for an object: its first parameter is `self`."""
    return next(iter(inspect.signature(function).parameters), None) == "self"


def _caller(frame: FrameType | None) -> FrameType | None:
    return None if frame is None else frame.f_back


def _local_names(frame: FrameType | None) -> dict[str, Any]:
    """The names in reach where the decorator stands: annotations that are texts may use them."""
    spaces: list[Mapping[str, Any]] = []
    while frame is not None and frame.f_code.co_name != "<module>":
        spaces.append(dict(frame.f_locals))
        if "__qualname__" not in frame.f_locals:  # a function's body; only a class body sees what is around it
            break
        frame = frame.f_back
    return {name: value for space in reversed(spaces) for name, value in space.items()}


def _hints(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, localns=dict(names), include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise _invalid(function, f"an annotation cannot be resolved: {error}") from error
