"""The instruction set: one table read by the compiler, the disassembler and (generated from it) the kernel.

An instruction is one 64-bit little-endian word of four 16-bit fields, `op | a << 16 | b << 32 | c << 48`,
followed by as many *extra words* as its entry says. Registers of a fiber are numbered

    0 .. variables-1              the block's variables, by slot
    variables .. +constants-1     preloaded constants (read-only)
    the rest                      temporaries

Roles of fields
    dst     register written; whatever it held is released
    reg     register read, borrowed (a variable may be unbound there: fault `unknown_name` at this operand)
    tmp     temporary that the instruction owns: it is moved out of, or used as its private state
    var     variable slot
    const   index into the constant pool
    imm     unsigned number
    lo, hi  the two halves of one 32-bit number (`lo | hi << 16`): jump target, count or constant index
    -       unused, zero

Extra words
    target  one word: the 32-bit jump target (index of an instruction word)
    args    ceil(n/4) words of four 16-bit register numbers each, low first
    keys    ceil(n/4) words of four 16-bit constant indexes each, low first
    steps   ceil(n/2) words of two 32-bit steps each, low first: `kind | operand << 16`;
            kind 0: field, operand is a constant index; kind 1: index, operand is a register

Sites. A fault names the instruction and a *site* in it, so that one instruction can report several
places of the source. Site 0 is the instruction's own operation. Sites 1, 2, … are its `reg`
operands in the order b, c (a only where a is a `reg`, then it comes first), then those among `args`
and `steps`, each reporting an unbound variable. `UPDATE` and `RANGE` list further sites in their text.
Site 65535 is the limit site: the statement that `limit_exceeded` blames (chapter 17).

Charges. `CHARGE` and the `*_NEXT` instructions charge the 1s of statements and iterations; a builtin
instruction charges its own 1; bulk fuel is the kernel's business (chapter 16.1).
"""

from __future__ import annotations

from typing import NamedTuple

BYTECODE_VERSION = 1
"""Raised whenever the meaning of any instruction changes; a test compares it with a digest of this table."""

LIMIT_SITE = 0xFFFF


class Opcode(NamedTuple):
    """One instruction: name, roles of the fields a, b and c, kind of extra words, meaning."""

    name: str
    a: str
    b: str
    c: str
    words: str
    text: str


OPCODES: tuple[Opcode, ...] = (
    # --- control -----------------------------------------------------------------------------
    Opcode("END", "-", "-", "-", "", "the block runs off its end: continued"),
    Opcode("SUBMIT", "reg", "-", "-", "", "end the block with this value; checks value_size"),
    Opcode("CHARGE", "imm", "-", "-", "", "charge a fuel units (statements; iterations of while)"),
    Opcode("JUMP", "-", "lo", "hi", "", "go on at the target"),
    Opcode("JUMP_FALSE", "reg", "lo", "hi", "", "go to the target if a is false by truthiness"),
    Opcode("JUMP_TRUE", "reg", "lo", "hi", "", "go to the target if a is true by truthiness"),
    Opcode("JUMP_NULL", "reg", "lo", "hi", "", "go to the target if a is null"),
    Opcode("JUMP_NOT_NULL", "reg", "lo", "hi", "", "go to the target if a is not null"),
    Opcode(
        "FAULT", "imm", "const", "-", "", "raise fault kind a (a number of faults.KINDS) about the name in constant b"
    ),
    # --- registers ---------------------------------------------------------------------------
    Opcode("MOVE", "dst", "reg", "-", "", "a = b, shared"),
    Opcode("TAKE", "dst", "tmp", "-", "", "a = b, moved; b is left empty"),
    Opcode("CHECK", "reg", "-", "-", "", "fault if the variable a is unbound"),
    Opcode("DROP", "tmp", "imm", "-", "", "release the b temporaries from a on"),
    Opcode("LOAD", "dst", "lo", "hi", "", "a = constant number b:c (a scalar or text)"),
    Opcode(
        "LOAD_TREE",
        "dst",
        "lo",
        "hi",
        "",
        "a = constant number b:c, a container built at compile time; checks list_size, value_depth as building does",
    ),
    # --- building ----------------------------------------------------------------------------
    Opcode(
        "LIST", "dst", "tmp", "imm", "", "a = list of the c temporaries from b on, moved; checks list_size, value_depth"
    ),
    Opcode(
        "RECORD",
        "dst",
        "tmp",
        "imm",
        "keys",
        "a = record of c keys and temporaries from b on, moved; later keys win; checks",
    ),
    Opcode("NEW_LIST", "dst", "lo", "hi", "", "a = empty list with room for b:c elements"),
    Opcode("EXTEND", "tmp", "tmp", "imm", "", "append the c temporaries from b on to the list a, moved; no checks"),
    Opcode("NEW_RECORD", "dst", "lo", "hi", "", "a = empty record with room for b:c entries"),
    Opcode(
        "PUT", "tmp", "tmp", "imm", "keys", "put c keys and the temporaries from b on into record a, moved; no checks"
    ),
    Opcode("FINISH", "tmp", "-", "-", "", "check list_size and value_depth of the list or record in a"),
    Opcode(
        "COLLECT", "tmp", "tmp", "-", "", "append b, moved, to the comprehension list a; checks list_size, value_depth"
    ),
    Opcode("TYPE_REF", "dst", "reg", "-", "", "a = the schema held by the Type value b; else type_error"),
    # --- operators (dst may equal an operand: the result then reuses its memory where it can) --
    Opcode("ADD", "dst", "reg", "reg", "", "a = b + c"),
    Opcode("SUB", "dst", "reg", "reg", "", "a = b - c"),
    Opcode("MUL", "dst", "reg", "reg", "", "a = b * c"),
    Opcode("DIV", "dst", "reg", "reg", "", "a = b / c"),
    Opcode("MOD", "dst", "reg", "reg", "", "a = b % c"),
    Opcode("NEG", "dst", "reg", "-", "", "a = -b"),
    Opcode("NOT", "dst", "reg", "-", "", "a = not b"),
    Opcode("EQ", "dst", "reg", "reg", "", "a = b == c"),
    Opcode("NE", "dst", "reg", "reg", "", "a = b != c"),
    Opcode("LT", "dst", "reg", "reg", "", "a = b < c"),
    Opcode("LE", "dst", "reg", "reg", "", "a = b <= c"),
    Opcode("GT", "dst", "reg", "reg", "", "a = b > c"),
    Opcode("GE", "dst", "reg", "reg", "", "a = b >= c"),
    Opcode("IN", "dst", "reg", "reg", "", "a = b in c; charges 1 as a builtin does"),
    Opcode("NOT_IN", "dst", "reg", "reg", "", "a = b not in c; charges 1 as a builtin does"),
    Opcode("JUMP_EQ", "reg", "reg", "imm", "target", "go to the target if (a == b) is c"),
    Opcode("JUMP_NE", "reg", "reg", "imm", "target", "go to the target if (a != b) is c"),
    Opcode("JUMP_LT", "reg", "reg", "imm", "target", "go to the target if (a < b) is c"),
    Opcode("JUMP_LE", "reg", "reg", "imm", "target", "go to the target if (a <= b) is c"),
    Opcode("JUMP_GT", "reg", "reg", "imm", "target", "go to the target if (a > b) is c"),
    Opcode("JUMP_GE", "reg", "reg", "imm", "target", "go to the target if (a >= b) is c"),
    # --- access and assignment ---------------------------------------------------------------
    Opcode("FIELD", "dst", "reg", "const", "", "a = b.key, the key in constant c"),
    Opcode("INDEX", "dst", "reg", "reg", "", "a = b[c]"),
    Opcode("UNWRAP", "dst", "reg", "imm", "", "a = b?; c is 1 if b is the result of an await"),
    Opcode(
        "SET_PATH",
        "var",
        "reg",
        "imm",
        "steps",
        "store b (borrowed) at the path of c steps below variable a; site 1 is b, site 0 every failure of its own",
    ),
    Opcode(
        "UPDATE",
        "var",
        "reg",
        "imm",
        "steps",
        "p = op(p, b) in place, p the path of (c & 0xfff) steps (at least 1) below variable a, op (c >> 12): 0 add, "
        "1 sub, 2 mul, 3 div, 4 mod, 5 push (which charges 1); site 0 reading p, site 65533 the operation, "
        "site 65534 storing; b is site 1",
    ),
    # --- loops: `tmp` is the first of three temporaries that hold the loop's state -----------
    Opcode("SAVE", "tmp", "var", "-", "", "park the binding of variable b, bound or not, in a; b is null meanwhile"),
    Opcode("RESTORE", "tmp", "var", "-", "", "put the parked binding back"),
    Opcode("FOR_LIST", "tmp", "reg", "-", "", "begin a loop over list b; else not_iterable"),
    Opcode(
        "LIST_NEXT", "tmp", "var", "imm", "target", "go to the target at the end, else charge c and bind variable b"
    ),
    Opcode(
        "RANGE",
        "tmp",
        "tmp",
        "imm",
        "",
        "begin a loop over range(...) of the c temporaries from b on; charges as the builtin",
    ),
    Opcode("RANGE_NEXT", "tmp", "var", "imm", "target", "as LIST_NEXT, for RANGE"),
    Opcode(
        "FOR_PAIRS",
        "tmp",
        "reg",
        "-",
        "",
        "begin a loop over the pairs of list b or the entries of record b; else not_iterable",
    ),
    Opcode(
        "PAIRS_NEXT",
        "tmp",
        "var",
        "var",
        "target",
        "as LIST_NEXT, charging 1, binding b and c; type_error on what is no pair",
    ),
    # --- builtins ----------------------------------------------------------------------------
    Opcode("LEN", "dst", "reg", "-", "", "a = len(b)"),
    Opcode("PUSH", "dst", "reg", "reg", "", "a = push(b, c); in place when a is b and the list is not shared"),
    Opcode("CALL_BUILTIN", "dst", "imm", "imm", "args", "a = builtin number b of c arguments"),
    # --- effects -----------------------------------------------------------------------------
    Opcode(
        "CALL_TOOL",
        "dst",
        "reg",
        "const",
        "",
        "a = wrapper that calling the tool named by constant c with record b gives",
    ),
    Opcode("START_TOOL", "dst", "reg", "const", "", "a = handle of the tool named by constant c started with record b"),
    Opcode("AWAIT", "dst", "reg", "-", "", "a = await b"),
    Opcode("CANCEL", "dst", "reg", "-", "", "a = what the host returns for cancelling handle b"),
    Opcode("PRINT", "reg", "-", "-", "", "hand value and text of a to the host"),
    Opcode(
        "PARALLEL", "dst", "lo", "hi", "", "run the branches of parallel table entry b:c as fibers; a = their values"
    ),
    Opcode("BRANCH_END", "reg", "-", "-", "", "the branch is done, its value is a"),
    Opcode("MARK", "var", "-", "-", "", "in a branch: variable a counts as assigned, for the merge"),
)
"""All instructions; an opcode's number is its index."""

NUMBER: dict[str, int] = {opcode.name: number for number, opcode in enumerate(OPCODES)}
"""Number of an opcode by its name."""

UPDATE_OPS: dict[str, int] = {"+": 0, "-": 1, "*": 2, "/": 3, "%": 4, "push": 5}
"""Operation codes of `UPDATE`."""
SITE_UPDATE_OPERATION = 65533
SITE_UPDATE_STORE = 65534
