"""What the model is told of long results, and where the rest goes."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.plugins.spill import MOST_AGE_S, SpillDirectory
from lash.host.plugins.tool_output_budget import ToolOutputBudget, ToolOutputBudgetPluginFactory
from lash.host.plugins.truncation import cut
from lash.runtime.errors import ConfigError
from lash.runtime.plugins.contract import PluginSessionContext, SurfaceContext
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.tools import AnyToolOutput, ToolOutput
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.result import ModelReturn, failed, tagged
from lash.testing.clock import FakeClock

SESSION = PluginSessionContext("s", "stub")


async def told(
    value: Any, tmp_path: Path, tool: str = "search", output: AnyToolOutput | None = None, **config: Any
) -> ModelReturn:
    budget = ToolOutputBudget(spill_dir=tmp_path / "spill", **config)
    plugin: Any = ToolOutputBudgetPluginFactory(budget, clock=FakeClock()).build(SESSION)
    return await plugin.project(tool, {"q": 1}, output or ToolOutput.Success(tagged(value)))


class Registrar:
    """Takes what the plugin registers."""

    projector_hook: Any

    def tool_results(self) -> Registrar:
        return self

    def surface(self) -> Registrar:
        return self

    def projector(self, hook: Any) -> None:
        self.projector_hook = hook

    def contribute(self, hook: Any) -> None:
        """Nothing is looked for."""


PIECES = st.text(alphabet="a\n\\né€😀", max_size=24)
VALUES = st.recursive(PIECES | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(PIECES, inner))


@given(st.builds(tagged, VALUES), st.integers(1, 100), st.integers(1, 6), st.booleans())
def test_what_is_told_at_once_is_what_looking_at_every_text_gives(
    value: Any, limit: int, max_lines: int, works: bool
) -> None:
    output = ToolOutput.Success(value) if works else failed("execution", "tool_error", json.dumps(value))
    plugin: Any = ToolOutputBudgetPluginFactory(ToolOutputBudget(limit=limit, max_lines=max_lines)).build(SESSION)
    registrar = Registrar()
    plugin.register(registrar)

    async def both() -> tuple[ModelReturn, ModelReturn]:
        given = registrar.projector_hook("search", {}, output)
        return (await given if inspect.isawaitable(given) else given), await plugin.project("search", {}, output)

    at_once, looked_at = asyncio.run(both())
    assert at_once == looked_at


def test_a_short_result_is_told_without_waiting() -> None:
    registrar = Registrar()
    plugin: Any = ToolOutputBudgetPluginFactory().build(SESSION)
    plugin.register(registrar)
    assert registrar.projector_hook("search", {}, ToolOutput.Success({"a": 1})) == ModelReturn('{"a":1}')


async def test_a_short_result_is_told_whole(tmp_path: Path) -> None:
    assert (await told({"a": "b"}, tmp_path)).text == '{"a":"b"}'
    assert not (tmp_path / "spill").exists()


async def test_a_long_text_is_cut_and_kept_byte_for_byte_in_a_file(tmp_path: Path) -> None:
    text = "äbc\n" * 4000
    shown = (await told(text, tmp_path, max_lines=100_000)).text
    preview, marker, hint = shown.split("\n\n")
    assert len(preview.encode()) <= 16_384
    assert text.startswith(preview)
    kept = len(preview.encode())
    assert marker == f"...{len(text.encode()) - kept} bytes truncated..."
    (file,) = (tmp_path / "spill").iterdir()
    assert str(file) in hint
    assert file.read_bytes() == text.encode()
    assert file.name.startswith("search-")
    assert stat.S_IMODE((tmp_path / "spill").stat().st_mode) == 0o700


async def test_a_text_of_many_lines_keeps_the_first_ones(tmp_path: Path) -> None:
    shown = (await told("".join(f"{n}\n" for n in range(1000)), tmp_path)).text
    preview, marker, _ = shown.split("\n\n")
    assert preview.split("\n") == [str(n) for n in range(400)]
    assert marker == "...600 lines truncated..."


async def test_a_command_keeps_its_last_lines(tmp_path: Path) -> None:
    shown = (await told("".join(f"{n}\n" for n in range(1000)), tmp_path, "exec_command")).text
    marker, _, preview = shown.split("\n\n")
    assert preview.splitlines() == [str(n) for n in range(600, 1000)]
    assert marker == "...600 lines truncated..."


async def test_one_line_that_is_longer_than_the_budget_still_gives_a_preview(tmp_path: Path) -> None:
    shown = (await told("ä" * 50_000, tmp_path)).text
    assert shown.startswith("ä" * 8192 + "\n\n...")


async def test_a_budget_of_tokens_counts_four_bytes_for_one(tmp_path: Path) -> None:
    shown = (await told("x" * 1001, tmp_path, mode="tokens", limit=100)).text
    assert shown.startswith("x" * 400 + "\n\n...151 tokens truncated...")


async def test_texts_inside_a_result_are_cut_in_their_place(tmp_path: Path) -> None:
    shown = json.loads((await told({"n": 3, "parts": ["short", "y" * 230]}, tmp_path, limit=200)).text)
    assert shown["n"] == 3
    assert shown["parts"][0] == "short"
    assert shown["parts"][1].startswith("y" * 200 + "\n\n...30 bytes truncated...")


async def test_a_result_of_many_texts_is_cut_as_a_whole(tmp_path: Path) -> None:
    shown = (await told(["z" * 90] * 50, tmp_path, limit=100)).text
    preview, marker, hint = shown.split("\n\n")
    assert len(preview) <= 400
    assert "truncated" in marker
    (file,) = (tmp_path / "spill").iterdir()
    assert json.loads(file.read_text()) == ["z" * 90] * 50
    assert str(file) in hint


async def test_images_survive(tmp_path: Path) -> None:
    image = AttachmentRef("ab12", "image/png", 10)
    shown = await told({"image": image, "text": "t" * 50_000}, tmp_path)
    assert shown.attachments == ("ab12",)


async def test_a_result_that_names_its_file_makes_no_second_one(tmp_path: Path) -> None:
    shown = await told({"output": "o" * 50_000, "full_output_path": "kept/whole.log"}, tmp_path)
    assert "kept/whole.log" in json.loads(shown.text)["output"]
    assert not (tmp_path / "spill").exists()


async def test_results_of_a_batch_are_cut_as_their_own_tools(tmp_path: Path) -> None:
    lines = "".join(f"{n}\n" for n in range(1000))
    results = [
        {"index": 0, "tool": "search", "success": True, "duration_ms": 1, "result": lines},
        {"index": 1, "tool": "exec_command", "success": True, "duration_ms": 1, "result": lines},
        {"index": 2, "tool": "search", "success": False, "duration_ms": 1, "error": "no"},
    ]
    shown = json.loads((await told({"results": results}, tmp_path, "batch")).text)["results"]
    assert shown[0]["result"].startswith("0\n1\n")
    assert shown[1]["result"].endswith("998\n999\n")
    assert shown[2] == results[2]


async def test_a_failure_keeps_its_end(tmp_path: Path) -> None:
    output = failed("execution", "x", "line\n" * 5000 + "the cause")
    shown = (await told(None, tmp_path, output=output)).text
    assert shown.endswith("line\nthe cause")
    assert shown.startswith("...")
    assert (await told(None, tmp_path, output=failed("execution", "x", "no"))).text == "[Tool execution failed]\nno"


async def test_a_file_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("in the way")
    shown = (await told("x" * 50_000, tmp_path)).text
    assert "read_file" not in shown
    assert "truncated" in shown


async def test_without_tools_for_files_nothing_is_written_unless_a_directory_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    factory = ToolOutputBudgetPluginFactory(clock=FakeClock())
    plugin: Any = factory.build(SESSION)
    await plugin.project("search", {}, ToolOutput.Success("x" * 50_000))
    assert list(tmp_path.iterdir()) == []
    plugin._look_for_file_tools(SurfaceContext(SESSION, (ToolManifest("read_file"),)))
    await plugin.project("search", {}, ToolOutput.Success("x" * 50_000))
    assert len(list((tmp_path / "lash-tool-output").iterdir())) == 1


def test_the_same_text_of_the_same_call_is_written_once(tmp_path: Path) -> None:
    spill = SpillDirectory(tmp_path / "spill", FakeClock())
    first = spill.write("t", {"a": 1}, "text")
    assert first is not None
    before = first.stat().st_ino
    assert spill.write("t", {"a": 1}, "text") == first
    assert first.stat().st_ino == before
    assert spill.write("t", {"a": 2}, "text") != first


def test_old_files_are_pruned_when_the_directory_is_first_used(tmp_path: Path) -> None:
    clock = FakeClock()
    now = clock.now_ms() / 1000
    for name, age in (("old", MOST_AGE_S + 60), ("new", 60)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (now - age, now - age))
    tmp_path.chmod(0o700)
    SpillDirectory(tmp_path, clock).write("t", {}, "text")
    names = {path.name for path in tmp_path.iterdir()}
    assert "old" not in names
    assert "new" in names


def test_old_files_are_pruned_when_a_core_begins_even_if_it_keeps_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    old_s = clock.now_ms() / 1000 - MOST_AGE_S - 60
    (tmp_path / "old").write_text("x")
    os.utime(tmp_path / "old", (old_s, old_s))
    before = set(threading.enumerate())
    factory = ToolOutputBudgetPluginFactory(ToolOutputBudget(spill_dir=tmp_path), clock=clock)
    factory.build(SESSION)
    for one in set(threading.enumerate()) - before:
        one.join()
    assert list(tmp_path.iterdir()) == []


def test_a_core_that_keeps_nothing_makes_no_directory(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    SpillDirectory(tmp_path / "spill", FakeClock()).prune_early()
    for one in set(threading.enumerate()) - before:
        one.join()
    assert not (tmp_path / "spill").exists()


def test_a_directory_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "spill"
    path.mkdir(mode=0o755)
    assert SpillDirectory(path, FakeClock()).write("t", {}, "text") is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_that_was_cleaned_away_is_made_again(tmp_path: Path) -> None:
    spill = SpillDirectory(tmp_path / "spill", FakeClock())
    first = spill.write("search", None, "first")
    assert first is not None
    first.unlink()
    (tmp_path / "spill").rmdir()
    second = spill.write("search", None, "second")
    assert second is not None
    assert second.read_text() == "second"
    assert stat.S_IMODE((tmp_path / "spill").stat().st_mode) == 0o700


def test_a_link_that_takes_the_place_of_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    spill = SpillDirectory(tmp_path / "spill", FakeClock())
    assert spill.write("search", None, "first") is not None
    (tmp_path / "spill").rename(tmp_path / "elsewhere")
    (tmp_path / "spill").symlink_to(tmp_path / "elsewhere")
    assert spill.write("search", None, "second") is None


def test_the_name_of_a_tool_leads_nowhere_else(tmp_path: Path) -> None:
    spill = SpillDirectory(tmp_path / "spill", FakeClock())
    written = spill.write("../../x", None, "text")
    assert written is not None
    assert written.parent == tmp_path / "spill"


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spill").symlink_to(tmp_path / "elsewhere")
    assert SpillDirectory(tmp_path / "spill", FakeClock()).write("t", {}, "text") is None
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError):
        ToolOutputBudget(limit=0)


@given(st.text(alphabet="aä€🙂\n", max_size=200), st.integers(4, 60), st.integers(1, 12), st.booleans())
def test_a_cut_is_part_of_the_text_within_both_budgets_and_never_empty(
    text: str, most_bytes: int, most_lines: int, tail: bool
) -> None:
    found = cut(text, most_bytes, most_lines, tail=tail)
    lines = text.count("\n") + (1 if text and not text.endswith("\n") else 0)
    if found is None:
        assert len(text.encode()) <= most_bytes
        assert lines <= most_lines
        return
    assert len(found.preview.encode()) <= most_bytes
    assert found.preview.count("\n") <= most_lines
    assert text.endswith(found.preview) if tail else text.startswith(found.preview)
    assert found.missing > 0
    assert found.preview or text.startswith("\n")
