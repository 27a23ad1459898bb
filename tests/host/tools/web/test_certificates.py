"""Pages behind TLS: connected to by address, and still held to the certificate of their name."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.host.tools.web.support import local, refusal

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecure"


def certificate(folder: Path, name: str) -> Path:
    """A file with the key of a host and a certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def secure_server(file: Path, asked: list[str | None]) -> AsyncGenerator[int]:
    """A server with that certificate; `asked` gets the names that it is asked for, then the Host headers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.extend(line[6:].decode() for line in head.splitlines() if line.lower().startswith(b"host: "))
        writer.write(PAGE)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of site.test, which the system trusts."""
    file = certificate(tmp_path, "site.test")
    monkeypatch.setattr("httpx2.create_ssl_context", lambda: ssl.create_default_context(cafile=str(file)))
    return file


async def test_the_certificate_and_the_host_header_are_those_of_the_name(trusted: Path) -> None:
    asked: list[str | None] = []
    async with secure_server(trusted, asked) as port:
        page = await local().fetch(f"https://site.test:{port}/")
    assert page.content == "secure"
    assert asked == ["site.test", f"site.test:{port}"]


async def test_the_certificate_of_another_name_is_refused(trusted: Path) -> None:
    async with secure_server(trusted, []) as port:
        backend = local(other_test=["127.0.0.1"])
        cls, code, message = await refusal(backend.fetch(f"https://other.test:{port}/"))
    assert (cls, code) == ("external", "web_unreachable")
    assert "certificate" in message.lower()
