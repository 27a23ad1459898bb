"""The outside of a snapshot, and how the sources of projections are named inside it."""

from __future__ import annotations

from typing import Any

import pytest

from lashlang.errors import SnapshotError
from lashlang.projection import JsonSource, Projected, Projection, ProjectionUnavailable
from lashlang.vm.container import Form, check_key, unwrap, wrap
from lashlang.vm.sources import Missing, describe, resolve

KEY = b"0123456789abcdef"
HEADER: dict[str, Any] = {"a": [1, "text", b"bytes", None], "b": {}}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_wrapped_comes_out_again(form: Form, key: bytes | None) -> None:
    content = unwrap(wrap(form, HEADER, [b"body in ", b"pieces"], key), key)
    assert (content.form, content.sealed, content.header) == (form, key is not None, HEADER)
    assert bytes(content.body) == b"body in pieces"


def test_bytes_of_any_kind_are_unwrapped() -> None:
    data = wrap(Form.PORTABLE, {}, [], None)
    for kind in (bytes, bytearray, memoryview):
        assert unwrap(kind(data), None).header == {}
    for other in ("text", 5, None, [1]):
        with pytest.raises(TypeError, match="bytes"):
            unwrap(other, None)


def test_a_seal_is_of_its_key_only() -> None:
    sealed = wrap(Form.PORTABLE, {}, [b"body"], KEY)
    with pytest.raises(SnapshotError, match="sealed: give the `key`"):
        unwrap(sealed, None)
    with pytest.raises(SnapshotError, match="another key"):
        unwrap(sealed, KEY + b"!")


def test_with_a_key_what_is_not_sealed_is_refused() -> None:
    with pytest.raises(SnapshotError, match="not sealed"):
        unwrap(wrap(Form.PORTABLE, {}, [b"body"], None), KEY)


def test_a_seal_cannot_be_taken_off() -> None:
    sealed = bytearray(wrap(Form.PORTABLE, {}, [b"body"], KEY))
    sealed[10] = 0
    with pytest.raises(SnapshotError, match="digest"):
        unwrap(bytes(sealed), None)


def test_every_reason_to_refuse_has_its_own_words() -> None:
    data = wrap(Form.PORTABLE, {}, [b"body"], None)
    for at, byte, words in (
        (0, 0, "no snapshot"),
        (8, 2, "layout version 2"),
        (9, 9, "first bytes"),
        (11, 1, "first bytes"),
    ):
        altered = bytearray(data)
        altered[at] = byte
        with pytest.raises(SnapshotError, match=words):
            unwrap(bytes(altered), None)
    with pytest.raises(SnapshotError, match="ends after 20 bytes"):
        unwrap(data[:20], None)
    with pytest.raises(SnapshotError, match="cut off or altered"):
        unwrap(data[:-1], None)


@pytest.mark.parametrize("header", [[], 5, None, "text"])
def test_a_header_that_is_no_map_is_refused(header: Any) -> None:
    with pytest.raises(SnapshotError, match="no map"):
        unwrap(wrap(Form.PORTABLE, header, [], None), None)


def test_keys_are_bytes_of_some_length() -> None:
    assert check_key(None) is None
    assert check_key(bytearray(KEY)) == KEY
    with pytest.raises(ValueError, match="16 bytes"):
        check_key(KEY[1:])
    for key in ("text that is long enough", 5):
        with pytest.raises(TypeError, match="bytes"):
            check_key(key)


# --- sources -------------------------------------------------------------------------------------------


class Shelf(JsonSource):
    type_name = "shelf"
    ref = "shelf/1"


class Plain(JsonSource):
    """Says nothing of itself."""


class Odd(JsonSource):
    type_name = 5
    ref = 7


def test_a_source_is_described_by_its_type_and_its_ref() -> None:
    assert describe(Shelf(1)) == {"type_name": "shelf", "ref": "shelf/1"}
    assert describe(Plain(1)) == {"type_name": "Plain"}
    assert describe(None) is None


def test_a_type_name_or_ref_that_is_no_text_is_none() -> None:
    assert describe(Odd(1)) == {"type_name": "Odd"}


def test_a_source_is_looked_for_by_ref_and_type() -> None:
    found = Shelf(1)
    asked: list[tuple[str, str]] = []

    def find(ref: str, type_name: str) -> Projection | None:
        asked.append((ref, type_name))
        return found

    assert resolve(describe(Shelf(1)), find) is found
    assert resolve(describe(Plain(1)), find) is not found
    assert resolve(None, find) is None
    assert asked == [("shelf/1", "shelf")]


@pytest.mark.parametrize("source", [Shelf(1), Plain(1)])
def test_a_source_that_is_not_found_fails_every_read_and_is_described_as_before(source: Projection) -> None:
    def nothing(ref: str, type_name: str) -> Projection | None:
        return None

    for find in (None, nothing):
        missing = resolve(describe(source), find)
        assert isinstance(missing, Missing)
        assert not missing.blocking
        assert describe(missing) == describe(source)
        with pytest.raises(ProjectionUnavailable, match=getattr(source, "ref", "not kept")):
            missing.answer(Projected("p", missing), "whole", ())


@pytest.mark.parametrize(
    "description", [5, "shelf", [], {}, {"type_name": 5}, {"type_name": "t", "ref": 5}, {"ref": "r"}]
)
def test_a_description_that_is_none_is_refused(description: object) -> None:
    with pytest.raises(SnapshotError, match="wrongly"):
        resolve(description, None)
