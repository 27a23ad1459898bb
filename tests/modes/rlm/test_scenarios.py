"""The shared scenarios and our own, each played in every way, and what the runner itself promises."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from lash.testing.scenarios import main, variants
from lash.testing.scenarios_format import load, out_of_scope
from lash.testing.scenarios_run import Variant, play

FILE = Path(__file__).with_name("rlm_scenarios.json")
LOADED = load(FILE)
OWN = load(FILE.with_name("own_scenarios.json"))
WAYS = variants("1,3,7,whole", record_replay=True)


def test_every_scenario_of_the_file_can_be_read() -> None:
    assert LOADED.problems == ()
    assert len(LOADED.scenarios) == len(json.loads(FILE.read_text())["scenarios"])


def test_the_scenarios_of_later_stages_are_these() -> None:
    later = {scenario.id for scenario in LOADED.scenarios if out_of_scope(scenario, LOADED.defaults) is not None}
    handles, budgets = {"parallel-and-handles"}, {"forced-handoff", "batch-and-budget"}
    assert later == {*handles, *budgets, "spawn-typed", "llm-query", "huge-context"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
@pytest.mark.parametrize("name", [one.id for one in LOADED.scenarios if out_of_scope(one, LOADED.defaults) is None])
async def test_a_scenario_comes_to_what_it_expects(name: str, way: Variant) -> None:
    scenario = next(one for one in LOADED.scenarios if one.id == name)
    assert await play(scenario, way) == []


def test_our_own_scenarios_are_all_played() -> None:
    assert OWN.problems == ()
    assert [one.id for one in OWN.scenarios if out_of_scope(one, OWN.defaults) is not None] == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
@pytest.mark.parametrize("name", [one.id for one in OWN.scenarios])
async def test_our_own_scenario_comes_to_what_it_expects(name: str, way: Variant) -> None:
    scenario = next(one for one in OWN.scenarios if one.id == name)
    assert await play(scenario, way) == []


# --- the runner ------------------------------------------------------------------------------------

BASIC: dict[str, Any] = {
    "id": "basic",
    "title": "A sum",
    "projected": {"long": {"$text": {"repeat": "ab", "times": 3, "append": "c"}}},
    "globals": {"given": 1},
    "tools": [{"name": "add", "results": [{"ok": 3}, {"echo": True}, {"error": "no more"}]}],
    "turns": [
        {
            "input": "Go",
            "model": [
                {
                    "text": "So.\n```lashlang\nx = (call add { a: 1 })?\nprint x\ny = call add { b: 2 }\n```",
                    "reasoning": "hm",
                    "usage": {"input": 5, "output": 2, "cached": 1},
                },
                "```lashlang\nz = call add {}\nsubmit [x, y.value.b, z.error, given, long]\n```",
            ],
            "expect": {
                "outcome": {"finished": "submitted_value"},
                "value": [3, 2, "no more", 1, "abababc"],
                "model_calls": 2,
                "sub_call_count": 0,
                "child_calls": 0,
                "handoffs": 0,
                "events": ["model_request_started", "code_block_started", "submitted_value"],
                "events_forbidden": ["error"],
                "event_counts": {"tool_call_started": 3},
                "prints": [["3"], []],
                "steps": [{"prose": "So.", "error": None}, {"final_output": [3, 2, "no more", 1, "abababc"]}],
                "prompts": [{"call": 2, "contains": ["## Iteration 2"], "not_contains": ["zebra"]}],
                "tools": ["add", "add", "add"],
                "tool_args": [{"a": 1}, {"b": 2}, {}],
                "globals": {"x": 3},
                "globals_absent": ["nope"],
                "visible_prose": ["So.", ""],
                "usage_sources": [],
            },
        },
        {
            "input": "More",
            "restart_before": True,
            "model": ["```lashlang\nsubmit x\n```"],
            "expect": {"value": 3, "prompts": [{"call": 1, "system_contains": ["call add"]}]},
        },
    ],
}

WRONG: list[tuple[str, Any]] = [
    ("outcome", {"stopped": "max_turns"}),
    ("outcome", {"raises": "mode_option"}),
    ("value", [3, 2, "no more", 1, "abababd"]),
    ("text", "something"),
    ("reason", "something"),
    ("model_calls", 1),
    ("sub_call_count", 1),
    ("child_calls", 1),
    ("handoffs", 1),
    ("events", ["submitted_value", "code_block_started"]),
    ("events_forbidden", ["code_block_started"]),
    ("event_counts", {"tool_call_started": 2}),
    ("prints", [["3"]]),
    ("prints", [["4"], []]),
    ("steps", [{}]),
    ("steps", [{}, {"error_contains": "x"}]),
    ("steps", [{"prose": "Sa."}, {}]),
    ("steps", [{"code": "x = 1"}, {}]),
    ("steps", [{"error": "broken"}, {}]),
    ("steps", [{"final_output": 1}, {}]),
    ("prompts", [{"call": 3, "contains": []}]),
    ("prompts", [{"call": 2, "contains": ["zebra"]}]),
    ("prompts", [{"call": 2, "not_contains": ["## Iteration 2"]}]),
    ("prompts", [{"call": 2, "system_contains": ["## Iteration 2"]}]),
    ("tools", ["add"]),
    ("tool_args", [{"a": 1}, {"b": 2}]),
    ("globals", {"x": 4}),
    ("globals", {"w": 3}),
    ("globals_absent", ["x"]),
    ("visible_prose", ["So", ""]),
    ("usage_sources", ["llm_query"]),
]


def written(folder: Path, *scenarios: dict[str, Any]) -> Path:
    file = folder / "scenarios.json"
    file.write_text(json.dumps({"format": "rlm-scenarios/1", "scenarios": scenarios}))
    return file


def changed(key: str, value: object) -> dict[str, Any]:
    scenario = copy.deepcopy(BASIC)
    scenario["turns"][0]["expect"][key] = value
    return scenario


@pytest.mark.parametrize("way", ["whole", "2"])
def test_a_scenario_with_every_expectation_passes(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(written(tmp_path, BASIC)), "--chunks", way, "--record-replay"]) == 0
    assert "ok    basic: A sum" in capsys.readouterr().out


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda given: str(given)[:30])
def test_a_wrong_expectation_fails_under_its_name(
    key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(written(tmp_path, changed(key, value))), "--chunks", "whole"]) == 1
    report = capsys.readouterr().out
    assert "FAIL  basic" in report
    assert f"[whole] turn 1: {key}: " in report


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ([], "surprise"),
        (["options"], "options.surprise"),
        (["options", "termination"], "surprise"),
        (["tools", 0], "tools.0.surprise"),
        (["tools", 0, "results", 0], "tools.0.results.0.surprise"),
        (["turns", 0], "turns.0.surprise"),
        (["turns", 0, "options"], "surprise"),
        (["turns", 0, "model", 0], "surprise"),
        (["turns", 0, "model", 0, "usage"], "surprise"),
        (["turns", 0, "expect"], "turns.0.expect.surprise"),
        (["turns", 0, "expect", "outcome"], "turns.0.expect.outcome.surprise"),
        (["turns", 0, "expect", "steps", 0], "turns.0.expect.steps.0.surprise"),
        (["turns", 0, "expect", "prompts", 0], "turns.0.expect.prompts.0.surprise"),
    ],
)
def test_an_unknown_key_is_refused_by_name(
    path: list[str | int], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = copy.deepcopy(BASIC)
    scenario["options"] = {"termination": {"submit_schema": {}}}
    scenario["turns"][0]["options"] = {}
    place: Any = scenario
    for step in path:
        place = place[step]
    place["surprise"] = 1
    assert main([str(written(tmp_path, scenario))]) == 1
    report = capsys.readouterr().out
    assert "FAIL  basic: unknown key" in report
    assert named in report


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"turns": []}, "turns"),
    ({"tools": [{"name": "t", "results": [{"ok": 1, "error": "x"}]}]}, "one of `ok`, `error`, `echo`"),
    ({"tools": [{"name": "t", "results": [{"control": {}}]}]}, "`finish` or `fail`"),
    ({"turns": [{"input": "Go", "model": [{"text": "ab", "chunks": ["a"]}], "expect": {}}]}, "chunks"),
    ({"turns": [{"input": "Go", "model": ["x"], "expect": {"outcome": {}}}]}, "outcome"),
    ({"turns": [{"input": "Go", "model": ["x"], "expect": {"model_calls": "1"}}]}, "model_calls"),
]


@pytest.mark.parametrize(("change", "told"), CONTRADICTIONS, ids=lambda given: str(given)[:30])
def test_what_contradicts_the_format_is_told(
    change: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(written(tmp_path, BASIC | change))]) == 1
    assert told in capsys.readouterr().out


LATER: list[tuple[dict[str, Any], str]] = [
    ({"children": [{"match": "x", "model": ["y"]}]}, "subagents"),
    ({"options": {"capabilities": ["default"]}}, "subagents"),
    ({"options": {"limits": {"max_total_tokens": 5}}}, "max_total_tokens"),
    ({"options": {"forced_handoff_tokens": 10}}, "context budget"),
    ({"sub_calls": [{"match": "x", "reply": "y"}]}, "model calls of programs"),
    ({"covers": ["17"]}, "handles"),
    ({"turns": [{"input": "Go", "model": ["```lashlang\ncall llm_query {}\n```"], "expect": {}}]}, "llm_query"),
]


@pytest.mark.parametrize(("change", "reason"), LATER, ids=lambda given: str(given)[:30])
def test_a_scenario_of_a_later_stage_is_listed_with_the_reason(
    change: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(written(tmp_path, BASIC | change))]) == 0
    report = capsys.readouterr().out
    assert "later basic: needs " in report
    assert reason in report
    assert "0 pass, 0 fail, 1 need a later stage" in report


def test_a_model_that_is_called_too_often_fails_the_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn: dict[str, Any] = {"input": "Go", "model": ["```lashlang\nx = 1\n```"], "expect": {}}
    assert main([str(written(tmp_path, BASIC | {"turns": [turn]}))]) == 1
    assert "called once more than the scenario has replies" in capsys.readouterr().out


def test_replies_that_nobody_asked_for_fail_the_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turn = {"input": "Go", "model": ["```lashlang\nsubmit 1\n```", "more"], "expect": {"value": 1}}
    assert main([str(written(tmp_path, BASIC | {"turns": [turn]}))]) == 1
    assert "1 replies of the scenario were not asked for" in capsys.readouterr().out


def test_a_session_that_cannot_be_made_is_what_its_turn_raises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raises = {"outcome": {"raises": "mode_turn_extension"}, "model_calls": 0, "reason": "history"}
    turn: dict[str, Any] = {"input": "Go", "model": [], "expect": raises}
    scenario: dict[str, Any] = BASIC | {"projected": {"history": []}, "turns": [turn]}
    passed = main([str(written(tmp_path, scenario)), "--record-replay"]) == 0
    assert passed, capsys.readouterr().out
    schema = {"termination": {"submit_schema": {"type": "nonsense"}}}
    turn = {"input": "Go", "model": [], "options": schema, "expect": {"outcome": {"raises": "mode_option"}}}
    passed = main([str(written(tmp_path, BASIC | {"turns": [turn, BASIC["turns"][0]]}))]) == 0
    assert passed, capsys.readouterr().out


def test_a_turn_is_cancelled_at_the_event_that_the_scenario_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = BASIC | {
        "tools": [{"name": "slow", "results": [{"ok": 1, "delay_ms": 60_000}]}],
        "turns": [
            {
                "input": "Go",
                "cancel_on": {"event": "tool_call_started", "nth": 2},
                "model": ["```lashlang\nn = 1\nxs = parallel { call slow {}, call slow {} }\n```"],
                "expect": {
                    "outcome": {"stopped": "cancelled"},
                    "event_counts": {"tool_call_started": 2, "tool_call_completed": 2},
                    "steps": [{"error_contains": "cancelled"}],
                    "globals_absent": ["n"],
                },
            },
            {"input": "And?", "model": ["```lashlang\nsubmit given\n```"], "expect": {"value": 1}},
        ],
    }
    passed = main([str(written(tmp_path, scenario)), "--record-replay"]) == 0
    assert passed, capsys.readouterr().out


def test_one_scenario_can_be_played_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, BASIC, changed("model_calls", 9) | {"id": "other"})
    assert main([str(file), "--only", "basic"]) == 0
    assert "other" not in capsys.readouterr().out
    assert main([str(file), "--only", "nobody"]) == 2
    assert "there is no scenario 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "JSON object"),
        ("{", "Expecting"),
        ('{"format": "other"}', "'other'"),
        ('{"format": "rlm-scenarios/1", "more": 1, "scenarios": []}', "'more'"),
        ('{"format": "rlm-scenarios/1", "defaults": {"more": 1}, "scenarios": []}', "'more'"),
        ('{"format": "rlm-scenarios/1"}', "`scenarios`"),
        ('{"format": "rlm-scenarios/1", "scenarios": [1]}', "scenario 1"),
    ],
)
def test_a_file_that_holds_no_scenarios_is_named(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    assert main([str(file)]) == 2
    message = capsys.readouterr().err
    assert str(file) in message
    assert told in message


@pytest.mark.parametrize("chunks", ["0", "x", "1,,3", "-1"])
def test_sizes_of_pieces_are_numbers_above_zero(chunks: str) -> None:
    with pytest.raises(ValueError, match="--chunks"):
        variants(chunks, record_replay=False)
