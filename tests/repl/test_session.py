"""The session without a screen: blocks, values, states."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lashlang
from lashlang.repl.blocks import compile_block
from lashlang.repl.branches import MOST_KEPT, Branch
from lashlang.repl.files import history_file, write_whole
from lashlang.repl.session import Ran, Session, SessionError

Open = Callable[..., Session]


@pytest.fixture
def sessions() -> Iterator[Open]:
    opened: list[Session] = []

    def make(**keywords: Any) -> Session:
        opened.append(Session(**keywords))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


@pytest.fixture
def session(sessions: Open) -> Session:
    return sessions()


def value(ran: Ran) -> object:
    assert ran.value is not None
    assert ran.value.seen
    return ran.value.value


def kind(ran: Ran) -> str:
    assert ran.outcome is not None
    assert ran.outcome.error is not None
    return ran.outcome.error.kind


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 + 2", 3),
        ("x = 5  x * 2", 10),
        ("null", None),
        ("submit [1]", [1]),
        ("if true { submit 7 }  8", 7),
        ("1 / 0", float("inf")),
        ("[1 / 0]", [float("inf")]),
        ("parallel { 1, 2 }", [1, 2]),
    ],
)
def test_the_expression_at_the_end_has_its_value_shown(session: Session, text: str, shown: object) -> None:
    assert value(session.run(text)) == shown


@pytest.mark.parametrize("text", ["x = 1", "1  x = 2", "print 1", "if true { 1 }", "for i in [1] { i }"])
def test_other_blocks_have_no_value(session: Session, text: str) -> None:
    ran = session.run(text)
    assert ran.ok
    assert ran.value is None


def test_no_name_stays_behind(session: Session) -> None:
    session.run("_value = 1")
    assert value(session.run("_value + 1")) == 2
    assert value(session.run("[_value_ ?? 3 for _value_ in [null]]")) == [3]
    assert session.names() == ["_value"]


def test_the_kept_name_is_not_one_of_the_program() -> None:
    block = compile_block("[_value, _value__]", ["_value_"])
    assert block.kept not in ("_value", "_value_", "_value__")


def test_fuel_is_that_of_the_text_itself(session: Session) -> None:
    ran = session.run("x = [i for i in range(100)]  x")
    plain = lashlang.Machine().run("x = [i for i in range(100)]  x")
    assert ran.outcome is not None
    assert ran.outcome.fuel == plain.fuel
    assert session.fuel_used == plain.fuel


def test_an_error_in_the_shown_expression_is_told_where_it_was_written(session: Session) -> None:
    ran = session.run("x = 1\nx + nope")
    assert ran.outcome is not None
    assert "--> line 2, column 5\nx + nope\n    ^~~~" in ran.outcome.render_error()


def test_a_value_too_large_to_leave_the_machine_is_known_by_type_and_size(session: Session) -> None:
    ran = session.run("x = [1]\nfor i in range(100) { x = [x, x] }\nx")
    assert ran.ok
    assert ran.value is not None
    assert (ran.value.type_name, ran.value.size, ran.value.seen) == ("list", 2, False)


@pytest.mark.parametrize(
    ("text", "type_name", "size"),
    [
        ("range(1000000)", "list", 1_000_000),
        ('pad_left("x", 9000000, "ä")', "string", 9_000_000),
        ("r = {}\nfor i in range(100000) { r[i] = [i] }\nr", "record", 100_000),
    ],
)
def test_of_a_large_value_only_the_beginning_is_read(session: Session, text: str, type_name: str, size: int) -> None:
    found = session.run(text).value
    assert found is not None
    assert (found.type_name, found.size) == (type_name, size)
    assert found.seen
    assert 0 < len(found.value) < 10_000


def test_looking_at_a_record_works_whatever_its_name(session: Session) -> None:
    session.run("key = {}  for i in range(100000) { key[i] = i }  field = key")
    for name in ("key", "field"):
        assert list(session.look(name).value.items())[:2] == [("0", 0), ("1", 1)]
    assert session.names() == ["key", "field"]


def test_limits_are_the_same_after_looking(session: Session) -> None:
    session.run("x = range(1000000)")
    before = session.machine.limits
    session.look("x")
    session.keys_of("x.y")
    assert session.machine.limits == before
    assert value(session.run("len(to_string(x))")) == 6888891


# --- tools and prints ----------------------------------------------------------------------------------


def test_prints_come_while_the_block_runs(sessions: Open) -> None:
    seen: list[str] = []

    def peek() -> int:
        return len(seen)

    session = sessions(tools={"peek": peek}, on_print=seen.append)
    assert value(session.run("print 1  print [2]  call peek {}?")) == 2
    assert seen == ["1", "[2]"]


def test_what_one_block_starts_another_awaits(sessions: Open) -> None:
    async def echo(x: int) -> int:
        await asyncio.sleep(0)
        return x

    session = sessions(tools={"echo": echo})
    session.run("h = start call echo { x: 5 }")
    assert value(session.run("await h?")) == 5


def test_a_text_of_the_command_line_is_read_only_and_lazy(sessions: Open) -> None:
    session = sessions(projected={"doc": lashlang.TextSource("one two")})
    assert value(session.run("len(doc)")) == 7
    assert value(session.run("doc")) == "one two"
    assert kind(session.run("doc = 1")) == "read_only"


def test_fuel_bounds_each_block(sessions: Open) -> None:
    session = sessions(fuel=100)
    assert kind(session.run("while true {}")) == "limit_exceeded"
    assert value(session.run("1")) == 1
    session.fuel = None
    assert value(session.run("x = 0  for i in range(100) { x += i }  x")) == 4950


# --- interrupting ----------------------------------------------------------------------------------------


def test_ctrl_c_stops_a_computation_and_the_machine_stays(sessions: Open) -> None:
    def interrupt() -> None:
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()

    session = sessions(tools={"interrupt": interrupt}, fuel=10**15)
    ran = session.run("x = 1  call interrupt {}  while true { x += 1 }")
    assert (ran.outcome, ran.ok, ran.value) == (None, False, None)
    assert value(session.run("x > 0")) is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_stops_a_waiting_tool(sessions: Open) -> None:
    ended: list[str] = []

    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    session = sessions(tools={"wait": wait})
    assert session.run("x = 1  call wait {}").outcome is None
    assert ended == ["cancelled"]
    assert session.names() == ["x"]


def test_ctrl_c_does_not_wait_for_a_plain_function(sessions: Open) -> None:
    gate = threading.Event()

    def block() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        gate.wait()

    session = sessions(tools={"block": block})
    try:
        assert session.run("call block {}").outcome is None
    finally:
        gate.set()


# --- states ----------------------------------------------------------------------------------------------


def test_undo_goes_back_over_blocks_that_changed_something(session: Session) -> None:
    for text in ("x = 1", "y = [x]", "x", "x = x", "x + nope", "x = 2"):
        session.run(text)
    assert session.undo() == "x = 2"
    assert value(session.run("x")) == 1
    assert session.undo() == "y = [x]"
    assert session.names() == ["x"]
    assert session.undo() == "x = 1"
    assert session.names() == []
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()


def test_undo_takes_back_what_a_failed_block_assigned(session: Session) -> None:
    session.run("x = 1")
    session.run("x = 2  y = nope")
    assert session.undo() == "x = 2  y = nope"
    assert value(session.run("x")) == 1


def test_undo_keeps_a_bounded_number_of_states(session: Session) -> None:
    for number in range(MOST_KEPT + 8):
        session.run(f"x = {number}")
    for _ in range(MOST_KEPT):
        session.undo()
    with pytest.raises(SessionError):
        session.undo()


def test_undo_keeps_a_bounded_amount_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lashlang.repl.branches.MOST_MEMORY", 3 << 20)
    branch = Branch("", lashlang.Machine())
    for number in range(5):
        before = branch.checkpoint()
        branch.machine.run(f"x = {number}  s = pad_left(x, 1000000)")
        branch.remember(before, str(number))
    undone = list(iter(branch.undo, None))
    assert undone == ["4", "3", "2"]
    before = branch.checkpoint()
    branch.machine.run("s = pad_left(1, 4000000)")
    branch.remember(before, "large")
    assert branch.checkpoint() is None
    branch.remember(None, "too large")
    assert branch.undo() is None
    branch.close()


def test_a_fork_can_be_given_up(session: Session) -> None:
    session.run("x = 1")
    assert session.fork() == "fork1"
    session.run("x = 2  y = 3")
    assert session.back() == "fork1"
    assert (session.names(), value(session.run("x"))) == (["x"], 1)


def test_a_fork_can_be_kept_and_that_undone(session: Session) -> None:
    session.run("x = 1")
    session.fork("try")
    session.fork("again")
    session.run("x = 2")
    assert session.forks == ["try", "again"]
    session.keep()
    assert value(session.run("x")) == 2
    session.keep()
    assert (session.forks, value(session.run("x"))) == ([], 2)
    session.undo()
    assert value(session.run("x")) == 1


@pytest.mark.parametrize("do", [Session.back, Session.keep])
def test_without_a_fork_there_is_none_to_leave(session: Session, do: Callable[[Session], str]) -> None:
    with pytest.raises(SessionError, match="no fork is open"):
        do(session)


def test_a_forks_name_is_its_own(session: Session) -> None:
    session.fork("a")
    with pytest.raises(SessionError, match="already"):
        session.fork("a")


# --- snapshots ---------------------------------------------------------------------------------------------


def test_variables_survive_saving_and_loading(sessions: Open, tmp_path: Path) -> None:
    first, second = sessions(), sessions()
    first.run('x = { a: [1, "ü"] }  T = Type { a: int }  f = 1 / 0')
    size = first.save(tmp_path / "s")
    assert size == (tmp_path / "s").stat().st_size
    second.run("y = 1")
    second.load(tmp_path / "s")
    assert second.names() == ["x", "T", "f"]
    assert value(second.run("[x, f]")) == [{"a": [1, "ü"]}, float("inf")]
    second.undo()
    assert second.names() == ["y"]


@pytest.mark.parametrize("data", [b"", b"no snapshot", b"cut"])
def test_a_file_that_is_refused_changes_nothing(session: Session, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "s"
    session.run("x = 1")
    if data == b"cut":
        session.save(file)
        data = file.read_bytes()[:-1]
    file.write_bytes(data)
    with pytest.raises(SessionError, match=str(file)):
        session.load(file)
    assert session.names() == ["x"]
    with pytest.raises(SessionError, match="No such file"):
        session.load(tmp_path / "gone")
    with pytest.raises(SessionError, match="No such file"):
        session.save(tmp_path / "gone" / "s")


def test_a_value_read_on_demand_is_found_again(sessions: Open, tmp_path: Path) -> None:
    class Doc(lashlang.TextSource):
        ref = "doc"

    first = sessions(projected={"doc": Doc("text")})
    first.run("xs = [doc]")
    assert first.look("xs").type_name == "list"
    first.save(tmp_path / "s")
    again = sessions(projected={"doc": Doc("other")})
    again.load(tmp_path / "s")
    assert value(again.run('xs[0] + "!"')) == "other!"
    without = sessions()
    without.load(tmp_path / "s")
    assert kind(without.run('xs[0] + "!"')) == "projection_unavailable"


def suspended(tmp_path: Path) -> Path:
    """A snapshot of a block that waits for a tool."""
    machine = lashlang.Machine()
    machine.start('x = 1\nprint "before"\ny = (call ask { q: "?" })?\nprint y\nsubmit [x, y]')
    machine.resume({1: lashlang.Response.ok()})
    (tmp_path / "s").write_bytes(machine.snapshot())
    return tmp_path / "s"


def ask(q: str) -> str:
    return f"answer to {q}"


def test_a_suspended_block_is_run_on_with_the_tools(sessions: Open, tmp_path: Path) -> None:
    prints: list[str] = []
    session = sessions(tools={"ask": ask}, on_print=prints.append)
    session.load(suspended(tmp_path))
    assert session.suspended
    assert session.names() == []
    for refused in (lambda: session.run("x"), lambda: session.look("x")):
        with pytest.raises(SessionError, match=":resume"):
            refused()
    assert value(session.resume()) == [1, "answer to ?"]
    assert prints == ["answer to ?"]
    assert session.names() == ["x", "y"]
    with pytest.raises(SessionError, match="no block is suspended"):
        session.resume()
    assert session.undo() == ":resume"
    assert session.suspended


def test_a_suspended_block_can_be_given_up_saved_and_forked(sessions: Open, tmp_path: Path) -> None:
    session = sessions(tools={"ask": ask})
    session.load(suspended(tmp_path))
    session.fork()
    session.resume()
    session.back()
    assert session.suspended
    session.save(tmp_path / "again")
    session.abandon()
    assert session.names() == ["x"]
    with pytest.raises(SessionError, match="no block is suspended"):
        session.abandon()
    session.load(tmp_path / "again")
    assert value(session.resume()) == [1, "answer to ?"]


def test_a_fault_of_the_kernel_brings_the_state_before_the_block_back(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.run("x = 1")

    async def fault(*_: object, **__: object) -> None:
        raise lashlang.KernelFault("made up")

    with monkeypatch.context() as patch:
        patch.setattr(lashlang.Machine, "run_async", fault)
        with pytest.raises(SessionError, match="made up; the variables from before the block are back"):
            session.run("x = 2")
    assert value(session.run("x")) == 1


# --- files ---------------------------------------------------------------------------------------------------


def test_a_file_is_written_for_its_owner_only_and_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_whole(file, b"one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    write_whole(file, b"two")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"two", 0o640)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"two"


def test_a_failed_write_leaves_the_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_bytes(b"one")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "f", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("f", b"one")]


def test_the_history_is_where_the_standard_for_such_files_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LASHLANG_HISTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert history_file() == Path("/home/ada/.local/state/lashlang/history")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert history_file() == Path("/state/lashlang/history")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert history_file() == Path("/home/ada/.local/state/lashlang/history")
    monkeypatch.setenv("LASHLANG_HISTORY", "~/h")
    assert history_file() == Path("/home/ada/h")
    monkeypatch.setenv("LASHLANG_HISTORY", "")
    assert history_file() is None
