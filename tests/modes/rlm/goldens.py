"""The files of `golden/`: what the model reads, for people to review and for tests to compare.

`python -m tests.modes.rlm.goldens` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

from lash.modes.rlm.config import PromptFeatures
from lash.modes.rlm.prompt.execution import execution_prompt
from tests.modes.rlm.sample import sample_request

FOLDER = Path(__file__).parent / "golden"


def goldens() -> dict[str, str]:
    """Text by file name."""
    switches = ("images", "common_patterns", "type_literals", "decomposition")
    texts = {
        "execution.md": execution_prompt(PromptFeatures()),
        "execution_with_handles.md": execution_prompt(PromptFeatures(), handles=True),
        "execution_bare.md": execution_prompt(PromptFeatures.model_validate(dict.fromkeys(switches, False))),
        "request.md": sample_request(),
    }
    for switch in switches:
        features = PromptFeatures.model_validate({switch: False})
        texts[f"execution_without_{switch}.md"] = execution_prompt(features)
    return {name: text.rstrip("\n") + "\n" for name, text in texts.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in goldens().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
