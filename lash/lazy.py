"""Modules whose names are loaded on first use, so that importing one costs what is used of it (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def exports(module: str, where: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a module that gives names of others; `where` has them by home, spaced.

    Type checkers see these names by imports under `TYPE_CHECKING`.
    """
    home_of = {name: home for home, names in where.items() for name in names.split()}

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = getattr(import_module(home), name)
        # Kept, so that the next use costs no more than that of any other name.
        setattr(sys.modules[module], name, found)
        return found

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[module]), *home_of})

    return load, listed
