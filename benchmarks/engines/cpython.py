"""CPython itself: the baseline that everything is written against, without any isolation."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.engines.base import Engine, Form, ext, ext_async
from benchmarks.programs import PYTHON


class CPython(Engine):
    """exec and eval in a fresh namespace."""

    name = "cpython"
    programs = PYTHON
    instances = 100_000  # a namespace is too small to be seen among a thousand
    note = (
        "bytecode interpreter; no isolation, no limits; "
        "dump and load are pickle of the variables, fork is copy.deepcopy"
    )

    def new(self) -> dict[str, Any]:
        """An empty namespace."""
        return {}

    def run(self, session: dict[str, Any], program: str, inputs: Mapping[str, Any]) -> Any:
        """Run all but the last statement, evaluate the last."""
        session.update(inputs)
        tree = ast.parse(program)
        last = tree.body.pop()
        if not isinstance(last, ast.Expr):
            raise TypeError("the last statement of a job is an expression")
        exec(compile(tree, "<job>", "exec"), session)
        return eval(compile(ast.Expression(last.value), "<job>", "eval"), session)

    def host(self, session: dict[str, Any]) -> Any:
        """A plain function call."""
        return self.run(session, PYTHON["host"], {"ext": ext})

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """The same program as the body of a coroutine function."""
        session: dict[str, Any] = {"ext": ext_async}
        begin = time.perf_counter()
        *body, last = self.program(job).split("\n")
        source = "\n    ".join(["async def main():", *body, f"return {last}"])
        exec(compile(source, "<job>", "exec"), session)
        value = await session["main"]()
        return time.perf_counter() - begin, value

    def set(self, session: dict[str, Any], name: str, value: Any) -> None:
        """An entry of the namespace."""
        session[name] = value

    def get(self, session: dict[str, Any], name: str) -> Any:
        """An entry of the namespace."""
        return session[name]

    def forms(self) -> dict[str, Form]:
        """Pickle, and JSON for comparison: neither knows of a running program."""
        return {
            "portable": Form(pickle.dumps, pickle.loads),
            "json": Form(lambda session: json.dumps(session).encode(), json.loads),
        }

    def fork(self, session: dict[str, Any]) -> dict[str, Any]:
        """A deep copy of the variables."""
        return copy.deepcopy(session)
