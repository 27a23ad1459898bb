"""The output of commands: what is kept, cut, put into a file, and shown as it comes."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from lash.host.plugins.spill import SpillDirectory
from lash.host.system import SystemClock
from lash.host.tools.shell.output import MEMORY_BYTES, SPILL_FROM, Output
from lash.testing.clock import FakeClock
from tests.host.tools.shell.support import let_time_pass, record, shell


def spill(folder: Path) -> SpillDirectory:
    return SpillDirectory(folder, SystemClock())


async def test_two_megabytes_are_whole_in_the_file_and_their_end_in_the_record(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("seq 1 300000")
    whole = "".join(f"{n}\n" for n in range(1, 300_001))
    path = Path(found["full_output_path"])
    assert path.read_text() == whole
    assert path.parent == tmp_path / "spill"
    assert path.name.startswith("exec_command-1-")
    assert path.suffix == ".log"
    assert path.stat().st_mode & 0o777 == 0o600
    assert found["output"] == "[truncated]\n" + whole[-MEMORY_BYTES:]
    assert found["original_token_count"] == -(-len(whole) // 4)


@pytest.mark.parametrize(("size", "spilled"), [(SPILL_FROM, False), (SPILL_FROM + 1, True)])
async def test_short_output_makes_no_file(tmp_path: Path, size: int, spilled: bool) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run(f"head -c {size} /dev/zero | tr '\\0' x")
    assert ("full_output_path" in found) is spilled
    assert (tmp_path / "spill").exists() is spilled
    assert found["output"] == "x" * size


async def test_output_can_be_cut_and_is_whole_in_the_file(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("printf 0123456789", max_output_tokens=2)
    assert found["output"] == "01234567\n[truncated]"
    assert found["original_token_count"] == 3
    assert Path(found["full_output_path"]).read_text() == "0123456789"


async def test_output_that_fits_is_not_cut(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("printf 01234567", max_output_tokens=2)
    assert found["output"] == "01234567"
    assert found.keys().isdisjoint({"original_token_count", "full_output_path"})


async def test_without_a_directory_for_it_the_path_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("in the way")
    async with shell(tmp_path) as sh:
        found = await sh.run("seq 1 20000")
    assert "full_output_path" not in found
    assert found["output"].endswith("20000\n")


async def test_output_is_shown_as_it_comes(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        call = asyncio.create_task(sh.run("echo first; while [ ! -e go ]; do sleep 0.01; done; echo second"))
        while not sh.live():
            await asyncio.sleep(0.01)
        assert sh.live() == ["first\n"]
        assert not call.done()
        (tmp_path / "go").touch()
        await call
        assert "".join(sh.live()) == "first\nsecond\n"


async def test_output_is_clean_utf8_however_it_is_split(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("printf '\\xc3'; sleep 0.05; printf '\\xa4\\033[3'; sleep 0.05; printf '1mred\\033[0m\\n'")
    assert found["output"] == "ä" + "red\n"


async def test_a_flood_ends_with_its_timeout_and_its_end_is_kept(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = record(await sh.call("exec_command", cmd="yes", timeout_ms=300, allow_nonzero_exit=True))
    assert found["timed_out"] is True
    assert set(found["output"].removeprefix("[truncated]\n")) <= {"y", "\n"}
    assert len(found["output"]) <= MEMORY_BYTES + len("[truncated]\n")


async def test_output_that_nobody_takes_is_bounded_in_memory(tmp_path: Path) -> None:
    output = Output(spill(tmp_path), "flood.log", spill_limit=1 << 20)
    tracemalloc.start()
    try:
        for _ in range(500):
            await output.add("x" * 65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    await output.close()
    assert peak < 4 << 20


async def test_a_viewer_that_takes_nothing_stops_the_command_and_not_the_timeout(tmp_path: Path) -> None:
    stuck, clock = asyncio.Event(), FakeClock()

    async with shell(tmp_path, clock=clock) as sh:
        shown: list[str] = []

        async def emit(event: object, row: str | None) -> None:
            if getattr(event, "type", "") == "plugin_runtime":
                shown.append("chunk")
                await stuck.wait()

        sh.bench.dispatcher.emit = emit
        object.__setattr__(sh.bench.dispatcher.execution, "emit", emit)
        running = asyncio.create_task(sh.call("exec_command", cmd="yes", timeout_ms=300, allow_nonzero_exit=True))
        while not shown:
            await asyncio.sleep(0.001)
        found = record(await let_time_pass(clock, running))
        await let_time_pass(clock, asyncio.create_task(sh.commands.aclose()))
    assert found["timed_out"] is True
    assert shown == ["chunk"]
    assert len(found["output"]) <= 200_000


async def test_the_file_of_a_flood_ends_somewhere(tmp_path: Path) -> None:
    output = Output(spill(tmp_path), "flood.log", spill_limit=100_000)
    for _ in range(30):
        await output.add("x" * 10_000)
    await output.close()
    assert output.path is not None
    assert output.path.read_text() == "x" * 100_000 + "\n[truncated]\n"


async def test_the_file_of_a_flood_ends_with_a_whole_character(tmp_path: Path) -> None:
    output = Output(spill(tmp_path), "flood.log", spill_limit=100_000)
    await output.add("x" + "ä" * 60_000)
    await output.close()
    assert output.path is not None
    assert output.path.read_text() == "x" + "ä" * 49_999 + "\n[truncated]\n"


async def test_memory_keeps_whole_characters(tmp_path: Path) -> None:
    output = Output(spill(tmp_path), "text.log")
    for _ in range(4):
        await output.add("ä€" * 40_001)
    await output.close()
    taken = output.take().text
    assert taken.startswith("[truncated]\n")
    assert taken.removeprefix("[truncated]\n") in "ä€" * 160_004
    assert MEMORY_BYTES - 4 <= len(taken.removeprefix("[truncated]\n").encode()) <= MEMORY_BYTES


async def test_a_disk_that_fails_takes_the_file_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(spill(tmp_path), "text.log")
    await output.add("x" * (SPILL_FROM + 1))
    path = output.path
    assert path is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lash.host.tools.shell.output._append", full)
    await output.add("y")
    await output.close()
    assert output.path is None
    assert not path.exists()
    assert output.take().text == "x" * (SPILL_FROM + 1) + "y"


async def test_output_that_was_taken_is_still_in_a_file_that_is_asked_for_later(tmp_path: Path) -> None:
    output = Output(spill(tmp_path), "text.log")
    await output.add("a")
    assert output.take().text == "a"
    await output.add("b")
    await output.close()
    path = await output.keep_all()
    assert path is not None
    assert path.read_text() == "ab"
