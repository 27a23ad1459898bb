"""Projected values by reference (rlm.md 9.2): a stable name, and whoever finds the value that it names.

A reference can be written down where the value cannot: in snapshots of variables, in seeds of successor sessions. It
is resolved before a program runs; one that nobody can resolve fails when it is read, never silently.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from lash.runtime.sansio.values import JsonValue
from lashlang import Value
from lashlang.projection import Projected, Projection, ProjectionUnavailable

PREFIX = "ref:"
MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class ProjectionRef:
    """The name of a projected value: what kind of thing it is, and which one. It must go on meaning the same."""

    kind: str
    key: JsonValue

    def text(self) -> str:
        """The reference as snapshots hold it."""
        return PREFIX + json.dumps([self.kind, self.key], ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def of(text: str) -> ProjectionRef | None:
        """The reference in a snapshot; None for another sort of name."""
        if not text.startswith(PREFIX):
            return None
        kind, key = cast("tuple[str, JsonValue]", json.loads(text[len(PREFIX) :]))
        return ProjectionRef(kind, key)


class RefUnavailable(ProjectionUnavailable):
    """Nobody can find what a reference names."""

    def __init__(self, ref: ProjectionRef, why: str) -> None:
        super().__init__(f"the {ref.kind} {json.dumps(ref.key, ensure_ascii=False)} is not available: {why}")
        self.kind = ref.kind
        self.key = ref.key


class ProjectionResolver(Protocol):
    """Finds projected values by their references."""

    async def resolve(self, ref: ProjectionRef) -> Projection:
        """The value's source. Raises RefUnavailable."""
        ...


Resolve = Callable[[ProjectionRef], Awaitable[Projection]]


class ProjectionRegistry:
    """The usual resolver: values that this object holds, and a function for each other kind of reference."""

    def __init__(self) -> None:
        self._held: dict[str, Projection] = {}
        self._resolvers: dict[str, Resolve] = {}

    def register_memory(self, value: Projection) -> ProjectionRef:
        """Hold a value as long as this registry lives; its reference."""
        number = uuid.uuid4().hex
        self._held[number] = value
        return ProjectionRef(MEMORY, number)

    def register_resolver(self, kind: str, resolve: Resolve) -> None:
        """Have references of a kind resolved by a function, which may raise what it likes where it cannot.

        Raises ValueError for a kind that has one already.
        """
        if kind == MEMORY or kind in self._resolvers:
            raise ValueError(f"references of the kind {kind!r} are resolved already")
        self._resolvers[kind] = resolve

    async def resolve(self, ref: ProjectionRef) -> Projection:
        """See `ProjectionResolver`."""
        if ref.kind == MEMORY:
            found = self._held.get(ref.key) if isinstance(ref.key, str) else None
            if found is None:
                raise RefUnavailable(ref, "it was held by another process, or by another registry")
            return found
        resolve = self._resolvers.get(ref.kind)
        if resolve is None:
            raise RefUnavailable(ref, "nothing resolves references of this kind")
        try:
            return await resolve(ref)
        except Exception as error:
            raise RefUnavailable(ref, f"{type(error).__name__}: {error}") from error


class RefSource:
    """The source behind a reference; before `resolve` has found it every read fails."""

    blocking = True

    def __init__(self, ref: ProjectionRef) -> None:
        self._ref = ref
        self._found: Projection | None = None
        self._missing = RefUnavailable(ref, "it was not resolved")
        self.ref = ref.text()
        self.type_name = f"lazily read {ref.kind}"

    async def resolve(self, resolver: ProjectionResolver) -> None:
        """Find the value, if that has not been done."""
        if self._found is not None:
            return
        try:
            self._found = await resolver.resolve(self._ref)
        except RefUnavailable as error:
            self._missing = error

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        if self._found is None:
            raise self._missing
        return self._found.answer(target, question, args)
