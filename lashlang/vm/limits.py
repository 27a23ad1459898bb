"""The limits of a machine (chapter 16): what one block may use."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from lashlang.compiler.faults import LIMITS

MIB = 1 << 20

DEEPEST = 512
"""Greatest `value_depth`: the kernel's walkers and the value codec are built for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a block may use; exceeding one is `limit_exceeded` with the field's name.

    The defaults are those of chapter 16. Raises ValueError for a value out of bounds and TypeError for
    one that is no integer.
    """

    fuel: int = 100_000_000
    """Units of work, as chapter 16.1 counts them."""
    memory: int = 256 * MIB
    """Bytes of the VM's heap."""
    string_size: int = 64 * MIB
    """UTF-8 bytes of one string."""
    list_size: int = 1_000_000
    """Elements of one list, entries of one record, items of a `range`."""
    value_depth: int = 128
    """Nested containers of one value, 512 at most."""
    value_size: int = 64 * MIB
    """Expanded size of a value that leaves the VM or becomes text."""
    requests: int = 10_000
    """Requests of one block."""
    output: int = MIB
    """UTF-8 bytes of all prints of one block."""

    def __post_init__(self) -> None:
        for name in LIMITS:
            check_limit(name, getattr(self, name))

    def as_list(self) -> list[int]:
        """The values in the order the kernel takes them."""
        return [getattr(self, name) for name in LIMITS]


def check_limit(name: str, value: object) -> None:
    """TypeError or ValueError where the value cannot be the limit of that name."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"limit `{name}` must be an integer, got {type(value).__name__}")
    greatest = DEEPEST if name == "value_depth" else (1 << 63) - 1
    if not 0 <= value <= greatest:
        raise ValueError(f"limit `{name}` must be between 0 and {greatest}, got {value}")


def check_timeout(timeout: object) -> float | None:
    """A timeout in seconds as waiting takes it, None for no end; TypeError or ValueError where it is none."""
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool):
        raise TypeError(f"a timeout is a number of seconds or None, got {type(timeout).__name__}")
    if not timeout >= 0:
        raise ValueError(f"a timeout is 0 seconds or more, got {timeout}")
    return timeout if timeout < threading.TIMEOUT_MAX else None


DEFAULT = Limits()
"""The limits of chapter 16."""
