"""How `parallel` becomes instructions (chapter 13).

The branches are compiled after the code around them, each as the code of a fiber of its own; the
`PARALLEL` instruction names an entry of a table with their addresses and keys.
"""

from __future__ import annotations

from lashlang.compiler.dispatch import EXPRESSION, STATEMENT
from lashlang.compiler.emit import TEMP, Emitter, ParallelEntry, WaitingBranch
from lashlang.compiler.opcodes import NUMBER
from lashlang.syntax import tree

_BRANCH_END = NUMBER["BRANCH_END"]
_PARALLEL = NUMBER["PARALLEL"]


def _conflict(node: tree.Parallel) -> str | None:
    """The name that two branches assign by being assignments to it, or to something below it."""
    roots: set[str] = set()
    for branch in node.branches:
        statement = branch.statement
        if isinstance(statement, tree.Assign):
            if statement.name in roots:
                return statement.name
            roots.add(statement.name)
    return None


def _parallel(emitter: Emitter, node: tree.Parallel, want: int) -> int:
    base = emitter.top
    keyword = (node.start, node.start + len("parallel"))
    conflict = _conflict(node)
    if conflict is not None:
        emitter.fault("parallel_conflict", conflict, keyword)
        return emitter.settle(want, base, heap=True)
    branches = node.branches
    excluded = sorted(set(emitter.loop_slots)) if emitter.in_branch else []
    entry = ParallelEntry([branch.key for branch in branches], [0] * len(branches), excluded, node.named)
    number = len(emitter.parallels)
    emitter.parallels.append(entry)
    pc = emitter.op(_PARALLEL, want if want >= 0 else TEMP + base, number & 0xFFFF, number >> 16)
    emitter.site(pc, 0, *keyword)
    bound = emitter.facts_for_branch()
    span = emitter.marked()
    for index, branch in enumerate(branches):
        emitter.waiting.append(WaitingBranch(entry, index, branch, span, bound))
        statement = branch.statement
        if isinstance(statement, tree.Assign) and statement.name not in emitter.readonly:
            emitter.learn(emitter.survey.slots[statement.name])
    return emitter.settle(want, base, heap=True)


def branches(emitter: Emitter) -> None:
    """Compile the branches met so far, and those inside them."""
    waiting = emitter.waiting
    done = 0
    while done < len(waiting):
        branch = waiting[done]
        done += 1
        emitter.in_branch = True
        emitter.top = 0
        emitter.bound = set(branch.bound)
        emitter.learnt = []
        branch.entry.entries[branch.index] = emitter.pc()
        statement = branch.branch.statement
        emitter.mark(*branch.span)
        emitter.charge(1)
        emitter.mark(statement.start, statement.end)
        register = STATEMENT[type(statement)](emitter, statement, True)
        emitter.op(_BRANCH_END, register)


EXPRESSION[tree.Parallel] = _parallel
