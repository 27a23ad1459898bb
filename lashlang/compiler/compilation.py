"""From source to `Program`: parse, check, emit; and the cache of programs by source."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

# The handler modules fill the tables of `dispatch` when they are imported.
from lashlang.compiler import assignments, expressions, loops, operators, parallel, statements, type_literals
from lashlang.compiler.checks import Survey, refusal, survey
from lashlang.compiler.emit import Emitter, ProgramTooLarge
from lashlang.compiler.opcodes import NUMBER
from lashlang.compiler.program import Program
from lashlang.syntax import tree
from lashlang.syntax.source import Source

HANDLERS = (assignments, expressions, loops, operators, parallel, statements, type_literals)
"""The modules that know how nodes become instructions."""

MOST_CACHED = 256
MOST_CACHED_SOURCE = 8 * 1024 * 1024

_END = NUMBER["END"]


class _Cache:
    """The programs compiled last, by source: bounded in number and in total length of source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._size = 0

    def get(self, source: str) -> Program | None:
        """The program of a source, if it is still there."""
        with self._lock:
            program = self._programs.get(source)
            if program is not None:
                self._programs.move_to_end(source)
            return program

    def put(self, source: str, program: Program) -> None:
        """Keep a program, and let the least recently used ones go."""
        with self._lock:
            if source in self._programs:
                return
            self._programs[source] = program
            self._size += len(source)
            while len(self._programs) > MOST_CACHED or self._size > MOST_CACHED_SOURCE:
                dropped, _ = self._programs.popitem(last=False)
                self._size -= len(dropped)

    def clear(self) -> None:
        """Forget all programs."""
        with self._lock:
            self._programs.clear()
            self._size = 0


_cache = _Cache()


def compile(source: str) -> Program:  # noqa: A001 - the name users expect, as in `re.compile`
    """The program of a block, from the cache where possible.

    Raises `CompileError`, whose `diagnostic` says what is wrong, where and what to do (chapter 2.3), and
    TypeError for a source that is no text.
    """
    program = _cache.get(source)
    if program is None:
        if not isinstance(source, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- bytes are an easy mistake
            raise TypeError(f"a source is text, not {type(source).__name__}")
        # Imported late: the parser's hints know the names of the builtins, which are a table of this package.
        from lashlang.syntax import parse

        program = _with_room(lambda: compile_tree(parse(source), source))
        _cache.put(source, program)
    return program


def clear_cache() -> None:
    """Forget the compiled programs, for measurements and tests."""
    _cache.clear()


def compile_tree(program: tree.Program, source: str, readonly: frozenset[str] = frozenset()) -> Program:
    """Compile a parsed block, with these variables read-only. Raises `CompileError`."""
    text = Source(source)
    found = survey(program, text)

    def build(names: frozenset[str]) -> Program:
        try:
            emitter = _emit(program, found, names)
            return Program(text.text, emitter, lambda other: _with_room(lambda: build(other)))
        except ProgramTooLarge as error:
            raise refusal(text, "source_too_large", str(error), 0, 0) from None

    return build(readonly)


def _emit(program: tree.Program, found: Survey, readonly: frozenset[str]) -> Emitter:
    emitter = Emitter(found, readonly)
    statements.block(emitter, program.statements, None, charged=False, wanted=False)
    if not program.statements:
        emitter.mark(program.start, program.end)
    emitter.op(_END)
    parallel.branches(emitter)
    return emitter


def _with_room(build: Callable[[], Program]) -> Program:
    """Run `build`; where the caller has left too little of the recursion limit, in a thread that has all of it."""
    try:
        return build()
    except RecursionError:
        pass
    results: list[Program] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(build())
        except BaseException as error:  # handed on to the caller, whatever it is
            errors.append(error)

    thread = threading.Thread(target=work, name="lashlang-compile")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
