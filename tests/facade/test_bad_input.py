"""Bad input of every kind: each has its named error or outcome, and nothing that was stored is lost."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import lash
from lash import LashCore, TurnFinish, TurnOutcome, TurnStop
from lash.config import ModePreset
from lash.durability import JournalEffectHost
from lash.modes.rlm.config import RlmConfig
from lash.persistence import SqliteSessionStoreFactory
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.tools import ToolOutput
from lash.testing.scripted import ScriptedProvider, reply
from lashlang import TextSource
from tests.facade.support import block, core_with, said, stored

called: list[int] = []


@lash.tool
async def price(item: str, count: int = 1) -> int:
    """The price of some items."""
    called.append(count)
    return len(item) * count


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Forget the calls, and have room on the disk again where a test failed while there was none."""
    called.clear()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class Total(BaseModel):
    total: int


def told(core_model: ScriptedProvider, number: int) -> str:
    """What the model was shown in a request."""
    return str(core_model.requests[number].messages)


def rlm(model: ScriptedProvider, **knobs: Any) -> LashCore:
    return LashCore.rlm(**{"provider": model, "model": "m", "max_context_tokens": 100_000, **knobs})


# --- what the model writes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ('(call prise { item: "tea" })?', "price"),
        ('(call price { itm: "tea" })?', "item"),
        ("(call price {})?", "item"),
        ('(call price { item: "tea", colour: "red" })?', "colour"),
    ],
)
async def test_a_call_that_cannot_be_is_not_made_and_the_model_is_told(wrong: str, hint: str) -> None:
    model = ScriptedProvider([block(wrong), block("submit 2")])
    async with rlm(model, tools=[price]) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.submitted_value() == 2
    assert called == []
    assert hint in told(model, 1)


async def test_arguments_of_the_wrong_type_fail_the_call_and_not_the_turn() -> None:
    model = ScriptedProvider([block('r = call price { item: "tea", count: parts[0] }\nprint r\nsubmit r')])
    async with rlm(model, tools=[price]) as core, core.session("s", globals={"parts": ["many"]}) as session:
        result = await session.turn("Go.")
        value: Any = result.submitted_value()
        assert value["ok"] is False
        assert "count" in value["error"]
        (call,) = result.tool_calls
        assert isinstance(call.output, ToolOutput.Failure)
        assert call.output.failure.code == "invalid_tool_args"
    assert called == []


async def test_a_value_that_does_not_fit_the_schema_is_refused_and_can_be_mended() -> None:
    model = ScriptedProvider([block('submit { total: "much" }'), block("submit { total: 3 }")])
    async with rlm(model) as core, core.session("s") as session:
        result = await session.turn("Go.", require_submit=Total)
        assert result.value == Total(total=3)
    assert "total" in told(model, 1)


async def test_a_model_that_never_submits_stops_at_the_turn_limit() -> None:
    model = ScriptedProvider([block("print 1")] * 10)
    async with rlm(model) as core, core.session("s", max_turns=3) as session:
        result = await session.turn("Go.", require_submit=True)
        assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(3))
        assert result.revision == 1
        assert len(model.requests) <= 4


async def test_a_model_that_only_talks_where_a_value_is_wanted_stops_at_the_turn_limit() -> None:
    model = ScriptedProvider(["I would rather not."] * 10)
    async with rlm(model) as core, core.session("s", max_turns=3) as session:
        result = await session.turn("Go.", require_submit=True)
        assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(3))
    assert "submit" in told(model, 1)


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n" * 170_000 + "submit x",
        "submit " + "(" * 1_000_000,
        "submit [" + "1, " * 340_000 + "1]",
        'submit "' + "a" * 1_000_000 + '"',
        "# " + "a" * 1_000_000 + "\nsubmit 1",
    ],
    ids=["lines", "parentheses", "list", "text", "comment"],
)
async def test_a_megabyte_of_code_is_run_or_refused_and_the_turn_goes_on(code: str) -> None:
    model = ScriptedProvider([reply(f"```lashlang\n{code}\n```"), block("submit 7")])
    async with rlm(model, max_context_tokens=10_000_000) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert isinstance(result.outcome, TurnOutcome.Finished)
        assert isinstance(result.outcome.finish, TurnFinish.SubmittedValue)
        if len(model.requests) == 2:
            assert result.submitted_value() == 7
        assert session.read_view().turn_index == 1


async def test_an_empty_reply_ends_the_turn_with_its_code() -> None:
    async with core_with("", block("submit 1")) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert isinstance(result.outcome, TurnOutcome.Stopped)
        assert isinstance(result.outcome.stop, TurnStop.ProviderError)
        assert [issue.code for issue in result.errors] == ["empty_response"]
        assert (await session.turn("Again.")).submitted_value() == 1


# --- sessions ------------------------------------------------------------------------------------------


async def test_a_session_that_is_opened_twice_is_one_session(tmp_path: Path) -> None:
    steps = [block("x = 1\nsubmit x"), block("x = x + 1\nsubmit x"), block("submit x")]
    async with core_with(*steps, **stored(tmp_path)) as core:
        async with core.session("s") as one, core.session("s") as other:
            assert (await one.turn("One.")).submitted_value() == 1
            assert (await other.turn("Two.")).submitted_value() == 2
            assert (await one.turn("Three.")).submitted_value() == 2
            assert said(one) == ["One.", "Two.", "Three."]


async def test_an_id_that_is_taken_is_no_fork() -> None:
    async with core_with(block("submit 1"), block("submit 1")) as core:
        async with core.session("s") as one, core.session("t") as other:
            await one.turn("One.")
            await other.turn("Two.")
        with pytest.raises(lash.SessionError) as refused:
            await core.fork_session("s", new_session_id="t")
        assert refused.value.code == "session_exists"


async def test_a_session_without_an_id_is_refused() -> None:
    async with core_with() as core:
        with pytest.raises(lash.ConfigError):
            await core.session("")


async def one_turn(folder: Path, code: str = "xs = [1, 2, 3]\nsubmit xs", **opening: Any) -> Path:
    """A session with one turn, closed; its file."""
    async with core_with(block(code), **stored(folder)) as core, core.session("s", **opening) as session:
        await session.turn("One.")
    return SqliteSessionStoreFactory(folder / "sessions").path_of("s")


async def test_variables_of_another_version_are_refused_and_opened_without_where_that_is_wished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("lash.modes.rlm.state.STATE_VERSION", 99)
        await one_turn(tmp_path)
    async with core_with(block("submit 1"), **stored(tmp_path)) as core:
        with pytest.raises(lash.SessionError, match="99") as refused:
            await core.session("s")
        assert refused.value.code == "snapshot_version"
        assert "on_incompatible_snapshot" in refused.value.message
    knobs: dict[str, Any] = {"model": "m", "max_context_tokens": 100_000, **stored(tmp_path)}
    reset = ModePreset.rlm(RlmConfig(on_incompatible_snapshot="reset"))
    model = ScriptedProvider([block("xs = 5\nsubmit xs")])
    async with LashCore(modes=[reset], provider=model, **knobs) as core, core.session("s") as session:
        assert said(session) == ["One."]
        assert (await session.turn("Two.")).submitted_value() == 5
    async with core_with(block("submit xs"), **stored(tmp_path)) as core, core.session("s") as session:
        assert (await session.turn("Three.")).submitted_value() == 5


async def test_a_projected_value_that_is_missing_at_reopening_fails_where_it_is_read(tmp_path: Path) -> None:
    await one_turn(tmp_path, "kept = [doc]\nn = 4\nsubmit n", projected={"doc": TextSource("long text " * 90_000)})
    model = ScriptedProvider([block("submit len(kept[0])"), block("submit n"), block("submit len(kept[0])")])
    async with rlm(model, **stored(tmp_path)) as core:
        async with core.session("s") as session:
            assert (await session.turn("Two.")).submitted_value() == 4
            assert "doc" in told(model, 1)
        async with core.session("s", projected={"doc": TextSource("long text " * 90_000)}) as session:
            assert (await session.turn("Three.")).submitted_value() == 900_000


async def test_a_model_that_cannot_be_had_stops_the_turn_with_an_issue_that_says_why() -> None:
    model = ScriptedProvider([ProviderFailure("auth", "no such key", status=401)])
    async with rlm(model) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert isinstance(result.outcome, TurnOutcome.Stopped)
        assert isinstance(result.outcome.stop, TurnStop.ProviderError)
        (issue,) = result.errors
        assert (issue.kind, issue.terminal_reason, issue.retryable) == ("llm_provider", "provider_error", False)
        assert issue.message == result.outcome.stop.message


# --- the disk ------------------------------------------------------------------------------------------


@contextmanager
def no_room(size: int = 4096) -> Generator[None]:
    """No file can grow beyond that size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_nothing_is_lost_and_the_session_works_once_there_is_room(tmp_path: Path) -> None:
    steps = [block(f"x = {n}\nsubmit x") for n in (1, 2)] + [block("x = x + 10\nsubmit x")]
    async with core_with(*steps, **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn("One.")
        with no_room(), pytest.raises(lash.StoreError) as refused:
            await session.turn("Two.")
        assert refused.value.code == "store_backend"
        assert said(session) == ["One."]
        assert session.read_view().revision == 1
        async with core.session("s") as other:
            assert said(other) == ["One."]
        third = await session.turn("Three.")
        assert third.revision == 2
        assert said(session) == ["One.", "Three."]


async def test_a_disk_that_is_full_when_the_turn_is_committed_loses_that_turn_alone(tmp_path: Path) -> None:
    full = no_room()

    @lash.tool
    async def fill() -> int:
        """Fill the disk."""
        full.__enter__()
        return 1

    steps = [block("x = 1\nsubmit x"), block("x = 2\nsubmit (call fill {})?"), block("submit x")]
    async with core_with(*steps, tools=[fill], **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn("One.")
        with pytest.raises(lash.StoreError) as refused:
            await session.turn("Two.")
        assert refused.value.code == "store_backend"
        assert said(session) == ["One."]
        full.__exit__(None, None, None)
        third = await session.turn("Three.")
        assert (third.submitted_value(), third.revision) == (1, 2)
        assert said(session) == ["One.", "Three."]


async def test_a_disk_that_is_full_while_effects_are_recorded_leaves_a_turn_that_can_be_resumed(tmp_path: Path) -> None:
    full = no_room()

    @lash.tool
    async def fill() -> int:
        """Fill the disk."""
        full.__enter__()
        return 1

    journal = JournalEffectHost(tmp_path / "journal.db", lease_s=0.1)
    knobs = {"lease": lash.LeaseTimings(ttl_s=0.3, renew_s=0.1), "tools": [fill], **stored(tmp_path)}
    async with core_with(block("submit (call fill {})?"), effect_host=journal, **knobs) as core:
        async with core.session("s") as session:
            with pytest.raises(lash.StoreError) as refused:
                await session.turn("Go.", turn_id="t-1")
            full.__exit__(None, None, None)
            full = no_room(1 << 30)
            assert refused.value.code == "store_backend"
            assert said(session) == []
            assert (await session.resume_turn(wait_if_busy=5)).submitted_value() == 1
            full.__exit__(None, None, None)
            assert session.read_view().revision == 1


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """Nothing below the folder can be written; skips where this machine has no means to that."""
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path in modes:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    # Permissions do not hold for root; a mount does, where mounting is allowed.
    commands = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]]
    if any(subprocess.run(command, check=False, capture_output=True).returncode for command in commands):
        subprocess.run(["umount", folder], check=False, capture_output=True)
        pytest.skip("root may write everywhere, and nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def test_on_a_disk_that_is_read_only_a_turn_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    await one_turn(tmp_path)
    with read_only(tmp_path / "sessions"):
        async with core_with(block("submit 1"), **stored(tmp_path)) as core:
            with pytest.raises(lash.StoreError) as refused:
                async with core.session("s") as session:
                    await session.turn("Two.")
            assert refused.value.code == "store_backend"
            with pytest.raises(lash.StoreError) as refused:
                await core.session("new")
            assert refused.value.code == "store_backend"
    async with core_with(block("submit xs"), **stored(tmp_path)) as core, core.session("s") as session:
        assert (await session.turn("Two.")).submitted_value() == [1, 2, 3]


async def test_a_folder_that_is_none_is_a_store_that_failed(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("not a folder")
    async with core_with(block("submit 1"), **stored(tmp_path)) as core:
        with pytest.raises(lash.StoreError) as refused:
            await core.session("s")
        assert refused.value.code == "store_backend"
        assert str(tmp_path / "sessions") in refused.value.message


@pytest.mark.parametrize("damage", ["header", "cut", "empty"])
async def test_a_damaged_session_file_is_named(tmp_path: Path, damage: str) -> None:
    await one_turn(tmp_path)
    file = SqliteSessionStoreFactory(tmp_path / "sessions").path_of("s")
    data = file.read_bytes()
    file.write_bytes({"header": b"x" * 100 + data[100:], "cut": data[: len(data) // 2], "empty": b""}[damage])
    async with core_with(block("submit 1"), **stored(tmp_path)) as core:
        with pytest.raises(lash.StoreError) as refused:
            await core.session("s")
        assert refused.value.code == "store_corruption"
        assert file.name in refused.value.message
        async with core.session("another") as session:
            assert (await session.turn("Go.")).submitted_value() == 1
    assert file.read_bytes() != b"" or damage == "empty", "what is left of a damaged file was thrown away"
