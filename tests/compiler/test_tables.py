"""The tables: the instruction set is versioned, and its Zig form says the same as the Python one."""

from __future__ import annotations

import hashlib
import re

from lashlang.compiler.builtins import BUILTINS, BY_NAME
from lashlang.compiler.faults import KINDS, LIMITS, TOPICS
from lashlang.compiler.opcodes import BYTECODE_VERSION, NUMBER, OPCODES, UPDATE_OPS
from lashlang.kernel import generate

DIGESTS = {1: "dd2b51817212d844"}
"""Digest of the table without its texts, by bytecode version: a changed table has a new version and a new line here."""

FIELD_ROLES = {"dst", "reg", "tmp", "var", "const", "imm", "lo", "hi", "-"}
WORD_KINDS = {"", "target", "args", "keys", "steps"}


def table_digest() -> str:
    text = repr([opcode[:5] for opcode in OPCODES]) + repr(sorted(UPDATE_OPS.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def zig_tags(text: str, name: str) -> dict[str, int]:
    """The tags of an enumeration in Zig source."""
    body = re.search(rf"pub const {name} = enum\(\w+\) \{{(.*?)\n\}};", text, re.DOTALL)
    assert body is not None
    return {tag: int(number) for tag, number in re.findall(r'^    @?"?(\w+)"? = (\d+),$', body.group(1), re.MULTILINE)}


def lowered(names: list[str] | tuple[str, ...]) -> dict[str, int]:
    return {name.lower(): number for number, name in enumerate(names)}


def test_a_change_of_the_instruction_set_needs_a_new_bytecode_version() -> None:
    assert DIGESTS[BYTECODE_VERSION] == table_digest()


def test_every_field_of_every_opcode_has_a_known_role() -> None:
    for opcode in OPCODES:
        assert {opcode.a, opcode.b, opcode.c} <= FIELD_ROLES
        assert opcode.words in WORD_KINDS


def test_the_halves_of_wide_numbers_stand_together() -> None:
    for opcode in OPCODES:
        assert (opcode.b == "lo") == (opcode.c == "hi")


def test_names_of_opcodes_and_builtins_are_unique() -> None:
    assert len(NUMBER) == len(OPCODES)
    assert len(BY_NAME) == len(BUILTINS)


def test_the_kernel_numbers_opcodes_as_the_compiler_does() -> None:
    assert zig_tags(generate.render_opcodes(), "Op") == lowered([opcode.name for opcode in OPCODES])


def test_the_kernel_numbers_kinds_limits_and_topics_as_the_host_does() -> None:
    text = generate.render_faults()
    assert zig_tags(text, "Kind") == lowered(KINDS)
    assert zig_tags(text, "Limit") == lowered(LIMITS)
    assert zig_tags(text, "Topic") == lowered(TOPICS)


def test_the_kernel_numbers_builtins_as_the_compiler_does() -> None:
    assert zig_tags(generate.render_builtins(), "Builtin") == lowered([builtin.name for builtin in BUILTINS])


def test_a_name_that_is_a_zig_keyword_is_quoted() -> None:
    assert generate.tag("ERROR") == '@"error"'
    assert generate.tag("JUMP_NULL") == "jump_null"


def test_the_generated_files_are_those_the_kernel_imports() -> None:
    assert {"opcodes.zig", "faults.zig", "builtins.zig"} <= set(generate.render_all())
