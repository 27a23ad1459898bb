"""`CommandProvider`: any program, or a person behind one, as the model (providers.md 11.1).

The program gets requests and gives replies as lines of JSON (`command_wire.py`). One process serves all calls, in any
order; it is started with the first call, and again with the next one after it has ended (`command_transport.py`).
`CommandProvider.files` exchanges files in a directory instead (`command_files.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pydantic import Field

from lash.host.providers.child_process import ByteReader, ByteWriter, ChildProcess, Connection, StreamPair
from lash.host.providers.command_files import FILES_PROFILE, FilesTransport
from lash.host.providers.command_transport import CommandTransport
from lash.host.system import SystemClock
from lash.runtime.errors import ConfigError
from lash.runtime.providers.components import ProviderComponents, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, Surroundings, parse_config
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock


class CommandConfig(ProviderConfig):
    """A provider of kind `command`."""

    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str] | None = None
    cwd: str | None = None
    concurrent: bool = True


class FilesConfig(ProviderConfig):
    """A provider of kind `files`."""

    dir: str = Field(min_length=1)


class CommandProvider(ProviderHandle):
    """A handle whose model is a program.

    Arguments: `argv` with its environment (`env`, None for ours) and directory; or `reader` and `writer`, a pair of
    byte streams with the program behind it, which cannot be started again nor be rebuilt from the specification.
    `concurrent=False` sends one request at a time. Raises ConfigError: contradictory_options where neither or
    both are given, (invalid_provider_spec) where `argv` is no list of texts.
    """

    def __init__(
        self,
        argv: Sequence[str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        concurrent: bool = True,
        reader: ByteReader | None = None,
        writer: ByteWriter | None = None,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        if argv is not None and reader is None and writer is None:
            given: dict[str, JsonValue] = {
                # A text is a sequence too; it is refused as it stands.
                "argv": argv if isinstance(argv, str) else list(argv),
                "env": None if env is None else dict(env),
                "cwd": None if cwd is None else os.fspath(cwd),
                "concurrent": concurrent,
            }
            config = parse_config("command", CommandConfig, given)
            document = config.model_dump(mode="json", exclude_defaults=True)
            state = ProviderState("command", options or ProviderOptions(), document)

            async def start() -> Connection:
                return await ChildProcess.start(config.argv, clock, env=config.env, cwd=config.cwd)

            transport = CommandTransport(start, state, clock, restarts=True)
        elif argv is None and reader is not None and writer is not None:
            state = ProviderState("command", options or ProviderOptions())
            pair = StreamPair(reader, writer)

            async def join() -> Connection:
                if pair.stopped:
                    raise ProviderFailure("transport", "the program's stream has ended", retryable=False)
                return pair

            transport = CommandTransport(join, state, clock, restarts=False)
        else:
            raise ConfigError("contradictory_options", "CommandProvider takes either argv or both reader and writer")
        components = ProviderComponents.usual(state, transport, clock, ceiling=None if concurrent else 1)
        super().__init__(components, clock=clock)

    @classmethod
    def files(
        cls,
        directory: str | os.PathLike[str],
        *,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
    ) -> FilesProvider:
        """A handle whose model answers with files in a directory, which is made if it is not there."""
        return FilesProvider(directory, options=options, clock=clock)


class FilesProvider(ProviderHandle):
    """A handle whose model answers with files; see `lash.host.providers.command_files`."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        options: ProviderOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        path = os.fspath(directory)
        state = ProviderState("files", options or ProviderOptions(), {"dir": path}, FILES_PROFILE, by_hand=True)
        transport = FilesTransport(path, state, clock)
        super().__init__(ProviderComponents.usual(state, transport, clock), clock=clock)


class CommandFactory:
    """Makes handles of kind `command` from `argv` and, if they are wanted, `env`, `cwd` and `concurrent`."""

    kind = "command"

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, CommandConfig, config)
        return CommandProvider(
            parsed.argv,
            env=parsed.env,
            cwd=parsed.cwd,
            concurrent=parsed.concurrent,
            options=parsed.options,
            clock=surroundings.clock,
        )


class FilesFactory:
    """Makes handles of kind `files` from `dir`."""

    kind = "files"

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, FilesConfig, config)
        return FilesProvider(parsed.dir, options=parsed.options, clock=surroundings.clock)
