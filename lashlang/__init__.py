"""Lashlang: the small language in which a model acts, and the machine that runs it.

    >>> import lashlang
    >>> machine = lashlang.Machine()
    >>> machine.run("submit call add { a: 1, b: 2 }", tools={"add": lambda a, b: a + b}).value
    {'ok': True, 'value': 3}

Everything public is here. Names are imported from their modules when first used, so that importing
the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lashlang.compiler import (
        BYTECODE_VERSION,
        LANGUAGE_VERSION,
        Program,
        clear_cache,
        compile,  # noqa: A004 - the name users expect, as in `re.compile`
        disassemble,
    )
    from lashlang.errors import (
        HostValueError,
        KernelFault,
        LanguageError,
        MachineBusy,
        MachineClosed,
        MachineError,
        MachineMisuse,
        SnapshotError,
    )
    from lashlang.projection import Answers, JsonSource, Projected, Projection, ProjectionUnavailable, Unsupported
    from lashlang.syntax.diagnostics import CompileError, Diagnostic, LashlangError
    from lashlang.textsource import TextSource
    from lashlang.toolhost import FunctionHost, ToolFailure, ToolHost
    from lashlang.values import Image, Value
    from lashlang.vm.limits import Limits
    from lashlang.vm.machine import Globals, Machine
    from lashlang.vm.outcome import Outcome
    from lashlang.vm.steps import (
        AwaitHandle,
        Call,
        CancelHandle,
        Done,
        Print,
        Read,
        ReadResponse,
        Reads,
        Request,
        Requests,
        Response,
        Start,
        Step,
    )

_HOME = {
    "lashlang.compiler": "BYTECODE_VERSION LANGUAGE_VERSION Program clear_cache compile disassemble",
    "lashlang.errors": "HostValueError KernelFault LanguageError MachineBusy MachineClosed MachineError MachineMisuse "
    "SnapshotError",
    "lashlang.projection": "Answers JsonSource Projected Projection ProjectionUnavailable Unsupported",
    "lashlang.syntax.diagnostics": "CompileError Diagnostic LashlangError",
    "lashlang.textsource": "TextSource",
    "lashlang.toolhost": "FunctionHost ToolFailure ToolHost",
    "lashlang.values": "Image Value",
    "lashlang.vm.limits": "Limits",
    "lashlang.vm.machine": "Globals Machine",
    "lashlang.vm.outcome": "Outcome",
    "lashlang.vm.steps": (
        "AwaitHandle Call CancelHandle Done Print Read ReadResponse Reads Request Requests Response Start Step"
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "BYTECODE_VERSION",
    "LANGUAGE_VERSION",
    "Answers",
    "AwaitHandle",
    "Call",
    "CancelHandle",
    "CompileError",
    "Diagnostic",
    "Done",
    "FunctionHost",
    "Globals",
    "HostValueError",
    "Image",
    "JsonSource",
    "KernelFault",
    "LanguageError",
    "LashlangError",
    "Limits",
    "Machine",
    "MachineBusy",
    "MachineClosed",
    "MachineError",
    "MachineMisuse",
    "Outcome",
    "Print",
    "Program",
    "Projected",
    "Projection",
    "ProjectionUnavailable",
    "Read",
    "ReadResponse",
    "Reads",
    "Request",
    "Requests",
    "Response",
    "SnapshotError",
    "Start",
    "Step",
    "TextSource",
    "ToolFailure",
    "ToolHost",
    "Unsupported",
    "Value",
    "clear_cache",
    "compile",
    "disassemble",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
