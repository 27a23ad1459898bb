"""`McpServerConfig`: how a server is reached, and how its tools are taken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lash.host.plugins.mcp.secrets import REDACTED, Secrets, shown_url
from lash.runtime.errors import ConfigError

CODE: Final = "invalid_mcp_server"

LONGEST_NAME: Final = 48
"""So that names of tools differ between servers even where they are cut: `mcp__`, this and `__` are 55 characters."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][^{}]*)\}")
_STDIO_ONLY: Final = ("command", "args", "env", "cwd")
_HTTP_ONLY: Final = ("url", "headers", "auth")


class McpServerConfig(BaseModel):
    """One server; made by `stdio`, `streamable_http` and `sse`, or from a mapping with `transport` in it.

    All take these options: `startup_timeout_ms` is for connecting and the first listing, and how long a call waits
    while the server is connected again; `call_timeout_ms` is for a call. Without `required`, a server that cannot be
    reached at first is tried again in the background. `protocol` "legacy" begins with the handshake of protocols before
    2026, for servers that choke on the question which one they speak. `serial_tools` are run one by one,
    `needs_approval` are patterns (`*`, `?`, `[...]`) of tools whose calls ask first, `include` and `exclude` patterns
    of those that are taken; all of them are about the server's own names.

    `${VAR}` in values of `env` and `headers` is that variable of this process. These values are in no repr.

    Raises ConfigError (invalid_mcp_server) for what cannot work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    transport: Literal["stdio", "streamable_http", "sse"]
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    auth: Any = None
    startup_timeout_ms: int = Field(default=60_000, gt=0)
    call_timeout_ms: int = Field(default=600_000, gt=0)
    required: bool = True
    protocol: Literal["auto", "legacy"] = "auto"
    serial_tools: tuple[str, ...] = ()
    needs_approval: tuple[str, ...] = ()
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(CODE, _told(error)) from None
        self._check()
        object.__setattr__(self, "env", _expanded(self.env, "env"))
        object.__setattr__(self, "headers", _expanded(self.headers, "headers"))
        _check_fields(self.env, "env", "=\0")
        _check_fields(self.headers, "headers", ":\r\n\0")

    @classmethod
    def stdio(
        cls,
        command: str | os.PathLike[str],
        args: Iterable[str | os.PathLike[str]] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> McpServerConfig:
        """A program that is started and spoken to through its stdin and stdout; its stderr goes to the log.

        It sees HOME, PATH and a few variables of that kind, and what `env` adds. It is started without a shell.
        """
        given = args if isinstance(args, str) else [_path_text(one) for one in args]
        return cls(
            transport="stdio", command=_path_text(command), args=given, env=env or {}, cwd=_path_text(cwd), **options
        )

    @classmethod
    def streamable_http(
        cls, url: str, *, headers: Mapping[str, str] | None = None, auth: Any = None, **options: Any
    ) -> McpServerConfig:
        """A server on the web. `headers` go with every request; `auth` is an `httpx2.Auth`, the SDK's OAuth provider
        for one."""
        return cls(transport="streamable_http", url=url, headers=headers or {}, auth=auth, **options)

    @classmethod
    def sse(
        cls, url: str, *, headers: Mapping[str, str] | None = None, auth: Any = None, **options: Any
    ) -> McpServerConfig:
        """The same for servers that speak the older transport, with one event stream for all answers."""
        return cls(transport="sse", url=url, headers=headers or {}, auth=auth, **options)

    @property
    def startup_s(self) -> float:
        """The startup timeout in seconds."""
        return self.startup_timeout_ms / 1000

    @property
    def call_s(self) -> float:
        """The timeout of calls in seconds."""
        return self.call_timeout_ms / 1000

    @property
    def secrets(self) -> Secrets:
        """What of this must not be shown."""
        return Secrets(self.env, self.headers, self.url)

    @property
    def place(self) -> str:
        """Where the server is, to be shown."""
        return self.command if self.transport == "stdio" else shown_url(self.url)

    def takes(self, tool: str) -> bool:
        """Whether a tool is wanted."""
        return _matches(tool, self.include) and not _matches(tool, self.exclude)

    def asks_for(self, tool: str) -> bool:
        """Whether calls of a tool need approval."""
        return _matches(tool, self.needs_approval)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What pydantic's repr and str show: values of env and headers are hidden, and what is default is left out."""
        for name, value in super().__repr_args__():
            if name is None or value == type(self).model_fields[name].get_default(call_default_factory=True):
                continue
            match name:
                case "env" | "headers":
                    yield name, dict.fromkeys(value, REDACTED)
                case "args":
                    yield name, tuple(map(self.secrets.hide, value))
                case "url":
                    yield name, shown_url(self.url)
                case "auth":
                    yield name, type(value).__name__
                case _:
                    yield name, value

    def _check(self) -> None:
        own, foreign = (_STDIO_ONLY, _HTTP_ONLY) if self.transport == "stdio" else (_HTTP_ONLY, _STDIO_ONLY)
        wrong = sorted(set(foreign) & self.model_fields_set)
        if wrong:
            raise ConfigError(CODE, f"a {self.transport} server takes no {', '.join(wrong)}; it takes {', '.join(own)}")
        if self.transport == "stdio":
            if not self.command.strip():
                raise ConfigError(CODE, "the command is empty: name the program that is the server")
            if "\0" in "".join((self.command, *self.args, self.cwd or "")):
                raise ConfigError(CODE, "the command or its arguments hold a NUL character")
            return
        if not self.url.strip():
            raise ConfigError(CODE, "the url is empty: it is where the server listens, like http://localhost:8000/mcp")
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(CODE, "the url is none of http:// or https:// with a host")
        if self.auth is not None and not _is_auth(self.auth):
            raise ConfigError(
                CODE, f"auth is a {type(self.auth).__name__} and no httpx2.Auth; a token goes into headers"
            )


def check_name(name: str) -> None:
    """Raise ConfigError (invalid_mcp_server) for what cannot be the name of a server."""
    if not name.strip():
        raise ConfigError(CODE, "a server's name is blank")
    if "__" in name:
        raise ConfigError(CODE, f"the server name {name!r} holds `__`, which separates the parts of a tool's name")
    if len(name) > LONGEST_NAME:
        raise ConfigError(CODE, f"the server name {name!r} is {len(name)} characters; {LONGEST_NAME} are the most")


def _path_text(value: object) -> Any:
    """A path as text; what is none as it is, to be checked with the rest."""
    return os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value


def _is_auth(value: object) -> bool:
    import httpx2  # takes a while, and most servers are programs

    return isinstance(value, httpx2.Auth)


def _matches(tool: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(tool, pattern) for pattern in patterns)


def _expanded(values: Mapping[str, str], where: str) -> dict[str, str]:
    def variable(match: re.Match[str]) -> str:
        if not match[1].isidentifier():
            raise ConfigError(CODE, f"{where} uses {match[0]}; only names of variables can stand there, like ${{HOME}}")
        value = os.environ.get(match[1])
        if value is None:
            raise ConfigError(CODE, f"{where} uses ${{{match[1]}}}, and there is no such environment variable")
        return value

    return {name: _VARIABLE.sub(variable, value) for name, value in values.items()}


def _check_fields(values: Mapping[str, str], where: str, not_in_name: str) -> None:
    """Refuse what no environment or request can carry; the values themselves are not told."""
    for name, value in values.items():
        if not name.strip() or any(sign in name for sign in not_in_name):
            raise ConfigError(CODE, f"{where} holds a name that cannot be one: {name!r}")
        if any(sign in value for sign in "\0" if where == "env") or (
            where == "headers" and (any(sign in value for sign in "\r\n\0") or not value.isascii())
        ):
            raise ConfigError(CODE, f"the value of {name!r} in {where} holds characters that cannot be sent")


def _told(error: ValidationError) -> str:
    """Pydantic's complaint without the values it complains of."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return f"there is no option {where}; there are {', '.join(McpServerConfig.model_fields)}"
        case "tuple_type":
            return f"{where} is a list of texts, like ['a', 'b']"
        case _:
            return f"{where}: {first['msg']}" if where else first["msg"]
