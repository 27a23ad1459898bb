"""The machine as its users drive it: sans-IO steps, globals, misuse."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import lashlang
from lashlang import Call, Done, Machine, Requests, Response


@pytest.fixture
def machine() -> Machine:
    return Machine()


def requests(step: lashlang.Step) -> Requests:
    assert isinstance(step, Requests)
    return step


def outcome(step: lashlang.Step) -> lashlang.Outcome:
    assert isinstance(step, Done)
    return step.outcome


# --- outcomes ----------------------------------------------------------------------------------------


def test_a_submitted_value_is_the_outcome(machine: Machine) -> None:
    done = machine.run("submit { a: [1, 2.5, null, true] }")
    assert (done.status, done.value, done.error) == ("submitted", {"a": [1, 2.5, None, True]}, None)


def test_a_block_that_runs_off_its_end_continues(machine: Machine) -> None:
    done = machine.run("x = 1")
    assert (done.status, done.value, done.fuel) == ("continued", None, 1)


def test_a_failed_block_says_what_and_where(machine: Machine) -> None:
    done = machine.run("x = 1\ny = x + missing")
    assert done.status == "failed"
    assert done.error is not None
    assert (done.error.kind, done.error.line, done.error.column) == ("unknown_name", 2, 9)
    assert done.render_error().startswith("error[unknown_name]: name `missing` is not defined\n--> line 2, column 9\n")


def test_a_source_that_does_not_compile_is_a_failed_outcome(machine: Machine) -> None:
    done = machine.run("x = ")
    assert (done.status, done.fuel, done.requests) == ("failed", 0, 0)
    assert done.error is not None
    assert done.error.kind == "syntax_error"
    assert machine.run("submit 1").value == 1


def test_unwrap_gives_the_value_or_raises_the_error(machine: Machine) -> None:
    assert machine.run("submit 5").unwrap() == 5
    with pytest.raises(lashlang.LanguageError, match=r"line 1, column 8") as raised:
        machine.run("submit nope").unwrap()
    assert raised.value.diagnostic is not None


def test_a_limit_names_itself(machine: Machine) -> None:
    done = machine.run("while true { x = 1 }", fuel=1000)
    assert done.error is not None
    assert (done.error.kind, done.error.code, done.fuel) == ("limit_exceeded", "fuel", 1000)


def test_fuel_of_one_run_does_not_outlive_it(machine: Machine) -> None:
    assert machine.run("for i in range(100) { x = i }", fuel=10).status == "failed"
    assert machine.run("for i in range(100) { x = i }").status == "continued"


def test_prints_are_kept_in_program_order_with_values_and_images(machine: Machine) -> None:
    image = lashlang.Image("i1", "cat", 10)
    done = machine.run('print 1\nprint [cat, cat]\nprint "x"', projected={"cat": image})
    assert [(p.text, p.value) for p in done.prints[::2]] == [("1", 1), ("x", "x")]
    assert done.prints[1].images == (image,)
    assert done.images == (image,)


def test_a_compiled_program_runs_on_many_machines() -> None:
    program = lashlang.compile("submit n + 1")
    for n in range(3):
        machine = Machine()
        machine.globals["n"] = n
        assert machine.run(program).value == n + 1


def test_two_machines_share_nothing() -> None:
    one, two = Machine(), Machine()
    one.run("x = 1")
    two.run("y = 2")
    assert (dict(one.globals), dict(two.globals)) == ({"x": 1}, {"y": 2})


# --- steps -------------------------------------------------------------------------------------------


def test_start_stops_at_a_request_and_resume_goes_on(machine: Machine) -> None:
    step = requests(machine.start("submit call add { a: 1, b: 2 }"))
    assert step.new == (Call(1, "add", {"a": 1, "b": 2}),)
    done = outcome(machine.resume({1: Response.ok(3)}))
    assert (done.value, done.requests) == ({"ok": True, "value": 3}, 1)


def test_a_failed_response_is_the_wrappers_error(machine: Machine) -> None:
    machine.start("submit call t {}")
    assert outcome(machine.resume({1: Response.failed("no")})).value == {"ok": False, "error": "no"}


def test_a_failure_that_is_no_text_arrives_as_its_json(machine: Machine) -> None:
    machine.start("submit call t {}")
    done = outcome(machine.resume({1: Response.failed({"code": 7})}))
    assert done.value == {"ok": False, "error": '{"code":7}'}


def test_part_of_a_wave_can_be_answered(machine: Machine) -> None:
    source = "submit parallel { (call a {})?\n(call b {})?\n(call c {})? }"
    first = requests(machine.start(source))
    assert [request.id for request in first.new] == [1, 2, 3]
    second = requests(machine.resume({3: Response.ok("c"), 1: Response.ok("a")}))
    assert (second.new, [request.id for request in second.pending]) == ((), [2])
    assert outcome(machine.resume({2: Response.ok("b")})).value == ["a", "b", "c"]


def test_answers_can_bring_new_requests_while_others_are_open(machine: Machine) -> None:
    requests(machine.start("submit parallel { (call b { x: (call a {})? })?\n(call c {})? }"))
    step = requests(machine.resume({1: Response.ok(1)}))
    assert [request.id for request in step.new] == [3]
    assert [request.id for request in step.pending] == [2, 3]
    assert machine.pending == step.pending


def test_a_thousand_requests_stand_in_one_wave(machine: Machine) -> None:
    step = requests(machine.start("hs = [start call t { i: i } for i in range(1000)]\nsubmit len(await hs)"))
    while len(step.new) == 1:
        request = step.new[0]
        step = requests(machine.resume({request.id: Response.ok({"__handle__": "tool", "id": str(request.id)})}))
    assert len(step.new) == 1000
    assert outcome(machine.resume({request.id: Response.ok(1) for request in step.new})).value == 1000


def test_unknown_ids_are_refused_and_change_nothing(machine: Machine) -> None:
    machine.start("submit call t {}")
    with pytest.raises(lashlang.MachineMisuse, match="7"):
        machine.resume({1: Response.ok(1), 7: Response.ok(2)})
    assert outcome(machine.resume({1: Response.ok(1)})).value == {"ok": True, "value": 1}


def test_an_empty_answer_is_refused(machine: Machine) -> None:
    machine.start("submit call t {}")
    with pytest.raises(lashlang.MachineMisuse, match="empty"):
        machine.resume({})


def test_resuming_an_idle_machine_is_refused(machine: Machine) -> None:
    with pytest.raises(lashlang.MachineMisuse, match="no block"):
        machine.resume({1: Response.ok(1)})
    with pytest.raises(lashlang.MachineMisuse, match="no block"):
        machine.interrupt()


def test_an_id_answered_once_is_unknown_afterwards(machine: Machine) -> None:
    machine.start("parallel { call a {}\ncall b {} }")
    machine.resume({1: Response.ok()})
    with pytest.raises(lashlang.MachineMisuse, match="1"):
        machine.resume({1: Response.ok()})


@pytest.mark.parametrize("value", [{1}, {"k": {1: 2}}, b"x", "\ud800", float, object()])
def test_a_response_that_is_no_value_is_refused_and_changes_nothing(machine: Machine, value: Any) -> None:
    machine.start("submit parallel { call a {}\ncall b {} }")
    with pytest.raises(lashlang.HostValueError):
        machine.resume({1: Response.ok(1), 2: Response.ok(value)})
    assert [request.id for request in machine.pending] == [1, 2]
    done = outcome(machine.resume({1: Response.ok(1), 2: Response.ok(2)}))
    assert done.value == [{"ok": True, "value": 1}, {"ok": True, "value": 2}]


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("value", [nested(129), nested(700), nested(5000), CYCLE], ids=["129", "700", "5000", "cycle"])
def test_a_response_that_is_too_deep_ends_in_the_limit(machine: Machine, value: Any) -> None:
    machine.start("x = 1\ny = call t {}")
    done = outcome(machine.resume({1: Response.ok(value)}))
    assert done.error is not None
    assert (done.error.kind, done.error.code, done.error.line) == ("limit_exceeded", "value_depth", 2)
    assert dict(machine.globals) == {"x": 1}


def test_a_response_of_100_mb_ends_in_a_limit(machine: Machine) -> None:
    machine.start("x = 1\ny = call t {}")
    done = outcome(machine.resume({1: Response.ok("x" * 100_000_000)}))
    assert done.error is not None
    assert (done.error.kind, done.error.code) == ("limit_exceeded", "string_size")
    assert machine.run("submit x").value == 1


def test_a_response_beyond_the_memory_ends_in_that_limit() -> None:
    machine = Machine(lashlang.Limits(memory=8 << 20))
    machine.start("x = 1\ny = call t {}")
    done = outcome(machine.resume({1: Response.ok(["x" * 1_000_000] * 30)}))
    assert done.error is not None
    assert (done.error.kind, done.error.code) == ("limit_exceeded", "memory")
    assert machine.run("submit x").value == 1


def test_a_wave_of_answers_beyond_the_memory_ends_in_that_limit() -> None:
    machine = Machine(lashlang.Limits(memory=1 << 20))
    step = machine.start("x = 1\nhs = [{ __handle__: i } for i in range(900)]\nr = await hs")
    done = outcome(machine.resume({request.id: Response.ok("x" * 2000) for request in requests(step).new}))
    assert done.error is not None
    assert (done.error.code, done.error.line) == ("memory", 3)
    assert machine.run("hs = null\nsubmit x").value == 1


def test_an_interrupt_keeps_what_was_done(machine: Machine) -> None:
    machine.start("x = 1\nprint x\ny = call t {}")
    machine.resume({1: Response.ok()})
    done = machine.interrupt("enough").outcome
    assert done.status == "interrupted"
    assert done.error is not None
    assert (done.error.kind, done.error.message, done.error.line) == ("interrupted", "enough", 3)
    assert [p.text for p in done.prints] == ["1"]
    assert dict(machine.globals) == {"x": 1}


def test_a_print_the_host_refused_is_no_observation(machine: Machine) -> None:
    machine.start("print 1")
    done = outcome(machine.resume({1: Response.failed("full")}))
    assert done.error is not None
    assert (done.error.kind, done.prints) == ("effect_failed", ())


# --- globals -----------------------------------------------------------------------------------------


def test_globals_behave_like_a_mapping(machine: Machine) -> None:
    machine.globals.update(b=1, a=[2])
    assert list(machine.globals) == ["b", "a"]
    assert machine.globals == {"b": 1, "a": [2]}
    del machine.globals["b"]
    assert "b" not in machine.globals
    assert len(machine.globals) == 1
    assert machine.globals.pop("a") == [2]
    assert machine.globals.get("a", "gone") == "gone"


def test_a_missing_global_is_a_key_error(machine: Machine) -> None:
    with pytest.raises(KeyError, match="nope"):
        machine.globals["nope"]
    with pytest.raises(KeyError, match="nope"):
        del machine.globals["nope"]


@pytest.mark.parametrize("name", ["a b", "", "1a", "ä", "for", "null", "x.y", "history"])
def test_names_that_no_program_may_bind_are_refused(machine: Machine, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        machine.globals[name] = 1


def test_changing_what_was_read_changes_nothing(machine: Machine) -> None:
    machine.globals["xs"] = [1]
    machine.globals["xs"].append(2)
    assert machine.globals["xs"] == [1]


def test_a_global_beyond_value_size_fails_the_read_only(machine: Machine) -> None:
    machine.run("x = [1]\ni = 0\nwhile i < 40 { x = [x, x]\ni += 1 }")
    with pytest.raises(lashlang.LanguageError, match="value_size"):
        machine.globals["x"]
    assert machine.globals["i"] == 40


# --- busy --------------------------------------------------------------------------------------------


def test_a_running_block_makes_the_machine_busy(machine: Machine) -> None:
    machine.start("call t {}")
    assert machine.running
    with pytest.raises(lashlang.MachineBusy):
        machine.start("submit 1")
    with pytest.raises(lashlang.MachineBusy):
        machine.run("submit 1")
    with pytest.raises(lashlang.MachineBusy):
        machine.globals["x"] = 1
    with pytest.raises(lashlang.MachineBusy):
        dict(machine.globals)
    machine.resume({1: Response.ok()})
    assert not machine.running


def test_a_machine_computing_in_another_thread_is_busy(machine: Machine) -> None:
    inside, stop = threading.Event(), threading.Event()

    def tool() -> None:
        inside.set()
        stop.wait()

    thread = threading.Thread(target=machine.run, args=("call t {}",), kwargs={"tools": {"t": tool}})
    thread.start()
    inside.wait()
    try:
        with pytest.raises(lashlang.MachineBusy):
            machine.run("submit 1")
        with pytest.raises(lashlang.MachineBusy):
            machine.globals["x"] = 1
    finally:
        stop.set()
        thread.join()
    assert machine.run("submit 1").value == 1


def test_a_closed_machine_says_so(machine: Machine) -> None:
    with machine:
        machine.globals["x"] = 1
    with pytest.raises(lashlang.MachineClosed):
        machine.run("submit 1")
    with pytest.raises(lashlang.MachineClosed):
        machine.globals["x"]


def test_closing_stops_a_running_block(machine: Machine) -> None:
    machine.start("call t {}")
    machine.close()
    with pytest.raises(lashlang.MachineMisuse):
        machine.resume({1: Response.ok()})
