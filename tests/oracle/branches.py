"""The branches of `parallel`: running one, conflicts between them, and the merge (chapter 13)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lashlang.syntax import tree

from .effects import Eval
from .failure import Failure
from .host import Request, Response
from .scope import Scope
from .values import Value


@dataclass
class BranchRun:
    """A branch of `parallel` under way: what it waits for, and in the end its value or its failure."""

    scope: Scope
    run: Eval
    wave: list[Request] = field(default_factory=list[Request])
    value: Value = None
    failure: Failure | None = None

    def resume(self, answers: list[Response] | None) -> None:
        """Let the branch run until it waits again or ends. What stops the whole block is raised."""
        self.wave = []
        try:
            self.wave = next(self.run) if answers is None else self.run.send(answers)
        except StopIteration as end:
            self.value = end.value
        except Failure as failure:
            if failure.stops_block:
                raise
            self.failure = failure


def check_roots(node: tree.Parallel) -> None:
    """The conflict that shows before any branch starts: two branches are assignments with one root."""
    seen: set[str] = set()
    for branch in node.branches:
        if isinstance(branch.statement, tree.Assign):
            check_conflict(branch.statement.name, seen)


def check_conflict(name: str, seen: set[str]) -> None:
    """Note a name that a branch assigns; a second branch doing so is a conflict."""
    if name in seen:
        raise Failure("parallel_conflict", f"branches of `parallel` both assign `{name}`")
    seen.add(name)


def check_conflicts(branches: list[BranchRun]) -> None:
    """Refuse branches that assign the same name."""
    seen: set[str] = set()
    for branch in branches:
        for name in branch.scope.assigned:
            check_conflict(name, seen)


def merge(scope: Scope, branches: list[BranchRun]) -> None:
    """Write what the branches assigned to the scope around them."""
    for branch in branches:
        for name in branch.scope.assigned:
            scope.assign(name, branch.scope.names[name])
