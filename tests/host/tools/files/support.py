"""What the tests of the file tools share: a dispatcher with all of them, and what came of a call."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lash.host.tools.files.glob import Glob
from lash.host.tools.files.ls import Ls
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.read_file import ReadFile
from lash.host.tools.files.write_file import WriteFile
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import CompletedToolCall, ToolFailure, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import untagged
from tests.runtime.tools.support import Bench, bench

NO_SPILL = Path("/nowhere/spill")


class Images:
    """The part of the runtime's services that `read_file` needs."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def put_attachment(self, data: bytes, label: str | None) -> AttachmentRef:
        """Keep an image."""
        self.kept.append(data)
        return AttachmentRef(f"image-{len(self.kept)}", "image/gif", len(data), label=label)

    def take_usage(self, call_id: str) -> tuple[()]:
        """No model is called here."""
        return ()


@asynccontextmanager
async def file_tools(policy: FilePolicy, services: Any = None) -> AsyncGenerator[Bench]:
    """A dispatcher with every file tool under one policy."""
    tools = [ReadFile(policy), Ls(policy), Glob(policy), WriteFile(policy)]
    async with bench(tools, services=services) as made:
        yield made


def policy(root: Path, **options: Any) -> FilePolicy:
    """A policy with one root, and a directory for spilled outputs that is not there."""
    options.setdefault("spill_dir", NO_SPILL)
    return FilePolicy([root], **options)


async def outcome(policy: FilePolicy, name: str, services: Any = None, /, **args: JsonValue) -> CompletedToolCall:
    """One call of one file tool."""
    async with file_tools(policy, services) as tools:
        return await tools.call(name, args)


async def value_of(policy: FilePolicy, name: str, services: Any = None, /, **args: JsonValue) -> Any:
    """The value of a call that works."""
    output = (await outcome(policy, name, services, **args)).output
    assert isinstance(output, ToolOutput.Success), output
    return untagged(output.value, lambda reference: reference)


async def failure_of(policy: FilePolicy, name: str, services: Any = None, /, **args: JsonValue) -> ToolFailure:
    """The failure of a call that does not."""
    output = (await outcome(policy, name, services, **args)).output
    assert isinstance(output, ToolOutput.Failure), output
    return output.failure


def tree(root: Path, *paths: str) -> Path:
    """Make empty files, and directories where a path ends with a slash."""
    for path in paths:
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    return root


def open_descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/dev/fd"))
