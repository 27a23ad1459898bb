"""Phrases that the texts for the model keep, so that tests and tools can tell what was said (rlm.md 6.6).

The texts themselves are in `notes.py` and beside this module; whoever rewrites one keeps its anchor.
"""

from __future__ import annotations

NO_ANSWER = "no answer was delivered"
"""In the nudge after a reply that was all prose."""

REQUIRED_OUTPUT = "required output"
"""In that nudge where a schema is required."""

SUBMIT_REJECTED = "submit rejected"
"""In the nudge after a value that misses the schema, before what is wrong with it."""

ITERATION_LIMIT = "iteration limit reached"
"""In the message before the last reply that is granted."""

LATER_BLOCKS = "later blocks ignored"
"""In the observation of a step whose reply had several blocks."""

SAME_ERROR = "same error"
"""In the observation of the third identical error in a row."""

CUT_OFF = "reply was cut off"
"""In the nudge after a reply that ended at the output limit."""

CHARS_HIDDEN = "chars hidden"
"""Where a text was shortened, with the expression that gives all of it."""

NO_OUTPUT = "(no output)"
"""The observation of a step that showed nothing."""

LAST_ITERATION = "last iteration"
"""Under `## Limits` of the last iteration."""
