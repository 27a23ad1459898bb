"""The execution prompt: its switches, its size, what it does not say."""

from __future__ import annotations

import re

import pytest

from lash.modes.rlm.config import PromptFeatures
from lash.modes.rlm.prompt.execution import execution_prompt
from tests.modes.rlm.goldens import FOLDER, goldens

FULL = execution_prompt(PromptFeatures(), handles=True)


@pytest.mark.parametrize("name", sorted(goldens()))
def test_a_text_for_the_model_is_the_reviewed_one(name: str) -> None:
    assert goldens()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_no_golden_file_without_a_text() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(goldens())


def test_the_prompt_with_everything_is_short() -> None:
    assert len(FULL) <= 9_000


def test_the_prompt_names_no_concrete_tool() -> None:
    assert set(re.findall(r"\bcall (\w+) \{", FULL)) == {"name", "some_tool"}


def test_without_images_the_prompt_does_not_mention_them() -> None:
    assert "image" not in execution_prompt(PromptFeatures(images=False), handles=True).lower()
    assert "image" in FULL


@pytest.mark.parametrize(
    ("switch", "heading"),
    [("common_patterns", "### Patterns"), ("type_literals", "### Types"), ("decomposition", "### Working memory")],
)
def test_a_switch_takes_its_section_out(switch: str, heading: str) -> None:
    assert heading in FULL
    assert heading not in execution_prompt(PromptFeatures.model_validate({switch: False}))


def test_background_work_is_taught_only_where_it_can_be_done() -> None:
    assert "start call" in FULL
    plain = execution_prompt(PromptFeatures())
    assert "start call" not in plain
    assert "handle" not in plain.replace("handles with `id label", "")
