"""Where images are kept: in memory, or as files under the SHA-256 of their bytes (runtime.md 11)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from builtins import list as list_of
from os import PathLike
from pathlib import Path

from pydantic import ValidationError

from lash.host.stores.images import sniff
from lash.runtime.errors import AttachmentError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.values import adapter
from lash.runtime.seams.effects import DurabilityTier

ATTACHMENT_ID = re.compile(r"[0-9a-f]{64}")
SIDECAR = ".json"


def attachment_ref(data: bytes, label: str | None) -> AttachmentRef:
    """The reference of an image. Raises AttachmentError (attachment_type) for bytes of another kind."""
    info = sniff(data)
    if info is None:
        raise AttachmentError(
            "attachment_type",
            f"{len(data)} bytes that are no png, jpeg, gif, webp or bmp cannot be an attachment",
        )
    attachment_id = hashlib.sha256(data).hexdigest()
    return AttachmentRef(attachment_id, info.media_type, len(data), info.width, info.height, label)


class InMemoryAttachmentStore:
    """Images in this process; implements `lash.runtime.seams.attachments.AttachmentStore`."""

    durability = DurabilityTier.INLINE

    def __init__(self) -> None:
        self._kept: dict[str, tuple[AttachmentRef, bytes]] = {}

    async def put(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        """Keep an image; a label that is given replaces an earlier one. Raises AttachmentError (attachment_type)."""
        ref = attachment_ref(data, label)
        if label is None and ref.id in self._kept:
            return self._kept[ref.id][0]
        self._kept[ref.id] = (ref, bytes(data))
        return ref

    async def get(self, attachment_id: str) -> bytes:
        """The image's bytes. Raises AttachmentError (attachment_not_found)."""
        if attachment_id not in self._kept:
            raise _not_found(attachment_id)
        return self._kept[attachment_id][1]

    async def describe(self, attachment_id: str) -> AttachmentRef | None:
        """What is known of an image; None where there is none."""
        kept = self._kept.get(attachment_id)
        return None if kept is None else kept[0]

    async def delete(self, attachment_id: str) -> bool:
        """Remove an image; whether there was one."""
        return self._kept.pop(attachment_id, None) is not None

    async def list(self) -> list[AttachmentRef]:
        """All images, by id."""
        return [self._kept[attachment_id][0] for attachment_id in sorted(self._kept)]


class FileAttachmentStore:
    """Images as files `sha256/{first two digits}/{id}` below `root`, each with what is known of it beside it as JSON.

    Implements `lash.runtime.seams.attachments.AttachmentStore`. A file appears under its name whole or not at all: it
    is written under another name, made durable and renamed, the image before its description. An image whose
    description is missing, after a crash between the two, is described from its own bytes.
    """

    durability = DurabilityTier.DURABLE

    def __init__(self, root: str | PathLike[str]) -> None:
        self._images = Path(root) / "sha256"

    async def put(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        """Keep an image; a label that is given replaces an earlier one.

        Raises AttachmentError (attachment_type, attachment_io).
        """
        return await asyncio.to_thread(self._put, data, label)

    async def get(self, attachment_id: str) -> bytes:
        """The image's bytes, checked against the id.

        Raises AttachmentError: attachment_not_found, or attachment_io also where the bytes are not those that were put.
        """
        return await asyncio.to_thread(self._get, attachment_id)

    async def describe(self, attachment_id: str) -> AttachmentRef | None:
        """What is known of an image; None where there is none. Raises AttachmentError (attachment_io)."""
        return await asyncio.to_thread(self._describe, attachment_id)

    async def delete(self, attachment_id: str) -> bool:
        """Remove an image; whether there was one. Raises AttachmentError (attachment_io)."""
        return await asyncio.to_thread(self._delete, attachment_id)

    async def list(self) -> list[AttachmentRef]:
        """All images, by id. Raises AttachmentError (attachment_io)."""
        return await asyncio.to_thread(self._list)

    def _put(self, data: bytes, label: str | None) -> AttachmentRef:
        ref = attachment_ref(data, label)
        path = self._path(ref.id)
        try:
            if not _holds(path, data):
                _write_durably(path, data)
            known = None if label is not None else self._read_sidecar(ref.id)
            if known is not None:
                return known
            _write_durably(_sidecar(path), adapter(AttachmentRef).dump_json(ref))
        except OSError as error:
            raise _failed(ref.id, error) from error
        return ref

    def _get(self, attachment_id: str) -> bytes:
        data = self._read(attachment_id)
        if data is None:
            raise _not_found(attachment_id)
        return data

    def _describe(self, attachment_id: str) -> AttachmentRef | None:
        if ATTACHMENT_ID.fullmatch(attachment_id) is None or not self._path(attachment_id).exists():
            return None
        known = self._read_sidecar(attachment_id)
        if known is not None:
            return known
        data = self._read(attachment_id)
        return None if data is None else attachment_ref(data, None)

    def _delete(self, attachment_id: str) -> bool:
        if ATTACHMENT_ID.fullmatch(attachment_id) is None:
            return False
        path = self._path(attachment_id)
        try:
            _sidecar(path).unlink(missing_ok=True)
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failed(attachment_id, error) from error
        return True

    def _list(self) -> list_of[AttachmentRef]:
        ids = sorted(path.name for path in self._images.glob("??/*") if ATTACHMENT_ID.fullmatch(path.name))
        refs = (self._describe(attachment_id) for attachment_id in ids)
        return [ref for ref in refs if ref is not None]

    def _path(self, attachment_id: str) -> Path:
        return self._images / attachment_id[:2] / attachment_id

    def _read(self, attachment_id: str) -> bytes | None:
        """The checked bytes of an image; None where there is none."""
        if ATTACHMENT_ID.fullmatch(attachment_id) is None:
            return None
        try:
            data = self._path(attachment_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(attachment_id, error) from error
        if hashlib.sha256(data).hexdigest() != attachment_id:
            raise AttachmentError(
                "attachment_io", f"attachment {attachment_id} is damaged: its bytes have another hash"
            )
        return data

    def _read_sidecar(self, attachment_id: str) -> AttachmentRef | None:
        try:
            data = _sidecar(self._path(attachment_id)).read_bytes()
            ref: AttachmentRef = adapter(AttachmentRef).validate_json(data)
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise _failed(attachment_id, error) from error
        if ref.id != attachment_id:
            raise AttachmentError("attachment_io", f"the description of attachment {attachment_id} is that of {ref.id}")
        return ref


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has these contents; a damaged one is written anew."""
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _write_durably(path: Path, data: bytes) -> None:
    """Write a file under another name, sync, rename, sync the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _not_found(attachment_id: str) -> AttachmentError:
    return AttachmentError("attachment_not_found", f"there is no attachment {attachment_id!r}")


def _failed(attachment_id: str, error: Exception) -> AttachmentError:
    return AttachmentError("attachment_io", f"attachment {attachment_id}: {error}")
