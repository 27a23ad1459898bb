"""From reductions to the tree, expressions and types: a method for each action of the grammar that makes one.

A method gets the values of the symbols of its alternative. The value of a token is its index, that of a
non-terminal what its own method returned. A run of one operator, a list of items and the like are
gathered in a Python list that grows in place, and become one node when they are complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lashlang.syntax import tree
from lashlang.syntax.checks import Checks
from lashlang.syntax.lexer import number_value, string_value

Run = list[Any]
"""A run of operators being gathered: operand, operator's token, operand, and so on."""

_TYPE_NAMES: Final[dict[str, tree.PrimitiveType]] = {
    "any": "any",
    "str": "str",
    "string": "str",
    "int": "int",
    "integer": "int",
    "float": "float",
    "number": "float",
    "bool": "bool",
    "boolean": "bool",
    "dict": "dict",
    "object": "dict",
    "null": "null",
}
"""The type names of chapter 11 and their short spellings."""


class Expressions(Checks):
    """The part of the builder for expressions and types."""

    # --- sequences -------------------------------------------------------------------------------

    def nothing(self) -> list[Any]:
        """An empty sequence."""
        return []

    def one(self, item: Any) -> list[Any]:
        """A sequence with its first item."""
        return [item]

    def one_more(self, items: list[Any], item: Any) -> list[Any]:
        """The next item of a sequence."""
        items.append(item)
        return items

    def comma_more(self, items: list[Any], _comma: int, item: Any) -> list[Any]:
        """The next item of a sequence, after a comma."""
        items.append(item)
        return items

    def trailing_comma(self, items: list[Any], _comma: int) -> list[Any]:
        """A sequence that ends with a comma."""
        return items

    # --- operators -------------------------------------------------------------------------------

    def run(self, first: Any, operator: int, second: Any) -> Run:
        """The first operator of a run."""
        return [first, operator, second]

    def run_on(self, run: Run, operator: int, operand: Any) -> Run:
        """The next operator of a run."""
        run += (operator, operand)
        return run

    def arithmetic(self, run: Run) -> tree.Binary:
        """A complete run of `+ -` or of `* / %`."""
        word = self._word
        rest: Any = tuple((word(operator), operand) for operator, operand in zip(run[1::2], run[2::2], strict=True))
        return tree.Binary(run[0].start, run[-1].end, run[0], rest)

    def both(self, run: Run) -> tree.Logic:
        """A complete run of `and`."""
        return tree.Logic(run[0].start, run[-1].end, "and", tuple(run[::2]))

    def either(self, run: Run) -> tree.Logic:
        """A complete run of `or`."""
        return tree.Logic(run[0].start, run[-1].end, "or", tuple(run[::2]))

    def coalesce(self, run: Run) -> tree.Logic:
        """A complete run of `??`."""
        return tree.Logic(run[0].start, run[-1].end, "??", tuple(run[::2]))

    def compare(self, left: tree.Expr, operator: int, right: tree.Expr) -> tree.Compare:
        """A comparison by a sign."""
        sign: Any = self._word(operator)
        return tree.Compare(left.start, right.end, left, sign, right)

    def contained(self, left: tree.Expr, _in: int, right: tree.Expr) -> tree.Compare:
        """`x in xs`."""
        return tree.Compare(left.start, right.end, left, "in", right)

    def not_contained(self, left: tree.Expr, _not: int, _in: int, right: tree.Expr) -> tree.Compare:
        """`x not in xs`."""
        return tree.Compare(left.start, right.end, left, "not in", right)

    def prefixed(self, operator: int, operand: tree.Expr) -> tree.Unary:
        """`-x`, `!x` or `not x`."""
        self.close_prefix()
        sign = "-" if self._word(operator) == "-" else "not"
        return tree.Unary(self._starts[operator], operand.end, sign, operand)

    def awaited(self, operator: int, operand: tree.Expr) -> tree.Expr:
        """`await x`; the `?`s that end the operand's chain are moved to the result.

        An operand that is itself an `await` has taken its own `?`s already; it is the only chain whose
        base is a bare `await`.
        """
        self.close_prefix()
        start = self._starts[operator]
        if not isinstance(operand, tree.Postfix) or isinstance(operand.base, tree.Await):
            return tree.Await(start, operand.end, operand)
        steps = operand.steps
        kept = len(steps)
        while kept and isinstance(steps[kept - 1], tree.UnwrapStep):
            kept -= 1
        if kept == len(steps):
            return tree.Await(start, operand.end, operand)
        inner = operand.base
        if kept:
            inner = tree.Postfix(operand.start, steps[kept - 1].end, inner, steps[:kept])
        return tree.Postfix(start, operand.end, tree.Await(start, inner.end, inner), steps[kept:])

    def ternary(
        self, condition: tree.Expr, _mark: int, then: tree.Expr, _colon: int, otherwise: tree.Expr
    ) -> tree.Ternary:
        """`c ? x : y`."""
        self.close_ternary()
        return tree.Ternary(condition.start, otherwise.end, condition, then, otherwise)

    # --- postfix chains --------------------------------------------------------------------------

    def steps(self, base: tree.Expr, step: tree.Step) -> list[Any]:
        """The first step of a chain."""
        return [base, step]

    def steps_on(self, chain: list[Any], step: tree.Step) -> list[Any]:
        """The next step of a chain."""
        chain.append(step)
        return chain

    def postfix(self, chain: list[Any]) -> tree.Postfix:
        """A complete chain."""
        return tree.Postfix(chain[0].start, chain[-1].end, chain[0], tuple(chain[1:]))

    def field_step(self, dot: int, key: str) -> tree.FieldStep:
        """`.key`."""
        return tree.FieldStep(self._ends[dot + 1], key)

    def index_step(self, _opener: int, index: tree.Expr, closer: int) -> tree.IndexStep:
        """`[index]`."""
        return tree.IndexStep(self._ends[closer], index)

    def unwrap_step(self, mark: int) -> tree.UnwrapStep:
        """`?` on a result."""
        return tree.UnwrapStep(self._ends[mark])

    # --- primaries -------------------------------------------------------------------------------

    def null(self, word: int) -> tree.Literal:
        """`null`."""
        return tree.Literal(self._starts[word], self._ends[word], None)

    def true(self, word: int) -> tree.Literal:
        """`true`."""
        return tree.Literal(self._starts[word], self._ends[word], True)

    def false(self, word: int) -> tree.Literal:
        """`false`."""
        return tree.Literal(self._starts[word], self._ends[word], False)

    def number(self, token: int) -> tree.Literal:
        """A number; the lexer has made sure that it is finite."""
        return tree.Literal(self._starts[token], self._ends[token], number_value(self._word(token)))

    def string(self, token: int) -> tree.Literal:
        """A string."""
        return tree.Literal(self._starts[token], self._ends[token], string_value(self._word(token)))

    def name(self, token: int) -> tree.Name:
        """A variable."""
        return tree.Name(self._starts[token], self._ends[token], self._word(token))

    def paren(self, opener: int, inner: tree.Expr, closer: int) -> tree.Paren:
        """`(x)`."""
        return tree.Paren(self._starts[opener], self._ends[closer], inner)

    def builtin_call(self, name: int, _opener: int, *rest: Any) -> tree.BuiltinCall:
        """`f()` or `f(x, y)`; the rest is the arguments, if any, and the closing bracket."""
        start, end = self._starts[name], self._close(rest)
        return tree.BuiltinCall(start, end, self._word(name), self._ends[name], self._items(rest))

    def list_literal(self, opener: int, *rest: Any) -> tree.ListLiteral:
        """`[]` or `[x, y]`; the rest is the items, if any, and the closing bracket."""
        return tree.ListLiteral(self._starts[opener], self._close(rest), self._items(rest))

    def record(self, opener: int, *rest: Any) -> tree.RecordLiteral:
        """`{}` or `{ k: x }`; the rest is the entries, if any, and the closing bracket."""
        return tree.RecordLiteral(self._starts[opener], self._close(rest), self._items(rest))

    def entry(self, key: str, _colon: int, value: tree.Expr) -> tuple[str, tree.Expr]:
        """`k: x` in a record."""
        return key, value

    def word_key(self, token: int) -> str:
        """A key written as a word."""
        return self._word(token)

    def string_key(self, token: int) -> str:
        """A key written as a string."""
        return string_value(self._word(token))

    def comprehension(
        self, opener: int, element: tree.Expr, clauses: list[tree.CompFor | tree.CompIf], closer: int
    ) -> tree.Comprehension:
        """`[x for …]`."""
        return tree.Comprehension(self._starts[opener], self._ends[closer], element, tuple(clauses))

    def comp_for(self, word: int, names: tuple[str, ...], _in: int, iterable: tree.Expr) -> tree.CompFor:
        """`for x in xs` in a comprehension."""
        return tree.CompFor(self._starts[word], iterable.end, names, iterable)

    def comp_if(self, word: int, condition: tree.Expr) -> tree.CompIf:
        """`if c` in a comprehension."""
        return tree.CompIf(self._starts[word], condition.end, condition)

    # --- effects ---------------------------------------------------------------------------------

    def tool_call(self, word: int, tool: int, arguments: tree.RecordLiteral) -> tree.ToolCall:
        """`call t { … }`."""
        return tree.ToolCall(self._starts[word], arguments.end, self._word(tool), arguments, False)

    def background_call(self, word: int, call: tree.ToolCall) -> tree.ToolCall:
        """`start call t { … }`."""
        return tree.ToolCall(self._starts[word], call.end, call.tool, call.args, True)

    def parallel(self, word: int, *rest: Any) -> tree.Parallel:
        """`parallel { … }` without names; the rest is the statements, if any, and the closing bracket."""
        self.names_close()
        branches = tuple(tree.Branch(item.start, item.end, None, item) for item in self._items(rest))
        return tree.Parallel(self._starts[word], self._close(rest), branches, False)

    def parallel_named(self, word: int, branches: list[tree.Branch], *rest: int) -> tree.Parallel:
        """`parallel { … }` with names; the rest ends with the closing bracket."""
        self.names_close()
        return tree.Parallel(self._starts[word], self._close(rest), tuple(branches), True)

    def named_branch(self, key: str, statement: tree.Statement) -> tree.Branch:
        """`k: statement`."""
        return tree.Branch(statement.start, statement.end, key, statement)

    # --- types -----------------------------------------------------------------------------------

    def type_literal(self, body: tree.TypeRecord) -> tree.TypeLiteral:
        """`Type { … }` as an expression."""
        return tree.TypeLiteral(body.start, body.end, body)

    def type_body(self, word: int, *rest: Any) -> tree.TypeRecord:
        """`Type { … }`; the rest is the fields, if any, and the closing bracket."""
        self.names_close()
        return tree.TypeRecord(self._starts[word], self._close(rest), self._items(rest))

    def field(self, key: tuple[str, int], kind: tree.TypeExpr, *optional: int) -> tree.TypeField:
        """`k: T` or `k: T?`."""
        name, token = key
        end = self._ends[optional[0]] if optional else kind.end
        return tree.TypeField(self._starts[token], end, name, kind, bool(optional))

    def union(self, run: Run) -> tree.TypeUnion:
        """A complete `A | B | …`."""
        return tree.TypeUnion(run[0].start, run[-1].end, tuple(run[::2]))

    def type_name(self, token: int) -> tree.TypePrimitive | tree.TypeRef:
        """The name of a type, or of a variable that holds one."""
        start, end, name = self._starts[token], self._ends[token], self._word(token)
        kind = _TYPE_NAMES.get(name)
        return tree.TypeRef(start, end, name) if kind is None else tree.TypePrimitive(start, end, kind)

    def type_enum(self, word: int, _opener: int, values: list[str], closer: int) -> tree.TypeEnum:
        """`enum["a", "b"]`."""
        return tree.TypeEnum(self._starts[word], self._ends[closer], tuple(values))

    def enum_value(self, token: int) -> list[str]:
        """The first value of an enum."""
        return [string_value(self._word(token))]

    def enum_value_more(self, values: list[str], _comma: int, token: int) -> list[str]:
        """The next value of an enum."""
        values.append(string_value(self._word(token)))
        return values

    def type_list(self, word: int, _opener: int, item: tree.TypeExpr, closer: int) -> tree.TypeList:
        """`list[T]`."""
        return tree.TypeList(self._starts[word], self._ends[closer], item)

    # --- bracketed constructs whose items may be absent ------------------------------------------

    def _items(self, rest: Sequence[Any]) -> tuple[Any, ...]:
        """The items: they stand first, unless only the closing bracket is there."""
        return tuple(rest[0]) if len(rest) > 1 else ()

    def _close(self, rest: Sequence[Any]) -> int:
        """Where the closing bracket ends, which stands last."""
        closer: int = rest[-1]
        return self._ends[closer]
