"""The kernel's interface in numbers: commands, answers, request kinds.

The same numbers stand in the kernel's `main.zig`; `docs/vm.md` describes the messages.
Plain integers, not enumerations: they stand on the path of every host call.
"""

from __future__ import annotations

from typing import Final


class Command:
    """What the host can ask of the kernel."""

    CONFIGURE: Final = 1
    RUN: Final = 2
    STEP: Final = 3
    INTERRUPT: Final = 4
    GET: Final = 5
    SET: Final = 6
    DELETE: Final = 7
    NAMES: Final = 8
    DUMP: Final = 9
    DUMP_MORE: Final = 10
    LOAD: Final = 11
    DESCRIBE: Final = 12
    HOLES: Final = 13


class Status:
    """How a command ended."""

    OK: Final = 0
    SUBMITTED: Final = 1
    CONTINUED: Final = 2
    FAILED: Final = 3
    WAITING: Final = 4
    READS: Final = 5
    SLICE: Final = 6
    HEAVY: Final = 7
    REFUSED: Final = 8


class RequestKind:
    """What a request asks of the host."""

    CALL: Final = 0
    START: Final = 1
    AWAIT: Final = 2
    CANCEL: Final = 3
    PRINT: Final = 4


class AnswerStatus:
    """How the host answers a request."""

    OK: Final = 0
    FAILED: Final = 1
    TOO_DEEP: Final = 2
    TOO_LARGE: Final = 3


class ReadStatus:
    """How the host answers a read of a projection."""

    VALUE: Final = 0
    UNSUPPORTED: Final = 1
    FAILED: Final = 2
    TOO_LARGE: Final = 3


EXT_IMAGE: Final = 1
"""msgpack extension: an image, payload `[id, label, size, width, height]`."""

EXT_PROJECTION: Final = 2
"""msgpack extension: a projection, payload `[ref, name, [step, …]]`."""

HEAVY_ALLOWED: Final = 1
"""Flag of STEP: do large operations now instead of yielding `HEAVY`."""
