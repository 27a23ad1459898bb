"""Taking secrets out of records (observability.md 5).

Records have no field for credentials, but tools, programs and servers put them into arguments, outputs and error
texts. `Redactor` replaces what it finds with a tag that names the kind of secret and a short keyed hash: equal secrets
have equal tags within this process, and nothing can be learnt from a tag elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from lash.host.tracing.encoding import event_types
from lash.host.tracing.secret_search import (
    PATTERNS,
    SECRET_KEYS,
    Found,
    KeyedValues,
    KnownValues,
    Pattern,
    environment_secrets,
    pieces,
    plain_key,
    rest_of_private_key,
)
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.trace import TraceRecord
from lash.runtime.seams.trace_fields import trace_fields

T = TypeVar("T")

_HMAC_KEY: Final = os.urandom(32)

_TAG: Final = re.compile(r"\[redacted:[A-Za-z0-9_]+:[0-9a-f]{8}\]")


@runtime_checkable
class LearnsSecrets(Protocol):
    """A sink that can be told of secrets after it was made, such as those of the core that it is given to."""

    def learn_secrets(self, values: Iterable[str]) -> None:
        """Redact these values too from now on."""
        ...


class Redactor:
    """Replaces secrets in records.

    Arguments: `values` are secrets to be found wherever they stand, in any spelling; `extra_keys` are keys of maps
    whose values are secret, besides those of `SECRET_KEYS`; `extra_patterns` are regular expressions (a group named
    `secret` narrows what is replaced); `drop_fields` are paths such as `tool_call_completed.output` that are left out;
    `environment` is searched for variables with a secret's name, that of the process if it is None.

    Raises ValueError for a pattern that is no regular expression and for a path that names no optional field.
    """

    def __init__(
        self,
        *,
        values: Iterable[str] = (),
        extra_keys: Iterable[str] = (),
        extra_patterns: Iterable[str | re.Pattern[str]] = (),
        drop_fields: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._values = KnownValues()
        self._values.add(environment_secrets(environment))
        self._values.add(values)
        self._keys = SECRET_KEYS | {plain_key(key) for key in extra_keys}
        self._keyed = KeyedValues(self._keys)
        self._patterns = (*PATTERNS, *map(_extra_pattern, extra_patterns))
        self._drops = [_checked_path(path) for path in drop_fields]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def learn_secrets(self, values: Iterable[str]) -> None:
        """Redact these values too from now on."""
        self._values.add(values)

    def redact(self, record: TraceRecord) -> TraceRecord:
        """The record without secrets and without the fields that are to be dropped."""
        event: Any = record.event
        for kind, *path in self._drops:
            if event.type == kind:
                event = _without(event, path)
        return replace(
            record,
            context=self._record(record.context),
            event=self._record(event),
            truncated=tuple(map(self.redact_text, record.truncated)),
        )

    def redact_json(self, value: JsonValue) -> JsonValue:
        """A JSON value without secrets."""
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, dict):
            foreign = "$type" in value
            return {
                self.redact_text(key): self._of_key(key, item, cut=foreign and key == "repr")
                for key, item in value.items()
            }
        return [self.redact_json(item) for item in value] if isinstance(value, list) else value

    def redact_text(self, text: str, *, cut: bool = False) -> str:
        """A text without secrets; `cut` says that its end is missing, so that it may end in the middle of one."""
        found = self._find(text, cut)
        return _replaced(text, found) if found else text

    def _record(self, value: T) -> T:
        """An object of one of the record types without secrets. Choices of given words are no place for them."""
        changes = {
            item.name: self._field(item.kind, getattr(value, item.name))
            for item in trace_fields(type(value))
            if item.kind != "constant"
        }
        return replace(cast("Any", value), **changes)

    def _field(self, kind: str, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact_text(value)
        if kind == "json":
            return self.redact_json(value)
        if isinstance(value, tuple):
            return tuple(self._field(kind, item) for item in cast("tuple[object, ...]", value))
        return self._record(value) if is_dataclass(value) else value

    def _of_key(self, key: str, value: JsonValue, *, cut: bool) -> JsonValue:
        """The value under a key of a map."""
        if value is None or isinstance(value, bool) or value == "":
            return value
        if plain_key(key) in self._keys:
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            return text if _TAG.fullmatch(text) else _tag("key", text)
        return self.redact_text(value, cut=cut) if isinstance(value, str) else self.redact_json(value)

    def _find(self, text: str, cut: bool) -> list[Found]:
        """All secrets of a text, overlapping ones included."""
        found: list[Found] = []
        for offset, piece, cut_before, cut_after in pieces(text):
            here = [*self._values.find(piece), *self._keyed.find(piece)]
            for pattern in self._patterns:
                here.extend(pattern.find(piece))
            if cut_before:
                here += [*self._values.find_end(piece), *rest_of_private_key(piece)]
            if cut_after or (cut and offset + len(piece) == len(text)):
                here += self._values.find_beginning(piece)
            found += [replace(item, start=item.start + offset, end=item.end + offset) for item in here]
        return [item for item in found if not _TAG.fullmatch(text, item.start, item.end)]


def _tag(kind: str, secret: str) -> str:
    digest = hmac.new(_HMAC_KEY, secret.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    return f"[redacted:{kind}:{digest[:8]}]"


def _replaced(text: str, found: list[Found]) -> str:
    """The text with tags in place of what was found; where stretches overlap, one tag stands for all of them."""
    parts: list[str] = []
    done = 0
    merged: list[tuple[Found, int]] = []
    for item in sorted(found, key=lambda item: (item.start, -item.end)):
        if merged and item.start < merged[-1][1]:
            first, end = merged.pop()
            merged.append((first, max(end, item.end)))
        else:
            merged.append((item, item.end))
    for first, end in merged:
        parts += [text[done : first.start], _tag(first.kind, first.secret)]
        done = end
    return "".join([*parts, text[done:]])


def _extra_pattern(pattern: str | re.Pattern[str]) -> Pattern:
    try:
        return Pattern("pattern", re.compile(pattern))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


def _checked_path(path: str) -> list[str]:
    """The path in parts: the type of an event, a field of it, and what is inside that."""
    kind, *names = path.split(".")
    event = event_types().get(kind)
    if event is None or not names:
        raise ValueError(
            f"drop_fields: {path!r} does not begin with the type of a record and the name of a field, "
            f"as in 'tool_call_completed.output'; the types are {', '.join(event_types())}"
        )
    optional = [
        item.name
        for item in fields(event)
        if item.name != "type" and (item.default is not MISSING or item.default_factory is not MISSING)
    ]
    if names[0] not in optional:
        raise ValueError(f"drop_fields: {kind} has no field {names[0]!r} to drop; it has {', '.join(optional)}")
    return [kind, *names]


def _without(value: Any, path: list[str]) -> Any:
    """A copy without what is at the path; the same where there is nothing."""
    name, *rest = path
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if name not in mapping:
            return mapping
        others = {key: item for key, item in mapping.items() if key != name}
        return {**others, name: _without(mapping[name], rest)} if rest else others
    if not is_dataclass(value) or isinstance(value, type):
        return value
    for item in fields(value):
        if item.name == name:
            if rest:
                return replace(value, **{name: _without(getattr(value, name), rest)})
            default = item.default_factory() if item.default_factory is not MISSING else item.default
            return value if default is MISSING else replace(value, **{name: default})
    return value
