"""Servers on the loopback: the SDK's own over both transports, and one that answers as no server should."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from starlette.responses import JSONResponse

from lash.plugins import McpConnectionError, McpPluginFactory, McpServerConfig
from tests.host.plugins.mcp.support import SDK_SERVER, SMALL, Hurried, call, connected, failure, names, until, value

BOMB = zlib.compress(bytes(5_000_000))

SECRET = "Bearer t0p-s3cret"


def make_server() -> MCPServer:
    server = MCPServer("web")

    @server.tool()
    async def echo(text: str) -> str:  # pyright: ignore[reportUnusedFunction]
        return text

    @server.tool()
    async def whoami(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        headers = ctx.headers or {}
        return f"{'right' if headers.get('authorization') == SECRET else 'wrong'}: {headers.get('authorization')}"

    return server


@asynccontextmanager
async def served(app: Any, port: int = 0) -> AsyncGenerator[str]:
    """An application on an ephemeral port; its address."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    # In a thread, so that the tasks of this one's loop are the client's.
    running = threading.Thread(target=server.run, args=([listening],))
    running.start()
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.to_thread(running.join)
        listening.close()


def config_of(transport: str, address: str, **options: Any) -> McpServerConfig:
    if transport == "sse":
        return McpServerConfig.sse(f"{address}/sse", **options)
    return McpServerConfig.streamable_http(f"{address}/mcp", **options)


def app_of(transport: str, server: MCPServer, **options: Any) -> Any:
    return server.sse_app() if transport == "sse" else server.streamable_http_app(**options)


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
@pytest.mark.parametrize("transport", ["streamable_http", "sse"])
async def test_the_sdks_server_answers_and_sees_the_headers(
    transport: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(app_of(transport, make_server())) as address:
        config = config_of(transport, address, headers={"Authorization": SECRET}, protocol=protocol)
        async with connected(config) as factory:
            assert await value(factory, "mcp__x__echo", {"text": "hello"}) == {"result": "hello"}
            assert await value(factory, "mcp__x__whoami") == {"result": "right: [redacted]"}
            assert "t0p" not in f"{config!r} {config} {factory.status()}"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("lash")]
    assert not [line for line in ours if "t0p" in line]


async def test_a_server_that_answers_with_json_alone_is_understood() -> None:
    async with served(app_of("streamable_http", make_server(), json_response=True)) as address:
        async with connected(config_of("streamable_http", address)) as factory:
            assert await value(factory, "mcp__x__echo", {"text": "hello"}) == {"result": "hello"}


@asynccontextmanager
async def program(transport: str, port: int) -> AsyncGenerator[None]:
    """The SDK's server as a process that is killed at the end."""
    kind = transport.replace("_", "-")
    process = await asyncio.create_subprocess_exec(
        sys.executable, SDK_SERVER, kind, str(port), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while b"running on" not in (line := await process.stderr.readline()):
            assert line
        yield
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("transport", ["streamable_http", "sse"])
async def test_a_server_that_was_started_anew_is_connected_again(transport: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = config_of(transport, f"http://127.0.0.1:{port}", protocol="legacy")
    async with contextlib.AsyncExitStack() as closing:
        async with program(transport, port):
            factory = await closing.enter_async_context(connected(config, clock=Hurried()))
            first = await value(factory, "mcp__x__pid")
        async with program(transport, port):
            results = [await call(factory, "mcp__x__pid") for _ in range(2)]
            assert results[0].error is None or results[0].error.code == "mcp_connection_lost"
            assert results[1].outcome == "success"
            assert results[1].value != first


async def test_nobody_at_the_address_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/mcp?key=s3cr3t-key"
    with pytest.raises(McpConnectionError, match="ConnectError") as raised:
        await McpPluginFactory.connect({"x": McpServerConfig.streamable_http(address)})
    assert "s3cr3t" not in str(raised.value)


# --- a server that answers as no server should -----------------------------------------------------

Write = Callable[[bytes], Awaitable[None]]


class Rogue:
    """Speaks HTTP by hand: the handshake and the listing as they should be, calls as the test wants them."""

    def __init__(self, misbehave: Callable[[int, Write], Awaitable[None]]) -> None:
        self._misbehave = misbehave
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("rogue")
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r")[0] or 0)
        message: dict[str, Any] = json.loads(await reader.readexactly(length) or "{}")

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        match message.get("method"):
            case "initialize":
                info = {"name": "rogue", "version": "1"}
                await write(
                    ok(message, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
                )
            case "tools/list":
                tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("harm", "echo")]
                await write(ok(message, {"tools": tools}))
            case "tools/call" if message["params"]["name"] == "echo":
                await write(ok(message, {"content": [{"type": "text", "text": "fine"}]}))
            case "tools/call":
                await self._misbehave(message["id"], write)
            case _:
                await write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ok(message: dict[str, Any], result: dict[str, Any]) -> bytes:
    return answer(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


async def fails_inside(number: int, write: Write) -> None:
    await write(answer(b"oops", "500 Internal Server Error", "text/html"))


async def sends_elsewhere(number: int, write: Write) -> None:
    await write(answer(b"", "307 Temporary Redirect", "text/html", "location: /mcp"))


async def writes_no_json(number: int, write: Write) -> None:
    await write(answer(b"{broken"))


async def writes_html(number: int, write: Write) -> None:
    await write(answer(b"<html>", kind="text/html"))


async def writes_too_much(number: int, write: Write) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    await write(head)
    while True:
        await write(b" " * 65536)


async def packs_a_bomb(number: int, write: Write) -> None:
    await write(answer(BOMB, "200 OK", "application/json", "content-encoding: deflate"))


async def ends_in_the_middle(number: int, write: Write) -> None:
    await write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"jsonrpc"')


async def ends_its_stream(number: int, write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hello\n\n")


async def streams_an_endless_event(number: int, write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: ")
    while True:
        await write(b"x" * 65536)


async def drips(number: int, write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    while True:
        await write(b": still there\n\n")
        await asyncio.sleep(0.01)


async def says_nothing(number: int, write: Write) -> None:
    await asyncio.Event().wait()


async def accepts(number: int, write: Write) -> None:
    await write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


async def answers_another(number: int, write: Write) -> None:
    await write(ok({"id": number + 100}, {"content": []}))


CASES: list[tuple[Callable[[int, Write], Awaitable[None]], str]] = [
    (fails_inside, "mcp_protocol_error"),
    (sends_elsewhere, "mcp_protocol_error"),
    (writes_no_json, "mcp_protocol_error"),
    (writes_html, "mcp_protocol_error"),
    (writes_too_much, "mcp_protocol_error"),
    (packs_a_bomb, "mcp_protocol_error"),
    (ends_in_the_middle, "mcp_connection_lost"),
    (ends_its_stream, "mcp_connection_lost"),
    (streams_an_endless_event, "mcp_connection_lost"),
    (drips, "mcp_call_timeout"),
    (says_nothing, "mcp_call_timeout"),
    (accepts, "mcp_protocol_error"),
    (answers_another, "mcp_call_timeout"),
]


@pytest.mark.parametrize(("misbehave", "code"), CASES, ids=[case[0].__name__ for case in CASES])
async def test_an_answer_that_is_none_fails_its_call_and_no_later_one(
    misbehave: Callable[[int, Write], Awaitable[None]], code: str
) -> None:
    async with Rogue(misbehave).listening() as url:
        patience = 8000 if code == "mcp_call_timeout" else 600_000
        config = McpServerConfig.streamable_http(url, protocol="legacy", call_timeout_ms=patience)
        async with connected(config, bounds=SMALL, clock=Hurried()) as factory:
            assert (await failure(factory, "mcp__x__harm")).code == code
            assert await value(factory, "mcp__x__echo") == "fine"
            assert names(factory) == ["mcp__x__harm", "mcp__x__echo"]


async def refuses(number: int, write: Write) -> None:
    await write(answer(b'{"error": "no"}', "403 Forbidden"))


async def test_a_call_that_is_refused_is_told_with_the_status() -> None:
    async with Rogue(refuses).listening() as url:
        config = McpServerConfig.streamable_http(url, protocol="legacy")
        async with connected(config) as factory:
            refused = await failure(factory, "mcp__x__harm")
            assert (refused.code, "HTTP 403 Forbidden" in refused.message) == ("mcp_protocol_error", True)


# --- credentials -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["streamable_http", "sse"])
@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
async def test_a_redirect_takes_no_header_to_another_host(transport: str, status: str) -> None:
    heard: list[bytes] = []

    async def overhear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"", status, "text/html", f"location: http://localhost:{elsewhere}/mcp"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(overhear, "127.0.0.1", 0) as other:
        elsewhere = other.sockets[0].getsockname()[1]
        async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(McpConnectionError) as raised:
                await McpPluginFactory.connect({"x": config_of(transport, address, headers={"Authorization": SECRET})})
    assert heard == []
    assert "edirect" in str(raised.value)
    assert "t0p" not in str(raised.value)


TOKEN = "t0k3n-of-the-authorization-server"


class TokenFile:
    """Where an application keeps the tokens of a server, for the SDK."""

    def __init__(self, tokens: OAuthToken | None = None) -> None:
        self.tokens = tokens
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def protected(app: Any) -> Any:
    """An application that wants a token, with the authorization server that gives it, both at one address."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): text.decode() for name, text in scope.get("headers", ())}
        address, path = f"http://{headers.get('host')}", scope.get("path", "")
        found: Any = None
        if path.startswith("/.well-known/oauth-protected-resource"):
            resource = address + path.removeprefix("/.well-known/oauth-protected-resource")
            found = JSONResponse({"resource": resource, "authorization_servers": [address]})
        elif path.startswith("/.well-known/oauth-authorization-server"):
            endpoints = {f"{name}_endpoint": f"{address}/{name}" for name in ("authorization", "token")}
            grants = {"grant_types_supported": ["client_credentials"], "response_types_supported": ["code"]}
            found = JSONResponse({"issuer": address, **endpoints, **grants})
        elif path == "/token":
            found = JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        elif scope["type"] == "http" and headers.get("authorization") != f"Bearer {TOKEN}":
            metadata = f"{address}/.well-known/oauth-protected-resource{path}"
            found = JSONResponse({}, 401, {"www-authenticate": f'Bearer resource_metadata="{metadata}"'})
        await (found or app)(scope, receive, send)

    return answer


async def nobody(*given: Any) -> Any:
    raise AssertionError("no user is asked")


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("transport", ["streamable_http", "sse"])
async def test_oauth_providers_of_the_sdk_sign_the_requests(transport: str, kept: bool) -> None:
    async with served(protected(app_of(transport, make_server()))) as address:
        url = config_of(transport, address).url
        storage = TokenFile(OAuthToken(access_token=TOKEN) if kept else None)
        if kept:
            client = OAuthClientMetadata(redirect_uris=[AnyUrl("http://localhost/callback")])
            auth = OAuthClientProvider(url, client, storage, redirect_handler=nobody, callback_handler=nobody)
        else:
            auth = ClientCredentialsOAuthProvider(url, storage, "lash", "cl13nt-s3cret", issuer=address)
        config = config_of(transport, address, auth=auth)
        async with connected(config) as factory:
            assert await value(factory, "mcp__x__echo", {"text": "hello"}) == {"result": "hello"}
            assert storage.tokens is not None
            assert (TOKEN in f"{config!r}{factory.status()}", "s3cret" in repr(config)) == (False, False)


async def test_a_server_that_wants_credentials_and_gets_none_is_told_with_the_status() -> None:
    async with served(protected(app_of("streamable_http", make_server()))) as address:
        with pytest.raises(McpConnectionError, match=r"HTTP 401 Unauthorized: see `headers` and `auth`"):
            await McpPluginFactory.connect({"x": config_of("streamable_http", address)})
