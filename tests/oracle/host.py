"""The host of a block: requests, responses, and the scripted host of the cases (chapters 12 and 19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from .json_forms import Json, json_equal

NO_HANDLE = "there is no such handle"

RequestKind = Literal["call", "start", "await", "cancel", "print"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a block asks its host for.

    `name` is the tool of `call` and `start`, `value` the argument record, the handle or the printed
    value as JSON, `text` the text of a print. Projections among the arguments are given in full.
    """

    id: int
    kind: RequestKind
    name: str | None
    value: Json
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request: a value, or a failure whose `value` is the error."""

    ok: bool
    value: object = None


class Host(Protocol):
    """Answers requests, a whole wave at a time, in the order of the wave."""

    def answer(self, wave: list[Request]) -> list[Response]:
        """The responses to all requests of a wave."""
        ...


class ScriptedHost:
    """Answers from the `tools` of a case, and keeps what was printed."""

    def __init__(self, tools: Mapping[str, Sequence[Mapping[str, object]]] | None = None) -> None:
        self.tools = {name: list(entries) for name, entries in (tools or {}).items()}
        self.prints: list[str] = []
        self._started: dict[str, Mapping[str, object] | None] = {}

    def answer(self, wave: list[Request]) -> list[Response]:
        """Answer a whole wave."""
        return [self._answer(request) for request in wave]

    def _answer(self, request: Request) -> Response:
        match request.kind:
            case "call":
                entry = self._take(request)
                return outcome(entry) if entry else Response(False, f"no result for tool `{request.name}`")
            case "start":
                return self._start(request)
            case "await":
                return self._await(request.value)
            case "cancel":
                return self._cancel(request.value)
            case "print":
                self.prints.append(request.text or "")
                return Response(True, None)

    def _take(self, request: Request) -> Mapping[str, object] | None:
        """The first entry that fits, removed unless it repeats; a `start_error` is for `start` alone."""
        entries = self.tools.get(request.name or "", [])
        for at, entry in enumerate(entries):
            if fits(entry, request) and (request.kind == "start" or "start_error" not in entry):
                return entry if entry.get("repeat") else entries.pop(at)
        return None

    def _start(self, request: Request) -> Response:
        entry = self._take(request)
        if entry is None:
            return Response(False, f"no result for tool `{request.name}`")
        if "start_error" in entry:
            return Response(False, entry["start_error"])
        handle = f"h{len(self._started) + 1}"
        self._started[handle] = entry
        return Response(True, {"__handle__": "tool", "id": handle, "tool": request.name})

    def _await(self, handle: Json) -> Response:
        entry = self._started.get(handle_id(handle))
        return outcome(entry) if entry else Response(False, NO_HANDLE)

    def _cancel(self, handle: Json) -> Response:
        if handle_id(handle) not in self._started:
            return Response(False, NO_HANDLE)
        self._started[handle_id(handle)] = None
        return Response(True, None)


def handle_id(handle: Json) -> str:
    """The id of a handle record, or nothing."""
    found = handle.get("id") if isinstance(handle, Mapping) else None
    return found if isinstance(found, str) else ""


def fits(entry: Mapping[str, object], request: Request) -> bool:
    """Whether all members an entry asks for equal those of the argument record."""
    wanted = cast("Mapping[str, object]", entry.get("args_match", {}))
    given = cast("Mapping[str, object]", request.value)
    return all(key in given and json_equal(v, given[key]) for key, v in wanted.items())


def outcome(entry: Mapping[str, object]) -> Response:
    """What an entry of the script answers."""
    if entry["ok"]:
        return Response(True, entry.get("value"))
    return Response(False, entry.get("error"))
