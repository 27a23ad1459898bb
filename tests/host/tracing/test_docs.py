"""The page about traces does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lash.host.tracing.encoding import event_types

PAGE = Path(__file__).parents[3] / "docs" / "traces.md"


def blocks() -> list[str]:
    """The fenced Python of the page; a fence inside of a text is no end of a block."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_python_of_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "traces"}
    for number, source in enumerate(blocks()):
        exec(compile(source, f"traces.md, block {number}", "exec"), names)
    assert len(blocks()) == 5


def test_the_page_names_every_type_of_record_that_is_written() -> None:
    page = PAGE.read_text(encoding="utf-8")
    # Nothing suspends turns yet; readers know the type.
    assert {kind for kind in event_types() if f"`{kind}`" not in page} == {"turn_suspended"}
