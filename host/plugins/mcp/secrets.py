"""Keeping the credentials of a server's configuration out of whatever is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from lash.host.tracing.secret_search import environment_secrets, spellings

REDACTED: Final = "[redacted]"

LEAST_CHARS: Final = 4
"""Shorter values stand in every other word, so that hiding them would make texts unreadable and hide nothing."""


class Secrets:
    """The values to be hidden of one server.

    Two sets: in errors, logs and states every configured value of headers, environment and the URL's query is hidden.
    In results only those under a name that speaks of a credential: a path or a language in the environment is part of
    honest answers.
    """

    def __init__(self, env: Mapping[str, str], headers: Mapping[str, str], url: str) -> None:
        parts = _url_parts(url)
        named = [*environment_secrets(env), *environment_secrets(headers), *parts]
        self._all = _spellings([*env.values(), *headers.values(), *named])
        self._named = _spellings(named)

    def hide(self, text: str) -> str:
        """A text about the server, without any configured value."""
        return _without(text, self._all)

    def hide_in(self, value: Any) -> Any:
        """A value from the server, without the credentials that it was given."""
        if isinstance(value, str):
            return _without(value, self._named)
        if isinstance(value, list):
            return [self.hide_in(one) for one in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {self.hide_in(key): self.hide_in(one) for key, one in cast("dict[str, Any]", value).items()}
        return value


def shown_url(url: str) -> str:
    """A URL without what may be a credential: user, password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _url_parts(url: str) -> list[str]:
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    return [*values, parts.query, parts.password or ""]


def _spellings(values: Iterable[str]) -> tuple[str, ...]:
    """The values and what follows the scheme in `Bearer ...`, as they may be written.

    The longest come first, so that none hides half of another.
    """
    plain = {value.strip() for value in values}
    plain |= {value.partition(" ")[2].strip() for value in plain}
    found = {spelling for value in plain if len(value) >= LEAST_CHARS for spelling in spellings(value)}
    return tuple(sorted(found, key=len, reverse=True))


def _without(text: str, values: tuple[str, ...]) -> str:
    for value in values:
        text = text.replace(value, REDACTED)
    return text
