"""The evaluator: walks the tree of a block (chapters 6 to 14).

Everything that may make a request is a generator. It yields a wave, the list of requests it waits for,
and is resumed with their responses in the same order; `parallel` runs one generator per branch and
joins their waves into one. Errors are `Failure`s, and control leaves a block of statements by the
three signals below.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from lashlang.syntax import tree

from .access import FieldKey, IndexKey, PathKey, get, put, unwrap
from .branches import BranchRun, check_conflicts, check_roots, merge
from .builtins import PASS_THROUGH, QUESTIONS, build
from .effects import Eval, await_value, call_tool, cancel, show, start_tool
from .failure import Failure, operation, statement, type_error
from .host import Request, Response
from .limits import Meter
from .operators import binary, contains, equal, negative, ordered
from .projections import Reader
from .scope import Scope
from .types import TYPE_KEY, build_schema, is_type_value, schema_of
from .values import (
    LazyValue,
    ListValue,
    RecordValue,
    Value,
    is_wrapper,
    size,
    truthy,
    type_name,
)

FOR = len("for")
PARALLEL = len("parallel")


class BreakLoop(Exception):
    """`break`."""


class NextIteration(Exception):
    """`continue`."""


class Submitted(Exception):
    """`submit`, with the value."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Fiber(Reader):
    """One thread of a block: the block itself, or a branch of `parallel`."""

    def __init__(self, meter: Meter, scope: Scope) -> None:
        super().__init__(meter)
        self.scope = scope

    # --- expressions -----------------------------------------------------------------------------

    def eval(self, node: tree.Expr) -> Eval:
        """The value of an expression."""
        match node:
            case tree.Literal():
                return node.value
            case tree.Name():
                with operation(node.start, node.end):
                    return self.scope.read(node.name)
            case tree.Paren():
                return (yield from self.eval(node.inner))
            case tree.ListLiteral():
                items = yield from self.eval_all(node.items)
                return self.meter.check_built(ListValue(items))
            case tree.RecordLiteral():
                return (yield from self.eval_record(node))
            case tree.Comprehension():
                made = ListValue()
                yield from self.comprehend(node, 0, made)
                return made
            case tree.Postfix():
                return (yield from self.eval_postfix(node))
            case tree.Unary():
                operand = yield from self.eval(node.operand)
                if node.op == "not":
                    return not truthy(operand)
                with operation(node.start, node.end):
                    return negative(self.meter, self.read(operand))
            case tree.Await():
                operand = self.read((yield from self.eval(node.operand)))
                with operation(node.start, node.end):
                    return (yield from await_value(self.meter, operand))
            case tree.Binary():
                return (yield from self.eval_binary(node))
            case tree.Compare():
                return (yield from self.eval_compare(node))
            case tree.Logic():
                return (yield from self.eval_logic(node))
            case tree.Ternary():
                condition = yield from self.eval(node.condition)
                return (yield from self.eval(node.then if truthy(condition) else node.otherwise))
            case tree.BuiltinCall():
                args = yield from self.eval_all(node.args)
                with operation(node.start, node.end):
                    self.meter.charge(1)
                    return self.call_builtin(node.name, args)
            case tree.ToolCall():
                args = yield from self.eval_record(node.args)
                with operation(node.start, node.end):
                    effect = start_tool if node.background else call_tool
                    return (yield from effect(self.meter, node.tool, args))
            case tree.Parallel():
                return (yield from self.eval_parallel(node))
            case tree.TypeLiteral():
                schema = build_schema(self.meter, node.type, self.referred_schema)
                return self.meter.check_built(RecordValue([(TYPE_KEY, schema)]))

    def eval_all(self, nodes: Sequence[tree.Expr]) -> Generator[list[Request], list[Response], list[Value]]:
        """The values of several expressions, left to right."""
        values: list[Value] = []
        for node in nodes:
            values.append((yield from self.eval(node)))
        return values

    def eval_record(self, node: tree.RecordLiteral) -> Generator[list[Request], list[Response], RecordValue]:
        """A record literal; a repeated key keeps its first position and last value."""
        values = yield from self.eval_all([value for _, value in node.entries])
        keys = [key for key, _ in node.entries]
        return self.meter.check_built(RecordValue(zip(keys, values, strict=True)))

    def eval_postfix(self, node: tree.Postfix) -> Eval:
        """A chain of field reads, index reads and unwraps."""
        v = yield from self.eval(node.base)
        for step in node.steps:
            match step:
                case tree.FieldStep():
                    with operation(node.start, step.end):
                        v = get(v, FieldKey(step.key))
                case tree.IndexStep():
                    index = yield from self.eval(step.index)
                    with operation(node.start, step.end):
                        v = get(v, IndexKey(self.read(index)))
                case tree.UnwrapStep():
                    with operation(node.start, step.end):
                        v = unwrap(self.meter, self.read(v))
        return v

    def eval_binary(self, node: tree.Binary) -> Eval:
        """A run of arithmetic operators of one level, from the left."""
        left = yield from self.eval(node.first)
        for op, operand in node.rest:
            right = yield from self.eval(operand)
            with operation(node.start, operand.end):
                left = binary(self.meter, op, self.read(left), self.read(right))
        return left

    def eval_compare(self, node: tree.Compare) -> Eval:
        """One comparison, or a test with `in`."""
        left = yield from self.eval(node.left)
        right = yield from self.eval(node.right)
        with operation(node.start, node.end):
            match node.op:
                case "in" | "not in":
                    self.meter.charge(1)
                    return self.is_in(left, right) == (node.op == "in")
                case "==" | "!=":
                    return equal(self.meter, self.read(left), self.read(right)) == (node.op == "==")
                case _:
                    return ordered(self.meter, node.op, self.read(left), self.read(right))

    def is_in(self, x: Value, h: Value) -> bool:
        """`x in h`."""
        if isinstance(h, LazyValue):
            return contains("in", h.value, self.read(x))[0]
        found, work = contains("in", self.read(h), self.read(x))
        self.meter.bulk(work)
        return found

    def eval_logic(self, node: tree.Logic) -> Eval:
        """`and`, `or` or `??`: the operand that decides, the rest not evaluated."""
        *others, last = node.operands
        for operand in others:
            v = yield from self.eval(operand)
            match node.op:
                case "and":
                    decides = not truthy(v)
                case "or":
                    decides = truthy(v)
                case "??":
                    decides = type_name(v) != "null"
            if decides:
                return v
        return (yield from self.eval(last))

    def call_builtin(self, name: str, args: list[Value]) -> Value:
        """A builtin on evaluated arguments; the 1 of the call is charged."""
        first, rest = args[0], args[1:]
        if isinstance(first, LazyValue) and name in QUESTIONS:
            answer, _ = build(self.meter, name, [first.value, *map(self.read, rest)])
            self.meter.bulk(size(answer))
            return answer
        args = [self.read_top(first), *rest] if name in PASS_THROUGH else [self.read(v) for v in args]
        result, work = build(self.meter, name, args)
        self.meter.bulk(work)
        return result

    def referred_schema(self, node: tree.TypeRef) -> Value:
        """The schema of a variable named in a type."""
        with operation(node.start, node.end):
            v = self.read(self.scope.read(node.name))
            if not is_type_value(v):
                raise type_error(f"`{node.name}` is not a Type value but {type_name(v)}")
            return schema_of(v)

    # --- loops (chapter 9) -----------------------------------------------------------------------

    def iterations(self, names: tuple[str, ...], iterable: Value) -> list[Value]:
        """What a loop runs over, fixed at entry; with two names each entry of a record is a list of two."""
        v = self.read_top(iterable)
        if isinstance(v, ListValue):
            return v
        if len(names) == 2 and isinstance(v, RecordValue) and not is_wrapper(v):
            return [ListValue(entry) for entry in v.items()]
        raise Failure("not_iterable", f"cannot loop over a {type_name(v)}; a list is needed")

    def bind_iteration(self, names: tuple[str, ...], element: Value) -> None:
        """Bind the loop variables for one iteration, whose charge has been made."""
        element = self.read_top(element)
        if len(names) == 1:
            return self.scope.bind(names[0], element)
        if not isinstance(element, ListValue) or len(element) != 2:
            met = f"list of {len(element)}" if isinstance(element, ListValue) else type_name(element)
            raise type_error(f"a loop over two names needs lists of two, got {met}")
        for name, part in zip(names, element, strict=True):
            self.scope.bind(name, self.read_top(part))
        return None

    def comprehend(
        self, node: tree.Comprehension, at: int, made: ListValue
    ) -> Generator[list[Request], list[Response]]:
        """Run the clauses of a comprehension from number `at` on, then append its element."""
        if at == len(node.clauses):
            element = yield from self.eval(node.element)
            made.append(element)
            self.meter.check_entries(len(made))
            self.meter.check_element(element)
            return
        clause = node.clauses[at]
        if isinstance(clause, tree.CompIf):
            condition = yield from self.eval(clause.condition)
            if truthy(condition):
                yield from self.comprehend(node, at + 1, made)
            return
        iterable = yield from self.eval(clause.iterable)
        with operation(clause.start, clause.start + FOR):
            entries = self.iterations(clause.names, iterable)
        with self.scope.loop(clause.names):
            for element in entries:
                self.meter.charge(1)
                with operation(clause.start, clause.start + FOR):
                    self.bind_iteration(clause.names, element)
                yield from self.comprehend(node, at + 1, made)

    def run_for(self, node: tree.For) -> Eval:
        """`for … in … { … }`."""
        iterable = yield from self.eval(node.iterable)
        with operation(node.start, node.start + FOR):
            entries = self.iterations(node.names, iterable)
        with self.scope.loop(node.names):
            for element in entries:
                self.meter.charge(1)
                with operation(node.start, node.start + FOR):
                    self.bind_iteration(node.names, element)
                try:
                    yield from self.run_block(node.body)
                except NextIteration:
                    continue
                except BreakLoop:
                    break
        return None

    def run_while(self, node: tree.While) -> Eval:
        """`while … { … }`."""
        while truthy((yield from self.eval(node.condition))):
            self.meter.charge(1)
            try:
                yield from self.run_block(node.body)
            except NextIteration:
                continue
            except BreakLoop:
                break
        return None

    # --- statements ------------------------------------------------------------------------------

    def run_statement(self, node: tree.Statement) -> Eval:
        """Run one statement; its value is what `parallel` sees of a branch."""
        self.meter.charge(1)
        with statement(node.start, node.end):
            match node:
                case tree.If():
                    return (yield from self.run_if(node))
                case tree.For():
                    return (yield from self.run_for(node))
                case tree.While():
                    return (yield from self.run_while(node))
                case tree.Break():
                    raise BreakLoop
                case tree.Continue():
                    raise NextIteration
                case tree.Submit():
                    v = self.read((yield from self.eval(node.value))) if node.value else None
                    self.meter.check_leaving(v)
                    raise Submitted(v)
                case tree.Print():
                    v = self.read((yield from self.eval(node.value)))
                    return (yield from show(self.meter, v))
                case tree.Cancel():
                    v = self.read((yield from self.eval(node.value)))
                    return (yield from cancel(self.meter, v))
                case tree.Assign():
                    return (yield from self.run_assign(node))
                case tree.ExprStatement():
                    return (yield from self.eval(node.expr))

    def run_block(self, node: tree.Block) -> Eval:
        """The statements of a block; the value is that of the last."""
        v: Value = None
        for inner in node.statements:
            v = yield from self.run_statement(inner)
        return v

    def run_if(self, node: tree.If) -> Eval:
        """`if`: every `else if` reached is a statement inside the one before it."""
        running = node.arms[0]
        try:
            for arm in node.arms:
                if arm is not running:
                    self.meter.charge(1)
                    running = arm
                condition = yield from self.eval(arm.condition)
                if truthy(condition):
                    return (yield from self.run_block(arm.body))
            return (yield from self.run_block(node.otherwise)) if node.otherwise else None
        except Failure as failure:
            failure.place(running.start, running.end)
            raise

    def run_assign(self, node: tree.Assign) -> Eval:
        """An assignment, plain or compound, to a name or through a path (chapter 8)."""
        path: list[PathKey] = []
        for step in node.steps:
            if isinstance(step, tree.FieldStep):
                path.append(FieldKey(step.key))
            else:
                path.append(IndexKey(self.read((yield from self.eval(step.index)))))
        old: Value = None
        if node.op != "=":
            old = self.scope.read(node.name)
            for key in path:
                old = get(old, key)
        v = self.read_top((yield from self.eval(node.value)))
        if node.op != "=":
            v = binary(self.meter, node.op.removesuffix("="), self.read(old), self.read(v))
        self.scope.check_writable(node.name)
        root = v
        if path:
            root = put(self.meter, self.read_top, self.scope.read(node.name), path, v)
            self.meter.check_depth(root)
        self.scope.assign(node.name, root)
        return v

    # --- parallel (chapter 13) -------------------------------------------------------------------

    def eval_parallel(self, node: tree.Parallel) -> Eval:
        """Run the branches side by side, then merge what they assigned."""
        with operation(node.start, node.start + PARALLEL):
            check_roots(node)
        branches = [self.branch(branch.statement) for branch in node.branches]
        try:
            for branch in branches:
                branch.resume(None)
            while wave := [request for branch in branches for request in branch.wave]:
                answers = iter((yield wave))
                for branch in branches:
                    if branch.wave:
                        branch.resume([next(answers) for _ in branch.wave])
        finally:
            for branch in branches:
                branch.run.close()
        for branch in branches:
            if branch.failure:
                raise branch.failure
        with operation(node.start, node.start + PARALLEL):
            check_conflicts(branches)
        keys = [branch.key or "" for branch in node.branches]
        values = [self.read_top(branch.value) for branch in branches]
        results = RecordValue(zip(keys, values, strict=True)) if node.named else ListValue(values)
        self.meter.check_built(results)
        merge(self.scope, branches)
        return results

    def branch(self, node: tree.Statement) -> BranchRun:
        """A branch that is about to start, over a copy of the names."""
        fiber = Fiber(self.meter, self.scope.fork())
        return BranchRun(fiber.scope, fiber.run_statement(node))
