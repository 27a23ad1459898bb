"""The seven parts of a provider, and the contract of its transport (providers.md 1).

**What a transport has to do.** It makes one attempt on the wire and nothing else: no retry, no timer, no admission.

    class Transport(Protocol):
        requires_streaming: bool
        async def complete(self, request, sink, trace) -> LlmResponse
        async def aclose(self) -> None

* `request.model` is resolved, `request.model_variant` checked; `trace` is always there; `sink` is None where nobody
  listens, and never None where `requires_streaming` is true. Options (`max_output_tokens`, `thinking`, extra headers
  and body) are read from the `ProviderState` at each call, because `set_options` may replace them between calls.
* It calls `sink(event)` in wire order. The handle sees to the rest of the rules of a stream: it drops reasoning that
  is not exposed and usage that has not changed, numbers `AttemptReset` (give 0), and at the end makes the deltas join
  to `full_text` (missing suffix, or reset and whole text), so a transport may leave that to it. `full_text` is the
  text parts joined with nothing between them.
* It calls `trace.received()` whenever bytes arrive, pings included: that is all the idle timer of the handle goes by.
  It calls `trace.request_body(body)` once, with the JSON as sent but without bytes of attachments, and
  `trace.event(name, data)` for every raw event of the provider. Redaction is done behind these.
* It raises `ProviderFailure`, with what the wire said and `retryable=None` unless it knows better than the
  classifier. Any other exception goes to `Classifier.recognise`; unknown ones become a failure of kind `unknown`.
  `partial` should hold what was received, for its usage. The handle knows the last `UsageUpdate` too.
* It may be cancelled at any await (by the caller, or by the handle when a timer runs out): it closes the response,
  releases what it holds in `finally` and lets `asyncio.CancelledError` pass. Concurrent calls are normal.
* A response without an explicit reason leaves `terminal_reason` at `unknown`; the handle settles it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from lash.runtime.providers.classifier import DefaultClassifier
from lash.runtime.providers.failure import ProviderFailure, redact_json
from lash.runtime.providers.limiter import LocalRateLimiter
from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.runtime.providers.variants import ModelPolicy, TableModelPolicy
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

EventSink: TypeAlias = Callable[[AnyStreamEvent], None]
"""Where stream events go, synchronously."""


class CallTrace(Protocol):
    """What records a model call for a trace (observability.md 2). All of it is redacted already."""

    def request_body(self, body: JsonValue) -> None:
        """What an attempt sends."""
        ...

    def provider_event(self, name: str, data: str) -> None:
        """A raw event of the provider, as JSON text."""
        ...

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        """Attempt number `attempt`, from 1, has failed."""
        ...


def _nothing() -> None:
    """For nobody who counts bytes."""


@dataclass(slots=True)
class AttemptTrace:
    """What a transport reports besides stream events; `AttemptTrace()` is one that nobody reads.

    `received` is to be called whenever bytes have arrived. `sent_body` is the last body reported.
    """

    received: Callable[[], None] = _nothing
    call: CallTrace | None = None
    sent_body: JsonValue = None

    def request_body(self, body: JsonValue) -> None:
        """The body as it is sent, without bytes of attachments."""
        self.sent_body = redact_json(body)
        if self.call is not None:
            self.call.request_body(self.sent_body)

    def event(self, name: str, data: str) -> None:
        """One raw event of the provider as JSON text."""
        if self.call is not None:
            self.call.provider_event(name, data)


class Transport(Protocol):
    """One attempt on the wire; the module's docstring is its contract."""

    @property
    def requires_streaming(self) -> bool:
        """Whether it needs a sink even if the caller has none."""
        ...

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Make the attempt."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds; a wrapper forwards this."""
        ...


@dataclass(slots=True)
class ProviderState:
    """What a provider is and how it is set: `config` is its specification without `type` and `options`.

    `profile` holds the kind's own defaults of reliability; `options` are complete, the profile applied. `by_hand` says
    that a person may be the one who answers, so that the deadline of a call does not apply.
    """

    kind: str
    options: ProviderOptions = field(default_factory=ProviderOptions)
    config: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue], repr=False)
    profile: ProviderReliability = field(default_factory=ProviderReliability)
    by_hand: bool = False

    def __post_init__(self) -> None:
        self.set_options(self.options)

    def set_options(self, options: ProviderOptions) -> None:
        """Replace the options; what they leave open is filled from the profile."""
        self.options = options.over(self.profile)

    def serialize_config(self) -> dict[str, JsonValue]:
        """The specification without `type`, options at their defaults left out."""
        options = self.options.serialize(self.profile)
        return {**self.config, "options": options} if options else dict(self.config)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is authorised with."""

    token: str = field(repr=False)


class Auth(Protocol):
    """Where credentials come from."""

    @property
    def refreshable(self) -> bool:
        """Whether asking again with `force_refresh` can give others."""
        ...

    async def credentials(self, *, force_refresh: bool = False) -> Credentials:
        """The credentials for a request; ProviderFailure (`auth`) where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class StaticAuth:
    """A key that does not change; the empty one for wires that need none."""

    token: str = field(default="", repr=False)

    @property
    def refreshable(self) -> bool:
        """A key cannot be refreshed."""
        return False

    async def credentials(self, *, force_refresh: bool = False) -> Credentials:
        """The key."""
        return Credentials(self.token)


class Readiness(Protocol):
    """What has to be done once before the first attempt."""

    async def ensure_ready(self) -> None:
        """Do it unless it is done; a failure counts as a failed attempt."""
        ...


class AlwaysReady:
    """Nothing has to be done."""

    async def ensure_ready(self) -> None:
        """Return at once."""


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a preflight's failure, which nobody else does where all who waited for it were cancelled."""
    if not task.cancelled():
        task.exception()


class ReadyOnce:
    """A preflight that is made once: concurrent calls share it, success is kept, failure is tried again."""

    def __init__(self, preflight: Callable[[], Awaitable[None]]) -> None:
        self._preflight = preflight
        self._ready = False
        self._running: asyncio.Task[None] | None = None

    async def ensure_ready(self) -> None:
        """Make the preflight or join the one that runs; raises what it raises."""
        if self._ready:
            return
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
            self._running.add_done_callback(_seen)
        # Shielded: others may be waiting for it when this caller is cancelled.
        await asyncio.shield(self._running)

    async def _run(self) -> None:
        try:
            await self._preflight()
            self._ready = True
        finally:
            self._running = None


class Classifier(Protocol):
    """Says what failures mean; see `classifier.DefaultClassifier`."""

    def recognise(self, error: Exception) -> ProviderFailure:
        """An exception of the transport that is no ProviderFailure, as one."""
        ...

    def classify(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure with its kind, retryability, wait and terminal reason settled."""
        ...


class RateLimiter(Protocol):
    """Local admission of attempts; see `limiter.LocalRateLimiter`."""

    async def acquire(self) -> None:
        """Wait until an attempt may begin."""
        ...

    def release(self) -> None:
        """The attempt has ended."""
        ...

    def configure(self, reliability: ProviderReliability) -> None:
        """Other limits from now on."""
        ...


@dataclass(slots=True)
class ProviderComponents:
    """The parts of a provider; a `ProviderHandle` is built from them and reads them at each call."""

    state: ProviderState
    auth: Auth
    readiness: Readiness
    transport: Transport
    model_policy: ModelPolicy
    classifier: Classifier
    rate_limiter: RateLimiter

    @classmethod
    def usual(
        cls,
        state: ProviderState,
        transport: Transport,
        clock: Clock,
        *,
        auth: Auth | None = None,
        model_policy: ModelPolicy | None = None,
        classifier: Classifier | None = None,
        ceiling: int | None = None,
    ) -> ProviderComponents:
        """The parts of a provider that has nothing special but what is given.

        By default: no credentials, no preflight, the models and variants that the tables have under its kind, the
        default rules for failures. `ceiling` bounds concurrency whatever the options say.
        """
        return cls(
            state=state,
            auth=auth or StaticAuth(),
            readiness=AlwaysReady(),
            transport=transport,
            model_policy=model_policy or TableModelPolicy(state.kind),
            classifier=classifier or DefaultClassifier(clock.now_ms),
            rate_limiter=LocalRateLimiter(state.options.reliability, clock, ceiling=ceiling),
        )

    def map_transport(self, wrap: Callable[[Transport], Transport]) -> ProviderComponents:
        """Put a wrapper around the transport (metrics, a breaker); it must forward `aclose`. Returns itself."""
        self.transport = wrap(self.transport)
        return self

    def with_classifier(self, classifier: Classifier) -> ProviderComponents:
        """Use another classifier. Returns itself."""
        self.classifier = classifier
        return self
