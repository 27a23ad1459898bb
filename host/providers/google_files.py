"""Images too large to go with every request: uploaded once, by Google's resumable protocol (providers.md 8).

The server keeps a file for 48 hours. Its address is remembered for 40, so that none expires within a long call.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

import httpx2

from lash.host.providers.exchange import NETWORK, UNREADABLE, network_failure
from lash.host.providers.google_exchange import Post, send
from lash.host.providers.wire import malformed, obj, string
from lash.runtime.providers.components import AttemptTrace
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.seams.clock import Clock

INLINE_BYTES: Final = 8 * 1024 * 1024
"""Up to how many bytes the images of a request go with it."""

KEPT_MS: Final = 40 * 3600 * 1000
"""How long the address of a file is used."""

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""How much is uploaded at a time, so that every answer is a sign of life; a multiple of 256 KiB, as the API wants."""

MOST_FILES: Final = 1_000
"""How many addresses are remembered; the oldest goes first."""

_SAYS_FILE = re.compile(r"\bfiles?\b|\bfile_?uri\b", re.IGNORECASE)

Key = tuple[str, str]
"""Media type and SHA-256: what makes two images one file. A provider has one key, so the account is always the same."""


class UploadedFiles:
    """Where the images of one account are that have been uploaded.

    `url` is where files are uploaded to; `clock` says how old an address is.
    """

    def __init__(self, client: httpx2.AsyncClient, url: str, clock: Clock) -> None:
        self.url = url
        self._client = client
        self._clock = clock
        self._known: dict[Key, tuple[str, int]] = {}
        self._uploading: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def uri(self, image: Post, mime: str, trace: AttemptTrace) -> str:
        """The address of an image, which is uploaded if it is not there; calls that want the same one share it.

        `image` has the bytes, and the headers by which the account is known. Raises ProviderFailure.
        """
        key = mime, await asyncio.to_thread(lambda: hashlib.sha256(image.content).hexdigest())
        lock = self._uploading.setdefault(key, asyncio.Lock())
        async with lock:
            known = self._known.get(key)
            if known is not None and self._clock.now_ms() < known[1] + KEPT_MS:
                return known[0]
            uri = await self._upload(image, mime, trace)
            self._known.pop(key, None)
            self._known[key] = uri, self._clock.now_ms()
            if len(self._known) > MOST_FILES:
                del self._known[next(iter(self._known))]
            return uri

    def forget(self, uris: Iterable[str]) -> None:
        """Upload these anew when they are wanted again."""
        gone = set(uris)
        self._known = {key: entry for key, entry in self._known.items() if entry[0] not in gone}

    async def _upload(self, image: Post, mime: str, trace: AttemptTrace) -> str:
        size = len(image.content)
        headers = image.headers.copy()
        headers.update(
            {
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": str(size),
                "X-Goog-Upload-Header-Content-Type": mime,
            }
        )
        metadata = json.dumps({"file": {"mimeType": mime}}).encode()
        answer = await self._answer(replace(image, url=self.url, headers=headers, content=metadata), trace)
        address = answer.headers.get("x-goog-upload-url")
        if not address:
            raise malformed("the server names no address to upload a file to")
        for offset in range(0, size, CHUNK_BYTES):
            # The address is a credential in itself, so the key goes with the first request only.
            last = offset + CHUNK_BYTES >= size
            command = {
                "X-Goog-Upload-Offset": str(offset),
                "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
            }
            piece = image.content[offset : offset + CHUNK_BYTES]
            answer = await self._answer(Post(address, httpx2.Headers(command), piece, image.timeout), trace)
        return _uri(answer)

    async def _answer(self, post: Post, trace: AttemptTrace) -> httpx2.Response:
        """The whole answer to a request; ProviderFailure where there is none, or an error."""
        http = await send(self._client, post, trace)
        try:
            await http.aread()
        except NETWORK as error:
            raise network_failure(error) from error
        finally:
            await http.aclose()
        return http


def _uri(answer: httpx2.Response) -> str:
    """The address of the file that an upload came to."""
    try:
        body: object = json.loads(answer.text)
    except UNREADABLE:
        body = None
    uri = string(obj(obj(body).get("file")).get("uri"))
    if not uri:
        raise malformed("the server names no file for what was uploaded", raw=answer.text)
    return uri


def lost_a_file(failure: ProviderFailure) -> bool:
    """Whether a request was refused for a file that it refers to: one that is gone, not ready or somebody else's."""
    # A file that is not there is reported as one that may not be read, with status 403.
    return failure.status in (400, 403, 404) and bool(_SAYS_FILE.search(failure.message))
