"""Calls of the Gemini API on an HTTP client: the address, the headers, and the images that are uploaded first."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import httpx2

from lash.host.providers.exchange import timeouts
from lash.host.providers.google_exchange import Post, exchange
from lash.host.providers.google_files import INLINE_BYTES, UploadedFiles, lost_a_file
from lash.host.providers.google_reply import GoogleDecoder
from lash.host.providers.google_request import encode_conversation, image_indexes, merged, shown
from lash.host.providers.vendor_transport import ignore
from lash.host.providers.wire import JsonObject, clean
from lash.runtime.providers.components import AttemptTrace, EventSink
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.seams.clock import Clock

VERSION: Final = "v1beta"
"""The version of the API; the older `v1` has neither thinking nor structured output."""

RESOURCES: Final = ("models/", "tunedModels/")
"""What a model's id may begin with; one that begins with neither is in the first."""

LIMITS: Final = httpx2.Limits(max_connections=1_000, max_keepalive_connections=100)
"""How many connections a client of our own has, which is what the other vendors' SDKs allow themselves."""


class GoogleClient:
    """One account at one address. `http_client` is used where it is given, else one is made, which `close` closes."""

    def __init__(self, base_url: str, api_key: str, clock: Clock, http_client: httpx2.AsyncClient | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._clock = clock
        self._http = http_client or httpx2.AsyncClient(limits=LIMITS)
        self._files = UploadedFiles(self._http, f"{self._base_url}/upload/{VERSION}/files", clock)

    async def complete(
        self,
        request: LlmRequest,
        settings: JsonObject,
        options: ProviderOptions,
        sink: EventSink | None,
        trace: AttemptTrace,
    ) -> LlmResponse:
        """The reply to a request, as a stream where there is a sink, else in one piece.

        `settings` are the members of the body besides the conversation. Where the server does not take a file that was
        uploaded, the request is repeated once with the images in it. Raises ProviderFailure.
        """
        files = await self._uploaded(request, options, trace)
        try:
            return await self._ask(request, settings, options, files, sink, trace)
        except ProviderFailure as failure:
            if not files or not lost_a_file(failure):
                raise
        self._files.forget(files.values())
        return await self._ask(request, settings, options, {}, sink, trace)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _uploaded(self, request: LlmRequest, options: ProviderOptions, trace: AttemptTrace) -> dict[int, str]:
        """The addresses of the request's images, by index; none where they are small enough to go with it."""
        images = [(index, data) for index in image_indexes(request) if (data := _data(request, index))]
        if sum(len(data) for _, data in images) <= INLINE_BYTES:
            return {}
        files: dict[int, str] = {}
        for index, data in images:
            if index not in files:
                post = Post(self._files.url, self._headers(options), data, timeouts(options.reliability))
                files[index] = await self._files.uri(post, request.attachments[index].mime, trace)
        return files

    async def _ask(
        self,
        request: LlmRequest,
        settings: JsonObject,
        options: ProviderOptions,
        files: Mapping[int, str],
        sink: EventSink | None,
        trace: AttemptTrace,
    ) -> LlmResponse:
        body: JsonObject = clean(merged({**encode_conversation(request, files), **settings}, options.extra_body))
        trace.request_body(shown(body))
        method = "generateContent" if sink is None else "streamGenerateContent?alt=sse"
        post = Post(
            f"{self._base_url}/{VERSION}/{_resource(request.model)}:{method}",
            self._headers(options),
            json.dumps(body, ensure_ascii=False).encode(),
            timeouts(options.reliability),
        )
        decoder = GoogleDecoder(sink or ignore, lambda: f"call_{uuid.uuid4().hex}")
        return await exchange(self._http, post, decoder, trace, self._clock)

    def _headers(self, options: ProviderOptions) -> httpx2.Headers:
        headers = httpx2.Headers({"x-goog-api-key": self._api_key, "content-type": "application/json"})
        headers.update(options.extra_headers)
        return headers


def _data(request: LlmRequest, index: int) -> bytes | None:
    """The bytes of an attachment; None where there is none or they are missing."""
    return request.attachments[index].data if 0 <= index < len(request.attachments) else None


def _resource(model: str) -> str:
    """The path of a model."""
    folder = next((one for one in RESOURCES if model.startswith(one)), "")
    return f"{folder or RESOURCES[0]}{quote(model[len(folder) :], safe='')}"
