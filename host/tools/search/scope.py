"""One search: what is looked for, where, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.search.found import Found
from lash.host.tools.search.query import Query
from lash.host.tools.search.term import Term
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken

MOST_FILE_BYTES: Final = 10 << 20
"""Larger files are not searched."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A search of the directory `base` under a policy.

    `deadline` is on the clock's `monotonic`; `token` stops the search before it. What it finds goes to `found`.
    """

    policy: FilePolicy
    base: ResolvedPath
    query: Query
    term: Term
    found: Found
    token: CancelToken
    clock: Clock
    deadline: float

    def left(self) -> float:
        """How many seconds are left; TimeoutError for none."""
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
