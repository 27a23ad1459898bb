"""Tools as plain functions: what a program sees of what they do, run synchronously and on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import lashlang
from lashlang import FunctionHost, Machine, Outcome, ToolFailure

Run = Callable[..., Outcome]


def run_sync(source: str, **options: Any) -> Outcome:
    return Machine().run(source, **options)


def run_on_loop(source: str, **options: Any) -> Outcome:
    return asyncio.run(Machine().run_async(source, **options))


@pytest.fixture(params=[run_sync, run_on_loop], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param


def echo(**args: Any) -> Any:
    return args


def three(a: int, b: int, c: int = 3) -> None:
    del a, b, c


def read(path: str) -> str:
    return path


def double(n: int) -> int:
    return 2 * n


def by_position(x: int, /) -> int:
    return x


def error_of(outcome: Outcome) -> str:
    """The error text of the wrapper that the block submitted."""
    assert outcome.value["ok"] is False, outcome.value
    return outcome.value["error"]


def test_arguments_come_by_name(run: Run) -> None:
    def join(left: str, right: str = "R", *, sep: str = "-") -> str:
        return f"{left}{sep}{right}"

    done = run(
        'submit [(call join { right: "b", left: "a" })?, (call join { left: "x", sep: "" })?]', tools={"join": join}
    )
    assert done.value == ["a-b", "xR"]


def test_any_names_reach_a_tool_that_takes_any(run: Run) -> None:
    done = run("submit (call t { a: 1, b: [2] })?", tools={"t": echo})
    assert done.value == {"a": 1, "b": [2]}


def test_a_missing_argument_is_named(run: Run) -> None:
    done = run("submit call t { a: 1 }", tools={"t": three})
    assert error_of(done) == "tool `t`: argument `b` is missing"


def test_an_unknown_argument_is_named_with_the_nearest(run: Run) -> None:
    done = run('submit call read { pth: "x", path: "y" }', tools={"read": read})
    assert error_of(done) == "tool `read`: there is no argument `pth` (did you mean `path`?)"


def test_a_missing_tool_is_named_with_the_nearest(run: Run) -> None:
    tools = {"read_file": lambda: 1, "list": lambda: 2}
    assert error_of(run("submit call read_fil {}", tools=tools)) == (
        "there is no tool `read_fil`; did you mean `read_file`?"
    )
    assert "`read_file`, `list`" in error_of(run("submit call zzz {}", tools=tools))
    assert error_of(run("submit call zzz {}")) == "there is no tool `zzz`"


def test_a_tool_that_raises_fails_with_its_text(run: Run) -> None:
    def broken() -> None:
        raise OSError("disk on fire")

    assert error_of(run("submit call t {}", tools={"t": broken})) == "disk on fire"


def test_an_exception_without_text_fails_with_its_type(run: Run) -> None:
    def broken() -> None:
        raise KeyError

    assert error_of(run("submit call t {}", tools={"t": broken})) == "KeyError"


def test_a_tool_can_fail_with_data(run: Run) -> None:
    def broken() -> None:
        raise ToolFailure({"code": 7})

    assert error_of(run("submit call t {}", tools={"t": broken})) == '{"code":7}'


@pytest.mark.parametrize(
    ("value", "place"),
    [({1}, "$: set"), ({"a": [0, object()]}, "$.a[1]: object"), ({1: 2}, "$: a record key"), (b"x", "$: bytes")],
)
def test_a_result_that_is_no_json_fails_with_its_place(run: Run, value: Any, place: str) -> None:
    error = error_of(run("submit call t {}", tools={"t": lambda: value}))
    assert error.startswith("tool `t` gave no JSON value: ")
    assert place in error


def test_one_bad_result_of_a_wave_spoils_no_other(run: Run) -> None:
    source = "submit parallel { call good {}\ncall bad {}\ncall good {} }"
    done = run(source, tools={"good": lambda: 1, "bad": lambda: {1: 2}})
    assert [result["ok"] for result in done.value] == [True, False, True]


def test_a_result_of_100_mb_ends_in_a_limit(run: Run) -> None:
    done = run("x = call t {}", tools={"t": lambda: "x" * 100_000_000})
    assert done.error is not None
    assert (done.error.kind, done.error.code) == ("limit_exceeded", "string_size")


def test_tuples_come_back_as_lists(run: Run) -> None:
    assert run("submit (call t {})?", tools={"t": lambda: (1, (2,))}).value == [1, [2]]


def test_handles_are_started_awaited_and_awaited_again(run: Run) -> None:
    source = "h = start call double { n: 4 }\nsubmit [h, (await h)?, (await h)?]"
    done = run(source, tools={"double": double})
    assert done.value == [{"__handle__": "tool", "id": "h1", "tool": "double"}, 8, 8]


def test_a_failing_started_tool_fails_at_the_await(run: Run) -> None:
    def broken() -> None:
        raise ValueError("no")

    done = run("h = start call t {}\nsubmit await h", tools={"t": broken})
    assert error_of(done) == "no"


def test_starting_a_missing_tool_ends_the_block(run: Run) -> None:
    done = run("h = start call t {}")
    assert done.error is not None
    assert done.error.kind == "effect_failed"
    assert "start of tool `t` failed: there is no tool `t`" in done.error.message


def test_a_cancelled_handle_fails_when_awaited(run: Run) -> None:
    done = run("h = start call t {}\ncancel h\nsubmit await h", tools={"t": lambda: 1})
    assert error_of(done) == "`t` was cancelled"


def test_an_unknown_handle_fails(run: Run) -> None:
    done = run('submit await { __handle__: "tool", id: "h9" }')
    assert error_of(done) == "unknown handle `h9`"


def test_one_host_keeps_its_handles_from_block_to_block() -> None:
    machine, host = Machine(), FunctionHost({"t": lambda: 5})
    machine.run("h = start call t {}", host=host)
    assert machine.run("submit (await h)?", host=host).value == 5


def test_prints_reach_the_host(run: Run) -> None:
    seen: list[Any] = []
    host = FunctionHost(on_print=lambda value, text: seen.append((value, text)))
    run('print "a"\nprint [1, "b"]', host=host)
    assert seen == [("a", "a"), ([1, "b"], '[1,"b"]')]


def test_a_print_that_the_host_cannot_take_ends_the_block(run: Run) -> None:
    def full(value: Any, text: str) -> None:
        raise OSError("no space")

    done = run("print 1", host=FunctionHost(on_print=full))
    assert done.error is not None
    assert (done.error.kind, done.error.message) == ("effect_failed", "print failed: no space")


def test_asynchronous_tools_work_in_both(run: Run) -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert run("submit (call t { n: 1 })?", tools={"t": slow}).value == 2


def test_a_callable_object_is_a_tool(run: Run) -> None:
    class Counter:
        count = 0

        def __call__(self, by: int) -> int:
            self.count += by
            return self.count

    assert run("submit [(call t { by: 2 })?, (call t { by: 3 })?]", tools={"t": Counter()}).value == [2, 5]


def test_a_tool_that_is_late_fails(run: Run) -> None:
    import threading

    release = threading.Event()
    host = FunctionHost({"t": release.wait}, timeout=0.01)
    try:
        assert error_of(run("submit call t {}", host=host)) == "tool `t` gave no answer within 0.01 s"
    finally:
        release.set()


def test_a_tools_own_timeout_error_is_its_own(run: Run) -> None:
    def broken() -> None:
        raise TimeoutError("the server is slow")

    assert error_of(run("submit call t {}", host=FunctionHost({"t": broken}, timeout=60))) == "the server is slow"


def test_tools_with_positional_only_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="`x`"):
        FunctionHost({"t": by_position})


def test_tools_and_host_exclude_each_other(run: Run) -> None:
    with pytest.raises(TypeError, match="not both"):
        run("submit 1", tools={}, host=FunctionHost())


def test_a_program_sees_nothing_of_the_host_but_data() -> None:
    names = ["print", "open", "__import__", "os", "self", "machine"]
    for name in names[1:]:
        done = Machine().run(f"submit {name}")
        assert done.error is not None
        assert done.error.kind == "unknown_name"


def test_a_loop_in_this_thread_makes_synchronous_use_of_async_tools_an_error() -> None:
    async def tool() -> int:
        return 1

    async def main() -> None:
        with pytest.raises(lashlang.MachineMisuse, match="run_async"):
            Machine().run("submit call t {}", tools={"t": tool})

    asyncio.run(main())
