"""The tree of a Lashlang program: frozen dataclasses with source spans.

Every node carries `start` and `end`, half-open offsets into the source counted in code points
(a leading byte-order mark already dropped). Lines and columns are derived from them by
`lashlang.syntax.source.Source` when a diagnostic is made, so the tree stays small.

Shape: whatever the grammar repeats without nesting is one node with a tuple, never a chain of
nodes: `a + b - c` is one `Binary`, `x.a[0]?` one `Postfix`, `if … else if …` one `If`. The depth of
a tree is therefore bounded by the nesting limits of the specification (chapter 16) and walkers may
recurse.

Spans and parentheses: parentheses belong to the node that contains them (chapter 17). A
parenthesised expression is a `Paren`, whose span includes its brackets while its `inner` has its own.
The span of one operation inside a flat node runs from the node's `start` to the `end` of the operand
or step concerned, so in `a + b - c` a failing `+` covers `a + b`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf

BinaryOp = OneOf["+", "-", "*", "/", "%"]
CompareOp = OneOf["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
LogicOp = OneOf["and", "or", "??"]
AssignOp = OneOf["=", "+=", "-=", "*=", "/=", "%="]
PrimitiveType = OneOf["any", "str", "int", "float", "bool", "null", "dict"]


@dataclass(frozen=True, slots=True)
class Node:
    """Base of all nodes: where the node stands, as half-open code-point offsets."""

    start: int
    end: int


# --- expressions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant: null, bool, integer in [-2^63, 2^63), float that is no canonical integer, or text."""

    value: None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable read."""

    name: str


@dataclass(frozen=True, slots=True)
class Paren(Node):
    """A parenthesised expression; it means `inner` and only widens the spans of its parents."""

    inner: Expr


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class RecordLiteral(Node):
    """`{ a: x, "b": y }`, entries as written; a repeated key keeps its first place and last value."""

    entries: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class CompFor(Node):
    """`for a in xs` or `for a, b in xs` inside a comprehension; `start` is the `for` keyword."""

    names: tuple[str, ...]
    iterable: Expr


@dataclass(frozen=True, slots=True)
class CompIf(Node):
    """`if c` inside a comprehension."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """`[element for … if …]`; the first clause is a `CompFor`."""

    element: Expr
    clauses: tuple[CompFor | CompIf, ...]


@dataclass(frozen=True, slots=True)
class FieldStep:
    """`.key`; `end` is where the step ends."""

    end: int
    key: str


@dataclass(frozen=True, slots=True)
class IndexStep:
    """`[index]`; `end` is just after the closing bracket."""

    end: int
    index: Expr


@dataclass(frozen=True, slots=True)
class UnwrapStep:
    """`?` on a result wrapper."""

    end: int


Step = FieldStep | IndexStep | UnwrapStep


@dataclass(frozen=True, slots=True)
class Postfix(Node):
    """`base.k[i]?`: one or more steps applied from left to right.

    `await h?` is `Postfix(base=Await(h), steps=(UnwrapStep,))`: the parser has already moved the
    trailing `?`s of an `await` operand to the result of the `await` (chapter 2).
    """

    base: Expr
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, `!x` or `not x`; `!` and `not` differ in precedence only, both are "not" here."""

    op: OneOf["-", "not"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Await(Node):
    """`await x`, without the `?`s that follow it."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A left-associative run of operators of one precedence level, `+ -` or `* / %`."""

    first: Expr
    rest: tuple[tuple[BinaryOp, Expr], ...]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """One comparison; comparisons do not chain."""

    left: Expr
    op: CompareOp
    right: Expr


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """A run of one short-circuit operator: `a and b and c`, `a or b`, `a ?? b`; at least two operands."""

    op: LogicOp
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """`condition ? then : otherwise`."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class BuiltinCall(Node):
    """`name(args)`; the name's own span is `start` to `name_end`."""

    name: str
    name_end: int
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class ToolCall(Node):
    """`call tool { … }`, or `start call tool { … }` when `background`."""

    tool: str
    args: RecordLiteral
    background: bool


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """One branch of `parallel`: `key` is its name, or None in the positional form. The span is the statement's."""

    key: str | None
    statement: Statement


@dataclass(frozen=True, slots=True)
class Parallel(Node):
    """`parallel { … }`; the keyword's span is `start` to `start + 8`."""

    branches: tuple[Branch, ...]
    named: bool


# --- types (chapter 11) --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypePrimitive(Node):
    """A built-in type name, in its short spelling (`string` is `str`, `object` is `dict`, …)."""

    kind: PrimitiveType


@dataclass(frozen=True, slots=True)
class TypeRef(Node):
    """Any other identifier in a type: a variable that must hold a Type value."""

    name: str


@dataclass(frozen=True, slots=True)
class TypeEnum(Node):
    """`enum["a", "b"]`, at least one value."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeList(Node):
    """`list[T]`."""

    item: TypeExpr


@dataclass(frozen=True, slots=True)
class TypeField(Node):
    """`name: T` or `name: T?`."""

    name: str
    type: TypeExpr
    optional: bool


@dataclass(frozen=True, slots=True)
class TypeRecord(Node):
    """`Type { … }` as a type."""

    fields: tuple[TypeField, ...]


@dataclass(frozen=True, slots=True)
class TypeUnion(Node):
    """`A | B | …`, at least two variants."""

    variants: tuple[TypeExpr, ...]


TypeExpr = TypePrimitive | TypeRef | TypeEnum | TypeList | TypeRecord | TypeUnion


@dataclass(frozen=True, slots=True)
class TypeLiteral(Node):
    """`Type { … }` as an expression."""

    type: TypeRecord


Expr = (
    Literal
    | Name
    | Paren
    | ListLiteral
    | RecordLiteral
    | Comprehension
    | Postfix
    | Unary
    | Await
    | Binary
    | Compare
    | Logic
    | Ternary
    | BuiltinCall
    | ToolCall
    | Parallel
    | TypeLiteral
)


# --- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{ … }`, braces included in the span."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class IfArm(Node):
    """One `if` of an `if … else if …`: from its own `if` keyword to the end of the whole statement."""

    condition: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if`, any number of `else if`s, and an optional `else`."""

    arms: tuple[IfArm, ...]
    otherwise: Block | None


@dataclass(frozen=True, slots=True)
class For(Node):
    """`for a in xs { … }` or `for a, b in xs { … }`; the keyword's span is `start` to `start + 3`."""

    names: tuple[str, ...]
    iterable: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class While(Node):
    """`while c { … }`."""

    condition: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class Break(Node):
    """`break`."""


@dataclass(frozen=True, slots=True)
class Continue(Node):
    """`continue`."""


@dataclass(frozen=True, slots=True)
class Submit(Node):
    """`submit e`, or the bare form (`value` None), which submits null."""

    value: Expr | None


@dataclass(frozen=True, slots=True)
class Print(Node):
    """`print e`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Cancel(Node):
    """`cancel e`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`x.a[i] op= e`; `steps` is empty for a plain name and never holds an `UnwrapStep`."""

    name: str
    name_end: int
    steps: tuple[FieldStep | IndexStep, ...]
    op: AssignOp
    value: Expr


@dataclass(frozen=True, slots=True)
class ExprStatement(Node):
    """An expression evaluated for its effects."""

    expr: Expr


Statement = If | For | While | Break | Continue | Submit | Print | Cancel | Assign | ExprStatement


@dataclass(frozen=True, slots=True)
class Program(Node):
    """A whole block: its statements; the span covers the source."""

    statements: tuple[Statement, ...]
