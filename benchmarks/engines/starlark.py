"""starlark-pyo3: Meta's Starlark interpreter, in process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.engines.base import Engine, ext
from benchmarks.programs import STARLARK


class Starlark(Engine):
    """One module each, in the extended dialect (statements at top level) with the library's JSON."""

    name = "starlark"
    package = "starlark-pyo3"
    programs = STARLARK
    note = (
        "starlark-rust, an interpreter, no JIT; no limits on "
        "(it offers a cancellation check and a stack limit, none of memory)"
    )
    missing: ClassVar[Mapping[str, str]] = {
        "host_async": "`async` and `await` are reserved words without a use, and a coroutine is no value",
        "wave": "`async` and `await` are reserved words without a use, and a coroutine is no value",
        "state": "a module cannot be written",
    }

    def start(self) -> None:
        """Import the package; dialect and builtins are shared by all modules."""
        self.module: Any = importlib.import_module("starlark")
        self.dialect: Any = self.module.Dialect.extended()
        self.builtins: Any = self.module.Globals.extended_by([self.module.LibraryExtension.Json])

    def new(self) -> Any:
        """An empty module."""
        return self.module.Module()

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        """Parse and evaluate in the module."""
        for name, value in inputs.items():
            session[name] = value
        return self.module.eval(session, self.module.parse("job", program, dialect=self.dialect), self.builtins)

    def host(self, session: Any) -> Any:
        """A callable of the module."""
        session.add_callable("ext", ext)
        return self.run(session, STARLARK["host"], {})
