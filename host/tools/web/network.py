"""Which hosts may be fetched from: those whose addresses are public, looked at after the name was resolved."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol, TypeAlias

from lash.runtime.tools.result import ToolError

Address: TypeAlias = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052)."""

_SPECIAL: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")))
"""Special-purpose addresses (IANA's registries) that `ipaddress` counts as global, in older versions at least."""


class Network(Protocol):
    """How hosts are found, and which of them may be reached."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, the best first. Raises ToolError where there are none."""
        ...

    def allows(self, address: Address) -> bool:
        """Whether an address may be connected to."""
        ...


class PublicNetwork:
    """The internet: names as the system resolves them, and public addresses only."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """See `Network`."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise ToolError(f"the host {host} was not found", cls="external", code="web_unreachable") from None
        return list(dict.fromkeys(ip_address(info[4][0]) for info in found))

    def allows(self, address: Address) -> bool:
        """See `Network`."""
        return is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    It is none of loopback, private, link-local, shared, multicast, unspecified, reserved or documentation, and neither
    is an IPv4 address that it carries: mapped, by NAT64, by 6to4 or by Teredo.
    """
    if isinstance(address, IPv6Address):
        carried = list(_carried(address))
        if carried:
            return all(map(is_public, carried))
        if address.is_site_local or address.scope_id is not None:
            return False
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or any(address in network for network in _SPECIAL)
    )


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that packets for an IPv6 address may end at."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
