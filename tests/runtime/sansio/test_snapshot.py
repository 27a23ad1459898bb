"""The byte form of a turn, and what is refused."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import replace
from typing import Any, cast

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lash.runtime.errors import (
    SnapshotConfigMismatch,
    SnapshotCorrupt,
    SnapshotError,
    SnapshotFormatError,
    SnapshotVersionError,
)
from lash.runtime.sansio import snapshot
from lash.runtime.sansio.driver import DriverAction, PrepareIteration
from lash.runtime.sansio.effects import Effect, SurfaceUpdate
from lash.runtime.sansio.llm import LlmAttachment
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import SessionEvent
from lash.runtime.sansio.snapshot import SnapshotOwner, TurnCheckpoint
from lash.runtime.sansio.states import State
from lash.runtime.sansio.tools import ToolSpec
from tests.runtime.sansio.scripts import JSON
from tests.runtime.sansio.support import (
    CALL,
    ListDriver,
    Run,
    config,
    machine_of,
    names,
    noted,
    run,
    start_llm,
)

HEADER_AT = 8


def waiting(**changes: Any) -> Run:
    """A turn in its first model call, with something in its history."""
    return run([DriverAction.AppendEvents((noted(),)), start_llm(driver_state={"kept": [1, 2.5, None]})], **changes)


SNAPSHOT = waiting().machine.snapshot()


def again(**changes: Any) -> Any:
    """The configuration that the turn's caller would build again."""
    return config(ListDriver([start_llm()]), **changes)


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload, without looking at what they say."""
    (length,) = struct.unpack_from(">I", data, 4)
    header = cast("dict[str, Any]", msgpack.unpackb(data[HEADER_AT : HEADER_AT + length]))
    return header, data[HEADER_AT + length :]


def joined(header: Any, payload: bytes) -> bytes:
    """A snapshot of these parts."""
    packed = msgpack.packb(header)
    return b"LTM1" + struct.pack(">I", len(packed)) + packed + payload


def sealed(plain: object, **changes: Any) -> bytes:
    """A snapshot with that payload and a header that fits it."""
    raw = msgpack.packb(plain, unicode_errors="surrogatepass")
    header, _ = parts(SNAPSHOT)
    fitting = {"codec": "raw", "raw_len": len(raw), "sha256": hashlib.sha256(raw).digest()}
    return joined({**header, **fitting, **changes}, raw)


def plain_state() -> dict[str, Any]:
    """The payload of `SNAPSHOT` as plain data."""
    return cast("dict[str, Any]", msgpack.unpackb(parts(SNAPSHOT)[1]))


def test_a_snapshot_begins_with_its_name_and_a_header_that_says_whose_it_is() -> None:
    header, payload = parts(SNAPSHOT)
    assert SNAPSHOT[:4] == b"LTM1"
    assert header == {
        "v": 1,
        "mode_id": "listed",
        "mode_version": 1,
        "config_fp": again().fingerprint(),
        "codec": "raw",
        "raw_len": len(payload),
        "sha256": hashlib.sha256(payload).digest(),
    }


def test_large_payloads_are_compressed() -> None:
    turn = run([DriverAction.AppendEvents((SessionEvent.Mode("m", {"text": "x" * 5000}),)), start_llm()])
    data = turn.machine.snapshot()
    header, payload = parts(data)
    assert header["codec"] == "zlib"
    assert len(payload) < 2000 < header["raw_len"]
    assert TurnMachine.restore(again(), data).snapshot() == data


def test_a_restored_machine_asks_the_outstanding_effect_once_and_shows_nothing_twice() -> None:
    assert Run(TurnMachine.restore(again(), SNAPSHOT)).effects == [Effect.LlmCall(1, CALL, "turn")]


def test_what_was_not_polled_before_the_snapshot_comes_after_it() -> None:
    machine = machine_of(ListDriver([DriverAction.AppendEvents((noted(),)), start_llm()]))
    assert isinstance(machine.poll_effect(), Effect.Progress)
    assert names(Run(TurnMachine.restore(again(), machine.snapshot())).effects) == ["model_request_started", "llm_call"]


def test_the_surface_of_the_snapshot_counts_and_not_the_configurations() -> None:
    surface = SurfaceUpdate("new prompt", (ToolSpec("search", "d", {"type": "object"}),), {"vars": [1]})
    turn = run(
        [DriverAction.AdvanceModeIteration(), DriverAction.StartCheckpoint("after_work", PrepareIteration())],
        [start_llm()],
        sync_execution_surface=True,
    )
    turn.synced()
    turn.checked()
    turn.synced(update=surface)
    restored = TurnMachine.restore(again(sync_execution_surface=True), turn.machine.snapshot())
    assert restored.surface == surface
    assert names(Run(restored).effects) == ["llm_call"]


def test_the_termination_of_the_snapshot_counts_and_not_the_configurations() -> None:
    machine = machine_of(ListDriver(), termination={"kind": "first"})
    driver = ListDriver([start_llm()])
    Run(TurnMachine.restore(config(driver, termination={"kind": "second"}), machine.snapshot()))
    assert driver.contexts[0].termination == {"kind": "first"}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "model-2"},
        {"model_variant": "high"},
        {"system_prompt": "be long"},
        {"tool_specs": (ToolSpec("search", "d", {}),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_snapshot_of_another_configuration_is_refused_unless_that_is_wanted(changes: dict[str, Any]) -> None:
    with pytest.raises(SnapshotConfigMismatch, match="strict=False") as refused:
        TurnMachine.restore(again(**changes), SNAPSHOT)
    assert refused.value.code == "snapshot_mismatch"
    restored = TurnMachine.restore(again(**changes), SNAPSHOT, strict=False)
    assert Run(restored).effects == [Effect.LlmCall(1, CALL, "turn")]


@pytest.mark.parametrize(("name", "value"), [("mode_id", "other"), ("version", 2)])
def test_a_snapshot_of_another_mode_or_version_is_refused(name: str, value: Any) -> None:
    driver = ListDriver()
    setattr(driver, name, value)
    with pytest.raises(SnapshotConfigMismatch, match=rf"'listed' version 1.*{value}"):
        TurnMachine.restore(config(driver), SNAPSHOT)


def test_the_limits_and_the_turns_names_are_no_part_of_the_fingerprint() -> None:
    assert TurnMachine.restore(again(max_turns=5, autonomous=True), SNAPSHOT).snapshot() == SNAPSHOT


@pytest.mark.parametrize("data", [b"", b"LTM", b"LTM2" + SNAPSHOT[4:], b"hello", SNAPSHOT[1:]])
def test_what_does_not_begin_like_a_snapshot_is_none(data: bytes) -> None:
    with pytest.raises(SnapshotFormatError):
        TurnMachine.restore(again(), data)


def test_another_version_is_named() -> None:
    header, payload = parts(SNAPSHOT)
    with pytest.raises(SnapshotVersionError, match="version 2; this build reads version 1"):
        TurnMachine.restore(again(), joined({**header, "v": 2}, payload))


HEADER, PAYLOAD = parts(SNAPSHOT)
DONE: dict[str, Any] = {"type": "done", "event_delta": [], "mode_iteration": 0}
BOMB = zlib.compress(bytes(1_000_000))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (SNAPSHOT[:6], "ends before its header"),
        (b"LTM1" + b"\xff" * 100, "said to have 4294967295 bytes"),
        (b"LTM1" + struct.pack(">I", 1) + b"\xc1", "no msgpack"),
        (joined([], PAYLOAD), "header cannot be read"),
        (joined({**HEADER, "v": "1"}, PAYLOAD), "header cannot be read"),
        (joined({**HEADER, "more": 1}, PAYLOAD), "header cannot be read"),
        (joined({**HEADER, "codec": "bzip2"}, PAYLOAD), "header cannot be read"),
        (joined({**HEADER, "raw_len": 1 << 40}, PAYLOAD), "said to have"),
        (joined({**HEADER, "raw_len": -1}, PAYLOAD), "said to have -1 bytes"),
        (SNAPSHOT[:-1], "does not have"),
        (SNAPSHOT + b"x", "does not have"),
        (SNAPSHOT[:-1] + bytes([SNAPSHOT[-1] ^ 1]), "SHA-256 differs"),
        (joined({**HEADER, "codec": "zlib"}, PAYLOAD), "cannot be decompressed"),
        (joined({**HEADER, "codec": "zlib", "raw_len": 10}, BOMB), "does not have the 10 bytes"),
        (joined({**HEADER, "codec": "zlib", "raw_len": 1_000_000}, BOMB[:-3]), "does not end where it should"),
        (joined({**HEADER, "codec": "zlib", "raw_len": 1_000_000}, BOMB + b"x"), "does not end where it should"),
        (sealed([]), "no state of a turn"),
        (sealed({**plain_state(), "state": {"type": "dreaming"}}), "no state of a turn, at state"),
        (sealed({**plain_state(), "next_effect_id": 9}), "effect 1 is outstanding"),
        (sealed({**plain_state(), "next_message_seq": 0}), "below 1"),
        (sealed({**plain_state(), "progress_cursor": 2}), "2 of 1 events"),
        (sealed({**plain_state(), "mode_run_offset": 5}), "out of range"),
        (sealed({**plain_state(), "model_calls": -1}), "out of range"),
        (
            sealed({**plain_state(), "pending_effects": [{"type": "checkpoint", "id": 1, "kind": "overflow"}]}),
            "a checkpoint is among the effects that expect no answer",
        ),
        (
            sealed({**plain_state(), "pending_effects": [DONE]}),
            "has not ended",
        ),
        (joined({**HEADER, "sha256": hashlib.sha256(b"\xc1").digest(), "raw_len": 1}, b"\xc1"), "no msgpack"),
        (
            joined({**HEADER, "sha256": hashlib.sha256(b"\xc7\x01\x07x").digest(), "raw_len": 4}, b"\xc7\x01\x07x"),
            "unknown extension 7",
        ),
    ],
)
def test_bytes_that_were_not_written_so_are_corrupt(data: bytes, complaint: str) -> None:
    with pytest.raises(SnapshotCorrupt, match=complaint):
        TurnMachine.restore(again(), data)


def test_a_contradictory_checkpoint_is_refused_like_its_bytes() -> None:
    checkpoint = waiting().machine.checkpoint()
    with pytest.raises(SnapshotCorrupt):
        TurnMachine.restore(again(), replace(checkpoint, next_effect_id=7))


def test_deeply_nested_bytes_are_corrupt() -> None:
    for depth in (300, 900, 3000):
        raw = b"\x91" * depth + b"\x01"
        state = b"\x81\xabtermination" + raw
        header = {**HEADER, "raw_len": len(state), "sha256": hashlib.sha256(state).digest()}
        with pytest.raises(SnapshotCorrupt):
            TurnMachine.restore(again(), joined(header, state))


def test_what_is_no_json_cannot_be_written_down() -> None:
    turn = run([DriverAction.AppendEvents((SessionEvent.Mode("m", {"x": cast("Any", object())}),)), start_llm()])
    with pytest.raises(SnapshotFormatError, match="no JSON"):
        turn.machine.snapshot()


def test_a_state_that_is_too_large_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "LARGEST_PAYLOAD", 100)
    with pytest.raises(SnapshotFormatError, match="at most 100"):
        waiting().machine.snapshot()


def test_images_are_written_as_references() -> None:
    request = replace(CALL, attachments=(LlmAttachment("image/png", "the-hash"),))
    state = TurnMachine.restore(again(), run([start_llm(request)]).machine.snapshot()).state
    assert isinstance(state, State.WaitingLlm)
    assert state.request == request


def test_keys_keep_their_order() -> None:
    turn = run([start_llm(driver_state={"z": 1, "a": 2})])
    restored = TurnMachine.restore(again(), turn.machine.snapshot())
    state = restored.state
    assert isinstance(state, State.WaitingLlm)
    assert isinstance(state.driver_state, dict)
    assert list(state.driver_state) == ["z", "a"]


@given(JSON)
@example("\ud800")
@example({"\ud800": [-(2**64), 2**200, 1e308]})
def test_every_json_value_survives(value: Any) -> None:
    checkpoint = replace(waiting().machine.checkpoint(), termination=value)
    owner = SnapshotOwner("m", 1, "f")
    read, read_owner = snapshot.decode(snapshot.encode(checkpoint, owner))
    assert (read, read_owner) == (checkpoint, owner)
    assert repr(read.termination) == repr(value)


# --- fuzzing ---------------------------------------------------------------------------------------

COMPRESSED = waiting(system_prompt="x" * 6000).machine.snapshot()


def survives(data: bytes) -> None:
    """Restoring and running gives a typed error or works."""
    try:
        machine = TurnMachine.restore(again(), data, strict=False)
    except SnapshotError:
        return
    assert isinstance(machine.checkpoint(), TurnCheckpoint)
    TurnMachine.restore(again(), machine.snapshot())
    while machine.poll_effect() is not None:
        pass
    machine.cancel()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A snapshot with bytes flipped, cut out, doubled, or taken from another one."""
    data = bytearray(draw(st.sampled_from([SNAPSHOT, COMPRESSED])))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        to = draw(st.integers(at, min(len(data), at + 40)))
        match draw(st.sampled_from(["flip", "cut", "end", "double", "splice", "insert"])):
            case "flip":
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[at:to]
            case "end":
                del data[at:]
            case "double":
                data[at:at] = data[at:to]
            case "splice":
                data[at:] = COMPRESSED[at:]
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


SMALL_JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["finished", "waiting_tools", "done", "emit", "turn"]),
    st.just([]),
    st.just({}),
)
FUZZ = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(damaged())
def test_damaged_bytes_give_a_typed_error_or_work(data: bytes) -> None:
    survives(data)


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_behind_the_name_give_a_typed_error(tail: bytes) -> None:
    survives(b"LTM1" + tail)


@st.composite
def forged(draw: st.DrawFn) -> object:
    """The state of a turn with some of its values exchanged."""
    plain: object = plain_state()
    for _ in range(draw(st.integers(1, 3))):
        plain = exchanged(draw, plain)
    return plain


def exchanged(draw: st.DrawFn, plain: object) -> object:
    """Plain data with one value somewhere inside replaced, or taken out."""
    if isinstance(plain, dict) and plain and draw(st.integers(0, 5)):
        record = dict(cast("dict[str, object]", plain))
        key = draw(st.sampled_from(sorted(record)))
        if draw(st.integers(0, 9)):
            return {**record, key: exchanged(draw, record[key])}
        del record[key]
        return record
    if isinstance(plain, list) and plain and draw(st.integers(0, 5)):
        items = list(cast("list[object]", plain))
        at = draw(st.integers(0, len(items) - 1))
        items[at] = exchanged(draw, items[at])
        return items
    return draw(SMALL_JSON)


@FUZZ
@given(forged())
def test_forged_states_with_a_fitting_seal_give_a_typed_error_or_work(plain: object) -> None:
    survives(sealed(plain))
