"""What programs write to their stderr, as log records."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from random import Random

import pytest

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.plugins.mcp.means import Means
from lash.host.plugins.mcp.stderr import LINE_CHARS, StderrLog
from lash.testing.clock import FakeClock

SECRET = "s3cr3t-" + "0123456789" * 5


def logged(caplog: pytest.LogCaptureFixture, chunks: Iterable[bytes]) -> list[str]:
    caplog.set_level(logging.INFO, "lash.mcp")
    log = StderrLog(
        "x", lambda text: text.replace(SECRET, "[redacted]"), Means(FakeClock(), Random(0), McpBounds(), "0")
    )
    for chunk in chunks:
        log.hear(chunk)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
def test_lines_are_logged_however_they_arrive(size: int, caplog: pytest.LogCaptureFixture) -> None:
    text = "größer\n🙂 fine\n".encode()
    assert logged(caplog, (text[at : at + size] for at in range(0, len(text), size))) == ["x: größer", "x: 🙂 fine"]


@pytest.mark.parametrize("before", range(0, 8000, 37))
def test_no_part_of_a_secret_is_logged_wherever_it_stands_in_a_long_line(
    before: int, caplog: pytest.LogCaptureFixture
) -> None:
    line = b"x" * before + SECRET.encode() + b"y" * (8000 - before)
    (message,) = logged(caplog, [line[:4500], line[4500:], b"\n"])
    assert "s3cr3t" not in message
    assert "6789" not in message
    assert len(message) <= LINE_CHARS + 10
