"""The hash by which a replayed model call is recognised. That of a long request does not hold the event loop."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import cast

from lash.runtime.sansio.llm import LlmMessage, LlmRequest
from lash.runtime.sansio.values import JsonValue, canonical, stable_hash, to_json

BATCH = 500
"""Messages that are hashed together: about a millisecond of small ones."""


async def request_hash(request: LlmRequest) -> str:
    """The stable hash of a request as JSON; that of one with many messages is made in pieces, and is the same."""
    if len(request.messages) <= BATCH:
        return stable_hash(to_json(request))
    fields = cast("dict[str, JsonValue]", to_json(replace(request, messages=())))
    digest = hashlib.sha256()
    before = b"{"
    for name in sorted(fields):
        digest.update(before + canonical(name) + b":")
        before = b","
        if name != "messages":
            digest.update(canonical(fields[name]))
            continue
        opening = b"["
        for at in range(0, len(request.messages), BATCH):
            batch = to_json(request.messages[at : at + BATCH], tuple[LlmMessage, ...])
            digest.update(opening + canonical(batch)[1:-1])
            opening = b","
            await asyncio.sleep(0)
        digest.update(b"]")
    digest.update(b"}")
    return digest.hexdigest()
