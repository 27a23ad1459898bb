"""The names of the package, which are loaded when they are first used."""

from __future__ import annotations

import lash
from lash.runtime.sansio.activity import TurnEvent


def test_a_name_is_looked_up_once() -> None:
    assert lash.TurnEvent is TurnEvent
    assert vars(lash)["TurnEvent"] is TurnEvent
