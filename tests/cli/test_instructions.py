"""`AGENTS.md` files that go into the system prompt."""

from __future__ import annotations

import json
from pathlib import Path

from lash.cli import instructions
from lash.cli.instructions import project_instructions
from lash.runtime.sansio.prompt import PromptLayer, render_prompt, resolve
from tests.cli.conftest import Lash


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "AGENTS.md").write_text(text)


def order(folder: Path, home: Path, *texts: str) -> list[str]:
    """The texts that are in the prompt, in its order."""
    prompt = render_prompt(resolve([PromptLayer().add(*project_instructions(folder, home))]), "", ())
    return sorted((text for text in texts if text in prompt), key=prompt.index)


def test_files_from_the_root_of_the_repository_down_are_read_the_nearest_last(tmp_path: Path) -> None:
    repository, home = tmp_path / "repo", tmp_path / "home"
    (repository / ".git").mkdir(parents=True)
    write(tmp_path, "outside the repository")
    write(home, "of the person")
    write(repository, "of the repository")
    write(repository / "a" / "b", "of the folder")
    texts = ("outside the repository", "of the folder", "of the repository", "of the person")
    assert order(repository / "a" / "b", home, *texts) == ["of the person", "of the repository", "of the folder"]


def test_outside_a_repository_the_own_folder_counts(tmp_path: Path) -> None:
    write(tmp_path, "above")
    write(tmp_path / "a", "here")
    assert order(tmp_path / "a", tmp_path / "home", "above", "here") == ["here"]


def test_all_files_together_are_bounded_and_the_nearest_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, "f" * instructions.MOST_BYTES)
    write(tmp_path / "a", "n" * 100)
    far, near = project_instructions(tmp_path / "a", tmp_path / "home")
    assert near.content == "n" * 100
    assert far.content == "f" * (instructions.MOST_BYTES - 100)


def test_blank_and_unreadable_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, " \n")
    (tmp_path / "home" / "AGENTS.md").mkdir(parents=True)
    assert project_instructions(tmp_path, tmp_path / "home") == ()


def test_the_model_is_told_the_instructions(lash: Lash) -> None:
    write(lash.folder, "Answer in Latin.")
    asked = lash.folder / "asked.json"
    lash.ask({"text": "Ita.", "touch": str(asked)})
    assert "Answer in Latin." in json.loads(asked.read_text())["system"]
