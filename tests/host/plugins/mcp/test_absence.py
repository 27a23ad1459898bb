"""The SDK is an extra: without it nothing is missing but servers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lash.plugins import McpPluginFactory, McpServerConfig
from lash.runtime.errors import ConfigError

WITHOUT = """
import sys
import lash, lash.plugins
from lash.plugins import McpPluginFactory, McpServerConfig
McpServerConfig.stdio("x")
McpPluginFactory.empty()
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types")))
"""


def test_importing_and_configuring_does_not_import_the_sdk() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.fixture
def _without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("lash.host.plugins.mcp.pool.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


@pytest.mark.usefixtures("_without_the_sdk")
async def test_without_the_sdk_connecting_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r'pip install "lash-runtime\[mcp\]"') as raised:
        await McpPluginFactory.connect({"x": McpServerConfig.stdio("x")})
    assert raised.value.code == "mcp_not_installed"
    with pytest.raises(ConfigError, match="mcp_not_installed"):
        await McpPluginFactory.empty().attach_server("x", McpServerConfig.stdio("x"))
