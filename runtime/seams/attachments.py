"""Where images are kept (runtime.md 11)."""

from __future__ import annotations

from typing import Protocol

from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.seams.effects import DurabilityTier


class AttachmentStore(Protocol):
    """Images by the SHA-256 of their bytes."""

    @property
    def durability(self) -> DurabilityTier:
        """Whether it outlives the process."""
        ...

    async def put(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        """Keep an image; AttachmentError (attachment_type) for bytes that are no png, jpeg, gif, webp or bmp."""
        ...

    async def get(self, attachment_id: str) -> bytes:
        """The image's bytes, checked against the id; AttachmentError (attachment_not_found, attachment_io)."""
        ...

    async def describe(self, attachment_id: str) -> AttachmentRef | None:
        """What is known of an image."""
        ...

    async def delete(self, attachment_id: str) -> bool:
        """Remove an image; whether there was one."""
        ...

    async def list(self) -> list[AttachmentRef]:
        """All images."""
        ...
