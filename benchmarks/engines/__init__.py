"""The engines that are measured, and the table of them."""

from __future__ import annotations

from benchmarks.engines.base import Engine, Form, NotOffered, check, ext, ext_async
from benchmarks.engines.cpython import CPython
from benchmarks.engines.lash import Lash
from benchmarks.engines.lua import Lua
from benchmarks.engines.monty import Monty
from benchmarks.engines.quickjs import QuickJS
from benchmarks.engines.starlark import Starlark

__all__ = ["ENGINES", "Engine", "Form", "NotOffered", "check", "ext", "ext_async"]

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Lash, CPython, Monty, Starlark, QuickJS, Lua)}
"""All engines by name, in the order of the table's columns."""
