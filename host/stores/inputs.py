"""Queued input: from `enqueue` to a turn that completes it (runtime.md 13).

An input waits for a turn under way (`pending_active`) or for a turn to come (`deferred_next_turn`), is taken by a turn
(`accepted`), and ends as `completed` with that turn's commit, or as `cancelled`. A claim has no clock of its own: it is
worth something as long as the lease generation it was made under. When that is over, what was taken and not completed
waits again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from lash.host.stores import leases
from lash.host.stores.records import decode, encode
from lash.host.stores.tables import InputRow, Tables
from lash.runtime.errors import IdempotencyConflict, InputClaimExpired
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import Boundary, InputClaim, InputState, LeaseFence, PendingInput, PendingInputDraft


def enqueue(tables: Tables, draft: PendingInputDraft) -> PendingInput:
    """Queue input, once per source key and once per id; what is queued already is returned as it stands.

    Only the body decides whether it is the same input: for which turn it is meant depends on whether one was running
    when it was sent, which may differ when it is sent again. Raises IdempotencyConflict for another body.
    """
    stored, key = tables.input(draft.input_id), draft.input_id
    if draft.source_key is not None and (by_source := tables.input_by_source(draft.source_key)) is not None:
        stored, key = by_source, draft.source_key
    if stored is not None:
        found = pending(stored)
        if _comparable(found.draft.body) != _comparable(draft.body):
            raise IdempotencyConflict(key)
        return found
    state: InputState = "pending_active" if draft.ingress == "active_turn" else "deferred_next_turn"
    row = InputRow(
        draft.input_id,
        draft.source_key,
        draft.ingress,
        draft.turn_id,
        draft.min_boundary,
        state,
        encode(draft.body),
        None,
    )
    tables.insert_input(row)
    return pending(row)


def claim(
    tables: Tables, fence: LeaseFence, boundary: Boundary | None, turn_id: str | None, limit: int, now_ms: int
) -> list[InputClaim]:
    """Take input for a turn, oldest first. Raises LeaseNotHeld."""
    generation = leases.check_fence(tables, fence, now_ms).fencing
    claims: list[InputClaim] = []
    for row in tables.open_inputs():
        if len(claims) >= limit:
            break
        row = _as_waiting(row, generation)
        if row.state == "deferred_next_turn":
            wanted = boundary is None
        elif row.state == "pending_active":
            wanted = _is_left_over(row, turn_id) if boundary is None else _is_admitted(row, boundary, turn_id)
        else:
            wanted = False
        if wanted:
            row = row._replace(state="accepted", claim_fencing=generation)
            tables.update_input(row)
            claims.append(InputClaim(pending(row), generation))
    return claims


def complete(tables: Tables, claims: Sequence[InputClaim], generation: int | None) -> None:
    """Mark claimed input as dealt with. `generation` is that of the commit's lease; raises InputClaimExpired."""
    for claimed in claims:
        input_id = claimed.input.draft.input_id
        row = tables.input(input_id)
        if (
            row is None
            or row.state != "accepted"
            or generation is None
            or not row.claim_fencing == claimed.fencing == generation
        ):
            raise InputClaimExpired(input_id)
        tables.update_input(row._replace(state="completed"))


def settle_turn(tables: Tables, turn_id: str, generation: int | None) -> None:
    """At the end of a turn: what was meant for it and is not completed waits for the next one."""
    for row in tables.open_inputs():
        waits_for_it = row.state == "pending_active" and row.turn_id in (None, turn_id)
        taken_by_it = row.state == "accepted" and row.claim_fencing == generation
        if waits_for_it or taken_by_it:
            tables.update_input(row._replace(state="deferred_next_turn", claim_fencing=None))


def cancel(tables: Tables, input_id: str, now_ms: int) -> PendingInput | None:
    """Take input back; None where there is none, or a turn has it or had it."""
    row = tables.input(input_id)
    if row is None:
        return None
    row = _as_waiting(row, leases.live_generation(tables, now_ms))
    if row.state in ("accepted", "completed"):
        return None
    row = row._replace(state="cancelled")
    tables.update_input(row)
    return pending(row)


def pending(row: InputRow) -> PendingInput:
    """A row as the seam has it. Raises StoreCorruption and UnsupportedRecordVersion."""
    draft = PendingInputDraft(
        row.input_id,
        "active_turn" if row.ingress == "active_turn" else "next_turn",
        decode(row.body, f"queued input {row.input_id!r}"),
        row.source_key,
        row.turn_id,
        cast("Boundary | None", row.min_boundary),
    )
    return PendingInput(draft, cast("InputState", row.state))


def _comparable(body: JsonValue) -> str:
    """A text that is the same for the same JSON, in whatever order its keys stand; `true` and 1 differ in it."""
    return json.dumps(body, sort_keys=True)


def _as_waiting(row: InputRow, generation: int | None) -> InputRow:
    """The row, without a claim that was made under a lease that is over."""
    if row.state != "accepted" or row.claim_fencing == generation:
        return row
    state = "pending_active" if row.ingress == "active_turn" else "deferred_next_turn"
    return row._replace(state=state, claim_fencing=None)


def _is_admitted(row: InputRow, boundary: Boundary, turn_id: str | None) -> bool:
    """Whether a running turn may take it at this boundary; the last boundary admits whatever has waited so long."""
    return row.turn_id in (None, turn_id) and (
        boundary == "before_completion" or row.min_boundary != "before_completion"
    )


def _is_left_over(row: InputRow, turn_id: str | None) -> bool:
    """Whether the turn it was meant for is another than the one that begins, hence over."""
    return turn_id is None or row.turn_id != turn_id
