"""How the file of a session is called: readable, and different for different sessions on every file system."""

from __future__ import annotations

import hashlib
import re

SAFE_CHARACTERS = 80
"""At most so much of the id stands in the name."""

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
SESSION_FILE = re.compile(r".+-[0-9a-f]{16}\.db")


def file_name(session_id: str) -> str:
    """The name of a session's file: what of the id is harmless in file names, and a hash of the whole id.

    The hash keeps apart what looks the same: ids that differ in replaced characters, in what was cut off, or, where
    file systems ignore it, in case.
    """
    safe = UNSAFE.sub("_", session_id)[:SAFE_CHARACTERS].lstrip(".") or "_"
    digest = hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{safe}-{digest}.db"


def is_session_file(name: str) -> bool:
    """Whether a file is called like a session's."""
    return SESSION_FILE.fullmatch(name) is not None
