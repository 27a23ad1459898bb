"""How long a reply may be: what was chosen, else the default of all wires, which is cut to what the model can write."""

from __future__ import annotations

import pytest

from lash.runtime.providers.models import ModelCatalog, ModelInfo
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import TableModelPolicy
from lash.runtime.sansio.llm import LlmRequest
from lash.testing.clock import FakeClock
from lash.testing.scripted import ScriptedProvider
from tests.runtime.providers.helpers import REQUEST


async def asked(
    model: str, *, requested: int | None = None, chosen: int | None = None, known: int | None = None
) -> int | None:
    """The bound of the request that a transport gets."""
    clock = FakeClock()
    provider = ScriptedProvider(["reply"], options=ProviderOptions(max_output_tokens=chosen), clock=clock)
    request = LlmRequest(model, REQUEST.messages, max_output_tokens=requested)
    await clock.run(provider.complete(request, output_limit=known))
    return provider.requests[0].max_output_tokens


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        ("gpt-4o", 16_384),
        ("openai/gpt-4o-2024-08-06", 16_384),
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-4-6", None),
        ("gpt-4.1", None),
        ("some-model-of-ones-own", None),
    ],
)
async def test_a_model_that_can_write_less_than_the_default_is_asked_for_less(model: str, bound: int | None) -> None:
    assert await asked(model) == bound


async def test_what_the_caller_knows_counts_more_than_the_table() -> None:
    assert await asked("gpt-4o", known=4_096) == 4_096
    assert await asked("gpt-4o", known=64_000) is None


async def test_what_was_chosen_is_sent_as_it_is() -> None:
    assert await asked("gpt-4o", requested=20_000) == 20_000
    assert await asked("gpt-4o", chosen=20_000) is None
    assert await asked("some-model-of-ones-own", requested=20_000, known=4_096) == 20_000


@pytest.mark.parametrize(
    ("model", "context", "output"),
    [("gpt-4o", None, 16_384), ("gpt-4o", 8_000, 16_384), ("local-model", 8_192, 4_096), ("local-model", 1, 1)],
)
def test_half_of_its_context_is_what_an_unknown_model_can_write(model: str, context: int | None, output: int) -> None:
    spec = ScriptedProvider([]).resolve_model_spec(model, ModelCatalog(), max_context_tokens=context)
    assert spec.output == output


def test_what_the_host_says_of_a_model_counts() -> None:
    catalog = ModelCatalog({"local-model": ModelInfo(8_192, output=1_000)})
    assert ScriptedProvider([]).resolve_model_spec("local-model", catalog).output == 1_000


def test_a_policy_knows_what_its_table_says() -> None:
    assert TableModelPolicy("anthropic").output_limit("claude-opus-4-1-20250805") == 32_000
    assert TableModelPolicy("anthropic").output_limit("claude-opus-4-7") is None
    assert TableModelPolicy("openai").output_limit("gpt-4o") == 16_384
