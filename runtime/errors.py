"""The errors of lash (runtime.md 14): `code` is stable, the text is for people and is not.

A turn that ends returns an outcome, however it ended; what raises could not be run or could not be recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lash.runtime.sansio.activity import PendingApproval
    from lash.runtime.sansio.approvals import ApprovalRecord


class LashError(Exception):
    """The base of all: a stable `code`, a text, and whether the same call may work later."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class ConfigError(LashError):
    """What was configured cannot work."""


class SessionError(LashError):
    """A session cannot be opened or used so."""


class SessionBusyError(SessionError):
    """Another turn holds the session; `code` is session_execution_busy or turn_suspended."""


class TurnError(LashError):
    """A turn cannot be begun, or its result cannot be had so."""


class TurnSuspended(TurnError):
    """The turn waits for these answers and holds nothing meanwhile; `session.resume_turn()` drives it on."""

    def __init__(self, session_id: str, turn_id: str, approvals: tuple[PendingApproval, ...]) -> None:
        asked = ", ".join(one.approval_id for one in approvals)
        super().__init__(
            "turn_suspended",
            f"turn {turn_id!r} of session {session_id!r} waits for approvals ({asked}): "
            "answer them with core.answer_approval(...), then session.resume_turn()",
        )
        self.turn_id = turn_id
        self.approvals = approvals


class StoreCommitFailed(TurnError):
    """The turn's commit was refused; nothing of it is stored."""


class StoreError(LashError):
    """A store refuses or is broken."""


class HeadRevisionConflict(StoreError):
    """Somebody else has committed: `expected` and `actual` head revision, None for no head (or not known)."""

    def __init__(self, expected: int | None, actual: int | None) -> None:
        super().__init__(
            "head_revision_conflict",
            f"the session's head is at revision {actual}, not {expected}: reload and try again",
            retryable=True,
        )
        self.expected = expected
        self.actual = actual


class LeaseNotHeld(StoreError):
    """The commit's lease is not the live one."""

    def __init__(self, message: str) -> None:
        super().__init__("lease_not_held", message, retryable=True)


class SessionBindingMismatch(StoreError):
    """The commit is for another session than the store's."""

    def __init__(self, bound: str, given: str) -> None:
        super().__init__("session_binding_mismatch", f"this store holds session {bound!r}, not {given!r}")


class TurnCommitConflict(StoreError):
    """The turn is committed already, with other contents."""

    def __init__(self, turn_id: str) -> None:
        super().__init__("turn_commit_conflict", f"turn {turn_id!r} is committed already, with other contents")


class IdempotencyConflict(StoreError):
    """The key was used before, with other contents."""

    def __init__(self, key: str) -> None:
        super().__init__("idempotency_conflict", f"the key {key!r} was used before, with other contents")


class InputClaimExpired(StoreError):
    """A claimed input is no longer the claimant's."""

    def __init__(self, input_id: str) -> None:
        super().__init__("input_claim_expired", f"the claim on input {input_id!r} has expired", retryable=True)


class InvalidTombstone(StoreError):
    """Nodes of the active path cannot be removed."""

    def __init__(self, node_id: str) -> None:
        super().__init__("invalid_tombstone", f"node {node_id!r} is on the active path")


class DuplicateNode(StoreError):
    """A node id is taken."""

    def __init__(self, node_id: str) -> None:
        super().__init__("duplicate_node", f"node {node_id!r} is stored already")


class StoreCorruption(StoreError):
    """Stored bytes are not what was stored."""

    def __init__(self, message: str) -> None:
        super().__init__("store_corruption", message)


class UnsupportedRecordVersion(StoreError):
    """A record is of a version that this build does not read."""

    def __init__(self, what: str, version: object, known: int) -> None:
        super().__init__("unsupported_record_version", f"{what} has version {version}; this build reads up to {known}")


class UnsupportedReadScope(StoreError):
    """The store cannot read that part of a session alone."""

    def __init__(self, scope: str) -> None:
        super().__init__("unsupported_read_scope", f"this store cannot read {scope} alone")


class StoreBackendError(StoreError):
    """The medium failed: disk full, read-only, gone."""

    def __init__(self, message: str) -> None:
        super().__init__("store_backend", message)


class CheckpointNotKept(SessionError):
    """The checkpoint of that turn is gone; `oldest_kept` is the oldest turn index that can still be forked."""

    def __init__(self, turn: int | str, oldest_kept: int | None) -> None:
        super().__init__(
            "checkpoint_not_kept", f"the checkpoint of turn {turn!r} is not kept any more; the oldest is {oldest_kept}"
        )
        self.turn = turn
        self.oldest_kept = oldest_kept


class UnknownTurn(SessionError):
    """There is no such turn."""

    def __init__(self, turn: int | str) -> None:
        super().__init__("unknown_turn", f"this session has no turn {turn!r}")
        self.turn = turn


class EffectError(LashError):
    """The effect host cannot do what it must."""


class EffectReplayMismatch(EffectError):
    """A re-driven turn asks for something else than what is recorded under the same key."""

    def __init__(self, key: str, message: str = "the recorded effect is asked for with other contents") -> None:
        hint = "are its input, model, prompts, tools, plugins and options those that it was recorded with?"
        super().__init__(
            "effect_replay_mismatch", f"the turn is not the one that was recorded: {message} ({key}); {hint}"
        )
        self.key = key


class EffectLeaseLost(EffectError):
    """Another worker has taken the effect over."""

    def __init__(self, key: str) -> None:
        super().__init__("effect_lease_lost", f"another worker has taken over effect {key}", retryable=True)


class ApprovalError(LashError):
    """An approval cannot be answered so; `record` is the question with what has become of it, where there is one."""

    def __init__(self, code: str, message: str, record: ApprovalRecord | None = None) -> None:
        super().__init__(code, message)
        self.record = record


class PluginError(LashError):
    """A plugin failed: `kind` is registration, snapshot, snapshot_version, invoke or session."""

    def __init__(self, kind: str, plugin_id: str, message: str) -> None:
        super().__init__(f"plugin_{kind}", f"plugin {plugin_id!r}: {message}")
        self.kind = kind
        self.plugin_id = plugin_id


class SnapshotError(LashError):
    """A snapshot of the turn machine cannot be used: code snapshot_format, _version, _corrupt or _mismatch."""


class SnapshotFormatError(SnapshotError):
    """It is no snapshot."""

    def __init__(self, message: str) -> None:
        super().__init__("snapshot_format", message)


class SnapshotVersionError(SnapshotError):
    """Its version is not this build's."""

    def __init__(self, message: str) -> None:
        super().__init__("snapshot_version", message)


class SnapshotCorrupt(SnapshotError):
    """Its contents are not what was written."""

    def __init__(self, message: str) -> None:
        super().__init__("snapshot_corrupt", message)


class SnapshotConfigMismatch(SnapshotError):
    """It was taken under another configuration."""

    def __init__(self, message: str) -> None:
        super().__init__("snapshot_mismatch", message)


class AttachmentError(LashError):
    """An attachment cannot be had or kept: code attachment_not_found or attachment_io."""


class TraceSinkError(LashError):
    """A trace sink cannot write."""

    def __init__(self, message: str) -> None:
        super().__init__("trace_sink", message)
