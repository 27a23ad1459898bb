"""What tests of the facade share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lash
from lash import LashCore
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.testing.scripted import AnyStep, ScriptedProvider

GIF = b"GIF89a\x03\x00\x04\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"


def block(code: str) -> str:
    """A reply that is a program."""
    return f"```lashlang\n{code}\n```"


def core_with(*steps: AnyStep, **knobs: Any) -> LashCore:
    """A core in RLM mode whose model says these things."""
    given: dict[str, Any] = {"max_context_tokens": 100_000, "model": "m"} | knobs
    return LashCore.rlm(provider=ScriptedProvider(list(steps)), **given)


def stored(folder: Path) -> dict[str, Any]:
    """Keywords of a core whose sessions live in a folder."""
    return {
        "store": SqliteSessionStoreFactory(folder / "sessions"),
        "attachments": FileAttachmentStore(folder / "attachments"),
    }


def said(session: lash.LashSession) -> list[str]:
    """The texts of a session's messages."""
    return [message.text() for message in session.read_view().messages]
