"""The checks on a parsed block (2.3, items 3 to 5) and, in the same walk, what the emitter must know of it.

The walk uses a stack of its own, so that no tree is too deep for it, and visits nodes in source order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lashlang.compiler.builtins import BUILTINS, BY_NAME
from lashlang.syntax import hints, tree
from lashlang.syntax.diagnostics import CompileError, Diagnostic
from lashlang.syntax.source import Source

IN_LOOP = 1
IN_BRANCH = 2


@dataclass(slots=True)
class Survey:
    """What one walk over a block found.

    `slots` numbers every variable in order of first appearance. `bound` holds the names that the block
    assigns or binds in loops, `tools` those of the tools it calls.
    """

    slots: dict[str, int] = field(default_factory=dict[str, int])
    bound: set[str] = field(default_factory=set[str])
    tools: set[str] = field(default_factory=set[str])
    parallels: bool = False
    assigned_at: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def rebinds(self, name: str, start: int, end: int) -> bool:
        """Whether evaluating the expression that spans [start, end) can rebind a variable.

        Only a `parallel` can do that, since statements stand in expressions nowhere else; so it is
        enough to know where the name is assigned.
        """
        if not self.parallels:
            return False
        places = self.assigned_at.get(name)
        if places is None:
            return False
        at = bisect_left(places, start)
        return at < len(places) and places[at] < end


@dataclass(slots=True)
class _Walk:
    """State of the walk: what is still to be visited and the first offence against each check."""

    survey: Survey
    stack: list[tuple[Any, int]]
    loop_control: tree.Break | tree.Continue | None = None
    submit: tree.Submit | None = None
    call: tree.BuiltinCall | None = None

    def later(self, nodes: list[Any] | tuple[Any, ...], context: int) -> None:
        """Visit these nodes next, in this order."""
        self.stack.extend([(node, context) for node in reversed(nodes)])

    def name(self, name: str) -> None:
        """Give a variable its slot at its first appearance."""
        slots = self.survey.slots
        if name not in slots:
            slots[name] = len(slots)


def survey(program: tree.Program, source: Source) -> Survey:
    """Check a parsed block and survey it.

    Raises `CompileError` (`loop_control`, `submit_in_parallel`, `unknown_builtin`, `arity_error`); of
    several offences the one whose check comes first, and within a check the first in the source.
    """
    walk = _Walk(Survey(), [])
    walk.later(program.statements, 0)
    stack = walk.stack
    while stack:
        node, context = stack.pop()
        _VISITS[type(node)](walk, node, context)
    _report(walk, source)
    return walk.survey


def _report(walk: _Walk, source: Source) -> None:
    if walk.loop_control is not None:
        node = walk.loop_control
        word = "break" if isinstance(node, tree.Break) else "continue"
        message = f"`{word}` is only allowed inside a loop"
        raise refusal(source, "loop_control", message, node.start, node.end)
    if walk.submit is not None:
        start = walk.submit.start
        message = "`submit` is not allowed inside `parallel`"
        raise refusal(source, "submit_in_parallel", message, start, start + len("submit"))
    if walk.call is not None:
        call = walk.call
        number = BY_NAME.get(call.name)
        if number is None:
            message = f"there is no builtin `{call.name}`"
            hint = hints.unknown_builtin(call.name, call.args)
            raise refusal(source, "unknown_builtin", message, call.start, call.name_end, hint)
        takes = BUILTINS[number].arity_text()
        noun = "argument" if takes in ("1", "at least 1") else "arguments"
        message = f"`{call.name}` takes {takes} {noun}, got {len(call.args)}"
        raise refusal(source, "arity_error", message, call.start, call.name_end)


def refusal(source: Source, kind: str, message: str, start: int, end: int, hint: str | None = None) -> CompileError:
    """The error for a block refused because of what stands at [start, end)."""
    line, column = source.position(start)
    end_line, end_column = source.position(end)
    return CompileError(Diagnostic(kind, message, line, column, end_line, end_column, None, hint))


# --- visits ---------------------------------------------------------------------------------------


def _nothing(walk: _Walk, node: tree.Node, context: int) -> None:
    """A node without parts."""


def _name(walk: _Walk, node: tree.Name | tree.TypeRef, context: int) -> None:
    walk.name(node.name)


def _part(attribute: str) -> Callable[[_Walk, Any, int], None]:
    """The visit of a node with one part."""

    def visit(walk: _Walk, node: tree.Node, context: int) -> None:
        walk.stack.append((getattr(node, attribute), context))

    return visit


def _parts(attribute: str) -> Callable[[_Walk, Any, int], None]:
    """The visit of a node with a tuple of parts."""

    def visit(walk: _Walk, node: tree.Node, context: int) -> None:
        walk.later(getattr(node, attribute), context)

    return visit


def _record(walk: _Walk, node: tree.RecordLiteral, context: int) -> None:
    walk.later([value for _, value in node.entries], context)


def _comprehension(walk: _Walk, node: tree.Comprehension, context: int) -> None:
    walk.later((node.element, *node.clauses), context)


def _comprehension_for(walk: _Walk, node: tree.CompFor, context: int) -> None:
    for name in node.names:
        walk.name(name)
        walk.survey.bound.add(name)
    walk.stack.append((node.iterable, context))


def _postfix(walk: _Walk, node: tree.Postfix, context: int) -> None:
    walk.later([step.index for step in node.steps if isinstance(step, tree.IndexStep)], context)
    walk.stack.append((node.base, context))


def _binary(walk: _Walk, node: tree.Binary, context: int) -> None:
    walk.later([operand for _, operand in node.rest], context)
    walk.stack.append((node.first, context))


def _compare(walk: _Walk, node: tree.Compare, context: int) -> None:
    walk.later((node.left, node.right), context)


def _ternary(walk: _Walk, node: tree.Ternary, context: int) -> None:
    walk.later((node.condition, node.then, node.otherwise), context)


def _call(walk: _Walk, node: tree.BuiltinCall, context: int) -> None:
    if walk.call is None:
        number = BY_NAME.get(node.name)
        if number is None or not BUILTINS[number].accepts(len(node.args)):
            walk.call = node
    walk.later(node.args, context)


def _tool(walk: _Walk, node: tree.ToolCall, context: int) -> None:
    walk.survey.tools.add(node.tool)
    walk.stack.append((node.args, context))


def _parallel(walk: _Walk, node: tree.Parallel, context: int) -> None:
    walk.survey.parallels = True
    walk.later([branch.statement for branch in node.branches], IN_BRANCH)


def _type_record(walk: _Walk, node: tree.TypeRecord, context: int) -> None:
    walk.later([part.type for part in node.fields], context)


def _if(walk: _Walk, node: tree.If, context: int) -> None:
    parts: list[tree.Node] = []
    for arm in node.arms:
        parts += (arm.condition, arm.body)
    if node.otherwise is not None:
        parts.append(node.otherwise)
    walk.later(parts, context)


def _for(walk: _Walk, node: tree.For, context: int) -> None:
    for name in node.names:
        walk.name(name)
        walk.survey.bound.add(name)
    walk.stack.append((node.body, context | IN_LOOP))
    walk.stack.append((node.iterable, context))


def _while(walk: _Walk, node: tree.While, context: int) -> None:
    walk.stack.append((node.body, context | IN_LOOP))
    walk.stack.append((node.condition, context))


def _loop_control(walk: _Walk, node: tree.Break | tree.Continue, context: int) -> None:
    if not context & IN_LOOP and walk.loop_control is None:
        walk.loop_control = node


def _submit(walk: _Walk, node: tree.Submit, context: int) -> None:
    if context & IN_BRANCH and walk.submit is None:
        walk.submit = node
    if node.value is not None:
        walk.stack.append((node.value, context))


def _assign(walk: _Walk, node: tree.Assign, context: int) -> None:
    walk.name(node.name)
    walk.survey.bound.add(node.name)
    walk.survey.assigned_at.setdefault(node.name, []).append(node.start)
    walk.stack.append((node.value, context))
    walk.later([step.index for step in node.steps if isinstance(step, tree.IndexStep)], context)


_VISITS: dict[type, Callable[[_Walk, Any, int], None]] = {
    tree.Literal: _nothing,
    tree.Name: _name,
    tree.Paren: _part("inner"),
    tree.ListLiteral: _parts("items"),
    tree.RecordLiteral: _record,
    tree.Comprehension: _comprehension,
    tree.CompFor: _comprehension_for,
    tree.CompIf: _part("condition"),
    tree.Postfix: _postfix,
    tree.Unary: _part("operand"),
    tree.Await: _part("operand"),
    tree.Binary: _binary,
    tree.Compare: _compare,
    tree.Logic: _parts("operands"),
    tree.Ternary: _ternary,
    tree.BuiltinCall: _call,
    tree.ToolCall: _tool,
    tree.Parallel: _parallel,
    tree.TypeLiteral: _part("type"),
    tree.TypePrimitive: _nothing,
    tree.TypeRef: _name,
    tree.TypeEnum: _nothing,
    tree.TypeList: _part("item"),
    tree.TypeRecord: _type_record,
    tree.TypeUnion: _parts("variants"),
    tree.Block: _parts("statements"),
    tree.If: _if,
    tree.For: _for,
    tree.While: _while,
    tree.Break: _loop_control,
    tree.Continue: _loop_control,
    tree.Submit: _submit,
    tree.Print: _part("value"),
    tree.Cancel: _part("value"),
    tree.Assign: _assign,
    tree.ExprStatement: _part("expr"),
}
