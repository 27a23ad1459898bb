"""Snapshots: a machine as bytes, and back (chapter 15).

The *portable* form holds what the language knows: the variables, and of a suspended block its source, its
fibers, requests and prints. Between blocks every later version reads it; inside a block only one with the same
bytecode does, since the program is compiled anew from the source. Where bytes come from does not matter: they are
checked whole, and values, fibers and program have to fit each other.

The *image* form is a copy of the kernel's memory: quick, good for the same build only, and nothing in it can be
checked. So it is only taken from who is trusted: with the key that sealed it, or where the caller says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from lashlang.compiler import compile as compile_source
from lashlang.compiler.faults import LIMITS
from lashlang.compiler.opcodes import BYTECODE_VERSION
from lashlang.compiler.program import Program, source_hash
from lashlang.errors import HostValueError, KernelFault, LanguageError, LashlangError, SnapshotError
from lashlang.projection import holds_projection
from lashlang.syntax.diagnostics import CompileError
from lashlang.vm.account import Account
from lashlang.vm.block import Block
from lashlang.vm.container import Content, Form, check_key, unwrap, wrap
from lashlang.vm.engine import KERNEL_FILE, MAX_MEMORY
from lashlang.vm.limits import Limits
from lashlang.vm.machine import is_name
from lashlang.vm.protocol import Command, Status
from lashlang.vm.sources import Resolve, describe, resolve
from lashlang.vm.steps import Print
from lashlang.vm.wire import Codec, explain

if TYPE_CHECKING:
    from lashlang.vm.machine import Machine

FORMAT_VERSION = 1
"""Version of what a portable snapshot says of variables; every version of lash reads all up to its own."""

FormName = Literal["portable", "image"]

M = TypeVar("M", bound="Machine")


@cache
def build_id() -> str:
    """What tells one build of the kernel from another: images are good for the same one only."""
    return hashlib.sha256(KERNEL_FILE.read_bytes()).hexdigest()


# --- taking ------------------------------------------------------------------------------------------


def take(machine: Machine, form: FormName, key: bytes | None) -> bytes:
    """See `Machine.snapshot`; the machine's block, if it has one, is at rest."""
    key = check_key(key)
    block = machine.block
    header: dict[str, Any] = {"sources": [describe(source) for source in machine.codec.sources]}
    if form == "image":
        header |= {"build": build_id(), "block": None if block is None else _block_header(machine, block)}
        with machine.instance.contents() as contents:
            header["stretches"] = [[start, len(stretch)] for start, stretch in contents]
            return wrap(Form.IMAGE, header, [stretch for _, stretch in contents], key)
    if form != "portable":
        raise ValueError(f"a snapshot is `portable` or `image`, not {form!r}")
    account, body = _dump(machine)
    header |= {"format": FORMAT_VERSION, "block": None}
    if block is not None:
        header["block"] = _block_header(machine, block) | {"bytecode": BYTECODE_VERSION, "account": account}
    return wrap(Form.PORTABLE, header, body, key)


def _block_header(machine: Machine, block: Block) -> dict[str, Any]:
    """What the host, and not the kernel, knows of a block."""
    prints = [[seen.id, None if isinstance(seen.value, str) else seen.text, seen.value] for seen in block.prints]
    return {
        "source": block.program.source,
        "hash": block.program.hash,
        "projected": list(block.projected),
        "limits": machine.limits_in_force.as_list(),
        "prints": machine.codec.pack(prints),
    }


def _dump(machine: Machine) -> tuple[bytes, list[bytes]]:
    """The kernel's account of its block, and its values in pieces."""
    with machine.instance.hold() as command:
        status, account = command(Command.DUMP)
        body: list[bytes] = []
        writing = status == Status.OK
        while writing:
            status, more = command(Command.DUMP_MORE)
            body.append(more)
            writing = status == Status.SLICE
    if status == Status.FAILED:
        raise LashlangError("the machine's memory has no room for writing its snapshot")
    if status != Status.OK:
        raise machine.instance.retire(f"the kernel cannot be dumped (status {status})")
    return account, body


# --- restoring ---------------------------------------------------------------------------------------


def restore(
    make: Callable[[Limits | None], M],
    data: bytes,
    limits: Limits | None,
    key: bytes | None,
    projections: Resolve | None,
    trust_image: bool,
) -> M:
    """See `Machine.restore`; `make` makes an empty machine."""
    content = unwrap(data, check_key(key))
    if content.form == Form.IMAGE and not (content.sealed or trust_image):
        raise SnapshotError(
            "an image cannot be checked: restore it with the `key` it was sealed with, or say `trust_image=True`"
        )
    machine = make(limits)
    try:
        for description in _items(content.header, "sources", (dict, type(None))):
            machine.codec.sources.append(resolve(description, projections))
        if content.form == Form.IMAGE:
            _restore_image(machine, content)
        else:
            _restore_portable(machine, content)
    except BaseException:
        machine.close()
        raise
    return machine


def _restore_portable(machine: Machine, content: Content) -> None:
    version = _field(content.header, "format", int)
    if not 1 <= version <= FORMAT_VERSION:
        raise SnapshotError(f"the snapshot has format {version}; this version of lash reads 1 to {FORMAT_VERSION}")
    header = _optional_block(content)
    sources = len(machine.codec.sources)
    if header is None:
        _load(machine, [_pack(sources), b"\xc0\xc0\xc0"], content.body)
        return
    bytecode = _field(header, "bytecode", int)
    if bytecode != BYTECODE_VERSION:
        raise SnapshotError(
            f"the snapshot is of a block that bytecode {bytecode} was running, this version of lash has "
            f"{BYTECODE_VERSION}: run the block again from its start with the recorded answers"
        )
    packed = _field(header, "account", bytes)
    account = Account(packed)
    if list(account.projected) != _items(header, "projected", (str,)):
        raise SnapshotError("the snapshot contradicts itself: other names are projected than it says")
    program = _program(header)
    needs = account.check(program)
    prints = _prints(machine.codec, header)
    _limit(machine, header)
    _load(machine, [_pack(sources), program.packed, packed, _pack(needs)], content.body)
    _adopt(machine, program, account.projected, prints)


def _restore_image(machine: Machine, content: Content) -> None:
    if _field(content.header, "build", str) != build_id():
        raise SnapshotError(
            "the image was made by another build of lash: only portable snapshots go from one to another"
        )
    header = _optional_block(content)
    program = None if header is None else _program(header)
    try:
        machine.instance.become(_stretches(content))
    except MemoryError as error:
        raise SnapshotError(_no_room(machine)) from error
    if machine.heap_used > machine.limits.memory:
        raise SnapshotError(_no_room(machine))
    if header is None or program is None:
        machine.narrow(machine.limits)
        return
    _limit(machine, header)
    _adopt(machine, program, _items(header, "projected", (str,)), _prints(machine.codec, header))


def _stretches(content: Content) -> list[tuple[int, memoryview]]:
    """The stretches of memory that an image consists of, with their addresses."""
    found: list[tuple[int, memoryview]] = []
    at = top = 0
    for item in _items(content.header, "stretches", (list,)):
        if len(item) != 2 or any(type(number) is not int for number in item):
            raise SnapshotError("the image says wrongly what memory it holds")
        start, size = item
        if start < top or size < 0 or start + size > MAX_MEMORY:
            raise SnapshotError("the image says wrongly what memory it holds")
        found.append((start, content.body[at : at + size]))
        at += size
        top = start + size
    if not found or at != len(content.body):
        raise SnapshotError("the image says wrongly what memory it holds")
    return found


def _adopt(machine: Machine, program: Program, projected: Sequence[str], prints: Sequence[Print]) -> None:
    """Have the machine take charge of the block that its kernel holds now."""
    try:
        machine.adopt(program, projected, prints)
    except LanguageError as error:
        raise SnapshotError(_no_room(machine)) from error


def _load(machine: Machine, parts: list[bytes], body: memoryview) -> None:
    """Have the kernel check and take the values of a snapshot."""
    message = b"".join((b"\x95", *parts, body))
    try:
        status, reply = machine.instance.command(Command.LOAD, message, machine.codec.unpack)
    except MemoryError as error:
        raise SnapshotError(_no_room(machine)) from error
    if status == Status.OK:
        if not all(map(is_name, reply)):
            raise SnapshotError("the snapshot has a variable that no program can have")
        return
    if status == Status.FAILED:
        limit = LIMITS[int(reply[3])]
        if limit == "memory":
            raise SnapshotError(_no_room(machine))
        raise SnapshotError(f"what the snapshot's block asked for is larger than the `{limit}` that is granted")
    raise SnapshotError("the snapshot was altered: its values do not fit together")


def _no_room(machine: Machine) -> str:
    return f"the snapshot's values need more than the `memory` of {machine.limits.memory} bytes that is granted"


def _program(header: dict[str, Any]) -> Program:
    """The suspended block's program, compiled from the snapshot's source."""
    source = _field(header, "source", str)
    if _field(header, "hash", str) != source_hash(source):
        raise SnapshotError("the snapshot's source has another hash than it says, or is of another language version")
    try:
        program = compile_source(source)
    except CompileError as error:
        raise SnapshotError(f"the snapshot's source does not compile: {error}") from error
    return program.with_readonly(frozenset(_items(header, "projected", (str,))))


def _limit(machine: Machine, header: dict[str, Any]) -> None:
    """Put the block under the limits it had, where the host grants as much, else under those granted now."""
    had = _items(header, "limits", (int,))
    if len(had) != len(LIMITS) or any(isinstance(limit, bool) or limit < 0 for limit in had):
        raise SnapshotError("the snapshot's limits are none")
    granted = machine.limits.as_list()
    machine.narrow(Limits(**{name: min(pair) for name, *pair in zip(LIMITS, had, granted, strict=True)}))


def _prints(codec: Codec, header: dict[str, Any]) -> list[Print]:
    """The observations that the block has made."""
    try:
        found: object = codec.unpack(_field(header, "prints", bytes))
        explain(found)
    except (KernelFault, HostValueError) as error:
        raise SnapshotError(f"the snapshot's prints cannot be read: {error}") from error
    prints: list[Print] = []
    last = 0
    for item in cast("list[object]", found) if isinstance(found, list) else [None]:
        fields = cast("list[Any]", item) if isinstance(item, list) else []
        if len(fields) != 3 or type(fields[0]) is not int or fields[0] <= last:
            raise SnapshotError("the snapshot's prints are none")
        last, text, value = fields
        text = value if text is None else text
        if not isinstance(text, str) or holds_projection(value):
            raise SnapshotError("the snapshot's prints are none")
        prints.append(Print(last, text, value))
    return prints


# --- the header's fields -----------------------------------------------------------------------------


def _pack(value: object) -> bytes:
    return Codec().pack(value)


def _field(header: dict[str, Any], name: str, kind: type) -> Any:
    value = header.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SnapshotError(f"the snapshot's header lacks `{name}`, or has nonsense there")
    return value


def _items(header: dict[str, Any], name: str, kinds: tuple[type, ...]) -> list[Any]:
    items: list[Any] = _field(header, name, list)
    if not all(isinstance(item, kinds) for item in items):
        raise SnapshotError(f"the snapshot's header has nonsense in `{name}`")
    return items


def _optional_block(content: Content) -> dict[str, Any] | None:
    return None if content.header.get("block") is None else _field(content.header, "block", dict)
