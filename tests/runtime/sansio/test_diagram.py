"""The table of transitions, and the page that is drawn from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lash.runtime.sansio import diagram
from lash.runtime.sansio.driver import FinishWith
from lash.runtime.sansio.states import (
    ANSWERED_BY,
    ASKS,
    TRANSITIONS,
    IllegalTransition,
    State,
    check_transition,
    outstanding_effect,
)
from tests.runtime.sansio.support import CALL, CALLS, PROSE_END

ROOT = Path(__file__).resolve().parents[3]

EVERY_STATE = (
    State.PreparingMode(),
    State.PrepareIteration(),
    State.WaitingExecutionSurface(1, False),
    State.WaitingLlm(1, CALL, None, "turn"),
    State.WaitingTools(1, CALLS),
    State.WaitingExec(1, "x", "lashlang", None),
    State.WaitingCheckpoint(1, "after_work", FinishWith(PROSE_END)),
    State.Finished(PROSE_END),
)


def test_the_committed_page_is_the_one_that_the_tables_give() -> None:
    committed = (ROOT / diagram.PAGE).read_text(encoding="utf-8")
    assert committed == diagram.page(), "run python -m lash.runtime.sansio.diagram --write"


def test_the_page_is_printed_where_it_is_not_to_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagram.main([]) == 0
    assert capsys.readouterr().out == diagram.page()


def test_writing_without_a_checkout_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagram, "__file__", str(tmp_path / "runtime" / "sansio" / "diagram.py"))
    assert diagram.main(["--write"]) == 2
    assert "works in a checkout only" in capsys.readouterr().err


def test_the_page_is_written_into_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(diagram, "__file__", str(tmp_path / "runtime" / "sansio" / "diagram.py"))
    (tmp_path / "docs").mkdir()
    assert diagram.main(["--write"]) == 0
    assert (tmp_path / "docs" / "turn-machine.md").read_text(encoding="utf-8") == diagram.page()


def test_every_transition_is_on_the_page() -> None:
    page = diagram.page()
    assert [row.cause for row in TRANSITIONS if row.cause not in page] == []
    assert [state.type for state in EVERY_STATE if state.type not in page] == []


def test_a_driver_has_the_same_choices_wherever_it_is_asked() -> None:
    choices: dict[str, set[tuple[str, str]]] = {}
    for row in TRANSITIONS:
        if row.cause.startswith("driver "):
            choices.setdefault(row.source, set()).add((row.cause, row.target))
    assert len(choices) == 4
    assert len({frozenset(found) for found in choices.values()}) == 1


def test_every_state_can_be_ended_from_outside_and_the_end_cannot_be_left() -> None:
    leaving = {row.source for row in TRANSITIONS if row.cause == "host ends the turn"}
    assert leaving == {state.type for state in EVERY_STATE} - {"finished"}
    assert "finished" not in {row.source for row in TRANSITIONS}


@pytest.mark.parametrize("target", EVERY_STATE, ids=lambda state: state.type)
def test_a_step_that_no_row_allows_is_refused(target: State.Finished) -> None:
    with pytest.raises(IllegalTransition, match="no transition from finished"):
        check_transition(State.Finished(PROSE_END), "host ends the turn", target)


def test_what_each_waiting_state_asks_for_is_what_its_table_says() -> None:
    waiting = [state for state in EVERY_STATE if type(state) in ASKS]
    assert len(waiting) == len(ASKS) == len(ANSWERED_BY)
    for state in waiting:
        effect = outstanding_effect(state)  # pyright: ignore[reportArgumentType]
        assert type(effect) is ASKS[type(state)]  # pyright: ignore[reportArgumentType]
        assert effect.id == 1
