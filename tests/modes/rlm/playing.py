"""What the tests of whole RLM turns share: cores with a scripted model, and what its requests said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lash import LashCore
from lash.config import ModePreset
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.types import RlmTrajectoryEntry, read_event
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.sessions import LashSession
from lash.testing.scripted import AnyStep, ScriptedProvider


def block(code: str) -> str:
    """A reply that is one program."""
    return f"```lashlang\n{code}\n```"


def core_with(*steps: AnyStep, config: RlmConfig | None = None, folder: Path | None = None, **knobs: Any) -> LashCore:
    """A core whose model plays the steps; with a folder its sessions outlive it."""
    if folder is not None:
        knobs["store"] = SqliteSessionStoreFactory(folder / "sessions")
        knobs["attachments"] = FileAttachmentStore(folder / "attachments")
    given: dict[str, Any] = {"provider": ScriptedProvider(list(steps)), "model": "m", "max_context_tokens": 100_000}
    return LashCore(modes=[ModePreset.rlm(config)], **(given | knobs))


def said(request: LlmRequest) -> str:
    """The texts of a request."""
    return "\n".join(one.text for message in request.messages for one in message.blocks if isinstance(one, Block.Text))


def steps_of(session: LashSession) -> list[RlmTrajectoryEntry]:
    """The committed steps of a session."""
    events = map(read_event, session.read_view().active_events)
    return [event for event in events if isinstance(event, RlmTrajectoryEntry)]
