"""The SDK's own server as a program: `python sdk_server.py stdio`, or `streamable-http PORT`, or `sse PORT`."""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("program")


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
async def pid() -> int:
    """The process that this runs in."""
    return os.getpid()


@server.tool()
async def hang() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            server.run("stdio")
        case ["sse", port]:
            server.run("sse", port=int(port))
        case [_, port]:
            server.run("streamable-http", port=int(port))
        case _:
            sys.exit("stdio, sse PORT or streamable-http PORT")
