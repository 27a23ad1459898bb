"""A Hypothesis strategy for Lashlang programs that mostly run.

The generator knows the types of its variables, so that a program usually gets past its first lines;
now and then it reaches for a value of the wrong type, a missing key, a small limit or a failing tool,
because errors must be equal on every implementation too. Programs end: loops run over short lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

NUMBER, TEXT, BOOL, NUMBERS, TEXTS, ROWS, COUNTS, ANY = (
    "number", "text", "bool", "numbers", "texts", "rows", "counts", "any",
)  # fmt: skip
TYPES = (NUMBER, TEXT, BOOL, NUMBERS, TEXTS, ROWS, COUNTS)

TOOLS: dict[str, list[dict[str, Any]]] = {
    "get": [{"ok": True, "value": {"n": 3, "s": "naïve 😀", "xs": [1, 2.5, None]}, "repeat": True}],
    "fail": [{"ok": False, "error": "no luck", "repeat": True}],
    "once": [{"ok": True, "value": [1, "a"]}, {"ok": False, "error": {"code": 7}}, {"start_error": "busy"}],
}
"""Scripted tools every program can use."""

PROJECTED: dict[str, Any] = {
    "input": {"n": 2, "items": ["a", "b"], "text": "one\ntwo\r\n\nthree"},
    "fixed": [3, 1, 2],
    "task": {"handle": "one of before", "id": "h1"},
}
"""Inline projections every program sees."""

NUMBERS_TEXT = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "-1",
    "0.5",
    "2.5",
    "1e3",
    "9007199254740993",
    "9223372036854775807",
    "1e300",
]
TEXTS_TEXT = [
    '""',
    '"a"',
    '"abc"',
    '"b,a,,c"',
    '" x y "',
    '"12"',
    '"1.5"',
    '"naïve 😀 text"',
    '"line\\none\\r\\ntwo"',
    '"[1, {\\"k\\": 2}]"',
    '"Ab"',
]
INTEGERS = ["7", "-7", "9223372036854775807", "len(fixed)", "0"]
SEPARATORS = ['","', '""', '" "', '"a"']
DIGITS = ['"12"', '" 1.5 "', '"-0"', "true", "null", '"1e400"', '"twelve"']
KEYS = ["k", "n", "s", "name"]


@dataclass
class Scope:
    """What the program has bound so far, by type, and where it stands."""

    names: dict[str, str] = field(default_factory=dict[str, str])
    depth: int = 0
    loops: int = 0
    branch: bool = False
    counter: int = 0


@dataclass
class Generator:
    """Writes one program, drawing every choice."""

    draw: Draw
    scope: Scope = field(default_factory=Scope)

    def pick(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def rarely(self) -> bool:
        """Whether to do something wrong here; programs have dozens of such places."""
        return self.draw(st.integers(0, 249)) == 173  # the ends are drawn far more often

    def variable(self, kind: str) -> str | None:
        """A bound variable of a type; sometimes of any type, sometimes none that exists."""
        if self.rarely():
            return self.pick(["nowhere", "input", "history", "len"])
        fitting = [name for name, of in self.scope.names.items() if of == kind or self.rarely()]
        return self.pick(fitting) if fitting else None

    def expression(self, kind: str, depth: int = 0) -> str:
        """An expression that is mostly of the type asked for."""
        if self.rarely():
            kind = self.pick(list(TYPES))
        name = self.variable(kind) if self.chance(45) else None
        if name:
            return name
        if depth >= 3 or self.chance(25):
            return self.literal(kind)
        return getattr(self, f"make_{kind}")(depth + 1)

    def literal(self, kind: str) -> str:
        match kind:
            case "number":
                return self.pick(NUMBERS_TEXT)
            case "text":
                return self.pick(TEXTS_TEXT)
            case "bool":
                return self.pick(["true", "false"])
            case "numbers":
                return self.pick(["[]", "[1, 2, 3]", "[2, 1, 2.5, 0 / 0]", "[5]", "range(4)"])
            case "texts":
                return self.pick(["[]", '["b", "a", "b"]', '["x"]', 'split("to be or", " ")'])
            case "rows":
                return self.pick(
                    ["[]", '[{ k: 1, name: "x" }, { k: 2, name: "y" }]', "[{ k: 3 }, { n: 1 }, { k: null }]"]
                )
            case "counts":
                return self.pick(["{}", "{ a: 1, b: 2 }", '{ "odd key": 1, n: 5 }'])
            case _:
                return self.pick(["null", "{ ok: true, value: 1 }", '{ ok: false, error: "e" }', "[[1], null]"])

    def make_number(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"({e('number', d)} {self.pick(['+', '-', '*', '/', '%'])} {e('number', d)})",
            lambda: f"-{self.expression('number', 3)}",
            lambda: f"len({e(self.pick(['text', 'numbers', 'texts', 'counts', 'rows']), d)})",
            lambda: f"{self.pick(['sum', 'min', 'max'])}({e('numbers', d)})",
            lambda: f"{self.pick(['abs', 'floor', 'ceil', 'round', 'to_int', 'to_float', 'sqrt'])}({e('number', d)})",
            lambda: f"round({e('number', d)}, {self.pick(['0', '1', '2', '-1'])})",
            lambda: f"{self.pick(['floor_div', 'ceil_div'])}({self.pick(INTEGERS)}, {self.pick(['2', '3', '-1'])})",
            lambda: f"({e('bool', d)} ? {e('number', d)} : {e('number', d)})",
            lambda: f"({e('numbers', d)}[{e('number', 3)}] ?? {e('number', d)})",
            lambda: f"(find({e('text', d)}, {e('text', d)}) ?? -1)",
            lambda: f"count({e('text', d)}, {e('text', 3)})",
            lambda: f"({e('counts', d)}.{self.pick(KEYS)} ?? 0)",
            lambda: f"to_int({self.pick(DIGITS)})",
            lambda: "(call get {})?.n",
            lambda: f"(try_number({e('text', d)}).value ?? 0)",
        ]
        return self.pick(options)()

    def make_text(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"({e('text', d)} + {e(self.pick(list(TYPES)), d)})",
            lambda: f"join({e('texts', d)}, {e('text', 3)})",
            lambda: f"{self.pick(['trim', 'lower', 'upper', 'reverse', 'to_string', 'json_text'])}({e('text', d)})",
            lambda: f"{self.pick(['to_string', 'json_text'])}({e(self.pick(list(TYPES)), d)})",
            lambda: f"slice({e('text', d)}, {e('number', 3)}, {self.pick(['null', '-1', '2', '5'])})",
            lambda: f"replace({e('text', d)}, {e('text', 3)}, {e('text', 3)})",
            lambda: f'({e("text", d)}[{e("number", 3)}] ?? "")',
            lambda: f'format("{{}} is {{}}", {e("number", d)}, {e("text", d)})',
            lambda: f'format("{{:,.2f}}", {e("number", d)})',
            lambda: f"to_fixed({e('number', d)}, 2)",
            lambda: f'pad_left({e("text", d)}, {self.pick(["3", "10", "-1"])}, "*")',
            lambda: f"type_of({e(self.pick(list(TYPES)), d)})",
            lambda: "(call get {})?.s",
            lambda: f'(try_json({e("text", d)}).error ?? "fine")',
        ]
        return self.pick(options)()

    def make_bool(self, d: int) -> str:
        e = self.expression
        same = self.pick(["number", "text"])
        options: list[Callable[[], str]] = [
            lambda: f"({e(same, d)} {self.pick(['<', '<=', '>', '>='])} {e(same, d)})",
            lambda: f"({e(self.pick(list(TYPES)), d)} {self.pick(['==', '!='])} {e(self.pick(list(TYPES)), d)})",
            lambda: f"({e('bool', d)} {self.pick(['and', 'or'])} {e('bool', d)})",
            lambda: f"!{self.expression('bool', 3)}",
            lambda: f"({e('number', d)} {self.pick(['in', 'not in'])} {e('numbers', d)})",
            lambda: f"({e('text', d)} in {e(self.pick(['text', 'texts', 'counts']), d)})",
            lambda: f"{self.pick(['any', 'all'])}({e('numbers', d)})",
            lambda: f"{self.pick(['starts_with', 'ends_with', 'contains'])}({e('text', d)}, {e('text', d)})",
            lambda: f"empty({e(self.pick(['text', 'numbers', 'counts']), d)})",
        ]
        return self.pick(options)()

    def make_numbers(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"[{e('number', d)}, {e('number', d)}]",
            lambda: f"push({e('numbers', d)}, {e('number', d)})",
            lambda: f"({e('numbers', d)} + {e('numbers', d)})",
            lambda: f"{self.pick(['sort', 'unique', 'reverse'])}({e('numbers', d)})",
            lambda: f"sort({e('numbers', d)}, {self.pick(['true', 'false', 'null'])})",
            lambda: f"slice({e('numbers', d)}, {self.pick(['0', '1', '-2'])})",
            lambda: f"range({self.pick(['0', '3', '6', '130'])})",
            lambda: f"values({e('counts', d)})",
            lambda: self.comprehension("number", d),
            lambda: f"flatten([{e('numbers', d)}, {e('numbers', d)}])",
        ]
        return self.pick(options)()

    def make_texts(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"split({e('text', d)})",
            lambda: f"split({e('text', d)}, {self.pick(SEPARATORS)})",
            lambda: f"lines({e('text', d)})",
            lambda: f"keys({e('counts', d)})",
            lambda: f"sort({e('texts', d)})",
            lambda: f"unique({e('texts', d)})",
            lambda: f"push({e('texts', d)}, {e('text', d)})",
            lambda: self.comprehension("text", d),
            lambda: "input.items",
        ]
        return self.pick(options)()

    def make_rows(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"push({e('rows', d)}, {{ k: {e('number', d)}, name: {e('text', d)} }})",
            lambda: f'sort_by({e("rows", d)}, "{self.pick(KEYS)}", {self.pick(["true", "false"])})',
            lambda: f"grep_text({e('text', d)}, {self.pick(SEPARATORS)})",
            lambda: f"chunk_spans({e('text', d)}, {self.pick(['2', '5', '40'])})",
            lambda: f"[{{ k: x, n: i }} for i, x in enumerate({e('numbers', d)})]",
        ]
        return self.pick(options)()

    def make_counts(self, d: int) -> str:
        e = self.expression
        options: list[Callable[[], str]] = [
            lambda: f"{{ {self.pick(KEYS)}: {e('number', d)}, z: {e('number', d)} }}",
            lambda: f"merge({e('counts', d)}, {e('counts', d)})",
            lambda: f"without({e('counts', d)}, {e('text', 3)})",
            lambda: f'group_by({e("rows", d)}, "{self.pick(KEYS)}")',
            lambda: f"validate({e('counts', d)}, Type {{ {self.pick(KEYS)}: int | null? }})",
        ]
        return self.pick(options)()

    def comprehension(self, kind: str, d: int) -> str:
        """A comprehension of elements of a type; its variable lives only inside."""
        name = f"c{d}"
        over = self.pick(["numbers", "texts"])
        source = self.expression(over, d)
        before = self.scope.names.get(name)
        self.scope.names[name] = "number" if over == "numbers" else "text"
        element = self.expression(kind, d)
        condition = f" if {self.expression('bool', d)}" if self.chance(40) else ""
        if before is None:
            del self.scope.names[name]
        else:
            self.scope.names[name] = before
        return f"[{element} for {name} in {source}{condition}]"

    # --- statements ------------------------------------------------------------------------------

    def block(self, limit: int) -> str:
        """A few statements, indented."""
        self.scope.depth += 1
        lines = [self.statement() for _ in range(self.draw(st.integers(1, limit)))]
        self.scope.depth -= 1
        pad = "  " * (self.scope.depth + 1)
        end = "  " * self.scope.depth
        return "{\n" + "".join(f"{pad}{line}\n" for line in lines) + end + "}"

    def statement(self) -> str:
        """One statement."""
        options: list[Callable[[], str]] = [self.assign] * 6 + [self.path, self.path, self.output, self.compound]
        if self.scope.depth < 3:
            options += [self.choice, self.loop, self.loop]
            if not self.scope.branch:
                options += [self.parallel]
        if self.scope.loops and self.chance(30):
            return f"if {self.expression('bool', 2)} {{ {self.pick(['break', 'continue'])} }}"
        return self.pick(options)()

    def target(self, kind: str) -> str:
        """A name to assign, new or known; it has the type from now on."""
        if self.rarely():
            return "input"
        known = [name for name, of in self.scope.names.items() if of == kind and name[0] == "v"]
        name = self.pick(known) if known and self.chance(50) else f"v{self.draw(st.integers(0, 9))}"
        self.scope.names[name] = kind
        return name

    def assign(self) -> str:
        kind = self.pick(list(TYPES))
        value = self.expression(kind)
        return f"{self.target(kind)} = {value}"

    def compound(self) -> str:
        kind = self.pick(["number", "text", "numbers"])
        name = self.variable(kind) or GIVEN[kind][0]
        return (
            f"{name} {'+=' if kind != 'number' else self.pick(['+=', '-=', '*=', '/=', '%='])} {self.expression(kind)}"
        )

    def path(self) -> str:
        kind = self.pick(["numbers", "counts", "rows"])
        name = self.variable(kind) or GIVEN[kind][0]
        index = self.expression("number", 2)
        match kind:
            case "numbers":
                return f"{name}[{index}] {self.pick(['=', '+='])} {self.expression('number', 1)}"
            case "counts":
                key = self.pick([f".{self.pick(KEYS)}", f"[{self.expression('text', 2)}]"])
                return f"{name}{key} {self.pick(['=', '+=', '-='])} {self.expression('number', 1)}"
            case _:
                value = self.expression(self.pick(list(TYPES)), 1)
                return f"{name}[{self.pick(['0', '-1', '9'])}].{self.pick(KEYS)} = {value}"

    def output(self) -> str:
        if self.chance(70):
            return f"print {self.expression(self.pick(list(TYPES)))}"
        handle = f"h{self.scope.counter}"
        self.scope.counter += 1
        tool = self.pick(["get", "fail", "once", "missing"])
        result = self.pick([
            lambda: f"print await {handle}",
            lambda: f"print await [{handle}, 1]",
            lambda: f"print await {handle}?",
            lambda: f"print await {{ a: {handle}, b: task }}",
            lambda: f"cancel {handle}\nprint await {handle}",
            lambda: "cancel task",
            lambda: f"cancel {self.expression(self.pick(list(TYPES)), 2)}",
            lambda: f"print call {tool} {{}}",
            lambda: f"print call {tool} {{ p: [input], q: {self.expression('texts', 2)} }}",
            lambda: "print [input.n, fixed]",
        ])()  # fmt: skip
        arguments = self.pick([lambda: f"{{ n: {self.expression('number', 2)} }}", lambda: "{}"])()
        return f"{handle} = start call {tool} {arguments}\n{result}"

    def choice(self) -> str:
        text = f"if {self.expression('bool')} {self.block(2)}"
        if self.chance(40):
            text += f" else if {self.expression('bool')} {self.block(2)}"
        return text + (f" else {self.block(2)}" if self.chance(50) else "")

    def loop(self) -> str:
        before = dict(self.scope.names)
        self.scope.loops += 1
        kind = self.pick(["numbers", "texts", "counts", "range"])
        if kind == "range":
            head = f"for i in range({self.pick(['3', '5', '0'])})"
            self.scope.names["i"] = NUMBER
        elif kind == "counts":
            head = f"for key, val in {self.expression('counts')}"
            self.scope.names |= {"key": TEXT, "val": NUMBER}
        else:
            head = f"for x in {self.expression(kind)}"
            self.scope.names["x"] = NUMBER if kind == "numbers" else TEXT
        text = f"{head} {self.block(3)}"
        self.scope.loops -= 1
        for name in ("i", "key", "val", "x"):
            self.scope.names.pop(name, None)
            if name in before:
                self.scope.names[name] = before[name]
        return text

    def parallel(self) -> str:
        """Branches that may call tools and assign; sometimes the same name."""
        self.scope.branch = True
        loops, self.scope.loops = self.scope.loops, 0
        branches = [
            self.pick([
                lambda: f"call {self.pick(['get', 'fail', 'once'])} {{ n: {self.expression('number', 2)} }}",
                lambda: "(call get {})?.n",
                self.assign,
                self.output,
                self.choice,
                self.loop,
            ])()
            for _ in range(self.draw(st.integers(1, 3)))
        ]  # fmt: skip
        self.scope.loops = loops
        self.scope.branch = False
        branches = [b if "\n" not in b or b.startswith(("if", "for")) else f"if true {{ {b} }}" for b in branches]
        named = self.chance(50)
        inside = ", ".join(f"b{i}: {branch}" if named else branch for i, branch in enumerate(branches))
        self.scope.names["r"] = "any"
        return f"r = parallel {{ {inside} }}"

    def program(self) -> str:
        """A whole program."""
        lines = [f"{name} = {value}" for name, value in GIVEN.values()]
        self.scope.names |= {name: kind for kind, (name, _) in GIVEN.items()}
        lines += [self.statement() for _ in range(self.draw(st.integers(1, 8)))]
        if self.chance(70):
            lines.append(f"submit {self.expression(self.pick(list(TYPES)))}")
        return "\n".join(lines)


GIVEN = {
    NUMBER: ("n", "3"),
    TEXT: ("t", '"ab c"'),
    NUMBERS: ("ns", "[3, 1, 2]"),
    ROWS: ("rs", '[{ k: 2, n: 1, s: "x", name: "p" }, { k: 1, n: 5, s: "y", name: "q" }]'),
    COUNTS: ("cs", "{ k: 1, n: 2, s: 3, name: 4 }"),
}
"""Variables that every program binds first, by type."""

LIMITS = {
    "fuel": st.integers(0, 150),
    # Texts of the source are longer than a tiny `string_size`, which says nothing about them or their parts.
    "string_size": st.integers(32, 100),
    "list_size": st.integers(0, 9),
    "value_depth": st.integers(0, 5),
    # One value, a short text, a record or list of one or two.
    "value_size": st.sampled_from([16, 17, 18, 20, 33, 48]) | st.integers(0, 100),
    "requests": st.integers(0, 6),
    "output": st.integers(0, 60),
}
"""What limits are drawn from: values about as large as what these programs make, so that they are met and just not."""


@dataclass(frozen=True)
class Generated:
    """A program with all that it runs on: the blocks run before it, its limits, tools and projected names.

    Of the projected names those in `lazy` are read on demand.
    """

    source: str
    limits: dict[str, int] = field(default_factory=lambda: {"fuel": 20_000})
    before: tuple[str, ...] = ()
    lazy: frozenset[str] = frozenset()
    tools: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: TOOLS)
    projected: dict[str, Any] = field(default_factory=lambda: PROJECTED)


@st.composite
def programs(draw: Draw) -> Generated:
    """A program and the limits to run it under (often none but fuel)."""
    generator = Generator(draw)
    before = (generator.program(),) if draw(st.integers(0, 3)) == 3 else ()
    source = generator.program()
    limits = {"fuel": 20_000}
    if draw(st.booleans()):
        for code in draw(st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, max_size=2, unique=True)):
            limits[code] = draw(LIMITS[code])
    lazy = frozenset(draw(st.sampled_from([(), (), (), ("input",), ("fixed", "task"), ("input", "fixed", "task")])))
    return Generated(source, limits, before, lazy)
