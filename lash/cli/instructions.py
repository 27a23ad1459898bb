"""Instruction files that people keep beside their work, for the system prompt (cli_and_examples.md 4, plugins.md 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lash import PromptContribution

FILE_NAME: Final = "AGENTS.md"

MOST_BYTES: Final = 32 * 1024
"""All files together; what is beyond is left out, of the farthest file first."""


def project_instructions(folder: Path, home: Path) -> tuple[PromptContribution, ...]:
    """The files of the home and of the folders from the repository's root down to `folder`, the nearest last.

    Outside a repository only the folder's own counts. What cannot be read as text is shown with replacement characters;
    a file that cannot be read at all is left out.
    """
    left = MOST_BYTES
    found: list[PromptContribution] = []
    for place, file in enumerate(reversed(_files(folder, home))):
        try:
            text = file.read_bytes()[:left].decode("utf-8", "replace").strip()
        except OSError:
            continue
        left -= len(text.encode())
        if text:
            title = f"Instructions from {file}"
            found.append(PromptContribution.project_instructions(title, text).with_priority(-place))
    return tuple(reversed(found))


def _files(folder: Path, home: Path) -> list[Path]:
    """Where instructions may be, the nearest last, each place once."""
    above = [folder, *folder.parents]
    root = next((one for one in above if (one / ".git").exists()), folder)
    folders = [home, *reversed(above[: above.index(root) + 1])]
    return [one / FILE_NAME for one in dict.fromkeys(folders)]
