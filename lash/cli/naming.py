"""Names of sessions that people can say and remember: two words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

FIRST: Final = (
    "amber ancient autumn bold brave bright bronze calm clear clever cobalt copper coral crimson crisp dapper deep "
    "eager early ember fair fern fleet fresh frosty gentle gilded golden grand hazel hidden honest ivory jade keen "
    "lively lunar maple mellow merry misty modest noble olive opal patient plain plucky polar proud quick quiet rapid "
    "ready rosy royal ruby rustic sable sage scarlet silent silver sleek snowy solar spry steady still sunny swift "
    "tidy topaz true velvet vivid warm wild winter wise young"
).split()

SECOND: Final = (
    "acorn anchor arrow badger beacon birch bison brook canyon cedar cliff cloud comet condor crane creek dolphin dune "
    "eagle falcon fern finch fjord forest fox garden glacier grove harbor hawk heron hill island jaguar lagoon lake "
    "lantern lark lemur lily lynx maple marten meadow meteor moose moss oak ocean orchid osprey otter owl panda pebble "
    "pine plover pond prairie puffin quail raven reef ridge river robin seal shore sparrow spruce star stone summit "
    "swan thistle tiger trail tulip valley walnut willow wolf wren"
).split()

RECENT: Final = 500
"""A generated name is unlike those of so many sessions before."""


def new_name(taken: Collection[str], choose: Callable[[Sequence[str]], str]) -> str:
    """A name of two words that is not among the taken ones; `choose` picks a word."""
    used = set(taken)
    for _ in range(1000):
        name = f"{choose(FIRST)}-{choose(SECOND)}"
        if name not in used:
            return name
    return next(name for a in FIRST for b in SECOND if (name := f"{a}-{b}") not in used)


def nearest(wanted: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The known words that are most like the given one, best first; none that is quite unlike."""
    return difflib.get_close_matches(wanted, known, n=count, cutoff=0.5)
