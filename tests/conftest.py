"""What all tests have in common: that Ctrl-C reaches them, and how long Hypothesis may make a failure smaller."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from hypothesis import Phase, settings

# A shell has its background jobs ignore Ctrl-C, nohup has them ignore a closed terminal, and every process that they
# start ignores the same. Tests of interruption need these signals, here and in their child processes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHRINKING_SECONDS = 30
"""How long one failure is made smaller before it is reported as it is; Hypothesis would take five minutes."""

# The phase left out varies the parts of a failure that is found already, to say which of them matter, and until then
# has every execution traced. What is tested is the same without it.
settings.register_profile("tests", settings(), phases=[phase for phase in Phase if phase is not Phase.explain])
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _failures_are_reported_soon() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Bound the search for the smallest form of a failure, which Hypothesis has no setting for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypothesis.internal.conjecture.engine.MAX_SHRINKING_SECONDS", SHRINKING_SECONDS)
        yield
