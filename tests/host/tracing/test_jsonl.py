"""The JSONL sink: lines of a file that several processes may share."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lash.host.tracing.jsonl import JsonlTraceSink
from lash.host.tracing.reading import read_trace
from lash.host.tracing.redaction import Redactor
from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import TraceEvent, TraceRecord
from tests.host.tracing.samples import EVENTS, record


def custom(number: int, size: int = 0) -> TraceRecord:
    return record(TraceEvent.Custom("n", {"number": number, "text": "x" * size}), number)


def numbers(path: Path) -> list[int]:
    found: list[int] = []
    for entry in read_trace(path, strict=True):
        assert isinstance(entry.record, TraceRecord)
        assert isinstance(entry.record.event, TraceEvent.Custom)
        assert isinstance(entry.record.event.payload, dict)
        number = entry.record.event.payload["number"]
        assert isinstance(number, int)
        found.append(number)
    return found


def test_records_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "trace.jsonl")
    written = [record(event, number) for number, event in enumerate(EVENTS)]
    for one in written:
        sink.append(one)
    sink.close()
    assert [entry.record for entry in read_trace(sink.path)] == written


def test_folders_are_made_and_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "a" / "b" / "trace.jsonl")
    assert stat.S_IMODE(sink.path.stat().st_mode) == 0o600
    sink.close()
    wide = JsonlTraceSink(tmp_path / "wide.jsonl", mode=0o664)
    assert stat.S_IMODE(wide.path.stat().st_mode) == 0o664
    wide.close()


def test_a_file_that_there_is_goes_on(tmp_path: Path) -> None:
    for number in (1, 2):
        sink = JsonlTraceSink(tmp_path / "t")
        sink.append(custom(number))
        sink.close()
    assert numbers(tmp_path / "t") == [1, 2]


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", fsync=True)
    sink.append(custom(1))
    assert numbers(tmp_path / "t") == [1]
    sink.close()


def test_secrets_do_not_reach_the_file(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", redactor=Redactor(values=["hunter22"], environment={}))
    sink.append(record(TraceEvent.Custom("n", {"password": "open sesame", "text": "hunter22 sk-ant-abcdefgh"})))
    sink.learn_secrets(["hunter33"])
    sink.append(record(TraceEvent.Custom("n", "hunter33")))
    sink.close()
    text = (tmp_path / "t").read_text()
    assert "[redacted:value:" in text
    for secret in ("hunter22", "hunter33", "sesame", "abcdefgh"):
        assert secret not in text


def test_full_files_are_renamed_and_the_oldest_dropped(tmp_path: Path) -> None:
    path = tmp_path / "t"
    sink = JsonlTraceSink(path, max_bytes=700, keep=2)
    for number in range(10):
        sink.append(custom(number, 100))
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t", "t.1", "t.2"]
    parts = [numbers(tmp_path / name) for name in ("t.2", "t.1", "t")]
    together = [number for part in parts for number in part]
    assert together == list(range(10 - len(together), 10))
    assert all(file.stat().st_size <= 700 for file in tmp_path.iterdir())


def test_a_record_larger_than_a_file_gets_one_to_itself(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", max_bytes=500)
    for number, size in ((1, 10), (2, 2_000), (3, 10)):
        sink.append(custom(number, size))
    sink.close()
    assert [numbers(tmp_path / name) for name in ("t.2", "t.1", "t")] == [[1], [2], [3]]


def test_a_record_of_over_a_megabyte_is_written_whole(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t")
    sink.append(custom(1, 3_000_000))
    sink.append(custom(2))
    sink.close()
    assert numbers(tmp_path / "t") == [1, 2]


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_somebody_else_moved_or_removed_is_made_anew(tmp_path: Path, gone: bool) -> None:
    path = tmp_path / "t"
    sink = JsonlTraceSink(path)
    sink.append(custom(1))
    if gone:
        path.unlink()
    else:
        path.rename(tmp_path / "moved")
    sink.append(custom(2))
    sink.close()
    assert numbers(path) == [2]
    if not gone:
        assert numbers(tmp_path / "moved") == [1]


def test_what_a_crash_left_of_a_line_costs_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "t"
    sink = JsonlTraceSink(path)
    sink.append(custom(1))
    sink.close()
    with path.open("ab") as file:
        file.write(b'{"schema_version":1,"id"')
    sink = JsonlTraceSink(path)
    sink.append(custom(2))
    sink.close()
    entries = list(read_trace(path))
    assert [entry.invalid for entry in entries] == [False, True, False]


def test_a_full_disk_is_an_error_and_the_next_record_begins_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "t", os.write
    sink = JsonlTraceSink(path)
    sink.append(custom(1))

    def short(file: int, data: bytes) -> int:
        return write(file, data[:20])

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(TraceSinkError, match="only 20 of"):
        sink.append(custom(2))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TraceSinkError, match="No space left"):
        sink.append(custom(3))
    monkeypatch.setattr(os, "write", write)
    sink.append(custom(4))
    sink.close()
    entries = list(read_trace(path))
    assert [entry.invalid for entry in entries] == [False, True, False]
    assert [entry.record for entry in entries if entry.record] == [custom(1), custom(4)]


def test_a_file_that_cannot_be_opened_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceSinkError, match=r"file/t"):
        JsonlTraceSink(tmp_path / "file" / "t")
    with pytest.raises(TraceSinkError, match="directory"):
        JsonlTraceSink(tmp_path)


def test_a_closed_sink_takes_nothing_and_may_be_closed_again(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t")
    sink.close()
    sink.close()
    with pytest.raises(TraceSinkError, match="closed"):
        sink.append(custom(1))


@pytest.mark.parametrize("name", ["max_bytes", "keep"])
def test_limits_below_one_are_refused(tmp_path: Path, name: str) -> None:
    limits: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        JsonlTraceSink(tmp_path / "t", **limits)


def test_threads_may_share_a_sink(tmp_path: Path) -> None:
    sink = JsonlTraceSink(tmp_path / "t", max_bytes=20_000, keep=100)

    def write(first: int) -> None:
        for number in range(first, first + 100):
            sink.append(custom(number, 50))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    found = [number for file in tmp_path.iterdir() for number in numbers(file)]
    assert sorted(found) == list(range(300))


WRITER = """
import sys
from lash.host.tracing.jsonl import JsonlTraceSink
from lash.host.tracing.redaction import Redactor
from tests.host.tracing.test_jsonl import custom

path, first, count, limit = sys.argv[1], *map(int, sys.argv[2:])
sink = JsonlTraceSink(path, redactor=Redactor(environment={}), max_bytes=limit or None, keep=1000)
for number in range(first, first + count):
    sink.append(custom(number, 4000))
sink.close()
"""


@pytest.mark.parametrize(("count", "limit"), [(2_000, 0), (300, 200_000)], ids=["one file", "rotating"])
def test_several_processes_may_share_a_file(tmp_path: Path, count: int, limit: int) -> None:
    path = tmp_path / "t"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first * count), str(count), str(limit)])
        for first in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    found = [number for file in tmp_path.iterdir() for number in numbers(file)]
    assert sorted(found) == list(range(4 * count))
    for first in range(4):
        if not limit:
            own = [number for number in found if number // count == first]
            assert own == sorted(own), "a process's records are out of order"
