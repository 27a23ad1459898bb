"""What the vendors' wires share: careful readers of JSON, clean text, images, and the usual failures.

A wire has two pure parts. A function turns an `LlmRequest` into the JSON body of the vendor's API. A `Decoder` takes
the vendor's events, as plain JSON, one by one, reports stream events on the way and holds the response in the end.
Neither knows a socket or an SDK, so both are tested on plain data; `exchange.py` puts them on the wire.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, cast

from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import Block, LlmRequest, LlmResponse, ResponsePart
from lash.runtime.sansio.values import JsonValue

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object of a vendor, whose members are read with `obj`, `objects` and `string`."""

IMAGE_ATTACHED = "[Image attached]"
"""What stands for an image whose bytes are not there."""


class Decoder(Protocol):
    """What a vendor's reply comes to, fed with events as they arrive."""

    @property
    def complete(self) -> bool:
        """Whether the wire has said that the reply is at its end."""
        ...

    def event(self, event: JsonObject) -> None:
        """Take one event of a stream; ProviderFailure where it reports one."""
        ...

    def reply(self, body: JsonObject) -> None:
        """Take a whole reply that came as one JSON object."""
        ...

    def response(self) -> LlmResponse:
        """The response; ProviderFailure where it is cut short, empty or a failure."""
        ...

    def partial(self) -> LlmResponse:
        """What has arrived so far."""
        ...


def obj(value: object) -> JsonObject:
    """The value if it is a JSON object, else an empty one."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """The JSON objects in the value if it is a list, else none."""
    if not isinstance(value, list):
        return []
    return [cast("JsonObject", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def string(value: object) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def joined_text(parts: tuple[ResponsePart, ...]) -> str:
    """The visible text of a response."""
    return "".join(part.text for part in parts if isinstance(part, Block.Text))


class Pieces:
    """A text that comes in pieces. They are joined when the text is read, not as each one comes."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: str) -> None:
        self._pieces = list(pieces)

    def __bool__(self) -> bool:
        return any(self._pieces)

    def add(self, piece: str) -> None:
        """One more piece."""
        self._pieces.append(piece)

    @property
    def text(self) -> str:
        """The pieces so far, one behind the other."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


def missing_suffix(streamed: str, final: str) -> str:
    """What `final` has that was not streamed; nothing where it is no extension of it."""
    return final[len(streamed) :] if final.startswith(streamed) else ""


def object_arguments(input_json: str) -> JsonObject:
    """A tool call's arguments as an object; what is none, or no JSON, is kept as text under `_raw`."""
    if not input_json.strip():
        return {}
    try:
        value: object = json.loads(input_json, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return {"_raw": input_json}
    return cast("JsonObject", value) if isinstance(value, dict) else {"_raw": input_json}


def _no_constant(name: str) -> object:
    """Refuse NaN and the infinities, which Python reads and no server does."""
    raise ValueError(f"{name} is no JSON")


def image_base64(request: LlmRequest, index: int) -> tuple[str, str] | None:
    """Media type and base64 of an attachment; None where there is none or its bytes are missing."""
    if not 0 <= index < len(request.attachments):
        return None
    attachment = request.attachments[index]
    if attachment.data is None:
        return None
    return attachment.mime, base64.b64encode(attachment.data).decode("ascii")


def data_url(request: LlmRequest, index: int) -> str | None:
    """An attachment as a data URL; None as in `image_base64`."""
    image = image_base64(request, index)
    return None if image is None else f"data:{image[0]};base64,{image[1]}"


def clean(value: Any) -> Any:
    """The JSON value with lone surrogates, which no UTF-8 can carry, replaced by U+FFFD."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        return {_clean_text(key): clean(item) for key, item in cast("JsonObject", value).items()}
    if isinstance(value, list):
        return [clean(item) for item in cast("list[object]", value)]
    return value


def _clean_text(text: str) -> str:
    if text.isascii():
        return text
    # By way of UTF-16 two halves that stand together become the character that they are.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def without_images(value: Any) -> JsonValue:
    """The JSON value as a trace shows it: in place of an image's base64 stands how much there was."""
    if isinstance(value, str):
        head, found, data = value.partition(";base64,")
        return f"{head};base64,[{len(data)} characters]" if found and head.startswith("data:image/") else value
    if isinstance(value, dict):
        members = cast("JsonObject", value)
        if members.get("type") == "base64":
            return {**members, "data": f"[{len(string(members.get('data')))} characters]"}
        return {key: without_images(item) for key, item in members.items()}
    if isinstance(value, list):
        return [without_images(item) for item in cast("list[object]", value)]
    return cast("JsonValue", value)


def read_error(body: object) -> tuple[str, str | None]:
    """Message and code of an error as servers report it: an object under `error`, a text there, or at the top."""
    listed = objects(body)
    outer = listed[0] if listed else obj(body)
    inner = obj(outer.get("error"))
    places = (inner, outer)
    message = next((found for place in places if (found := string(place.get("message")))), "")
    return message or string(outer.get("error")) or string(outer.get("detail")), _first_code(places)


def _first_code(places: tuple[JsonObject, ...]) -> str | None:
    """The most exact name of an error: its code, else its type."""
    for place in places:
        for name in _names(place):
            return name
    return None


def _names(place: JsonObject) -> Iterator[str]:
    for key in ("code", "type"):
        value: object = place.get(key)
        # Wrapping objects are of type "error", which names nothing.
        if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "error"):
            yield str(value)


def reported_failure(body: object, partial: LlmResponse | None = None) -> ProviderFailure:
    """The failure that a body reports although the HTTP status said that all was well."""
    message, code = read_error(body)
    raw = json.dumps(body, ensure_ascii=False, default=str)
    return ProviderFailure("http", message or "the provider reported an error", code=code, raw=raw, partial=partial)


def truncated(missing: str, partial: LlmResponse) -> ProviderFailure:
    """The failure of a stream that ended without saying that it was at its end."""
    return ProviderFailure(
        "stream", f"the provider's stream ended without {missing}", code="truncated_stream", partial=partial
    )


def malformed(problem: str, partial: LlmResponse | None = None, raw: str | None = None) -> ProviderFailure:
    """The failure of a reply that is not what the wire is made of."""
    return ProviderFailure("stream", f"malformed reply: {problem}", code="malformed_stream", raw=raw, partial=partial)


def refuse_empty(response: LlmResponse) -> LlmResponse:
    """The response, unless it ended well with nothing in it: then ProviderFailure (`empty_response`)."""
    if not response.parts and response.terminal_reason in ("stop", "tool_use", "unknown"):
        raise ProviderFailure(
            "stream",
            "the provider's reply has no text, no reasoning and no tool call",
            code="empty_response",
            partial=response,
        )
    return response
