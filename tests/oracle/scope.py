"""The names a fiber sees: the state or a branch's copy of it, and projected names (chapters 9, 13, 14)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from .failure import Failure
from .values import Value


class Scope:
    """Names and values. The outermost scope writes to the session's state itself, a branch to a copy."""

    def __init__(self, names: dict[str, Value], projected: Mapping[str, Value]) -> None:
        self.names = names
        self.projected = projected
        self.assigned: dict[str, None] = {}
        self._loop_names: list[str] = []

    def fork(self) -> Scope:
        """What a branch of `parallel` starts with."""
        return Scope(dict(self.names), self.projected)

    def is_bound(self, name: str) -> bool:
        """Whether reading a name would give a value."""
        return name in self.projected or name in self.names

    def read(self, name: str) -> Value:
        """The value of a name; projected names hide those of the state."""
        if not self.is_bound(name):
            raise Failure("unknown_name", f"name `{name}` is not defined")
        return self.projected[name] if name in self.projected else self.names[name]

    def check_writable(self, name: str) -> None:
        """Refuse to write a projected name."""
        if name in self.projected:
            raise Failure("read_only", f"`{name}` is a read-only host binding")

    def bind(self, name: str, value: Value) -> None:
        """Bind a loop variable."""
        self.check_writable(name)
        self.names[name] = value

    def assign(self, name: str, value: Value) -> None:
        """Assign a name, which a branch remembers for the merge unless a loop of its own binds the name."""
        self.bind(name, value)
        if name not in self._loop_names:
            self.assigned[name] = None

    @contextmanager
    def loop(self, names: tuple[str, ...]) -> Generator[None]:
        """A running loop: its variables get back their values, or are unbound again, however it ends."""
        saved = {name: self.names[name] for name in names if name in self.names}
        self._loop_names.extend(names)
        try:
            yield
        finally:
            del self._loop_names[-len(names) :]
            for name in names:
                if name in saved:
                    self.names[name] = saved[name]
                elif name not in self.projected:
                    self.names.pop(name, None)
