"""Running one program on the oracle and on the kernel, in one form that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lashlang
from tests import oracle


@dataclass(frozen=True)
class Result:
    """Everything a program's run can be observed by; JSON values as canonical text."""

    status: str
    value: str
    error: tuple[Any, ...] | None
    prints: tuple[str, ...]
    state: str
    fuel: int
    requests: tuple[tuple[str, str | None], ...]


def text(value: object) -> str:
    """A JSON value as text in which equal values are equal texts (numbers by exact value, keys sorted)."""
    if isinstance(value, lashlang.Image):
        return text(value.to_json())
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, float) and value != value:
        return repr(None)
    if isinstance(value, (int, float)):
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return repr(None)
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, Mapping):
        items = sorted(cast("Mapping[str, object]", value).items(), key=lambda item: item[0])
        return "{" + ", ".join(f"{key!r}: {text(item)}" for key, item in items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(text, cast("Sequence[object]", value))) + "]"
    raise TypeError(f"no JSON value: {value!r}")


def shown(state: Mapping[str, str]) -> str:
    """A state in its order."""
    return "; ".join(f"{name} = {value}" for name, value in state.items())


def by_oracle(source: str, tools: Mapping[str, Any], projected: Mapping[str, Any], limits: Mapping[str, int]) -> Result:
    """The oracle's run."""
    state: dict[str, object] = {"given": 7}
    outcome = oracle.run(source, state=state, host=oracle.ScriptedHost(tools), projected=projected, limits=limits)
    error = outcome.error
    return Result(
        outcome.status,
        text(outcome.value),
        (error.kind, error.code, error.line, error.column, error.end_line, error.end_column) if error else None,
        tuple(outcome.prints),
        shown({name: text(oracle.to_json(oracle.from_json(value))) for name, value in state.items()}),
        outcome.fuel,
        tuple((request.kind, request.name) for request in outcome.requests),
    )


def by_kernel(source: str, tools: Mapping[str, Any], projected: Mapping[str, Any], limits: Mapping[str, int]) -> Result:
    """The kernel's run, every wave answered whole."""
    host = oracle.ScriptedHost(tools)
    requests: list[tuple[str, str | None]] = []
    with lashlang.Machine(lashlang.Limits(**limits)) as machine:
        machine.globals["given"] = 7
        step = machine.start(source, projected=dict(projected))
        while not isinstance(step, lashlang.Done):
            assert isinstance(step, lashlang.Requests)
            wave = [as_oracle(request) for request in step.new]
            requests += [(request.kind, request.name) for request in wave]
            step = machine.resume({
                request.id: lashlang.Response.ok(answer.value) if answer.ok else lashlang.Response.failed(answer.value)
                for request, answer in zip(wave, host.answer(wave), strict=True)
            })  # fmt: skip
        outcome = step.outcome
        machine.limits = lashlang.Limits()  # the block's are over; they must not keep its variables from being read
        state = {name: text(machine.globals[name]) for name in machine.globals}
        error = outcome.error
        return Result(
            outcome.status,
            text(outcome.value),
            (error.kind, error.code, error.line, error.column, error.end_line, error.end_column) if error else None,
            tuple(observation.text for observation in outcome.prints),
            shown(state),
            outcome.fuel,
            tuple(requests),
        )


def as_oracle(request: lashlang.Request) -> oracle.Request:
    """A request of the kernel in the oracle's form."""
    match request:
        case lashlang.Call(id=number, tool=tool, args=args):
            return oracle.Request(number, "call", tool, args)
        case lashlang.Start(id=number, tool=tool, args=args):
            return oracle.Request(number, "start", tool, args)
        case lashlang.AwaitHandle(id=number, handle=handle):
            return oracle.Request(number, "await", None, handle)
        case lashlang.CancelHandle(id=number, handle=handle):
            return oracle.Request(number, "cancel", None, handle)
        case lashlang.Print(id=number, value=value, text=shown):
            return oracle.Request(number, "print", None, value, shown)
    raise TypeError(f"unknown request {request!r}")
