"""`ProviderHandle`: the one thing the runtime calls to reach a model (providers.md 1, 4).

A call is: be ready, be admitted, one attempt of the transport under its timers, classification, and the ladder, until
an attempt works or the ladder is at its end. All waits are on the injected clock. A permit is held for one attempt and
given back however it ends. Cancelling a call cancels the attempt and waits until it has closed its connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from lash.runtime.errors import ConfigError
from lash.runtime.providers.attempt import TimeIsUp, within
from lash.runtime.providers.call import ModelCall
from lash.runtime.providers.components import CallTrace, EventSink, ProviderComponents
from lash.runtime.providers.models import ModelCatalog, ModelSpec
from lash.runtime.providers.options import DEFAULT_MAX_OUTPUT_TOKENS, ProviderOptions
from lash.runtime.providers.variants import Tier
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock


class ProviderHandle:
    """A provider, ready to be called. Concurrent calls are safe.

    Arguments: its `components`, which may be changed between calls; the `clock` that all its waits are on; `uniform`,
    which gives the jitter. Handles are equal if kind and serialised configuration are.
    """

    def __init__(
        self,
        components: ProviderComponents,
        *,
        clock: Clock,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.components = components
        self.clock = clock
        self.uniform = uniform

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProviderHandle) and self.to_spec() == other.to_spec()

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of kind {self.kind!r}>"

    @property
    def kind(self) -> str:
        """The kind, as in a provider's specification."""
        return self.components.state.kind

    @property
    def options(self) -> ProviderOptions:
        """The options in force."""
        return self.components.state.options

    def set_options(self, options: ProviderOptions) -> None:
        """Use other options from the next call on; local admission follows at once."""
        self.components.state.set_options(options)
        self.components.rate_limiter.configure(self.options.reliability)

    @property
    def requires_streaming(self) -> bool:
        """Whether the transport always streams."""
        return self.components.transport.requires_streaming

    def to_spec(self) -> dict[str, JsonValue]:
        """The specification that `ProviderRegistry.build` makes an equal handle of."""
        return {"type": self.kind, **self.components.state.serialize_config()}

    def default_model(self) -> str | None:
        """The model of a session that names none; None where the provider has no default."""
        return self.components.model_policy.default_model()

    def default_agent_model(self, tier: Tier) -> str | None:
        """The default model of an agent of that tier."""
        return self.components.model_policy.default_agent_model(tier)

    def supported_variants(self, model: str) -> tuple[str, ...]:
        """The variants of a model, least first; empty where it has none."""
        return self.components.model_policy.supported_variants(model)

    def default_variant(self, model: str) -> str | None:
        """The variant of a session that names none."""
        return self.components.model_policy.default_variant(model)

    def validate_variant(self, model: str, variant: str | None) -> None:
        """Raise ConfigError (unknown_variant), with the list of variants, for one that the model does not have."""
        self.components.model_policy.variant_setting(model, variant)

    def validate_model_name(self, model: str) -> None:
        """Raise ConfigError (invalid_model_name) for a name that cannot be one."""
        if not model or any(character.isspace() for character in model):
            raise ConfigError("invalid_model_name", f"a model name has no blanks and is not empty; this is {model!r}")

    def resolve_model(self, model: str) -> str:
        """The name as the provider's API wants it; ConfigError (invalid_model_name) if it cannot be one."""
        self.validate_model_name(model)
        return self.components.model_policy.resolve_model(model)

    def resolve_model_spec(
        self, model: str, catalog: ModelCatalog, *, max_context_tokens: int | None = None
    ) -> ModelSpec:
        """The model for the wire with its sizes; ConfigError (missing_max_context_tokens) if nothing tells them.

        Where it is not known how much the model can write, that is taken to be half of its context: servers refuse
        what does not fit with the prompt, and the default of all wires is more than many a local model's whole context.
        """
        resolved = self.resolve_model(model)
        info = catalog.require(self.components.model_policy.context_lookup_model(model), max_context_tokens)
        return ModelSpec(resolved, info.context, info.output or max(1, info.context // 2))

    async def complete(
        self,
        request: LlmRequest,
        sink: EventSink | None = None,
        trace: CallTrace | None = None,
        *,
        deadline_s: float | None = None,
        output_limit: int | None = None,
    ) -> LlmResponse:
        """Call the model, retries included.

        `sink` gets the stream events, synchronously; `trace` the raw exchange; `deadline_s` bounds the whole call,
        except where a person may be the one who answers. `output_limit` is what the model can write at most, where the
        caller knows it; else the bundled table is asked. Returns the response, with a record of each failed attempt.
        Raises ProviderFailure when the ladder is at its end, and whatever the sink itself raised.
        """
        request = self._bounded(request, output_limit)
        call = ModelCall(self.components, self.clock, self.uniform, request, sink, trace)
        if self.components.state.by_hand:
            deadline_s = None
        end = None if deadline_s is None else self.clock.monotonic() + deadline_s
        try:
            return await within(self.clock, call.run(), lambda: end)
        except TimeIsUp:
            raise call.overdue(f"the model call did not end within {deadline_s:g} s") from None

    def _bounded(self, request: LlmRequest, output_limit: int | None) -> LlmRequest:
        """The request, with a bound where the default of all wires is more than the model can write.

        Servers refuse such a request. Bounds that somebody chose are sent as they are: the table ages, people know.
        """
        if request.max_output_tokens is not None or self.options.max_output_tokens is not None:
            return request
        limit = output_limit or self.components.model_policy.output_limit(request.model)
        if limit is None or limit >= DEFAULT_MAX_OUTPUT_TOKENS:
            return request
        return replace(request, max_output_tokens=limit)

    async def aclose(self) -> None:
        """Give back what the transport holds (connections, a child process)."""
        await self.components.transport.aclose()
