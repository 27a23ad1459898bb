"""Fitting JSON Schemas to what a vendor's API accepts (providers.md 9).

A tool's own schema is JSON Schema 2020-12 and is never changed: adapters get copies. What is left out for the wire is
still enforced when the arguments are validated, so the lenient profiles drop what the API would refuse and say so in
the log; the strict ones, whose point is that the server enforces the schema, fail instead. A failure names the profile
and the path, and comes before anything is sent.

Profiles: `openai_lax` for function tools; `openai_strict` for output that the server enforces; `anthropic` and `gemini`
each for their tools and output.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, cast

from lash.host.providers.schema_nodes import nodes, replace_children
from lash.host.providers.schema_references import BrokenReference, References
from lash.host.providers.wire import JsonObject
from lash.runtime.providers.failure import ProviderFailure

Profile = Literal["openai_lax", "openai_strict", "anthropic", "gemini"]
"""What a schema is fitted to."""

UNSUPPORTED = (
    *("not", "if", "then", "else"),
    *("dependentRequired", "dependentSchemas", "dependencies", "patternProperties"),
)
"""Keywords that OpenAI's API does not take in any schema."""

STRICT_UNSUPPORTED = (
    *("propertyNames", "minProperties", "maxProperties", "unevaluatedProperties", "unevaluatedItems"),
    *("contains", "minContains", "maxContains", "uniqueItems"),
)
"""Keywords that it does not take where it enforces the schema."""

ROOT_COMBINERS = ("anyOf", "oneOf", "allOf")
"""Keywords that no API takes at the root of a tool's schema."""

BOUNDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)
"""Bounds of numbers and lengths, which Anthropic's structured output does not enforce."""

_TYPE_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Adapted:
    """A schema for the wire, and what had to be left out of it, each with its path."""

    schema: JsonObject
    dropped: tuple[str, ...] = ()


def adapt(schema: JsonObject, profile: Profile, *, output: bool = False) -> Adapted:
    """A copy of the schema that the profile takes; `output` says that it is for the reply and not for a tool.

    Raises ProviderFailure (`validation`, code `schema_projection`), naming profile and path.
    """
    fitter = _Fitter(profile, output)
    try:
        return Adapted(fitter.root(copy.deepcopy(schema)), tuple(fitter.dropped))
    except RecursionError:
        raise unfit(profile, "$", "it is nested too deeply") from None


def unfit(profile: Profile, path: str, problem: str) -> ProviderFailure:
    """The failure of a schema that a profile cannot express, or that is none."""
    return ProviderFailure(
        "validation",
        f"a schema does not fit the profile {profile}: {path}: {problem}",
        retryable=False,
        code="schema_projection",
    )


class _Fitter:
    """One adaptation; works in place on a copy."""

    def __init__(self, profile: Profile, output: bool) -> None:
        self._profile: Profile = profile
        self._output = output
        self.dropped: list[str] = []

    def root(self, schema: JsonObject) -> JsonObject:
        """Adapt the whole schema, which has to be one, so that nothing below meets what no schema can hold."""
        self._check(schema)
        try:
            references = References(schema)
            if self._profile == "gemini":
                schema = references.inlined()
                self.dropped += references.dropped
                return self._gemini(schema)
            # Beside a reference at the root, nothing of what is put there would mean what it should.
            schema = references.expanded()
        except BrokenReference as error:
            self._refuse(error.path, str(error))
        match self._profile:
            case "anthropic":
                return self._anthropic(schema)
            case "openai_strict":
                for keyword in ROOT_COMBINERS[:2]:
                    if keyword in schema:
                        self._refuse("$", f"{keyword} at the root: the root has to be one object")
            case _:
                pass
        fitted = self._openai(schema, "$")
        self._object_at_root(fitted)
        for keyword in ROOT_COMBINERS:
            self._drop(fitted, keyword, "$")
        self._close_object(fitted, "$")
        return fitted

    def _check(self, schema: JsonObject) -> None:
        """Refuse what is no JSON Schema."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            self._refuse(error.json_path, error.message)

    def _object_at_root(self, schema: JsonObject) -> None:
        if schema.setdefault("type", "object") != "object":
            self._refuse("$", f"the root has to be an object, this is {schema['type']!r}")

    # Google

    def _gemini(self, schema: JsonObject) -> JsonObject:
        """The schema, which has no references any more; the API knows no `const`."""
        for node, _ in nodes(schema, "$"):
            if "const" in node:
                node["enum"] = [node.pop("const")]
        if not self._output:
            self._object_at_root(schema)
        return schema

    # Anthropic

    def _anthropic(self, schema: JsonObject) -> JsonObject:
        """The schema whole, with an object at its root; for output also closed, its bounds put into words."""
        for keyword in ROOT_COMBINERS:
            self._drop(schema, keyword, "$")
        schema["type"] = "object"
        if self._output:
            for node, _ in nodes(schema, "$"):
                _describe_bounds(node)
                if _is_object(node) or "properties" in node:
                    node["additionalProperties"] = False
        return schema

    # OpenAI

    def _openai(self, schema: JsonObject, path: str) -> JsonObject:
        """A schema and all within it, innermost first; what allOf has is merged before, as it cannot be when closed."""
        for keyword in UNSUPPORTED:
            self._unsupported(schema, keyword, path)
        if self._strict:
            for keyword in STRICT_UNSUPPORTED:
                self._unsupported(schema, keyword, path)
        # Before what is within is changed: closed objects cannot be merged any more.
        self._merge_all_of(schema, path)
        replace_children(schema, path, self._openai)
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        self._rename_one_of(schema, path)
        _infer_type(schema)
        if path != "$":
            self._close_object(schema, path)
        if self._strict and "$ref" in schema and len(schema) > 1:
            # The server takes nothing beside a reference; a union of one says the same.
            schema["anyOf"] = [{"$ref": schema.pop("$ref")}]
        return schema

    @property
    def _strict(self) -> bool:
        return self._profile == "openai_strict"

    def _rename_one_of(self, schema: JsonObject, path: str) -> None:
        """Exactly one of some becomes any of them."""
        if "oneOf" not in schema:
            return
        if "anyOf" in schema:
            self._unsupported(schema, "oneOf", path)
        else:
            schema["anyOf"] = schema.pop("oneOf")

    def _merge_all_of(self, schema: JsonObject, path: str) -> None:
        """Put the members of allOf into the schema itself where they are plain objects, or the only member."""
        if "allOf" not in schema:
            return
        members = cast("list[JsonObject | bool]", schema["allOf"])
        for number, member in enumerate(members):
            if isinstance(member, dict):
                self._merge_all_of(member, f"{path}.allOf[{number}]")
        only = members[0]
        if len(members) == 1 and isinstance(only, dict) and not set(only) & set(schema):
            del schema["allOf"]
            schema.update(only)
            return
        merged = {key: copy.copy(value) for key, value in schema.items() if key != "allOf"}
        if all(_merge_object(merged, member) for member in members):
            schema.clear()
            schema.update(merged)
        elif self._strict:
            self._refuse(f"{path}.allOf", "allOf of other than plain objects cannot be enforced")

    def _close_object(self, schema: JsonObject, path: str) -> None:
        """See to the properties of an object; under the strict profile nothing is optional and nothing else comes."""
        if not _is_object(schema):
            return
        properties = cast("dict[str, JsonObject | bool]", schema.setdefault("properties", {}))
        if not self._strict:
            return
        if schema.get("additionalProperties") not in (None, False):
            self._refuse(f"{path}.additionalProperties", "an object with free keys cannot be enforced")
        schema["additionalProperties"] = False
        required = cast("list[str]", schema.get("required", []))
        for name, value in properties.items():
            if not isinstance(value, dict):
                self._refuse(f"{path}.properties.{name}", "a property that must not be there cannot be enforced")
            elif name not in required:
                _make_nullable(value)
        schema["required"] = list(properties)

    def _unsupported(self, schema: JsonObject, keyword: str, path: str) -> None:
        if keyword in schema and self._strict:
            self._refuse(f"{path}.{keyword}", f"the keyword {keyword} cannot be enforced")
        self._drop(schema, keyword, path)

    def _drop(self, schema: JsonObject, keyword: str, path: str) -> None:
        if schema.pop(keyword, None) is not None:
            self.dropped.append(f"{path}.{keyword}")

    def _refuse(self, path: str, problem: str) -> NoReturn:
        raise unfit(self._profile, path, problem)


def _is_object(schema: JsonObject) -> bool:
    kind: object = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _infer_type(schema: JsonObject) -> None:
    """Add the type that the other keywords give away."""
    if "type" in schema or "$ref" in schema:
        return
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        schema["type"] = "object"
    elif "items" in schema or "prefixItems" in schema:
        schema["type"] = "array"
    elif isinstance(schema.get("enum"), list) and schema["enum"]:
        values = cast("list[object]", schema["enum"])
        names = list(dict.fromkeys(_TYPE_NAMES[type(value)] for value in values))
        schema["type"] = names[0] if len(names) == 1 else names


def _merge_object(target: JsonObject, member: JsonObject | bool) -> bool:
    """Merge a plain object schema into another; False where that would change what they mean."""
    if isinstance(member, bool):
        return member
    if set(member) - {"type", "properties", "required", "description", "title", "additionalProperties"}:
        return False
    if member.get("type", "object") != "object" or target.get("type", "object") != "object":
        return False
    # A closed member knows only its own properties, so side by side with others it admits none of theirs.
    if member.get("additionalProperties") not in (None, True):
        return False
    mine = cast("JsonObject", target.get("properties") or {})
    theirs = cast("JsonObject", member.get("properties") or {})
    if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
        return False
    target["type"] = "object"
    target["properties"] = {**mine, **theirs}
    required = [*cast("list[str]", target.get("required") or []), *cast("list[str]", member.get("required") or [])]
    if required:
        target["required"] = list(dict.fromkeys(required))
    for key in ("description", "title"):
        if key in member:
            target.setdefault(key, member[key])
    return True


def _make_nullable(schema: JsonObject) -> None:
    """Let null in."""
    if "anyOf" in schema:
        options = cast("list[JsonObject]", schema["anyOf"])
        if {"type": "null"} not in options:
            schema["anyOf"] = [*options, {"type": "null"}]
    elif "$ref" in schema:
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "null"}]
    elif "type" in schema:
        kinds: Any = schema["type"]
        listed = cast("list[str]", kinds) if isinstance(kinds, list) else [str(kinds)]
        if "null" not in listed:
            schema["type"] = [*listed, "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*cast("list[object]", schema["enum"]), None]


def _describe_bounds(schema: JsonObject) -> None:
    """Move bounds into the description, where the model at least reads them."""
    bounds = {keyword: schema.pop(keyword) for keyword in BOUNDS if keyword in schema}
    if bounds:
        words = ", ".join(f"{keyword}: {value}" for keyword, value in bounds.items())
        said = schema.get("description")
        schema["description"] = f"{said} ({words})" if isinstance(said, str) and said else words
