"""Targets under atheris, which is guided by the coverage of Python code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from tests.fuzz.target import Target


def guided(target: Target, seed: int, arguments: Sequence[str]) -> int:
    """Let atheris choose inputs until it is stopped or finds something; `arguments` are its own (libFuzzer's)."""
    import atheris

    library: Any = atheris
    for module in _loaded(target.modules):
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__module__", None) == module.__name__ and hasattr(value, "__code__"):
                setattr(module, name, library.instrument_func(value))
    with TemporaryDirectory() as folder:
        for number, data in enumerate(target.seeds(seed)):
            (Path(folder) / str(number)).write_bytes(data)
        options = [f"-seed={seed & 0xFFFF_FFFF}", "-timeout=60", *arguments]
        library.Setup([sys.argv[0], *options, folder], target.run)
        library.Fuzz()
    return 0


def _loaded(names: Sequence[str]) -> list[ModuleType]:
    """The modules of these packages that are loaded."""
    return [
        module
        for name, module in list(sys.modules.items())
        if any(name == package or name.startswith(package + ".") for package in names)
    ]
