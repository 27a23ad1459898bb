"""Every Python block of the guides runs, in the order of its page, and prints what the page says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [
    "quickstart.md",
    "embedding.md",
    "mcp.md",
    "persistence.md",
    "rlm.md",
    "standard.md",
    "approvals.md",
    "tools.md",
    "default-tools.md",
    "plugins.md",
    "providers.md",
]
BLOCK = re.compile(r"^(?P<fence>```+)(python|text)\n(.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)


async def run(source: str, namespace: dict[str, Any], where: str) -> None:
    """Run a block as a notebook would, `await` at its outermost level included."""
    # Without the future statements of this file: annotations are what they are for a reader.
    code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    waiting = eval(code, namespace)
    if inspect.isawaitable(waiting):
        await waiting


@pytest.mark.parametrize("page", PAGES)
async def test_the_blocks_of_a_guide_run_and_print_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert sum(kind == "python" for _, kind, _ in blocks) >= 4
    namespace: dict[str, Any] = {"__name__": "guide"}
    shown: str | None = None
    for number, (_, kind, text) in enumerate(blocks):
        if kind == "python":
            await run(text, namespace, f"{page}, block {number + 1}")
            shown = capsys.readouterr().out
        else:
            assert shown is not None, f"{page}: an output before any program"
            assert shown.rstrip() == text.rstrip(), f"{page}, block {number + 1}"
            shown = None


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_guide_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    missing = [link for link in links if not link.startswith("http") and not (DOCS / link).exists()]
    assert not missing
