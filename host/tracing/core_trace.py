"""The trace of one core: where its records go, and which secrets its sinks have to know (observability.md 3, 5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

from lash.host.tracing.jsonl import JsonlTraceSink
from lash.host.tracing.redaction import LearnsSecrets
from lash.host.tracing.secret_search import SECRET_KEYS, environment_secrets, plain_key
from lash.host.tracing.sinks import TeeTraceSink
from lash.runtime.providers.components import StaticAuth
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.trace import TraceContext, TraceLevel, TraceSink
from lash.runtime.turn.tracer import Tracer


class CoreTrace:
    """Makes the tracer of a core and takes care of its sinks.

    `sink` is the application's and stays open, `jsonl_path` a file of the core's own; with both, records go to both,
    with neither, nothing is written. Raises TraceSinkError where the file cannot be opened.
    """

    def __init__(
        self,
        *,
        sink: TraceSink | None,
        jsonl_path: str | os.PathLike[str] | None,
        level: TraceLevel,
        context: TraceContext | None,
        clock: Clock,
    ) -> None:
        self._own = None if jsonl_path is None else JsonlTraceSink(jsonl_path)
        sinks = [one for one in (sink, self._own) if one is not None]
        self._sink = TeeTraceSink(*sinks) if len(sinks) > 1 else sinks[0] if sinks else None
        self.tracer = Tracer(self._sink, clock=clock, context=context, level=level)

    def learn_secrets(self, provider: ProviderHandle) -> None:
        """Have the sinks that redact know the credentials of a provider."""
        if isinstance(self._sink, LearnsSecrets):
            self._sink.learn_secrets(provider_secrets(provider))

    def close(self) -> None:
        """Finish what was written, and close what is the core's own."""
        self.tracer.flush()
        if self._own is not None:
            self._own.close()


def provider_secrets(provider: ProviderHandle) -> list[str]:
    """The credentials that a provider was configured with: its key, secret fields of its configuration, headers.

    Of headers those count whose name is one of a secret.
    """
    components = provider.components
    found = list(_secret_values(components.state.config))
    headers = components.state.options.extra_headers
    found += [*environment_secrets(headers), *_secret_values(headers)]
    if isinstance(components.auth, StaticAuth):
        found.append(components.auth.token)
    return found


def _secret_values(value: Any) -> Iterator[str]:
    """Texts under secret keys, at any depth."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            if plain_key(key) in SECRET_KEYS and isinstance(item, str):
                yield item
            else:
                yield from _secret_values(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _secret_values(item)
