"""lash: an agent runtime in which the model acts by writing small sandboxed programs.

    core = LashCore.rlm(provider=provider, model="anthropic/claude-sonnet-4.6", tools=[lookup_order])
    async with core.session("chat-123") as session:
        result = await session.turn("Which orders are late?", require_submit=True)

What applications use is here and is loaded on first use; the language and its machine are the package :mod:`lashlang`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash.lazy import exports
from lashlang._version import __version__

if TYPE_CHECKING:
    from lash.config import UNSET, ModeId, ModePreset, Residency, RuntimeConfig, Unset
    from lash.core import CoreStats, LashCore
    from lash.modes.rlm.config import RlmConfig, RlmLimits
    from lash.modes.rlm.refs import ProjectionRef, ProjectionRegistry
    from lash.modes.standard.config import StandardConfig
    from lash.plugins import PluginStack
    from lash.runtime.errors import (
        ApprovalError,
        AttachmentError,
        CheckpointNotKept,
        ConfigError,
        EffectError,
        LashError,
        PluginError,
        SessionBusyError,
        SessionError,
        StoreError,
        TurnError,
        TurnSuspended,
        UnknownTurn,
    )
    from lash.runtime.providers.handle import ProviderHandle
    from lash.runtime.providers.models import ModelInfo
    from lash.runtime.sansio.activity import PendingApproval, TurnActivity, TurnEvent
    from lash.runtime.sansio.approvals import ApprovalRecord, Approve, Deny, Edit
    from lash.runtime.sansio.outcome import TurnFinish, TurnIssue, TurnOutcome, TurnStop
    from lash.runtime.sansio.prompt import (
        PromptBuiltin,
        PromptContribution,
        PromptLayer,
        PromptSlot,
        PromptTemplate,
        PromptTemplateEntry,
        PromptTemplateSection,
    )
    from lash.runtime.sansio.usage import TokenUsage
    from lash.runtime.seams.effects import CancelReceipt
    from lash.runtime.seams.persistence import LeaseOwner, PendingInput, SessionRelation
    from lash.runtime.tools.cancel import CancelToken
    from lash.runtime.tools.context import ToolContext, ToolProgress
    from lash.runtime.tools.decorator import Tool, tool
    from lash.runtime.tools.result import ToolError, ToolResult
    from lash.runtime.turn.activities import BufferedSink, TurnActivitySink
    from lash.runtime.turn.inputs import ImageBlob, ImageRef, InputItem, InvalidInput, Text, TurnInput
    from lash.runtime.turn.lane import LeaseTimings
    from lash.runtime.turn.result import TurnOutput, TurnResult
    from lash.sessions import LashSession, ParkedSession, SessionOpener
    from lash.specs import SessionSpec
    from lash.turns import Turn

_WHERE = {
    "lash.config": "UNSET ModeId ModePreset Residency RuntimeConfig Unset",
    "lash.core": "CoreStats LashCore",
    "lash.modes.rlm.config": "RlmConfig RlmLimits",
    "lash.modes.rlm.refs": "ProjectionRef ProjectionRegistry",
    "lash.modes.standard.config": "StandardConfig",
    "lash.runtime.errors": (
        "ApprovalError AttachmentError CheckpointNotKept ConfigError EffectError LashError PluginError "
        "SessionBusyError SessionError StoreError TurnError TurnSuspended UnknownTurn"
    ),
    "lash.plugins": "PluginStack",
    "lash.runtime.providers.handle": "ProviderHandle",
    "lash.runtime.providers.models": "ModelInfo",
    "lash.runtime.sansio.activity": "PendingApproval TurnActivity TurnEvent",
    "lash.runtime.sansio.approvals": "ApprovalRecord Approve Deny Edit",
    "lash.runtime.sansio.outcome": "TurnFinish TurnIssue TurnOutcome TurnStop",
    "lash.runtime.sansio.prompt": (
        "PromptBuiltin PromptContribution PromptLayer PromptSlot PromptTemplate PromptTemplateEntry "
        "PromptTemplateSection"
    ),
    "lash.runtime.sansio.usage": "TokenUsage",
    "lash.runtime.seams.effects": "CancelReceipt",
    "lash.runtime.seams.persistence": "LeaseOwner PendingInput SessionRelation",
    "lash.runtime.tools.cancel": "CancelToken",
    "lash.runtime.tools.context": "ToolContext ToolProgress",
    "lash.runtime.tools.decorator": "Tool tool",
    "lash.runtime.tools.result": "ToolError ToolResult",
    "lash.runtime.turn.activities": "BufferedSink TurnActivitySink",
    "lash.runtime.turn.inputs": "ImageBlob ImageRef InputItem InvalidInput Text TurnInput",
    "lash.runtime.turn.result": "TurnOutput TurnResult",
    "lash.runtime.turn.lane": "LeaseTimings",
    "lash.sessions": "LashSession ParkedSession SessionOpener",
    "lash.specs": "SessionSpec",
    "lash.turns": "Turn",
}

__getattr__, __dir__ = exports(__name__, _WHERE)

__all__ = [
    "UNSET",
    "ApprovalError",
    "ApprovalRecord",
    "Approve",
    "AttachmentError",
    "BufferedSink",
    "CancelReceipt",
    "CancelToken",
    "CheckpointNotKept",
    "ConfigError",
    "CoreStats",
    "Deny",
    "Edit",
    "EffectError",
    "ImageBlob",
    "ImageRef",
    "InputItem",
    "InvalidInput",
    "LashCore",
    "LashError",
    "LashSession",
    "LeaseOwner",
    "LeaseTimings",
    "ModeId",
    "ModePreset",
    "ModelInfo",
    "ParkedSession",
    "PendingApproval",
    "PendingInput",
    "PluginError",
    "PluginStack",
    "ProjectionRef",
    "ProjectionRegistry",
    "PromptBuiltin",
    "PromptContribution",
    "PromptLayer",
    "PromptSlot",
    "PromptTemplate",
    "PromptTemplateEntry",
    "PromptTemplateSection",
    "ProviderHandle",
    "Residency",
    "RlmConfig",
    "RlmLimits",
    "RuntimeConfig",
    "SessionBusyError",
    "SessionError",
    "SessionOpener",
    "SessionRelation",
    "SessionSpec",
    "StandardConfig",
    "StoreError",
    "Text",
    "TokenUsage",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolProgress",
    "ToolResult",
    "Turn",
    "TurnActivity",
    "TurnActivitySink",
    "TurnError",
    "TurnEvent",
    "TurnFinish",
    "TurnInput",
    "TurnIssue",
    "TurnOutcome",
    "TurnOutput",
    "TurnResult",
    "TurnStop",
    "TurnSuspended",
    "UnknownTurn",
    "Unset",
    "__version__",
    "tool",
]
