"""Logging what a program writes to its stderr: line by line, without secrets, and not all of a flood."""

from __future__ import annotations

import logging
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Final

from lash.host.plugins.mcp.listing import plain
from lash.host.plugins.mcp.means import Means

LINE_CHARS: Final = 2000
"""How much is logged of a line."""

_log = logging.getLogger("lash.mcp")


class StderrLog:
    """See the module; `hide` takes the secrets out of a text."""

    def __init__(self, name: str, hide: Callable[[str], str], means: Means) -> None:
        self._name = name
        self._hide = hide
        self._clock = means.clock
        self._most = means.bounds.stderr_lines
        self._since = means.clock.monotonic()
        self._logged = 0
        self._text = getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def hear(self, chunk: bytes) -> None:
        """Take a piece of it."""
        now = self._clock.monotonic()
        if now - self._since > 10:
            self._since, self._logged = now, 0
        *lines, rest = (self._rest + self._text.decode(chunk)).split("\n")
        # Of a long line the beginning is told; more of it is kept, so that no secret is cut where it would be told.
        self._rest = rest[: 2 * LINE_CHARS]
        for line in lines[: max(0, self._most - self._logged)]:
            self._logged += 1
            _log.info("%s: %s", self._name, plain(self._hide(line), LINE_CHARS))
