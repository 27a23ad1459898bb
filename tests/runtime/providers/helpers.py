"""What the tests of providers share: a request, scripts and a listener that keeps what it hears."""

from __future__ import annotations

from collections.abc import Sequence

from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmMessage, LlmRequest, LlmStreamEvent
from lash.testing.clock import FakeClock
from lash.testing.scripted import AnyStep, ScriptedProvider

REQUEST = LlmRequest("model", (LlmMessage("user", (Block.Text("hello"),)),))


def scripted(steps: Sequence[AnyStep], clock: FakeClock, **reliability: object) -> ScriptedProvider:
    """A scripted provider on that clock, with those settings of reliability."""
    options = ProviderOptions(reliability=ProviderReliability.model_validate(reliability))
    return ScriptedProvider(steps, options=options, clock=clock)


def delta(text: str) -> LlmStreamEvent.TextDelta:
    """A piece of text."""
    return LlmStreamEvent.TextDelta(text, 0)


def kinds(events: Sequence[AnyStreamEvent]) -> list[str]:
    """The names of the events."""
    return [event.type for event in events]


def waits(events: Sequence[AnyStreamEvent]) -> list[float]:
    """The waits that were announced."""
    return [event.wait_seconds for event in events if isinstance(event, LlmStreamEvent.RetryStatus)]
