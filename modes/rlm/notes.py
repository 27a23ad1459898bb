"""What RLM mode says to the model besides its prompt: nudges and notes, each with its anchor (rlm.md 6.6)."""

from __future__ import annotations

from collections.abc import Sequence

SUBMIT_NUDGE = (
    "That reply had no lashlang block, so no answer was delivered. Go on with one block, and when the answer is ready "
    "end the turn with `submit <value>`."
)

SUBMIT_SCHEMA_NUDGE = (
    "That reply had no lashlang block, so no answer was delivered. Go on with one block, and when the answer is ready "
    "end the turn with `submit <value>`, where the value fits the required output."
)

CUT_OFF_NUDGE = (
    "The reply was cut off at the output limit and nothing of it was run. Write less: a smaller block, or fewer words "
    "before it."
)

TURN_LIMIT_FINAL = (
    "The iteration limit reached its end: this is the last reply of the turn. Answer in prose, without a block: what "
    "was done, what remains, and which steps come next."
)

SAME_ERROR_NOTE = "This is the same error for the third time in a row: change the approach instead of trying it again."


def later_blocks_note(blocks_seen: int) -> str:
    """What the observation says when a reply had more than one program."""
    return f"The reply had {blocks_seen} blocks; only the first was run, later blocks ignored."


def schema_nudge(problems: Sequence[str]) -> str:
    """What the model is told when its value does not fit the schema."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return f"The value was not accepted, submit rejected:\n{listed}\nRepair the value and submit it again."
