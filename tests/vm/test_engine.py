"""The engine: two links that behave alike, a guarded instance, a cache that may be missing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
import wasmtime

import lashlang
from lashlang.vm.engine import Instance, Kernel
from lashlang.vm.native import POOL_SLOTS
from lashlang.vm.protocol import Command, Status

ROOM = 64 << 20

STEP_ON: list[Any] = [1, [], []]

TOY = """
(module
  (memory (export "memory") 1)
  (global $in (mut i32) (i32.const 1024))
  (func (export "io") (result i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 1024))
    (i32.const 0))
  (func (export "reserve") (param i32) (result i32) (i32.const 0))
  (func (export "command") (param $op i32) (param $len i32) (result i32)
    (if (i32.eq (local.get $op) (i32.const 1)) (then unreachable))
    (if (i32.eq (local.get $op) (i32.const 2)) (then (loop $forever (br $forever))))
    (if (i32.eq (local.get $op) (i32.const 3))
      (then (i32.store (i32.const 8) (i32.const 65000)) (i32.store (i32.const 12) (i32.const 5000)))
      (else (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (local.get $len))))
    (i32.sub (i32.const 0) (local.get $op))))
"""
"""A kernel of its own for what the real one must never do: it traps, hangs, and points outside its memory."""


@pytest.fixture
def toy(tmp_path: Path) -> Kernel:
    file = tmp_path / "toy.wasm"
    file.write_bytes(wasmtime.wat2wasm(TOY))
    return Kernel(file)


@pytest.fixture(params=[False, True], ids=["native", "public"])
def instance(request: pytest.FixtureRequest) -> Instance:
    return Kernel.shared().instantiate(ROOM, public=request.param)


def run(instance: Instance, command: int, message: object) -> tuple[int, object]:
    return instance.command(command, msgpack.packb(message), lambda view: msgpack.unpackb(view) if view else None)


def test_the_kernel_has_no_imports() -> None:
    file = Path(lashlang.__path__[0]) / "kernel" / "vm.wasm"
    assert wasmtime.Module(wasmtime.Engine(), file.read_bytes()).imports == []


def test_a_module_with_imports_is_no_kernel(tmp_path: Path) -> None:
    file = tmp_path / "imports.wasm"
    file.write_bytes(wasmtime.wat2wasm('(module (import "env" "f" (func)))'))
    with pytest.raises(lashlang.KernelFault, match="imports"):
        Kernel(file)


def test_a_file_that_is_no_module_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "broken.wasm").write_bytes(b"\0asm")
    with pytest.raises(lashlang.KernelFault, match="no valid module"):
        Kernel(tmp_path / "broken.wasm")


def test_a_missing_kernel_is_named(tmp_path: Path) -> None:
    with pytest.raises(lashlang.KernelFault, match=r"missing\.wasm"):
        Kernel(tmp_path / "missing.wasm")


def test_both_links_run_the_kernel(instance: Instance) -> None:
    assert run(instance, Command.CONFIGURE, lashlang.Limits().as_list()) == (Status.OK, None)
    assert run(instance, Command.SET, ["x", [1, "two"]]) == (Status.OK, None)
    assert run(instance, Command.GET, ["x"]) == (Status.OK, [True, [1, "two"]])
    assert run(instance, Command.NAMES, []) == (Status.OK, ["x"])


def test_both_links_survive_the_growth_of_memory(instance: Instance) -> None:
    run(instance, Command.CONFIGURE, lashlang.Limits().as_list())
    big = "é" * 4_000_000
    assert run(instance, Command.SET, ["small", 1])[0] == Status.OK
    assert run(instance, Command.SET, ["big", big])[0] == Status.OK
    assert run(instance, Command.GET, ["big"]) == (Status.OK, [True, big])
    assert run(instance, Command.GET, ["small"]) == (Status.OK, [True, 1])


def test_a_memory_that_cannot_grow_by_a_whole_step_grows_by_what_is_needed() -> None:
    instance = Kernel.shared().instantiate(7 << 19)
    run(instance, Command.CONFIGURE, lashlang.Limits().as_list())
    assert run(instance, Command.GET, ["n" * 2_600_000]) == (Status.OK, [False, None])


def test_the_links_give_the_same_numbers_and_bytes(toy: Kernel) -> None:
    answers = [
        [
            toy.instantiate(ROOM, public=public).command(operation, b"some bytes", bytes)
            for operation in (0, 5, 0x7FFFFFFF)
        ]
        for public in (False, True)
    ]
    assert answers[0] == answers[1]
    assert answers[0][1] == (0xFFFF_FFFB, b"some bytes")


@pytest.mark.parametrize("public", [False, True], ids=["native", "public"])
def test_a_trap_makes_the_instance_unusable(toy: Kernel, public: bool) -> None:
    instance = toy.instantiate(ROOM, public=public)
    with pytest.raises(lashlang.KernelFault, match="unreachable"):
        instance.command(1, b"", bytes)
    with pytest.raises(lashlang.KernelFault, match="unreachable"):
        instance.command(0, b"", bytes)


def test_output_outside_the_memory_is_a_fault(toy: Kernel) -> None:
    with pytest.raises(lashlang.KernelFault, match="outside its memory"):
        toy.instantiate(ROOM).command(3, b"", bytes)


def test_input_that_does_not_fit_is_a_memory_error_and_changes_nothing(toy: Kernel) -> None:
    instance = toy.instantiate(ROOM)
    with pytest.raises(MemoryError):
        instance.command(0, b"x" * 2000, bytes)
    assert instance.command(0, b"fits", bytes) == (0, b"fits")


def test_a_memory_limit_below_the_kernels_needs_is_a_fault() -> None:
    with pytest.raises(lashlang.KernelFault, match="cannot be started"):
        Kernel.shared().instantiate(1000)


def test_a_closed_instance_says_so(instance: Instance) -> None:
    instance.close()
    instance.close()
    with pytest.raises(lashlang.MachineClosed):
        run(instance, Command.NAMES, [])


def test_use_from_a_second_thread_is_refused_while_the_first_is_inside(instance: Instance) -> None:
    run(instance, Command.CONFIGURE, lashlang.Limits().as_list())
    program = lashlang.compile("i = 0\nwhile true { i = i + 1 }")
    message = b"\x92" + msgpack.packb({}) + program.packed
    inside = threading.Event()
    seen: list[BaseException] = []

    def work() -> None:
        instance.command(Command.RUN, message, bytes)
        inside.set()
        while not seen:
            try:
                instance.command(Command.STEP, msgpack.packb(STEP_ON), bytes)
            except lashlang.MachineBusy:
                continue

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    attempts = 0
    while not seen and attempts < 1_000_000:
        attempts += 1
        try:
            instance.command(Command.NAMES, msgpack.packb([]), bytes)
        except lashlang.MachineBusy as busy:
            seen.append(busy)
    seen.append(AssertionError())
    thread.join()
    assert isinstance(seen[0], lashlang.MachineBusy)


def in_subprocess(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with only these variables added to a bare environment."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    root = str(Path(lashlang.__path__[0]).parent)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


RUN = "import lashlang; print(lashlang.Machine().run('submit 1 + 1').value)"


@pytest.mark.parametrize("home", ["", "/nonexistent", os.devnull])
def test_a_machine_runs_without_a_home_directory(home: str) -> None:
    done = in_subprocess(RUN, HOME=home, XDG_CACHE_HOME=home)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_machine_runs_where_no_home_is_known() -> None:
    done = in_subprocess(RUN)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_the_compiled_kernel_is_kept_on_disk(tmp_path: Path) -> None:
    in_subprocess(RUN, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert any(path.is_file() for path in tmp_path.rglob("*"))


BROKEN = """
(module
  (memory (export "memory") 1)
  (data (i32.const 512) "\\91\\a4odd!")
  (func (export "io") (result i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 4096))
    (i32.store (i32.const 8) (i32.const 512))
    (i32.store (i32.const 12) (i32.const 6))
    (i32.const 0))
  (func (export "reserve") (param i32) (result i32) (i32.const 0))
  (func (export "command") (param $op i32) (param $len i32) (result i32)
    (if (i32.eq (local.get $op) (i32.const 2)) (then (return %s)))
    (i32.const 0)))
"""
"""A kernel that accepts its configuration and then does something impossible when a block is run."""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("(unreachable)", "unreachable"),
        ("(i32.const 77)", "status 77"),
        ("(i32.const 8)", "refused a command: odd!"),
    ],
)
def test_a_kernel_that_breaks_its_contract_is_a_fault_and_ends_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, told: str
) -> None:
    file = tmp_path / "broken.wasm"
    file.write_bytes(wasmtime.wat2wasm(BROKEN % answer))
    monkeypatch.setattr(Kernel, "_shared", Kernel(file))
    machine = lashlang.Machine()
    with pytest.raises(lashlang.KernelFault, match=told):
        machine.run("submit 1")
    with pytest.raises(lashlang.KernelFault, match=told):
        machine.run("submit 1")
    with pytest.raises(lashlang.KernelFault, match=told):
        list(machine.globals)
    machine.close()


def test_more_machines_than_the_pool_holds_can_live() -> None:
    machines = [lashlang.Machine() for _ in range(POOL_SLOTS + 3)]
    assert [machine.run("submit 1").value for machine in machines] == [1] * len(machines)
