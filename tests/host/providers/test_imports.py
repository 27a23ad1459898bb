"""The SDKs and their HTTP client take long to import, so nobody pays for them before the first call."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "{'anthropic', 'openai', 'httpx2', 'anyio', 'jsonschema', 'referencing'}"

BUILT = (
    "from lash.host.providers.anthropic import AnthropicProvider; AnthropicProvider('a-key');"
    "from lash.host.providers.openai_responses import OpenAIProvider; OpenAIProvider('a-key');"
    "from lash.host.providers.google import GoogleProvider; GoogleProvider('a-key');"
    "from lash.host.providers.openai_chat import OpenAICompatibleProvider; OpenAICompatibleProvider('http://host/v1')"
)


@pytest.mark.parametrize("code", ["import lash.host.providers", BUILT])
def test_no_sdk_is_imported_before_the_first_call(code: str) -> None:
    program = f"{code}; import sys; print(sorted(set(sys.modules) & {HEAVY}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
