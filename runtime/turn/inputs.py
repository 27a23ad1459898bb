"""What a turn is given: text and images (runtime.md 5.2).

Images reach the attachment store before anything else sees them; what is written down holds their ids alone.
"""

from __future__ import annotations

import hashlib
from builtins import list as list_of
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias, cast

from pydantic import Field

from lash.runtime.errors import AttachmentError, LashError, TurnError
from lash.runtime.sansio.messages import AttachmentRef, Message, Part
from lash.runtime.sansio.values import JsonValue, from_json, lone_surrogate, to_json
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.seams.persistence import RuntimePersistence


@dataclass(frozen=True, slots=True)
class Text:
    """Text; neighbours are joined by a line break."""

    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that the attachment store has: the SHA-256 of its bytes in hex."""

    id: str
    type: Literal["image_ref"] = "image_ref"


@dataclass(frozen=True, slots=True)
class ImageBlob:
    """An image of which the host has the bytes (png, jpeg, gif, webp or bmp); `id` is the host's name for it."""

    id: str
    data: bytes = field(repr=False)
    type: Literal["image_blob"] = "image_blob"


InputItem: TypeAlias = Text | ImageRef | ImageBlob
StoredItem: TypeAlias = Annotated[Text | ImageRef, Field(discriminator="type")]


class InvalidInput(LashError):
    """A turn's input cannot be used. The turn then ends as Stopped(InvalidInput) and leaves no trace."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_input", message)


@dataclass(frozen=True, slots=True)
class TurnInput:
    """The items of an input, in order."""

    items: tuple[InputItem, ...] = ()

    def __init__(self, items: Iterable[InputItem] = ()) -> None:
        object.__setattr__(self, "items", tuple(items))

    @staticmethod
    def text(text: str) -> TurnInput:
        """Input of text alone."""
        return TurnInput([Text(text)])

    @staticmethod
    def empty() -> TurnInput:
        """No input: the turn goes on from what the session has."""
        return TurnInput()

    @staticmethod
    def of(given: str | TurnInput | Sequence[InputItem]) -> TurnInput:
        """The input that a host means. Raises TurnError (contradictory_options) for anything else."""
        if isinstance(given, TurnInput):
            return given
        if isinstance(given, str):
            return TurnInput.text(given)
        whole = cast("object", given)
        items: list_of[object] = [*cast("Sequence[object]", whole)] if isinstance(whole, Sequence) else [whole]
        if all(isinstance(item, Text | ImageRef | ImageBlob) for item in items):
            return TurnInput(cast("list_of[InputItem]", items))
        kinds = ", ".join(sorted({type(item).__name__ for item in items}))
        raise TurnError("contradictory_options", f"a turn's input is a text or made of Text and images, not of {kinds}")


@dataclass(frozen=True, slots=True)
class _Stored:
    items: tuple[StoredItem, ...]


def input_json(given: TurnInput) -> JsonValue:
    """An input whose images are stored, as records hold it: its text, or a list of items.

    Raises ValueError where an image is not stored yet.
    """
    match given.items:
        case (Text(text=text),):
            return text
        case items:
            if any(isinstance(item, ImageBlob) for item in items):
                raise ValueError("the input's images are not stored yet")
            return [to_json(item) for item in items]


def input_of(recorded: JsonValue) -> TurnInput:
    """The input that `input_json` wrote. Raises pydantic.ValidationError for what it did not."""
    if isinstance(recorded, str):
        return TurnInput.text(recorded)
    return TurnInput(from_json(_Stored, {"items": recorded}).items)


class SessionAttachments:
    """The attachment store as one session uses it: each use is noted before the bytes are put (runtime.md 11).

    `used` are the ids that the next commit confirms.
    """

    def __init__(self, images: AttachmentStore, session: RuntimePersistence, turn_id: str | None) -> None:
        self._images = images
        self._session = session
        self._turn_id = turn_id
        self.used: dict[str, None] = {}

    @property
    def durability(self) -> DurabilityTier:
        """Whether images outlive the process."""
        return self._images.durability

    async def put(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        """Keep an image for the session. Raises AttachmentError (attachment_type, attachment_io)."""
        await self._note(hashlib.sha256(data).hexdigest())
        return await self._images.put(data, label=label)

    async def use(self, attachment_id: str) -> AttachmentRef | None:
        """Take an image that is kept already; None where it is not."""
        known = await self._images.describe(attachment_id)
        if known is not None:
            await self._note(known.id)
        return known

    async def _note(self, attachment_id: str) -> None:
        if attachment_id not in self.used:
            await self._session.record_attachment_intent(
                attachment_id, f"attachment:{attachment_id}", turn_id=self._turn_id
            )
            self.used[attachment_id] = None

    async def get(self, attachment_id: str) -> bytes:
        """An image's bytes. Raises AttachmentError (attachment_not_found, attachment_io)."""
        return await self._images.get(attachment_id)

    async def describe(self, attachment_id: str) -> AttachmentRef | None:
        """What is known of an image."""
        return await self._images.describe(attachment_id)

    async def delete(self, attachment_id: str) -> bool:
        """Remove an image, whoever else uses it; whether there was one."""
        return await self._images.delete(attachment_id)

    async def list(self) -> list_of[AttachmentRef]:
        """All images of the store."""
        return await self._images.list()


def _check(item: InputItem) -> None:
    """Raise InvalidInput for an item whose fields are not what they should be, or are no valid Unicode."""
    if not isinstance(cast("object", item), Text | ImageRef | ImageBlob):
        raise InvalidInput(f"an input is made of Text and images, and this one holds {type(item).__name__}")
    text = cast("object", item.text if isinstance(item, Text) else item.id)
    if not isinstance(text, str):
        raise InvalidInput(f"{type(item).__name__} of the input holds {type(text).__name__}, not a text")
    if (wrong := lone_surrogate(text)) is not None:
        raise InvalidInput(f"the input holds {wrong}, which is no character: decode it with errors='replace'")
    if isinstance(item, ImageBlob) and not isinstance(cast("object", item.data), bytes):
        raise InvalidInput(f"the image {item.id!r} of the input holds {type(item.data).__name__}, not bytes")


def refuse_blank(given: TurnInput) -> None:
    """Raise InvalidInput for an input of nothing but blank text; one of nothing at all is no such input."""
    if given.items and all(isinstance(item, Text) and not item.text.strip() for item in given.items):
        raise InvalidInput("the input holds no text and no image: say what the turn is for")


async def with_stored_images(given: TurnInput, images: SessionAttachments) -> TurnInput:
    """The input with its images stored.

    Raises InvalidInput for an unknown image, for bytes that are none, and for text that a record cannot hold.
    """
    items: list[InputItem] = []
    for item in given.items:
        _check(item)
        match item:
            case Text():
                items.append(item)
            case ImageRef(id=number):
                if not number or await images.use(number) is None:
                    raise InvalidInput(f"the input names an image {number!r} that the attachment store does not have")
                items.append(item)
            case ImageBlob(id=number, data=data):
                if not number:
                    raise InvalidInput("an image of the input has an empty id")
                try:
                    stored = await images.put(data, label=number)
                except AttachmentError as error:
                    if error.code != "attachment_type":
                        raise
                    raise InvalidInput(f"the image {number!r} cannot be used: {error.message}") from error
                items.append(ImageRef(stored.id))
    return TurnInput(items)


async def user_message(given: TurnInput, message_id: str, images: SessionAttachments) -> Message | None:
    """The user's message for an input whose images are stored; None for an empty input.

    Raises InvalidInput for an input of blank text.
    """
    if not given.items:
        return None
    refuse_blank(given)
    merged: list[Text | AttachmentRef] = []
    for item in given.items:
        match item:
            case Text(text=text):
                if merged and isinstance(merged[-1], Text):
                    merged[-1] = Text(f"{merged[-1].text}\n{text}")
                else:
                    merged.append(item)
            case ImageRef(id=number):
                known = await images.describe(number)
                if known is None:
                    raise InvalidInput(f"the input names an image {number!r} that the attachment store does not have")
                merged.append(known)
            case ImageBlob():
                raise ValueError("the input's images are not stored yet")
    return Message(
        message_id,
        "user",
        tuple(
            Part(f"{message_id}.p{i}", "text", one.text)
            if isinstance(one, Text)
            else Part(f"{message_id}.p{i}", "image", one.label or "", attachment=one)
            for i, one in enumerate(merged)
        ),
    )
