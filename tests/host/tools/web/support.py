"""A network that consists of this machine, for tests of what is fetched from it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from lash.host.tools.web.local import LocalFetchBackend
from lash.host.tools.web.network import Address, PublicNetwork
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ToolError

KEY = "tvly-0123456789abcdef"


class Names:
    """A network with these names; addresses are allowed as on the internet, and `open_to` besides."""

    def __init__(self, names: dict[str, list[str]], open_to: Sequence[str] = ("127.0.0.1",)) -> None:
        self.names = names
        self.asked: list[str] = []
        self._open_to = {ip_address(one) for one in open_to}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """See `Network`: what the name is, or is next where there are several answers."""
        self.asked.append(host)
        if host not in self.names:
            raise ToolError(f"the host {host} was not found", cls="external", code="web_unreachable")
        return [ip_address(one) for one in self.names[host]]

    def allows(self, address: Address) -> bool:
        """See `Network`."""
        return address in self._open_to or PublicNetwork().allows(address)


def local(clock: Clock | None = None, **names: list[str]) -> LocalFetchBackend:
    """A backend that knows `site.test` as this machine, and other names with `_` for the dot."""
    known = {name.replace("_", "."): addresses for name, addresses in names.items()}
    return LocalFetchBackend(network=Names({"site.test": ["127.0.0.1"], **known}), clock=clock)


async def refusal(work: Any) -> tuple[str, str, str]:
    """Class, code and message of the failure that work ends with."""
    try:
        found = await work
    except ToolError as error:
        return error.failure.cls, error.failure.code, error.failure.message
    raise AssertionError(f"it worked: {found}")
