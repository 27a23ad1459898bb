"""The account of a suspended block: what a portable snapshot says in numbers, checked before any of it is used.

The kernel writes it (suspended.zig) as a msgpack array

    [fuel, bytes printed, requests issued, number of the oldest request, of these not handed out yet, number of the
     oldest question, names projected, slots bound in this block, fibers, open requests, questions, fibers that can run]

    fiber     [parent, branch, pc, status, charged, has branches, slots assigned, fault, answers, has a result, reads]
    fault     [kind, limit, topic, site, pc, text]
    request   [number, kind, fiber, place of its answer]
    question  [fiber, place of its answer, parts]

A snapshot may have been written by anybody. What is checked here is that the account fits the program (every fiber
stands at an instruction of its own branch, and waits for something that this instruction can wait for) and fits
itself. What the registers have to hold there is handed to the kernel, which checks the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import msgpack

from lashlang.compiler.faults import KINDS, LIMITS, TOPICS
from lashlang.compiler.program import Program
from lashlang.compiler.stackmaps import StackMaps, stack_maps
from lashlang.errors import SnapshotError
from lashlang.vm.protocol import RequestKind

READY, REQUESTS, READS, BRANCHES, DONE, FAILED = range(6)
"""States of a fiber, as in fiber.zig."""

_KIND_AT = {
    "CALL_TOOL": RequestKind.CALL,
    "START_TOOL": RequestKind.START,
    "AWAIT": RequestKind.AWAIT,
    "CANCEL": RequestKind.CANCEL,
    "PRINT": RequestKind.PRINT,
}
_LONGEST_MESSAGE = 2048
_MOST_REQUESTS = 1 << 28


@dataclass(frozen=True, slots=True)
class Fiber:
    """One fiber of an account."""

    parent: int | None
    branch: int
    pc: int
    status: int
    has_branches: bool
    marked: list[int]
    fault: list[Any] | None
    answers: int | None
    has_result: bool
    reads: int | None


class Account:
    """An account that has been read; `check` says whether it fits a program.

    `projected` are the names the block runs with as read-only. Raises SnapshotError for what is no account.
    """

    def __init__(self, packed: bytes) -> None:
        try:
            fields: object = msgpack.unpackb(packed)
        except (ValueError, msgpack.UnpackException) as error:
            raise SnapshotError(f"the snapshot's account of its block cannot be read: {error}") from error
        parts = _array(fields, 12)
        self.fuel, self.printed, self.issued, self.first, self.unseen, self.first_question = map(_number, parts[:6])
        self.projected = tuple(_texts(parts[6]))
        self.bound = _numbers(parts[7])
        self.fibers = [_fiber(item) for item in _array(parts[8])]
        self.requests = [[_number(field) for field in _array(item, 4)] for item in _array(parts[9])]
        self.questions = [[_number(field) for field in _array(item, 3)] for item in _array(parts[10])]
        self.ready = _numbers(parts[11])
        self._branches: dict[int, list[int]] = {}

    def check(self, program: Program) -> list[list[int]]:
        """What the registers of every fiber must hold, as register, kind, register, kind, …

        Raises SnapshotError where the account does not fit the program or contradicts itself.
        """
        variables = len(program.code.variables)
        if len(set(self.projected)) < len(self.projected):
            _refuse("a name is projected twice")
        _check_slots(self.bound, variables)
        code = stack_maps(program)
        self._check_tree(code)
        needs = [self._check_fiber(number, code) for number in range(len(self.fibers))]
        for fiber in self.fibers:
            _check_slots(fiber.marked, variables)
        self._check_requests(code)
        self._check_questions()
        standing = [number for number, fiber in enumerate(self.fibers) if fiber.status == READY]
        if sorted(self.ready) != standing:
            _refuse("not just the fibers that can run are queued")
        return needs

    # --- fibers ------------------------------------------------------------------------------------

    def _check_tree(self, code: StackMaps) -> None:
        """Fibers come before their branches, and every branch of a `parallel` is there once."""
        seen: set[tuple[int, int]] = set()
        for number, fiber in enumerate(self.fibers):
            if (fiber.parent is None) != (number == 0):
                _refuse("there is not just one main fiber")
            if fiber.parent is None:
                continue
            if fiber.parent >= number or not self.fibers[fiber.parent].has_branches:
                _refuse("a branch belongs to no `parallel`")
            if (fiber.parent, fiber.branch) in seen:
                _refuse("a branch is there twice")
            seen.add((fiber.parent, fiber.branch))
            self._branches.setdefault(fiber.parent, []).append(number)
        for number, fiber in enumerate(self.fibers):
            if not fiber.has_branches:
                continue
            entry = code.parallel(fiber.pc)
            if entry is None or not entry.entries:
                _refuse("a fiber with branches is at no `parallel` that has any")
            branches = [self.fibers[child].branch for child in self._branches.get(number, ())]
            if sorted(branches) != list(range(len(entry.entries))):
                _refuse("a `parallel` lacks branches")

    def _entry(self, number: int, code: StackMaps) -> int:
        """Where the code of a fiber begins."""
        fiber = self.fibers[number]
        if fiber.parent is None:
            return 0
        entry = code.parallel(self.fibers[fiber.parent].pc)
        assert entry is not None  # checked with the tree
        return entry.entries[fiber.branch]

    def _check_fiber(self, number: int, code: StackMaps) -> list[int]:
        fiber = self.fibers[number]
        opcode = code.opcode(fiber.pc)
        if opcode is None:
            _refuse("a fiber is at no instruction")
        over = fiber.status in (DONE, FAILED)
        if over and fiber.parent is None:
            _refuse("the main fiber has ended")
        if (fiber.fault is not None) != (fiber.status == FAILED) or (fiber.has_result and fiber.status != DONE):
            _refuse("a fiber ended otherwise than it says")
        kind = _KIND_AT.get(opcode.name)
        if fiber.answers is not None and (over or kind is None or (fiber.answers != 1 and opcode.name != "AWAIT")):
            _refuse("a fiber has answers that its instruction did not ask for")
        if fiber.has_branches:
            done = all(self.fibers[child].status in (DONE, FAILED) for child in self._branches[number])
            if fiber.status != (READY if done else BRANCHES):
                _refuse("a fiber does not wait for its branches")
        elif fiber.status == BRANCHES:
            _refuse("a fiber waits for branches it does not have")
        if fiber.status == REQUESTS and fiber.answers is None:
            _refuse("a fiber waits for answers that have no place")
        if over:
            return []
        temporaries = code.at(self._entry(number, code), fiber.pc)
        if temporaries is None:
            _refuse("a fiber is outside its branch")
        return [field for pair in temporaries.items() for field in pair]

    # --- requests and questions ----------------------------------------------------------------------

    def _check_requests(self, code: StackMaps) -> None:
        places: set[tuple[int, int]] = set()
        numbers = [number for number, *_ in self.requests]
        for _, kind, fiber, place in self.requests:
            if fiber >= len(self.fibers) or self.fibers[fiber].status != REQUESTS:
                _refuse("a request belongs to a fiber that waits for none")
            opcode = code.opcode(self.fibers[fiber].pc)
            if opcode is None or _KIND_AT[opcode.name] != kind:
                _refuse("a request is not what its instruction asks for")
            if place >= (self.fibers[fiber].answers or 0) or (fiber, place) in places:
                _refuse("a request's answer has no place")
            places.add((fiber, place))
        if {fiber for fiber, _ in places} != {n for n, fiber in enumerate(self.fibers) if fiber.status == REQUESTS}:
            _refuse("a fiber waits for a request that is not open")
        if numbers != sorted(set(numbers)) or any(not self.first <= number <= self.issued for number in numbers):
            _refuse("requests are numbered wrongly")
        if self.first < 1 or not 0 <= self.issued + 1 - self.first < _MOST_REQUESTS:
            _refuse("requests are counted wrongly")
        if not numbers and self.first != self.issued + 1:
            _refuse("requests are counted wrongly")
        if self.unseen > len(numbers) or numbers[len(numbers) - self.unseen :] != list(
            range(self.issued + 1 - self.unseen, self.issued + 1)
        ):
            _refuse("requests that nobody has seen are not open")
        if self.unseen and not any(fiber.status in (READY, READS) for fiber in self.fibers):
            _refuse("a block waits for requests that nobody has seen")

    def _check_questions(self) -> None:
        places: set[tuple[int, int]] = set()
        for fiber, place, parts in self.questions:
            if fiber >= len(self.fibers) or place % 2 or place >= (self.fibers[fiber].reads or 0) or parts < 2:
                _refuse("a question's answer has no place")
            if (fiber, place) in places:
                _refuse("a question is there twice")
            places.add((fiber, place))
        if self.first_question < 1 or self.first_question >= 1 << 62:
            _refuse("questions are numbered wrongly")


def _check_slots(slots: Sequence[int], variables: int) -> None:
    if len(set(slots)) < len(slots) or any(slot >= variables for slot in slots):
        _refuse("a variable does not exist, or is listed twice")


# --- reading -----------------------------------------------------------------------------------------


def _refuse(reason: str) -> NoReturn:
    raise SnapshotError(f"the snapshot contradicts itself or its program: {reason}")


def _array(value: object, size: int | None = None) -> list[Any]:
    if not isinstance(value, list):
        _refuse("a list is missing")
    items = cast("list[Any]", value)
    if size is not None and len(items) != size:
        _refuse("a list has the wrong length")
    return items


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        _refuse("a number is missing")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        _refuse("a yes or no is missing")
    return value


def _optional(value: object) -> int | None:
    return None if value is None else _number(value)


def _numbers(value: object) -> list[int]:
    return [_number(item) for item in _array(value)]


def _texts(value: object) -> list[str]:
    items = _array(value)
    if not all(isinstance(item, str) for item in items):
        _refuse("a name is missing")
    return items


def _fiber(value: object) -> Fiber:
    parent, branch, pc, status, charged, has_branches, marked, fault, answers, has_result, reads = _array(value, 11)
    _flag(charged)
    if _number(status) > FAILED:
        _refuse("a fiber is in no state")
    made = Fiber(
        _optional(parent),
        _number(branch),
        _number(pc),
        status,
        _flag(has_branches),
        _numbers(marked),
        None if fault is None else _fault(fault),
        _optional(answers),
        _flag(has_result),
        _optional(reads),
    )
    if made.answers == 0 or (made.reads or 0) % 2:
        _refuse("a fiber has half an answer")
    return made


def _fault(value: object) -> list[Any]:
    fields = _array(value, 6)
    kind, limit, topic, site, pc = _number(fields[0]), _optional(fields[1]), *map(_number, fields[2:5])
    known = kind < len(KINDS) and (limit is None or limit < len(LIMITS)) and topic < len(TOPICS)
    text: object = fields[5]
    if not known or site > 0xFFFF or pc >= 1 << 32 or not isinstance(text, str):
        _refuse("a fault is of no kind")
    if len(text.encode("utf-8")) > _LONGEST_MESSAGE:
        _refuse("a fault's text is too long")
    return fields
