"""The stack maps say what a suspended fiber's temporaries hold: as the running kernel has them, and enough for it."""

from __future__ import annotations

import random
import re
import tracemalloc

import pytest

import lashlang
from lash.testing import cases
from lashlang.compiler.disasm import instructions
from lashlang.compiler.opcodes import OPCODES
from lashlang.compiler.stackmaps import Kind, Map, StackMaps
from tests.oracle.host import ScriptedHost
from tests.routes import as_oracle
from tests.snapshots.anywhere import CASES, all_places, standing_at
from tests.snapshots.attack import survives

ASKING = re.compile(r"\b(call|await|cancel|print)\b")
ASKING_CASES = [
    case for file in sorted(CASES.glob("*.json")) for case in cases.load(file) if ASKING.search(case["source"])
]


def maps_of(source: str, opcode: str) -> list[Map | None]:
    """The maps of the main fiber at each instruction of a kind; temporaries count from 0."""
    program = lashlang.compile(source)
    first = len(program.code.variables) + program.code.preloaded
    maps = StackMaps(program)
    found = [maps.at(0, i.pc) for i in instructions(program) if i.opcode.name == opcode]
    return [None if held is None else {register - first: kind for register, kind in held.items()} for held in found]


# --- by hand -------------------------------------------------------------------------------------------


def test_nothing_is_held_between_statements() -> None:
    assert maps_of("x = 1\ny = [x, 2]\nz = x", "CHARGE") == [{}] * len(maps_of("x = 1\ny = [x, 2]\nz = x", "CHARGE"))


def test_half_an_expression_is_held_while_the_rest_is_worked_out() -> None:
    [call] = maps_of("x = [1 + y, call f {}]", "CALL_TOOL")
    assert call is not None
    assert set(call.values()) == {Kind.VALUE}
    assert len(call) == 2


def test_a_loop_over_a_list_holds_the_binding_before_the_list_and_a_position() -> None:
    [call] = maps_of("for x in xs { call f {} }", "CALL_TOOL")
    assert call is not None
    assert sorted(call.values()) == [Kind.VALUE, Kind.PARKED, Kind.INTEGER, Kind.LIST]


def test_a_loop_over_a_range_holds_the_binding_before_and_three_numbers() -> None:
    [call] = maps_of("for x in range(9) { call f {} }", "CALL_TOOL")
    assert call is not None
    assert sorted(call.values()) == [Kind.VALUE, Kind.PARKED, Kind.INTEGER, Kind.INTEGER, Kind.INTEGER]


def test_a_loop_over_pairs_holds_two_bindings_what_is_looped_over_and_a_position() -> None:
    [call] = maps_of("for k, v in r { call f {} }", "CALL_TOOL")
    assert call is not None
    assert sorted(call.values()) == [Kind.VALUE, Kind.PARKED, Kind.PARKED, Kind.INTEGER, Kind.ITERABLE]


def test_a_comprehension_holds_the_list_it_is_building() -> None:
    [call] = maps_of("x = [call f {} for i in xs]", "CALL_TOOL")
    assert call is not None
    assert Kind.OWN_LIST in call.values()


@pytest.mark.parametrize(
    ("open_bracket", "close_bracket", "kind"), [("[", "]", Kind.OWN_LIST), ("{", "}", Kind.OWN_RECORD)]
)
def test_a_long_literal_is_held_as_its_own_until_it_is_finished(
    open_bracket: str, close_bracket: str, kind: Kind
) -> None:
    key = "k{}: " if kind == Kind.OWN_RECORD else ""
    items = ", ".join(key.format(i) + "a + 1" for i in range(70))
    source = f"x = [{open_bracket}{items}, {key.format('x')}call f {{}}{close_bracket}, call g {{}}]"
    inside, after = maps_of(source, "CALL_TOOL")
    assert inside is not None
    assert after is not None
    assert kind in inside.values()
    assert kind not in after.values()


def test_what_only_one_of_two_paths_has_filled_is_not_held() -> None:
    program = lashlang.compile("x = [a, b ? c + 1 : d, call f {}]")
    maps = StackMaps(program)
    joined = {i.target for i in instructions(program) if i.target is not None}
    assert joined
    for pc in joined:
        assert pc is not None
        held = maps.at(0, pc)
        assert held is None or all(isinstance(kind, Kind) for kind in held.values())
    [call] = maps_of("x = [a, b ? c + 1 : d, call f {}]", "CALL_TOOL")
    assert call is not None
    assert list(call.values()) == [Kind.VALUE] * 3


def test_an_instruction_of_another_fiber_has_no_map() -> None:
    program = lashlang.compile("x = parallel { call f {}, call g {} }")
    maps = StackMaps(program)
    first, second = program.code.parallels[0].entries
    assert maps.at(first, first) == {}
    assert maps.at(first, second) is None
    assert maps.at(0, first) is None


def test_what_is_no_instruction_has_no_opcode_and_no_map() -> None:
    program = lashlang.compile("x = 1")
    maps = StackMaps(program)
    end = len(program.code.words) // 8
    assert maps.opcode(end) is None
    assert maps.at(0, end) is None
    assert maps.parallel(0) is None
    assert {maps.opcode(i.pc) for i in instructions(program)} <= set(OPCODES)


# --- against the kernel --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ASKING_CASES, ids=[case["name"] for case in ASKING_CASES])
def test_the_kernel_holds_what_the_map_says_at_every_request_of_a_case(case: cases.Case) -> None:
    host = ScriptedHost(case.get("tools"))
    with lashlang.Machine() as machine:
        machine.globals.update(case.get("globals", {}))
        machine.limits = lashlang.Limits(**case.get("limits", {}))
        step = machine.start(case["source"], projected=case.get("projected"))
        for _ in range(30):
            if not isinstance(step, lashlang.Requests):
                break
            # Restoring compares the registers with the maps.
            lashlang.Machine.restore(machine.snapshot(), limits=machine.limits).close()
            wave = [as_oracle(request) for request in step.pending]
            answers = zip(wave, host.answer(wave), strict=True)
            step = machine.resume(
                {
                    request.id: lashlang.Response.ok(answer.value)
                    if answer.ok
                    else lashlang.Response.failed(answer.value)
                    for request, answer in answers
                }
            )


@pytest.mark.parametrize("part", range(8))
def test_a_map_asks_for_all_that_an_instruction_relies_on(part: int) -> None:
    choices = random.Random(part)
    for place in choices.sample(all_places(), 150):
        survives(standing_at(place, choices).joined(), choices)


# --- cost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ["a ? a : 1", "a + 1", "call f {}"])
def test_a_source_with_much_in_use_at_many_instructions_takes_memory_in_proportion_to_its_length(element: str) -> None:
    def needed(elements: int) -> tuple[int, int]:
        items = ",".join(["a + 1"] * 30)
        source = "x = " + f"[{items}," * 50 + ",".join([element] * elements) + "]" * 50
        program = lashlang.compile(source)
        tracemalloc.start()
        StackMaps(program).at(0, 0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak, len(program.code.words) // 8

    peak, words = needed(600)
    assert peak < 2000 * words
