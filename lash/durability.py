"""How effects are carried out: at once, or recorded in a journal so that a turn survives its process."""

from lash.host.effects.inline import InlineEffectHost
from lash.host.effects.journal import JournalEffectHost
from lash.runtime.seams.effects import (
    ApprovalJournal,
    CancelRequest,
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
    TurnJournal,
    UnfinishedTurn,
)

__all__ = [
    "ApprovalJournal",
    "CancelRequest",
    "DurabilityTier",
    "EffectController",
    "EffectEnvelope",
    "EffectHost",
    "EffectOutcome",
    "ExecutionScope",
    "InlineEffectHost",
    "JournalEffectHost",
    "LocalExecutor",
    "TurnJournal",
    "UnfinishedTurn",
]
