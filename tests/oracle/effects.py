"""Effects: the requests of a block and what their answers become (chapter 12)."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from .failure import Failure, type_error
from .host import Request, RequestKind, Response
from .json_forms import from_json, to_json
from .limits import Meter
from .text import json_text, text
from .values import ListValue, RecordValue, Value, elements, is_handle, type_name

Eval = Generator[list[Request], list[Response], Value]
"""A computation that yields waves of requests, is resumed with their responses, and gives a value."""


def new_request(meter: Meter, kind: RequestKind, name: str | None, value: Value, shown: str | None = None) -> Request:
    """A request, counted and numbered."""
    meter.count_requests(1)
    return Request(meter.requests, kind, name, to_json(value), shown)


def error_text(response: Response) -> str:
    """The error of a failed response; anything but a string as JSON text."""
    error = from_json(response.value)
    return error if isinstance(error, str) else json_text(error)


def wrapper(meter: Meter, response: Response) -> RecordValue:
    """The result wrapper for a response."""
    key = "value" if response.ok else "error"
    value = from_json(response.value) if response.ok else error_text(response)
    meter.check_received(value)
    wrapped = RecordValue([("ok", response.ok), (key, value)])
    meter.check_depth(wrapped)
    return wrapped


def received(meter: Meter, response: Response, what: str) -> Value:
    """The value of a response whose failure aborts the block."""
    if not response.ok:
        raise Failure("effect_failed", f"{what} failed: {error_text(response)}")
    value = from_json(response.value)
    meter.check_received(value)
    return value


def call_tool(meter: Meter, tool: str, args: RecordValue) -> Eval:
    """`call tool { … }`."""
    meter.check_leaving(args)
    [response] = yield [new_request(meter, "call", tool, args)]
    return wrapper(meter, response)


def start_tool(meter: Meter, tool: str, args: RecordValue) -> Eval:
    """`start call tool { … }`."""
    meter.check_leaving(args)
    [response] = yield [new_request(meter, "start", tool, args)]
    return received(meter, response, f"start of tool `{tool}`")


def cancel(meter: Meter, handle: Value) -> Eval:
    """`cancel handle`."""
    if not is_handle(handle):
        raise type_error(f"`cancel` needs a handle, got {type_name(handle)}")
    meter.check_leaving(handle)
    [response] = yield [new_request(meter, "cancel", None, handle)]
    return received(meter, response, "cancel")


def show(meter: Meter, value: Value) -> Eval:
    """`print value`."""
    meter.check_leaving(value)
    shown = text(value)
    request = new_request(meter, "print", None, value, shown)
    meter.count_output(shown)
    [response] = yield [request]
    received(meter, response, "print")
    return value


def await_value(meter: Meter, value: Value) -> Eval:
    """`await value`: all handles in it are requested as one batch, the result has its shape."""
    meter.check_leaving(value)
    batch = [new_request(meter, "await", None, handle) for handle in handles(value)]
    responses = (yield batch) if batch else []
    result = shaped(meter, value, iter(responses))
    meter.check_depth(result)
    return result


def handles(value: Value) -> Iterator[RecordValue]:
    """The handles in a value, depth-first."""
    if is_handle(value):
        yield value
    elif isinstance(value, ListValue | RecordValue):
        for part in elements(value):
            yield from handles(part)


def shaped(meter: Meter, value: Value, responses: Iterator[Response]) -> Value:
    """The awaited value with a wrapper in place of each handle, and of each thing that is none."""
    if is_handle(value):
        return wrapper(meter, next(responses))
    if isinstance(value, ListValue):
        return ListValue([shaped(meter, x, responses) for x in value])
    if isinstance(value, RecordValue):
        return RecordValue([(key, shaped(meter, x, responses)) for key, x in value.items()])
    return RecordValue([("ok", False), ("error", f"await needs a handle, got {type_name(value)}")])
