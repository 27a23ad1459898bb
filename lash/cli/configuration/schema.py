"""What can stand in a configuration file, as pydantic models: a key that is not here is refused.

There is no key that does nothing, so a file that is accepted is one whose every line counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lash.runtime.sansio.values import JsonValue

ASKED_FIRST: Final = ("exec_command", "start_command")
"""Tools that need an approval where no configuration says otherwise."""

SECRET: Final = "a secret is a text, { env = NAME }, { file = PATH } or { command = [PROGRAM, ...] }"


def _secret(value: object) -> object:
    """A secret or what points to one; ValueError for anything else, without its value."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty; leave the key out where there is no secret")
    if not isinstance(value, str) and not _points(value):
        raise ValueError(SECRET)
    match value:
        case {"file": str(path)}:
            try:
                Path(path).expanduser()
            except RuntimeError as error:
                raise ValueError(f"{path!r} begins with a home directory that is not known") from error
        case _:
            pass
    return cast("object", value)


def _points(value: object) -> bool:
    """Whether a value is one of the objects that point to a secret."""
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if len(table) != 1:
        return False
    match table:
        case {"env": str(text)} | {"file": str(text)}:
            return bool(text.strip())
        case {"command": list()}:
            argv = cast("list[object]", table["command"])
            return bool(argv) and all(isinstance(one, str) and one for one in argv)
        case _:
            return False


Secret = Annotated[str | dict[str, Any], BeforeValidator(_secret)]
"""A secret, or where it is."""

Text = Annotated[str, Field(min_length=1)]
Texts = list[Text]
Count = Annotated[int, Field(ge=1)]


def _where(value: object) -> object:
    """Where may be written; ValueError for anything but a truth value and a list of globs."""
    globs = cast("list[object]", value) if isinstance(value, list) else None
    if not isinstance(value, bool) and (globs is None or not all(isinstance(one, str) and one for one in globs)):
        raise ValueError("has to be true, false, or a list of globs below the roots")
    return cast("object", value)


class Section(BaseModel):
    """Base of the sections: strict about keys and types, silent about values, which may be secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ProviderEntry(Section):
    """`[providers.NAME]`: the kind under `type`, and what that kind takes, which it checks itself when it is used."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    type: Text
    api_key: Secret | None = None

    def spec(self) -> dict[str, JsonValue]:
        """The provider as the registry takes it, with what points to its secrets."""
        return self.model_dump(exclude_none=True)


class ModelEntry(Section):
    """`[models."ID"]`: the tokens of a model's context, and of a reply at most."""

    context: Count
    output: Count | None = None


class ModelDefault(Section):
    """`[model_defaults.PROVIDER]`: the model of new sessions with that provider, and its variant."""

    model: Text | None = None
    variant: Text | None = None


class Files(Section):
    """`[files]`: where file tools may write (everywhere below the roots, or globs), and what they never touch."""

    allow_write: Annotated[bool | list[str], BeforeValidator(_where)] = False
    deny: Texts = []


class Approvals(Section):
    """`[approvals]`: patterns of the names of tools that a person is asked about."""

    tools: Texts = [*ASKED_FIRST]


class McpServer(Section):
    """`[mcp_servers.NAME]`: how a server is reached and its tools are taken; see `McpServerConfig`, which checks the
    rest when it is used.
    """

    transport: Literal["stdio", "streamable_http", "sse"]
    command: Text | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    cwd: Text | None = None
    url: Text | None = None
    headers: dict[str, str] | None = None
    startup_timeout_ms: Count | None = None
    call_timeout_ms: Count | None = None
    required: bool | None = None
    protocol: Literal["auto", "legacy"] | None = None
    serial_tools: Texts | None = None
    needs_approval: Texts | None = None
    include: Texts | None = None
    exclude: Texts | None = None

    def given(self) -> dict[str, Any]:
        """What the file says of it."""
        return self.model_dump(exclude_none=True)


class Secrets(Section):
    """`[secrets]`: keys of services that tools use."""

    tavily_api_key: Secret | None = None


class Shared(Section):
    """What a project's file may say as well as a person's."""

    models: dict[Text, ModelEntry] = {}
    model_defaults: dict[Text, ModelDefault] = {}
    mcp_servers: dict[Text, McpServer] = {}


class ProjectConfig(Shared):
    """A project's file. Its approvals are added to the person's."""

    approvals: Approvals = Approvals(tools=[])


class LashConfig(Shared):
    """A person's file."""

    provider: Text | None = None
    model: Text | None = None
    variant: Text | None = None
    mode: Literal["rlm", "standard"] = "rlm"
    max_turns: Count | None = None
    providers: dict[Text, ProviderEntry] = {}
    files: Files = Files()
    approvals: Approvals = Approvals()
    secrets: Secrets = Secrets()


SECTIONS: Final[dict[tuple[str, ...], type[Section]]] = {
    ("providers", "*"): ProviderEntry,
    ("models", "*"): ModelEntry,
    ("model_defaults", "*"): ModelDefault,
    ("mcp_servers", "*"): McpServer,
    ("files",): Files,
    ("approvals",): Approvals,
    ("secrets",): Secrets,
}
"""The section at each place of a file; `*` stands for any name."""
