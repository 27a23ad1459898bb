"""Which addresses are public."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from lash.host.tools.web.network import PublicNetwork, is_public
from tests.host.tools.web.support import refusal

PRIVATE = """
127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
192.0.0.192 192.0.0.9 192.88.99.1
192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 3fff::1 5f00::1 fe80::1 fe80::1%eth0 2606:4700::1%eth0 fc00::1 fdff::1 fec0::1 ff02::1 ff0e::1 2001:db8::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::10.0.0.1
64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1::8.8.8.8
2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe:: 2001:0:7f00:1:: 2001:0:808:808:0:0:80ff:fffe 100::1
"""
PUBLIC = "8.8.8.8 1.1.1.1 172.32.0.1 192.167.255.255 2606:4700::1 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8"


@pytest.mark.parametrize("address", PRIVATE.split())
def test_what_is_not_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_what_is_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "::1", "localhost"])
async def test_every_spelling_of_this_machine_is_known_as_it(host: str) -> None:
    found = await PublicNetwork().resolve(host, 80)
    assert found
    assert not any(map(PublicNetwork().allows, found))


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "..", "a%20b"])
async def test_a_host_that_cannot_be_is_not_found(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    if host == "a%20b":
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody)
    cls, code, message = await refusal(PublicNetwork().resolve(host, 80))
    assert (cls, code, message) == ("external", "web_unreachable", f"the host {host} was not found")
