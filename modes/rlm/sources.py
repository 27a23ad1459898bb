"""The sources of projected values (rlm.md 9): host values that programs read and never write.

Each says by `ref` how it is found again, so that a snapshot of variables and the seed of a successor session can name
it: a small JSON value carries itself, everything else is named as the session's projected value of that name, which
the host gives anew whenever it opens the session.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from lash.modes.rlm.refs import ProjectionRef, RefSource
from lash.runtime.sansio.values import JsonValue
from lashlang import Image, Value
from lashlang.projection import JsonSource, Projected, Projection, ProjectionUnavailable, Step

LARGEST_BY_VALUE = 65_536
"""Bytes of a projected value's JSON up to which it is written down itself."""

LARGEST_WHOLE = 50_000
"""Characters of a lazily read text that may be printed, or given to a tool, whole."""

_VALUE, _SESSION, _PATH = "value:", "session:", "#"


class JsonTree(JsonSource):
    """Plain JSON, of which every part stays a projection until a program needs its value."""

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        found = super().answer(target, question, args)
        if found is None or question not in ("field", "index"):
            return found
        return target.field(cast("str", args[0])) if question == "field" else target.index(cast("Step", args[0]))


class HostSource:
    """A projected value that the host gave under a name; `ref` names it in snapshots and seeds."""

    def __init__(self, inner: Projection, ref: str) -> None:
        self.inner = inner
        self.ref = ref
        self.blocking = inner.blocking
        self.type_name: str = getattr(inner, "type_name", None) or type(inner).__name__

    def described(self) -> Value | Projection:
        """What a description is made from: JSON itself, or the host's own source."""
        return self.inner.whole() if isinstance(self.inner, JsonTree) else self.inner

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        return self.inner.answer(target, question, args)


class SourcePart:
    """What lies below a source at a path, as a projected value of its own."""

    def __init__(self, source: Projection, path: tuple[Step, ...]) -> None:
        self.inner = source
        self._path = path
        self.blocking = source.blocking
        self.type_name = "part of a projected value"

    def described(self) -> Value | Projection:
        """What a description is made from: the part itself, where it is JSON."""
        inner = self.inner.inner if isinstance(self.inner, HostSource) else self.inner
        return inner.below(self._path).whole() if isinstance(inner, JsonTree) else self

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        whole = Projected(target.name, self.inner, (*self._path, *target.path))
        found = self.inner.answer(whole, question, args)
        if not isinstance(found, Projected):
            return found
        return Projected(found.name, target.source, found.path[len(self._path) :])


class Unavailable:
    """Stands for the value of a `ref` that nobody gives any more: every read of it fails, saying which."""

    blocking = False
    type_name = "not available"

    def __init__(self, ref: str) -> None:
        self.ref = ref

    @property
    def _why(self) -> str:
        scope, _, name = self.ref.partition(_PATH)[0].partition(":")
        if scope == "session":
            return f"the session was opened without `{name}`: give it again in `projected`"
        return f"`{name}` was given for one turn alone, and that turn is over"

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """Never an answer: raises ProjectionUnavailable."""
        raise ProjectionUnavailable(self._why)


def host_sources(values: Mapping[str, Value | Projection], scope: str) -> dict[str, Value | Projection]:
    """Projected bindings as programs get them; `scope` is `session` or `turn`. Images stay values.

    Data with sources among it (a list of records with a `TextSource` each) stays data, whose sources are read lazily.
    """
    return {name: _bound(name, name, (), value, scope) for name, value in values.items()}


def _bound(shown: str, name: str, path: tuple[Step, ...], value: Value | Projection, scope: str) -> Value | Projection:
    if isinstance(value, Image):
        return value
    if not path and not _holds_source(value):
        return _source(name, value, scope)
    if isinstance(value, Projected) and value.source is not None:
        source = SourcePart(value.source, value.path) if value.path else value.source
        return _bound(shown, name, path, source, scope)
    if isinstance(value, Projection):
        return Projected(shown, HostSource(value, f"{scope}:{name}{_PATH}{json.dumps(path)}"))
    if isinstance(value, list):
        items = cast("list[Value]", value)
        return [_inner(f"{shown}[{at}]", name, (*path, at), item, scope) for at, item in enumerate(items)]
    if isinstance(value, dict):
        entries = cast("dict[str, Value]", value)
        return {key: _inner(f"{shown}.{key}", name, (*path, key), item, scope) for key, item in entries.items()}
    return value


def _inner(shown: str, name: str, path: tuple[Step, ...], value: Value, scope: str) -> Value:
    return cast("Value", _bound(shown, name, path, value, scope))


def _holds_source(value: object) -> bool:
    """Whether data has sources among it; false for a source by itself."""
    stack: list[object] = [value] if isinstance(value, list | dict) else []
    while stack:
        item = stack.pop()
        if isinstance(item, Projection | Projected):
            return True
        if isinstance(item, list):
            stack.extend(cast("list[object]", item))
        elif isinstance(item, dict):
            stack.extend(cast("dict[str, object]", item).values())
    return False


def _source(name: str, value: Value | Projection, scope: str) -> HostSource:
    if isinstance(value, RefSource):
        return HostSource(value, value.ref)
    if isinstance(value, Projection):
        return HostSource(value, f"{scope}:{name}")
    text = _small_json(value)
    return HostSource(JsonTree(value), f"{scope}:{name}" if text is None else _VALUE + text)


def _small_json(value: object) -> str | None:
    """The value's JSON; None where it is no JSON or too large to be written down."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return None
    return text if len(text.encode("utf-8", "surrogatepass")) <= LARGEST_BY_VALUE else None


def found_again(ref: str, given: Mapping[str, Value | Projection]) -> Projection:
    """The source that a `ref` names; `given` are the projected values that the host opened the session with.

    One that is not there fails when it is read.
    """
    if ref.startswith(_VALUE):
        return HostSource(JsonTree(json.loads(ref[len(_VALUE) :])), ref)
    named = ProjectionRef.of(ref)
    if named is not None:
        return HostSource(RefSource(named), ref)
    if not ref.startswith(_SESSION):
        return Unavailable(ref)
    name, _, path = ref[len(_SESSION) :].partition(_PATH)
    source: object = given.get(name)
    for step in cast("list[Step]", json.loads(path)) if path else []:
        source = _step(source, step)
    if isinstance(source, Projected):
        source = source.source
    return source if isinstance(source, Projection) else Unavailable(ref)


def _step(value: object, step: Step) -> object:
    """One step below data; None where it leads nowhere."""
    if isinstance(value, dict) and isinstance(step, str):
        return cast("dict[str, object]", value).get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(cast("list[object]", value)):
        return cast("list[object]", value)[step]
    return None


# --- seeds -----------------------------------------------------------------------------------------


def seeded(value: Projected) -> dict[str, JsonValue]:
    """A projected value as a seed holds it: `{"value": v}`, or `{"ref": ...}` where that is too large.

    Raises ProjectionUnavailable where it cannot be read, and where it is too large and has no name to be found by.
    """
    source, ref = value.source, getattr(value.source, "ref", "")
    named = ProjectionRef.of(ref) if isinstance(ref, str) else None
    if named is not None:
        return {"ref": {"kind": named.kind, "key": named.key}, "path": list(value.path)}
    if not (isinstance(ref, str) and ref.startswith(_SESSION) and _is_long(source, value)):
        read = value.read()
        if _small_json(read) is not None:
            return {"value": cast("JsonValue", read)}
    if isinstance(ref, str) and ref.startswith(_SESSION):
        key: JsonValue = {"name": ref[len(_SESSION) :], "path": list(value.path)}
        return {"ref": {"kind": "session", "key": key}}
    raise ProjectionUnavailable(
        f"the projected value `{value.name}` is too large to be handed on: it is given for this turn alone, and its "
        f"JSON has more than {LARGEST_BY_VALUE} bytes; pass a slice of it"
    )


def _is_long(source: Projection | None, value: Projected) -> bool:
    """Whether the value is a text so long that it need not be read to know that it is too large."""
    inner = source.inner if isinstance(source, HostSource) else source
    text: Any = getattr(inner, "text", None) if not value.path else None
    return isinstance(text, str) and len(text) > LARGEST_BY_VALUE


def unseeded(name: str, entry: Mapping[str, JsonValue], given: Mapping[str, Value | Projection]) -> Projection:
    """The projection behind an entry that `seeded` made; one whose source is not there any more fails when read."""
    if "value" in entry:
        return _source(name, cast("Value", entry["value"]), "seed")
    ref = cast("dict[str, Any]", entry["ref"])
    if "path" in entry:
        named = HostSource(source := RefSource(ProjectionRef(ref["kind"], ref["key"])), source.ref)
        below = tuple(cast("list[Step]", entry["path"]))
        return SourcePart(named, below) if below else named
    wanted, path = cast("str", ref["key"]["name"]), tuple(cast("list[Step]", ref["key"]["path"]))
    source = found_again(_SESSION + wanted, given)
    return SourcePart(source, path) if path else source


def reference_behind(source: object) -> RefSource | None:
    """The reference that has to be resolved before the source can be read."""
    while isinstance(source, HostSource | SourcePart):
        source = source.inner
    return source if isinstance(source, RefSource) else None


def long_text(source: object) -> str | None:
    """The text behind a source where it is longer than may be printed or given to a tool whole."""
    inner = source.inner if isinstance(source, HostSource) else source
    try:
        text: object = getattr(inner, "text", None)
    except (OSError, ValueError):  # a file that cannot be read is told to whoever reads it
        return None
    return text if isinstance(text, str) and len(text) > LARGEST_WHOLE else None


def long_texts(bindings: Mapping[str, Value | Projection]) -> Iterator[tuple[str, str]]:
    """The long texts among projected values, also those inside data, each with the expression that names it."""
    pending: deque[tuple[str, object]] = deque(bindings.items())
    while pending:
        shown, value = pending.popleft()
        if isinstance(value, list):
            pending += [(f"{shown}[{at}]", item) for at, item in enumerate(cast("list[object]", value))]
        elif isinstance(value, dict):
            pending += [(f"{shown}.{key}", item) for key, item in cast("dict[str, object]", value).items()]
        else:
            text = long_text(value.source if isinstance(value, Projected) else value)
            if text is not None:
                yield shown, text
