from __future__ import annotations

import pytest

from lash.host.providers.unconfigured import UnconfiguredProvider
from lash.runtime.providers.failure import ProviderFailure
from tests.runtime.providers.helpers import REQUEST


async def test_every_call_fails_once_and_says_what_to_do() -> None:
    with pytest.raises(ProviderFailure, match="provider=") as raised:
        await UnconfiguredProvider().complete(REQUEST)
    assert (raised.value.kind, raised.value.retryable, len(raised.value.attempts)) == ("validation", False, 1)
