"""How effects are carried out: at once, or recorded in a journal so that a turn survives its process."""

from lash.host.effects.inline import InlineEffectHost
from lash.host.effects.journal import JournalEffectHost
from lash.runtime.seams.effects import (
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
)

__all__ = [
    "DurabilityTier",
    "EffectController",
    "EffectEnvelope",
    "EffectHost",
    "EffectOutcome",
    "ExecutionScope",
    "InlineEffectHost",
    "JournalEffectHost",
    "LocalExecutor",
]
