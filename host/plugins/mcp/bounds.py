"""How much of anything a server may send (none of it is said by the protocol)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class McpBounds:
    """The bounds of one server.

    One message holds `message_bytes` at most: an image of 20 MiB fits in base64. What is longer is dropped, and the
    call that it answers fails; a line that does not end within `line_bytes` ends the connection. So do
    `garbage_lines` lines in a row that are no messages, and `open_requests` requests of the server that wait for their
    answer. `stderr_lines` are logged in ten seconds.

    Of a listing, `pages` are read and `tools` taken, of `listing_bytes` JSON together; a tool of more than
    `tool_bytes` is left out. Descriptions are cut at `description_chars`, texts of errors at `error_chars`.
    """

    message_bytes: int = 32 * MIB
    line_bytes: int = 512 * MIB
    garbage_lines: int = 1000
    open_requests: int = 64
    stderr_lines: int = 100
    pages: int = 100
    tools: int = 1000
    listing_bytes: int = MIB
    tool_bytes: int = 64 * KIB
    description_chars: int = 4000
    error_chars: int = 16_000
    raw_bytes: int = MIB
    attachment_bytes: int = 20 * MIB
