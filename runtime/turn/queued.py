"""Input that was queued while the session was busy, as a turn takes it (runtime.md 13).

What was taken is completed by the turn's commit, and only by it: a turn that is lost gives its input back. A turn that
is driven again has the ids of what it took in its journal, and claims just those anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lash.runtime.sansio.messages import Message
from lash.runtime.seams.persistence import Boundary, InputClaim, LeaseFence, RuntimePersistence
from lash.runtime.turn.inputs import InvalidInput, SessionAttachments, input_of, user_message

AT_ONCE = 256
"""Inputs that are claimed at a time: each claim looks through the queue, and is a transaction."""


@dataclass(frozen=True, slots=True)
class HeardInput:
    """Messages that a turn took from the queue, and the ids of the inputs they came from."""

    messages: tuple[Message, ...] = ()
    input_ids: tuple[str, ...] = ()


class QueuedInputs:
    """The queue as one turn sees it; `claims` are what its commit completes."""

    def __init__(self, store: RuntimePersistence, fence: LeaseFence, turn_id: str, images: SessionAttachments) -> None:
        self._store = store
        self._fence = fence
        self._turn_id = turn_id
        self._images = images
        self.claims: list[InputClaim] = []

    async def take(self, boundary: Boundary | None) -> HeardInput:
        """What waits for this boundary of the turn, or (None) for a turn to begin, oldest first.

        Raises LeaseNotHeld, InvalidInput where an image of an input is gone, and what stores raise.
        """
        taken: list[InputClaim] = []
        while found := await self._store.claim_inputs(self._fence, boundary, turn_id=self._turn_id, limit=AT_ONCE):
            taken += found
        self.claims += taken
        messages: list[Message] = []
        for claim in taken:
            draft = claim.input.draft
            try:
                message = await user_message(input_of(draft.body), f"m:input:{draft.input_id}", self._images)
            except InvalidInput as error:
                raise InvalidInput(
                    f"queued input {draft.input_id!r} cannot be used: {error.message}; "
                    f"take it back with session.cancel_input({draft.input_id!r})"
                ) from error
            if message is not None:
                messages.append(message)
        return HeardInput(tuple(messages), tuple(claim.input.draft.input_id for claim in taken))

    async def take_again(self, boundary: Boundary | None, input_ids: Collection[str]) -> None:
        """Claim what a recorded turn took. Newer input that comes along waits for the next turn.

        What is completed cannot be claimed any more: then the turn is committed, and its commit only names it again.
        """
        while found := await self._store.claim_inputs(self._fence, boundary, turn_id=self._turn_id, limit=AT_ONCE):
            self.claims += [claim for claim in found if claim.input.draft.input_id in input_ids]
        claimed = {claim.input.draft.input_id for claim in self.claims}
        if not claimed.issuperset(input_ids):
            self.claims += [
                InputClaim(known, self._fence.fencing)
                for known in await self._store.list_inputs()
                if known.state == "completed" and known.draft.input_id in set(input_ids) - claimed
            ]
