"""Addresses of pages, checked before anybody is asked for them."""

from __future__ import annotations

from typing import Final

import httpx2

from lash.runtime.tools.result import ToolError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""The schemes that pages have, and the port of each."""


def check_url(url: httpx2.URL | str) -> httpx2.URL:
    """An address that a page can have. Raises ToolError (invalid_url), without a password that stands in it."""
    try:
        made = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ToolError(f"the url is none: {error}", cls="invalid_request", code="invalid_url") from None
    if made.scheme not in DEFAULT_PORTS:
        raise ToolError(
            f"the url has to begin with http:// or https://, not {made.scheme[:40] or 'without either'}",
            cls="invalid_request",
            code="invalid_url",
        )
    if made.userinfo:
        raise ToolError(
            "the url holds a user name or a password, which is not sent", cls="invalid_request", code="invalid_url"
        )
    if not made.host or (made.port is not None and not 0 < made.port < 65_536):
        raise ToolError(f"the url {str(made)[:200]!r} names no host", cls="invalid_request", code="invalid_url")
    return made
