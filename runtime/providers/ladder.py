"""The retry ladder (providers.md 4.3): after a failed attempt, whether there is another and how long to wait for it.

Theory. A call climbs a ladder of `max_attempts` rungs. A retryable failure costs a rung and a wait that doubles from
rung to rung, or is as long as the server asked for, up to a cap. One failure is nobody's fault and costs no rung: a
rate limit whose end the server has named. Such waits are *deferred*; each is charged to a budget, with a second at the
least so that a server that says "now" cannot keep a call going for ever, and when the budget does not cover the next
one, rate limits cost rungs like any failure. A call always starts again from the beginning; what an attempt had
streamed is taken back, not resumed.

`RetryLadder` decides and does nothing; the handle waits, sends and tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderReliability

MIN_DEFERRAL_CHARGE_MS = 1_000
"""What a deferred wait costs at least."""

_MAX_DOUBLINGS = 32
"""Beyond these the delay is far above any cap; keeps the arithmetic small whatever the number of attempts."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What comes before the next attempt; `deferred` says that it costs no rung."""

    seconds: float
    deferred: bool


class RetryLadder:
    """Where one call stands. `uniform(a, b)` gives the jitter."""

    def __init__(self, reliability: ProviderReliability, uniform: Callable[[float, float], float]) -> None:
        self._rules = reliability
        self._uniform = uniform
        self._deferred_ms = 0.0
        self.rung = 1

    @property
    def max_attempts(self) -> int:
        """Rungs of the ladder: attempts that may fail in all, deferred ones not counted."""
        return self._rules.max_attempts if self._rules.enabled else 1

    def after(self, failure: ProviderFailure) -> Wait | None:
        """What to do after a classified failure: wait and try again, or give up (None)."""
        if not failure.retryable or not self._rules.enabled:
            return None
        asked_ms = None
        if failure.retry_after_s is not None:
            asked_ms = min(failure.retry_after_s * 1000, self._rules.retry_after_cap_ms)
        if failure.kind == "rate_limit" and asked_ms is not None:
            charge = max(asked_ms, MIN_DEFERRAL_CHARGE_MS)
            if self._deferred_ms + charge <= self._rules.throttle_wait_budget_ms:
                self._deferred_ms += charge
                return Wait(asked_ms / 1000, deferred=True)
        if self.rung >= self.max_attempts:
            return None
        delay_ms = self._delay_ms() if asked_ms is None else asked_ms
        self.rung += 1
        return Wait(delay_ms / 1000, deferred=False)

    def _delay_ms(self) -> float:
        """The wait that the ladder itself asks for at this rung."""
        doubled = self._rules.base_delay_ms << min(self.rung - 1, _MAX_DOUBLINGS)
        return min(doubled, self._rules.max_delay_ms) + self._uniform(0, self._rules.jitter_ms)
