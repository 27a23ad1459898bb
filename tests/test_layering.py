"""Who may import whom: `lashlang` below `lash.runtime` below `lash.host` and `lash.modes` below `lash`.

The rules are a function of two module names, so they are tested on made-up imports first and then applied to every
file of the repository.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("lash", "lashlang", "tests", "examples", "benchmarks")

LINKED = frozenset({"runtime", "host", "modes", "grammar"})
"""Root folders that are importable by accident, with the checkout on the path, but never once installed."""

BUILD_ONLY = ("lashlang.kernel.build", "lashlang.kernel.generate")
"""Modules that are not in the wheel."""

EDITOR = ("lashlang.repl.terminal", "lashlang.repl.history")
"""The modules that may know the editor on the terminal: a REPL in a pipe, and everything else, does without."""

RUNTIME_MAY_IMPORT = ("lashlang.projection", "lashlang.values")
"""The value and projection types: all that the runtime knows of the language."""

NOT_PURE = (
    *("asyncio", "anyio", "trio", "threading", "concurrent", "multiprocessing", "selectors", "select", "signal"),
    *("time", "datetime", "random", "secrets", "uuid", "os", "subprocess"),
    *("socket", "ssl", "http", "urllib", "httpx2", "anthropic", "openai"),
    *("sqlite3", "aiosqlite", "dbm", "shelve"),
)
"""Event loops, clocks, chance, networks and databases: what a turn machine that is a pure function cannot use."""


def inside(name: str, *packages: str) -> bool:
    """Whether a module is one of those packages or lies below one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def complaint(importer: str, imported: str) -> str | None:
    """Why `importer` must not import the name `imported`, or None where it may."""
    if imported.split(".", maxsplit=1)[0] in LINKED:
        return "linked folders are imported as lash.* or lashlang.grammar"
    if inside(importer, "lash", "lashlang") and not inside(importer, *BUILD_ONLY) and inside(imported, *BUILD_ONLY):
        return "the module is not shipped"
    if inside(importer, "lash", "lashlang") and inside(imported, "prompt_toolkit") and not inside(importer, *EDITOR):
        return "only the REPL's editor knows the terminal"
    if inside(importer, "lashlang") and inside(imported, "lash"):
        return "lashlang knows nothing above it"
    if inside(importer, "lash.runtime"):
        if inside(imported, "lash") and not inside(imported, "lash.runtime"):
            return "the runtime knows nothing above it"
        if inside(imported, "lashlang") and not inside(imported, *RUNTIME_MAY_IMPORT):
            return "the runtime knows the value and projection types of lashlang only"
    if inside(importer, "lash.runtime.sansio") and inside(imported, *NOT_PURE):
        return "the turn machine is pure"
    for layer, other in (("lash.host", "lash.modes"), ("lash.modes", "lash.host")):
        if inside(importer, layer):
            if inside(imported, other) and imported != other:
                return "host and modes do not know each other's internals"
            if inside(imported, "lash") and not inside(imported, "lash.runtime", layer, other):
                return "host and modes know nothing above them"
    return None


def imported_names(module: str, is_package: bool, source: str) -> Iterator[str]:
    """Every name that a module's text imports, relative ones made absolute.

    `from a import b` gives `a.b`: whether `b` is a module or not, that is the finest the text says.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".") if is_package else module.split(".")[:-1]
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def modules(folder: str) -> Iterator[tuple[str, Path]]:
    """Name and file of every module below a root folder, as it is imported: through the links."""
    pending = [ROOT / folder]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.is_dir() and path.name != "__pycache__":
                pending.append(path)
            elif path.suffix == ".py":
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("lash.core", "runtime"),
        ("lash.core", "host.tools"),
        ("tests.test_x", "modes"),
        ("lashlang.syntax.parse", "grammar"),
        ("lashlang.runner", "lash"),
        ("lashlang.runner", "lash.runtime.session"),
        ("lashlang.vm.engine", "lashlang.kernel.build"),
        ("lash.testing", "lashlang.kernel.generate.render_all"),
        ("lashlang.repl.session", "prompt_toolkit"),
        ("lashlang.cli", "prompt_toolkit.history.History"),
        ("lash.runtime.session", "lash.host.stores"),
        ("lash.runtime.session", "lash.modes"),
        ("lash.runtime.session", "lash.LashCore"),
        ("lash.runtime.session", "lashlang.vm.engine"),
        ("lash.runtime.session", "lashlang.Machine"),
        ("lash.runtime.sansio.turn", "asyncio"),
        ("lash.runtime.sansio.turn", "time.monotonic"),
        ("lash.runtime.sansio.turn", "sqlite3"),
        ("lash.host.tools", "lash.modes.rlm.prompt"),
        ("lash.host.tools", "lash.LashSession"),
        ("lash.modes.rlm", "lash.host.providers.openai"),
        ("lash.modes.rlm", "lash.testing"),
    ],
)
def test_an_import_against_the_arrows_is_refused(importer: str, imported: str) -> None:
    assert complaint(importer, imported) is not None


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("lash", "lashlang._version.__version__"),
        ("lash.core", "lash.host.stores"),
        ("lash.core", "lash.modes.rlm"),
        ("lashlang.runner", "lashlang.vm.machine"),
        ("lashlang.runner", "asyncio"),
        ("lashlang.kernel.build", "lashlang.kernel.generate"),
        ("lashlang.repl.terminal", "prompt_toolkit.PromptSession"),
        ("tests.test_packaging", "lashlang.kernel.build"),
        ("lash.runtime.session", "lashlang.projection.Projected"),
        ("lash.runtime.session", "asyncio"),
        ("lash.runtime.sansio.turn", "dataclasses"),
        ("lash.host.tools", "lash.runtime.seams"),
        ("lash.host.tools", "lashlang.Machine"),
        ("lash.modes.rlm", "lash.runtime.sansio"),
        ("lash.modes.rlm", "hosted"),
    ],
)
def test_an_import_along_the_arrows_is_allowed(importer: str, imported: str) -> None:
    assert complaint(importer, imported) is None


@pytest.mark.parametrize(
    ("module", "is_package", "source", "expected"),
    [
        ("lash.host.tools", False, "import host.x, json", ["host.x", "json"]),
        ("lash.host.tools", False, "from lash.modes import rlm", ["lash.modes.rlm"]),
        ("lash.host.tools", False, "from . import plugins", ["lash.host.plugins"]),
        ("lash.host", True, "from . import plugins", ["lash.host.plugins"]),
        ("lash.host.tools", False, "from ..modes.rlm import Mode", ["lash.modes.rlm.Mode"]),
        ("lash.host.tools", False, "def f():\n    import asyncio", ["asyncio"]),
    ],
)
def test_imports_are_found_wherever_they_stand(module: str, is_package: bool, source: str, expected: list[str]) -> None:
    assert list(imported_names(module, is_package, source)) == expected


def test_linked_folders_are_scanned_under_the_names_they_are_imported_by() -> None:
    found = {name for name, _ in modules("lash")}
    assert {"lash", "lash.runtime", "lash.host", "lash.modes"} <= found


@pytest.mark.parametrize("folder", CODE)
def test_every_import_follows_the_arrows(folder: str) -> None:
    against = [
        f"{path.relative_to(ROOT)}: {imported}: {reason}"
        for module, path in modules(folder)
        for imported in imported_names(module, path.name == "__init__.py", path.read_text(encoding="utf-8"))
        if (reason := complaint(module, imported)) is not None
    ]
    assert against == []
