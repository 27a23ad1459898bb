"""Settings that the providers with an HTTP API share: a key and an address, checked before anything is sent.

A key that HTTP cannot carry, because a line break was copied with it, would fail with the key in the error's text.
Nothing here puts a value into a message.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def _carried(key: str) -> str:
    """The key; ValueError where it has characters that no header can carry."""
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("has blanks, line breaks or characters outside ASCII, which no key has")
    return key


def _reachable(url: str) -> str:
    """The address; ValueError where there is no server in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("has to be an address such as https://host/v1")
    if parts.query or parts.fragment:
        raise ValueError("has a query or a fragment, which the API's paths cannot be put behind")
    return url


OptionalKey: TypeAlias = Annotated[str, AfterValidator(_carried), Field(repr=False)]
"""A key, or nothing for servers that want none."""

ApiKey: TypeAlias = Annotated[str, Field(min_length=1, repr=False), AfterValidator(_carried)]
"""A key that has to be there."""

BaseUrl: TypeAlias = Annotated[str, AfterValidator(_reachable)]
"""Where an API is, up to what comes before its own paths."""
