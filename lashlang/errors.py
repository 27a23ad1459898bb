"""The errors this package raises on purpose, apart from `CompileError`.

A failing *program* raises none of them: its error is data, `Outcome.error`. These are for the host:
a value that cannot cross, a machine used wrongly, or a defect of the kernel itself.
"""

from __future__ import annotations

from lashlang.syntax.diagnostics import Diagnostic, LashlangError


class LanguageError(LashlangError):
    """A program's error as an exception, for hosts that prefer one.

    Raised by `Outcome.unwrap()`, and where a global is too large to be read or set. `diagnostic` is the
    error where it has a place in a source, else None.
    """

    def __init__(self, message: str, diagnostic: Diagnostic | None = None) -> None:
        super().__init__(message)
        self.diagnostic = diagnostic


class HostValueError(LashlangError, TypeError):
    """A Python value that is no Lashlang value was handed to a machine.

    `path` names the place inside the value (`$.a[3]`), `reason` what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class SnapshotError(LashlangError):
    """A snapshot that is refused, before anything of it was used: the text says what is wrong with it."""


class MachineError(LashlangError):
    """Base of the errors about how a machine is used."""


class MachineBusy(MachineError):
    """The machine is in use by another thread, or a block is running and the operation needs it idle."""


class MachineMisuse(MachineError):
    """A step the machine's state does not allow (unknown request id, `resume` while idle); nothing has changed."""


class MachineClosed(MachineError):
    """The machine was closed."""


class KernelFault(MachineError):
    """The kernel trapped or broke its contract: a defect of lash, not of the program. The machine is dead then."""
