"""Reading pages without a service, in a way that cannot be turned on the machine's own network.

A page's address comes from a model, and so from whoever wrote what the model has read. Before each connection, that of
every redirect included, the name is resolved and all its addresses are checked; then one of *these addresses* is
connected to, while the Host header and the certificate's name stay those of the host. Resolving again for the
connection would let a name server give a public address to the check and a private one to the connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

import httpx2

from lash.host.system import SystemClock
from lash.host.tools.web.backend import FetchedPage
from lash.host.tools.web.network import Address, Network, PublicNetwork
from lash.host.tools.web.page import page_text, require_extractor
from lash.host.tools.web.transfer import ENCODINGS, TIMEOUT_S, in_time, read_body, status_failure
from lash.host.tools.web.url import DEFAULT_PORTS, check_url
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ToolError

MOST_REDIRECTS: Final = 5
MOST_ADDRESSES: Final = 4
"""How many addresses of a host are tried."""

FIRST_USER_PORT: Final = 1024

HEADERS: Final = {
    "user-agent": "Mozilla/5.0 (compatible; lash)",
    "accept": "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5",
    "accept-encoding": ENCODINGS,
}


class LocalFetchBackend:
    """A `FetchBackend` of the extra `web`: httpx2 and trafilatura.

    `network` says how hosts are found and which may be reached; None is the internet without private addresses. No
    proxy is used, because it would resolve the name once more. Raises ConfigError (web_extra_missing) without the
    extra.
    """

    def __init__(self, *, network: Network | None = None, clock: Clock | None = None) -> None:
        require_extractor()
        self._network = network or PublicNetwork()
        self._clock = clock or SystemClock()
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> FetchedPage:
        """See `FetchBackend`. Raises ToolError (address_not_allowed) for what is not to be reached from here."""
        return await in_time(self._clock, url, self._follow(check_url(url)))

    async def _follow(self, url: httpx2.URL) -> FetchedPage:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._visit(url)
            if isinstance(answer, FetchedPage):
                return answer
            url = answer
        raise ToolError(
            f"{url} was the redirect after the {MOST_REDIRECTS}th, and no more are followed",
            cls="external",
            code="web_redirects",
        )

    async def _visit(self, url: httpx2.URL) -> FetchedPage | httpx2.URL:
        """The page at an address, or where it has moved."""
        addresses = await self._addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._request(url, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._request(url, addresses[-1])

    async def _addresses(self, url: httpx2.URL) -> Sequence[Address]:
        """Where a page can be had from. Raises ToolError where it may not be had, or is nowhere."""
        check_url(url)
        host, port = url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]
        if port not in DEFAULT_PORTS.values() and port < FIRST_USER_PORT:
            raise _refused(url, f"port {port} belongs to another service than the web")
        addresses = await self._network.resolve(host, port)
        if not addresses:
            raise ToolError(f"the host {host} was not found", cls="external", code="web_unreachable")
        if not all(map(self._network.allows, addresses)):
            raise _refused(url, "its address is not on the public internet")
        return addresses[:MOST_ADDRESSES]

    async def _request(self, url: httpx2.URL, address: Address) -> FetchedPage | httpx2.URL:
        """One request to exactly that address."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        who = str(url)
        request = httpx2.Request(
            "GET",
            url.copy_with(host=str(address), fragment=None),
            headers={**HEADERS, "host": url.netloc.decode("ascii")},
            extensions={
                "timeout": httpx2.Timeout(TIMEOUT_S).as_dict(),
                "sni_hostname": url.raw_host.decode("ascii").rstrip("."),
            },
        )
        # A transport without a client round it: no cookies, no proxy, no redirects but our own.
        async with (
            httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport,
            aclosing(await transport.handle_async_request(request)) as response,
        ):
            if response.has_redirect_location:
                return _moved(url, response.headers["location"])
            if not response.is_success:
                raise await status_failure(who, response)
            body = await read_body(who, response)
            content_type = response.headers.get("content-type", "")
        return FetchedPage(who, await page_text(who, content_type, body))


def _moved(url: httpx2.URL, location: str) -> httpx2.URL:
    try:
        return url.join(location)
    except (httpx2.InvalidURL, ValueError):
        raise ToolError(
            f"{url} has moved to {location[:200]!r}, which is no address", cls="external", code="web_malformed"
        ) from None


def _refused(url: httpx2.URL, reason: str) -> ToolError:
    """The refusal, which does not say what the name resolves to: that is the network's own business."""
    return ToolError(
        f"{url.scheme}://{url.netloc.decode('ascii')} may not be fetched: {reason}",
        cls="permission_denied",
        code="address_not_allowed",
    )
