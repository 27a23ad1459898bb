"""A compiled block: what the kernel runs, and what the host needs to report on the run.

A `Program` is made from source only, by `compile`; compiled code is never loaded from elsewhere.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import msgpack

from lashlang.compiler.emit import Emitter, Fact, ParallelEntry
from lashlang.compiler.opcodes import BYTECODE_VERSION, LIMIT_SITE
from lashlang.compiler.values import Value

LANGUAGE_VERSION = 1
"""Raised whenever a source may mean something else than before; part of every program's hash."""

MOST_VARIANTS = 16
"""So many variants for read-only names are kept with a program."""


def source_hash(source: str) -> str:
    """The hash that names a block: SHA-256 of language version and source, in hex digits."""
    text = f"lashlang {LANGUAGE_VERSION}\n{source}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Parallel:
    """One entry of the table of `parallel`s: its branches' keys and addresses, and what a merge must not mark."""

    keys: tuple[str | None, ...]
    entries: tuple[int, ...]
    excluded: tuple[int, ...]
    named: bool


@dataclass(frozen=True, slots=True)
class Code:
    """The tables that the kernel loads; `packed` is their msgpack form."""

    variables: tuple[str, ...]
    constants: tuple[Value, ...]
    preloaded: int
    registers: int
    words: bytes
    unwinds: tuple[tuple[int, int, int, int], ...]
    parallels: tuple[Parallel, ...]

    def packed(self) -> bytes:
        """The program as the kernel reads it."""
        unwinds = [number for entry in self.unwinds for number in entry]
        parallels = [[list(p.keys), list(p.entries), list(p.excluded), p.named] for p in self.parallels]
        document = [
            BYTECODE_VERSION,
            list(self.variables),
            list(self.constants),
            self.preloaded,
            self.registers,
            self.words,
            struct.pack(f"<{len(unwinds)}I", *unwinds),
            parallels,
        ]
        packed: bytes | None = msgpack.packb(document)
        assert packed is not None
        return packed


class Program:
    """A compiled block, immutable and safe to share between machines and threads.

    `names_assigned` are the variables that the block assigns or binds in loops, `names_used` all it
    mentions, `tools` the names of the tools it calls.
    """

    __slots__ = (
        "_facts",
        "_mark_pcs",
        "_marks",
        "_packed",
        "_recompile",
        "_spans",
        "_variants",
        "code",
        "hash",
        "language_version",
        "names_assigned",
        "names_used",
        "readonly",
        "source",
        "tools",
    )

    source: str
    hash: str
    language_version: int
    code: Code
    names_assigned: frozenset[str]
    names_used: frozenset[str]
    tools: frozenset[str]
    readonly: frozenset[str]
    _spans: dict[int, tuple[int, int]]
    _facts: dict[int, Fact]
    _marks: list[tuple[int, int]]
    _mark_pcs: list[int]
    _packed: bytes | None
    _variants: dict[frozenset[str], Program]
    _recompile: Callable[[frozenset[str]], Program]

    def __init__(self, source: str, emitter: Emitter, recompile: Callable[[frozenset[str]], Program]) -> None:
        """Take what the emitter has made; `recompile` makes the variant for other read-only names.

        Raises `ProgramTooLarge` when a number of the code does not fit its field.
        """
        constants, registers = emitter.resolve()
        survey = emitter.survey
        self._set("source", source)
        self._set("hash", source_hash(source))
        self._set("language_version", LANGUAGE_VERSION)
        self._set("names_assigned", frozenset(survey.bound))
        self._set("names_used", frozenset(survey.slots))
        self._set("tools", frozenset(survey.tools))
        self._set("readonly", emitter.readonly)
        self._set("_spans", emitter.spans)
        self._set("_facts", emitter.facts_at)
        self._set("_mark_pcs", [pc for pc, _ in emitter.marks])
        self._set("_marks", [span for _, span in emitter.marks])
        self._set("_packed", None)
        self._set("_variants", {})
        self._set("_recompile", recompile)
        code = Code(
            tuple(survey.slots),
            tuple(constants),
            len(emitter.preloaded),
            registers,
            struct.pack(f"<{len(emitter.code)}H", *emitter.code),
            tuple(emitter.unwinds),
            tuple(_parallel(entry) for entry in emitter.parallels),
        )
        self._set("code", code)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Program cannot be changed ({name})")

    def __repr__(self) -> str:
        return f"<Program {self.hash[:12]}: {len(self.code.words) // 8} words, {len(self.code.variables)} variables>"

    @property
    def packed(self) -> bytes:
        """The program as the kernel loads it."""
        packed = self._packed
        if packed is None:
            packed = self.code.packed()
            self._set("_packed", packed)
        return packed

    def span(self, pc: int, site: int) -> tuple[int, int]:
        """The place in the source that a fault of the instruction at `pc`, site `site`, is shown at.

        Half-open code-point offsets. The limit site, and any site without a place of its own, is that of
        the statement the instruction belongs to.
        """
        if site != LIMIT_SITE:
            span = self._spans.get(pc << 16 | site)
            if span is not None:
                return span
        at = bisect_right(self._mark_pcs, pc) - 1
        return self._marks[at] if at >= 0 else (0, 0)

    def has_span(self, pc: int, site: int) -> bool:
        """Whether a fault at this site has a place of its own, apart from its statement's."""
        return (pc << 16 | site) in self._spans

    def facts(self, pc: int, site: int) -> Fact:
        """What is known of the operand at a site, for the choice of a hint."""
        return self._facts.get(pc << 16 | site, Fact.NONE)

    def statement(self, pc: int) -> tuple[int, int]:
        """The statement that an instruction belongs to."""
        return self.span(pc, LIMIT_SITE)

    def with_readonly(self, names: frozenset[str]) -> Program:
        """The variant of this program for a run in which these names are projected, so that assigning them fails."""
        relevant = names & self.names_assigned
        if relevant == self.readonly:
            return self
        variant = self._variants.get(relevant)
        if variant is None:
            if len(self._variants) >= MOST_VARIANTS:
                self._variants.clear()
            variant = self._variants[relevant] = self._recompile(relevant)
        return variant


def _parallel(entry: ParallelEntry) -> Parallel:
    return Parallel(tuple(entry.keys), tuple(entry.entries), tuple(entry.excluded), entry.named)
