"""Run-time faults: the numbers that kernel and host share for error kinds, limits and hint topics.

The kernel stops a block with a kind, a limit (for `limit_exceeded`), a *topic* and a message it has
worded itself; the host adds the place, from the program's spans, and the hint, from the topic and
the tree. The kernel's enumerations are generated from these tuples (number = index).
"""

from __future__ import annotations

KINDS: tuple[str, ...] = (
    "internal_error",
    "unknown_name",
    "type_error",
    "value_error",
    "not_iterable",
    "read_only",
    "unwrap_failed",
    "validation_failed",
    "parallel_conflict",
    "effect_failed",
    "projection_unavailable",
    "limit_exceeded",
    "interrupted",
)
"""Error kinds of chapter 17 that can arise while a block runs."""

LIMITS: tuple[str, ...] = (
    "fuel",
    "memory",
    "string_size",
    "list_size",
    "value_depth",
    "value_size",
    "requests",
    "output",
)
"""Limits of chapter 16, in the order the kernel receives their values."""

TOPICS: tuple[str, ...] = (
    "none",
    "name",  # a variable read while unbound (H-CONST, H-NAMES)
    "root",  # path or compound assignment to an unbound root, or through a missing key (H-ROOT)
    "wrapper",  # field, index, NUM, STR or loop on a result wrapper (H-WRAPPER)
    "null",  # `+` of text and null, ordering with null (H-NULL)
    "iterate_record",  # not_iterable (H-ITER)
    "iterate_string",
    "iterate_number",
    "pairs",  # element of a loop over two names is no pair (H-PAIRS)
    "index",  # OFFSET failure on a string, boolean or null (H-INDEX)
    "append",  # list assignment out of range (H-APPEND)
    "read_only",  # H-READONLY
    "validate",  # second argument of validate, try_validate is no Type value (H-VALIDATE)
    "join",  # join with a string first and a list second (H-JOIN)
    "pair_field",  # .key .value .index of a list of two; sort_by, group_by by a name on such (H-PAIR-FIELD)
    "format",  # content of format braces (H-FORMAT)
    "len_image",  # H-LEN-IMAGE
    "unwrap_failed",  # H-UNWRAP
    "unwrap_await",  # `?` on a list or record that await gave (H-AWAIT-LIST)
    "unwrap_handle",  # `?` on a handle (H-AWAIT)
    "unwrap_null",  # `?` on null or a record that is no wrapper (H-OPTIONAL when `.` or `[` follows)
)
"""What a fault is about, for the hint."""
