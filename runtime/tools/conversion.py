"""Between JSON and the types of a decorated function: its arguments in, its result out (providers.md 12.1, 5 to 7)."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.tools.context import ToolContext, ToolProgress, describe_attachments
from lash.runtime.tools.definition import UNSET
from lash.runtime.tools.docstring import Docstring
from lash.runtime.tools.paths import path_text
from lash.runtime.tools.provider import ToolCall
from lash.runtime.tools.result import ResultInvalid, ToolResult

IMAGE_SCHEMA: Final[dict[str, JsonValue]] = {
    "type": "object",
    "description": "an image",
    "properties": {"type": {"const": "image"}, "id": {"type": "string"}},
    "required": ["type", "id"],
    "additionalProperties": True,
}
"""An image as a program passes it: the record that stands for it in JSON (lashlang.md 14)."""

_IMAGE_KEYS = frozenset({"type", "id", "label", "size", "width", "height"})
_NOT_ARGUMENTS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _ToolSchema(GenerateJsonSchema):
    """Schemas in which an attachment is an image."""

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        """See the base class."""
        if schema.get("cls") is AttachmentRef:
            return dict(IMAGE_SCHEMA)
        return super().dataclass_schema(schema)


def injected_kind(annotation: object) -> Literal["context", "progress"] | None:
    """What the runtime fills a parameter of that annotation with; None for an argument."""
    if get_origin(annotation) is Annotated:
        return injected_kind(get_args(annotation)[0])
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if ToolContext in members:
        return "context"
    return "progress" if ToolProgress in members else None


class Arguments:
    """The parameters of a function: their schema, and how a call's arguments become its keywords.

    Raises ConfigError (invalid_tool) for parameters that cannot be arguments.
    """

    def __init__(self, function: Callable[..., Any], hints: Mapping[str, Any], doc: Docstring) -> None:
        self._injected: dict[str, str] = {}
        fields: dict[str, Any] = {}
        for name, parameter in _parameters(function):
            if name not in hints:
                raise _invalid(function, f"parameter {name!r} has no annotation")
            kind = injected_kind(hints[name])
            if kind is not None:
                self._inject(function, name, kind)
                continue
            if name.startswith("_"):
                raise _invalid(function, f"parameter {name!r} begins with an underscore, so it cannot be an argument")
            if _has_alias(hints[name], parameter.default):
                raise _invalid(function, f"parameter {name!r} has an alias; name the parameter itself so")
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            # The fields have names of their own, because a model's attributes (`copy`, `json`) are no field names.
            fields[_field(name)] = (Annotated[hints[name], Field(alias=name)], default)
        try:
            self._model: type[BaseModel] = create_model(
                function.__name__, __config__=ConfigDict(extra="forbid"), __module__=function.__module__, **fields
            )
            schema = self._model.model_json_schema(schema_generator=_ToolSchema)
        except (PydanticUserError, PydanticSchemaGenerationError, TypeError) as error:
            raise _invalid(function, f"a parameter has a type without a schema: {error}") from error
        self.names = tuple(name for name, _ in _parameters(function) if _field(name) in fields)
        self.schema = cast("dict[str, JsonValue]", without_titles(schema))
        self.schema.setdefault("properties", {})
        _describe(self.schema, doc)

    def _inject(self, function: Callable[..., Any], name: str, kind: str) -> None:
        if kind in self._injected.values():
            raise _invalid(function, f"it takes two parameters of the kind of {name!r}; one is filled")
        self._injected[name] = kind

    async def convert(self, call: ToolCall) -> dict[str, Any] | ToolResult:
        """The keywords to call the function with, or the failure that names what does not fit."""
        images = await describe_attachments(call.context, sorted(set(_image_ids(call.args))))
        given = _with_images(call.args, images) if images else call.args
        try:
            made = self._model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            message = f"{path_text(first['loc'], 'arguments')}: {first['msg']}"
            return ToolResult.failure("invalid_request", "invalid_tool_args", message, source="runtime")
        keywords = {name: getattr(made, _field(name)) for name in self.names}
        for name, kind in self._injected.items():
            keywords[name] = call.context if kind == "context" else call.progress
        for path, projected in call.projections.items():
            _put(keywords, path, projected)
        return keywords


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, inspect.Parameter]]:
    for at, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        if at == 0 and name == "self":
            continue
        if parameter.kind in _NOT_ARGUMENTS:
            raise _invalid(function, f"{parameter} takes any number of arguments; a tool's are listed")
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise _invalid(function, f"parameter {name!r} is positional-only; arguments come by name")
        yield name, parameter


def _invalid(function: Callable[..., Any], message: str) -> ConfigError:
    return ConfigError("invalid_tool", f"{function.__qualname__} cannot be a tool: {message}")


def _has_alias(annotation: Any, default: Any) -> bool:
    given = (*get_args(annotation)[1:], default) if get_origin(annotation) is Annotated else (default,)
    return any(isinstance(one, FieldInfo) and (one.alias or one.validation_alias) for one in given)


def _field(name: str) -> str:
    return f"argument_{name}"


def _describe(schema: dict[str, JsonValue], doc: Docstring) -> None:
    properties = cast("dict[str, dict[str, JsonValue]]", schema["properties"])
    for name, text in doc.parameters.items():
        if name in properties and text:
            properties[name].setdefault("description", text)


def without_titles(schema: Any, names: bool = False) -> Any:
    """A schema without the titles that pydantic makes of names; `names` where the keys are names of properties."""
    if isinstance(schema, list):
        return [without_titles(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", schema).items():
        if key == "title" and not names:
            continue
        literal = key in ("default", "const", "enum", "examples") and not names
        kept[key] = value if literal else without_titles(value, not names and key in ("properties", "$defs"))
    return kept


def _put(keywords: dict[str, Any], path: Sequence[str | int], value: Any) -> None:
    """Put a projected value where the arguments hold null in its place."""
    inner: Any = keywords
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value


# --- images --------------------------------------------------------------------------------------


def _is_image(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    record = cast("dict[str, Any]", value)
    return record.get("type") == "image" and isinstance(record.get("id"), str) and record.keys() <= _IMAGE_KEYS


def _image_ids(value: Any) -> Iterator[str]:
    if _is_image(value):
        yield value["id"]
    elif isinstance(value, dict):
        for below in cast("dict[str, Any]", value).values():
            yield from _image_ids(below)
    elif isinstance(value, list):
        for below in cast("list[Any]", value):
            yield from _image_ids(below)


def _with_images(value: Any, images: Mapping[str, AttachmentRef]) -> Any:
    """The arguments with every image that the store knows as its reference."""
    if _is_image(value):
        return images.get(value["id"], value)
    if isinstance(value, dict):
        return {key: _with_images(below, images) for key, below in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_with_images(below, images) for below in cast("list[Any]", value)]
    return value


# --- results -------------------------------------------------------------------------------------


class Results:
    """The return annotation of a function: its schema, and how what it returns becomes JSON.

    Raises ConfigError (invalid_tool) for an annotation without a schema.
    """

    def __init__(self, name: str, annotation: Any, description: str) -> None:
        annotation = _without_results(annotation)
        self.schema: dict[str, JsonValue] | None = None
        self._adapter: TypeAdapter[Any] = TypeAdapter(Any)
        if annotation is UNSET or annotation is Any:
            return
        try:
            self._adapter = TypeAdapter(annotation)
            schema = self._adapter.json_schema(mode="serialization", schema_generator=_ToolSchema)
        except (PydanticUserError, PydanticSchemaGenerationError, TypeError) as error:
            raise ConfigError(
                "invalid_tool", f"{name} cannot be a tool: its result has a type without a schema: {error}"
            ) from error
        self.schema = cast("dict[str, JsonValue]", without_titles(schema))
        if description:
            self.schema.setdefault("description", description)

    def convert(self, returned: Any) -> ToolResult:
        """The result; ResultInvalid for what has no form in JSON."""
        if isinstance(returned, ToolResult):
            return returned
        references: list[AttachmentRef] = []
        if _survey(returned, (), references):
            return ToolResult.success(returned)
        try:
            dumped = self._adapter.dump_python(returned, mode="json", warnings=False)
        except PydanticSerializationError as error:
            raise ResultInvalid(f"the result has no form in JSON: {error}") from error
        if references:
            known = {reference.id: (to_json(reference), reference) for reference in references}
            dumped = _with_references(dumped, known)
        return ToolResult.success(dumped)


def _without_results(annotation: Any) -> Any:
    """The annotation without `ToolResult`, which says nothing of the value."""
    if annotation is ToolResult:
        return UNSET
    if get_origin(annotation) in (Union, types.UnionType):
        members = get_args(annotation)
        kept = [member for member in members if member is not ToolResult]
        if len(kept) < len(members):
            return Union[tuple(kept)]  # noqa: UP007 -- made of members at run time
    return annotation


def _survey(value: Any, path: tuple[str | int, ...], references: list[AttachmentRef]) -> bool:
    """Whether a value is JSON as it stands; collects attachments, and raises ResultInvalid for what never can be."""
    if value is None or type(value) in (bool, int, str):
        return True
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ResultInvalid(f"{path_text(path, 'result')}: {value!r} is no number of JSON")
        return type(value) is float
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ResultInvalid(f"{path_text(path, 'result')}: bytes have no form in JSON; keep them as an attachment")
    if isinstance(value, AttachmentRef):
        references.append(value)
        return True
    plain = type(value) in (dict, list)
    for step, below in _parts(value):
        plain = _survey(below, (*path, step), references) and plain
    return plain and (not isinstance(value, dict) or all(type(key) is str for key in cast("dict[Any, Any]", value)))


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    """What a value is made of, each with its name."""
    if isinstance(value, Mapping):
        for key, below in cast("Mapping[Any, Any]", value).items():
            yield str(key), below
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from enumerate(cast("Sequence[Any]", value))
    elif isinstance(value, BaseModel):
        yield from ((name, below) for name, below in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield one.name, getattr(value, one.name)


def _with_references(dumped: Any, known: Mapping[str, tuple[JsonValue, AttachmentRef]]) -> Any:
    """Dumped JSON with every attachment of the value back in its place."""
    if isinstance(dumped, list):
        return [_with_references(below, known) for below in cast("list[Any]", dumped)]
    if not isinstance(dumped, dict):
        return dumped
    record = cast("dict[str, Any]", dumped)
    found = known.get(record["id"]) if isinstance(record.get("id"), str) else None
    if found is not None and found[0] == record:
        return found[1]
    return {key: _with_references(below, known) for key, below in record.items()}
