"""The stored streams are ours to publish."""

from __future__ import annotations

import re

from tests.host.providers.dialects import FIXTURES

CREDENTIAL = re.compile(rb"(?i)authorization|api[-_]?key|bearer |cookie|\bsk-[a-z0-9]")


def test_no_stored_reply_has_a_credential_in_it() -> None:
    stored = [path for path in (FIXTURES / "http").rglob("*") if path.is_file()]
    assert stored
    assert [path.name for path in stored if CREDENTIAL.search(path.read_bytes())] == []
