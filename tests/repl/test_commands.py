"""The commands, as a person sees them: what is entered, and what stands on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lashlang
from lashlang.repl import Console, Front, Session

Enter = Callable[..., str]


def ask(q: str) -> str:
    """Ask somebody.

    They may not know.
    """
    return f"answer to {q}"


@pytest.fixture
def front() -> Iterator[Front]:
    console = Console()
    with Session({"ask": ask}, on_print=console.printed) as session:
        yield Front(session, console)


@pytest.fixture
def enter(front: Front, capsys: pytest.CaptureFixture[str]) -> Enter:
    """Enter lines, and give what comes out: values and everything else."""

    def enter(*lines: str) -> str:
        for line in lines:
            front.enter(line)
        out, err = capsys.readouterr()
        return out + err

    return enter


def test_an_unknown_command_is_told_with_its_neighbour(enter: Enter, front: Front) -> None:
    assert enter(":vasr") == "error: there is no command `:vasr`; did you mean `:vars`?\n"
    assert enter(":x") == "error: there is no command `:x`; `:help` lists them\n"
    assert front.failed


def test_a_command_without_arguments_refuses_them(enter: Enter) -> None:
    assert enter(":undo 3") == "error: `:undo` takes nothing after it\n"


def test_variables_are_listed_with_type_and_size(enter: Enter) -> None:
    assert enter(":vars") == "there are no variables yet; `x = 1` makes one\n"
    enter('x = 1.5  name = "Ada"  xs = range(100000)  r = { a: null }')
    assert enter(":vars") == (
        "name  type       size  value\n"
        "x     number           1.5\n"
        'name  string        3  "Ada"\n'
        "xs    list    100,000  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, … (99,986 more)]\n"
        'r     record        1  {"a": null}\n'
    )
    assert enter(":vars r") == 'name  type    size  value\nr     record     1  {"a": null}\n'
    assert enter(":vars nmae") == "error: there is no variable `nmae`; did you mean `name`?\n"


def test_a_huge_variable_is_listed_too(enter: Enter) -> None:
    enter("x = [1]  for i in range(100) { x = [x, x] }")
    assert enter(":vars").splitlines()[1] == "x     list     2  …"
    assert enter("x") == "<list of 2, too large to be shown; look at its parts>\n"


def test_tools_are_listed_with_their_arguments(enter: Enter) -> None:
    assert enter(":tools") == "call ask { q }  Ask somebody.\n"


def test_without_tools_it_is_told_where_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    with Session() as session:
        Front(session, Console()).enter(":tools")
    assert "--tools FILE.py" in capsys.readouterr().err


def test_help_is_found_and_missed(enter: Enter) -> None:
    assert enter(":help len").startswith("len(x)\n")
    assert enter(":?  while").startswith("LOOPS\n")
    assert enter(":help save").startswith(":save [FILE]\n")
    assert enter(":help :fuel").startswith(":fuel [N]\n")
    assert enter(":help").startswith("Enter a program")
    assert enter(":help sort_bx") == "error: there is no help on `sort_bx`; did you mean `:help sort_by`?\n"
    assert enter(":help xyzzy") == "error: there is no help on `xyzzy`; `:help` lists all\n"


def test_undo_says_what_it_took_back(enter: Enter) -> None:
    enter("x = 1", "x = [\n  2\n]")
    assert enter(":undo", "x") == "1\nundone: x = [ …\n"
    assert enter(":undo", ":undo") == "undone: x = 1\nerror: there is nothing to undo\n"


def test_a_fork_is_made_left_and_kept(enter: Enter) -> None:
    enter("x = 1")
    assert enter(":fork").startswith("fork `fork1`: :back")
    enter(":fork again", "x = 2")
    assert enter(":forks") == "the session > fork1 > again\n"
    assert enter(":keep") == "kept what was done in `again`\n"
    assert enter(":back") == "back; what was done in `fork1` is gone\n"
    assert enter("x") == "1\n"
    assert enter(":back") == "error: no fork is open; `:fork` makes one\n"


def test_fuel_is_told_and_set(enter: Enter) -> None:
    assert enter(":fuel") == "fuel: session 0, limit for a block 100,000,000\n"
    enter("x = 1  y = 2", "z = 3")
    assert enter(":fuel 1_000") == "fuel: last block 1, session 3, limit for a block 1,000\n"
    assert "limit_exceeded" in enter("while true {}")
    assert enter(":fuel off").endswith("limit for a block 100,000,000\n")
    for wrong in ("-1", "many", "1.5", "99999999999999999999"):
        assert enter(f":fuel {wrong}").startswith("error: `:fuel` takes a whole number")


def test_times_are_told(enter: Enter) -> None:
    assert enter(":time") == "nothing has run yet\n"
    enter("1")
    assert enter(":time").startswith("last block: ")
    enter(":time on")
    assert enter("x = 1").endswith("ms, fuel 1)\n")
    enter(":time off")
    assert enter("x = 1") == ""
    assert enter(":time now") == "error: `:time` takes `on`, `off` or nothing, not `now`\n"


def test_states_are_saved_and_loaded(enter: Enter, tmp_path: Path) -> None:
    file = tmp_path / "a state.lash"
    enter("x = 1")
    size = int(enter(f":save {file}").removeprefix(f"saved to {file}, ").removesuffix(" bytes\n"))
    assert size == file.stat().st_size
    enter("x = 2  y = 3")
    assert enter(f":load {file}") == f"loaded {file}: 1 variable\n"
    assert enter("x", ":undo", "x").split("\n")[:2] == ["1", "2"]
    assert enter(":save") == "error: `:save` needs a file's name\n"
    assert enter(":load") == "error: `:load` needs a file's name\n"
    assert enter(":load /") == "error: /: Is a directory\n"


def test_a_suspended_block_is_told_and_run_on(enter: Enter, tmp_path: Path) -> None:
    machine = lashlang.Machine()
    machine.start('x = parallel { (call ask { q: "a" })?, (call ask { q: "b" })? }\nprint x\nx')
    file = tmp_path / "s"
    file.write_bytes(machine.snapshot())
    assert enter(f":load {file}") == (
        f"loaded {file}\n"
        "a block is suspended at `call ask`, `call ask`\n"
        ":resume runs it on with the tools of this session, :abandon gives it up\n"
    )
    assert enter("x", ":vars") == (
        "error: a block is suspended: `:resume` runs it on, `:abandon` gives it up\n"
        "error: a block is suspended: `:resume` runs it on, `:abandon` gives it up\n"
    )
    assert enter(f":save {file}").endswith("bytes, with the suspended block\n")
    assert enter(":resume") == '["answer to a","answer to b"]\n'
    assert enter("x") == '["answer to a", "answer to b"]\n'
    enter(f":load {file}")
    assert enter(":abandon") == "the block is given up; what it assigned stays\n"
    assert enter(":resume") == "error: no block is suspended\n"


@pytest.mark.parametrize("word", [":quit", ":q", ":exit"])
def test_quit_leaves(enter: Enter, front: Front, word: str) -> None:
    enter(word)
    assert front.over


def test_an_error_in_a_stream_is_told_with_the_line_of_the_stream(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    front.enter("x = 1\ny = nope", line=7)
    assert "--> line 8, column 5\ny = nope\n" in capsys.readouterr().err
