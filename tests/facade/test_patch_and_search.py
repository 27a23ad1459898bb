"""The tools `apply_patch` and `grep` in whole turns, in either mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lash
from lash.host.tools.files.policy import FilePolicy
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.tools import ToolOutput
from lash.testing.scripted import AnyStep, ScriptedProvider, reply
from lash.tools import ApplyPatchTool, Grep
from tests.facade.support import block, core_with

PATCH = """*** Begin Patch
*** Update File: tea.py
@@ def brew():
-    return 1
+    return 2
*** Add File: notes.md
+done
*** End Patch"""


def project(folder: Path) -> list[object]:
    """A project, and the tools for it."""
    (folder / "tea.py").write_text("import pot\n\ndef brew():\n    return 1\n\nbrew()\n")
    policy = FilePolicy([folder], allow_write=True)
    return [Grep(policy), ApplyPatchTool(policy)]


def asks(tool: str, **args: Any) -> AnyStep:
    return reply(tool_calls=[Block.ToolCall("1", tool, json.dumps(args))])


async def test_a_model_searches_and_patches_with_calls(tmp_path: Path) -> None:
    provider = ScriptedProvider(
        [asks("grep", query="*.py brew"), asks("apply_patch", input=PATCH), "It returns 2 now."]
    )
    core = lash.LashCore.standard(provider=provider, model="m", max_context_tokens=100_000, tools=project(tmp_path))
    async with core, core.session("a") as session:
        result = await session.turn("Make it return 2.")
    assert result.assistant_message() == "It returns 2 now."
    found, patched = (call.output for call in result.tool_calls)
    assert isinstance(found, ToolOutput.Success)
    assert isinstance(found.value, dict)
    assert isinstance(patched, ToolOutput.Success)
    assert isinstance(patched.value, dict)
    lines: Any = found.value["matches"]
    assert [(match["path"], match["line"], match["is_definition"]) for match in lines] == [
        ("tea.py", 3, True),
        ("tea.py", 6, False),
    ]
    assert patched.value["summary"] == "Applied patch to 2 file(s)"
    assert (tmp_path / "tea.py").read_text() == "import pot\n\ndef brew():\n    return 2\n\nbrew()\n"
    assert (tmp_path / "notes.md").read_text() == "done\n"


async def test_a_patch_that_fails_is_told_and_the_turn_goes_on(tmp_path: Path) -> None:
    wrong = PATCH.replace("return 1", "return 7")
    provider = ScriptedProvider([asks("apply_patch", input=wrong), "I could not."])
    core = lash.LashCore.standard(provider=provider, model="m", max_context_tokens=100_000, tools=project(tmp_path))
    async with core, core.session("a") as session:
        result = await session.turn("Make it return 2.")
    (call,) = result.tool_calls
    assert call.model_return == ("[Tool execution failed]\nFailed to find expected lines in tea.py:\n    return 7")
    assert not (tmp_path / "notes.md").exists()


async def test_a_program_searches_and_patches(tmp_path: Path) -> None:
    code = "\n".join(
        (
            'found = (call grep { query: "*.py brew", limit: 1 })?',
            "first = found.matches[0]",
            f"done = (call apply_patch {{ input: {json.dumps(PATCH)} }})?",
            f"again = call apply_patch {{ input: {json.dumps(PATCH)} }}",
            "submit [first.path, first.line, found.count, done.added, done.files[1].status, again.ok]",
        )
    )
    async with core_with(block(code), tools=project(tmp_path)) as core, core.session("a") as session:
        result = await session.turn("Make it return 2.")
    assert result.submitted_value() == ["tea.py", 3, 2, 2, "added", False]
    assert (tmp_path / "tea.py").read_text() == "import pot\n\ndef brew():\n    return 2\n\nbrew()\n"
