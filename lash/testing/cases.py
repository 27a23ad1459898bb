"""Conformance cases (chapter 19 of the specification), run on the kernel.

    python -m lash.testing.cases FILE…

runs every case of the files and prints the misses; the exit code is 1 if there are any, 2 for a file
that is no file of cases. The runner uses only the sans-IO core of `lashlang.Machine` and answers whole
waves in branch order, so every run of a case makes the same requests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import lashlang
from lashlang.values import Image, Value

Case = Mapping[str, Any]
"""One case, as its JSON object."""


def load(file: Path) -> list[Case]:
    """The cases of a file; ValueError where it is not a JSON list of objects with `name`, `source` and `expect`."""
    cases: object = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(cases, list):
        raise ValueError("a file of cases is a JSON list")
    for number, case in enumerate(cast("list[object]", cases)):
        if not isinstance(case, dict) or not {"name", "source", "expect"} <= case.keys():
            raise ValueError(f"case {number} lacks one of `name`, `source`, `expect`")
    return cast("list[Case]", cases)


def run_case(case: Case) -> list[str]:
    """Run one case; what is not as expected, one line each."""
    usual = lashlang.Limits()
    host = ScriptedHost(case.get("tools", {}))
    projected = cast("dict[str, Value]", case.get("projected", {}))
    with lashlang.Machine() as machine:
        for name, value in case.get("globals", {}).items():
            machine.globals[name] = value
        prints: list[str] = []
        for source in case.get("before", ()):
            prints += texts(drive(machine, source, host))
        # A case's limits are those of its last block alone, not of what is set up before or read afterwards.
        machine.limits = replace(usual, **case.get("limits", {}))
        outcome = drive(machine, case["source"], host, projected)
        machine.limits = usual
        prints += texts(outcome)
        return _misses(case["expect"], outcome, prints, machine)


def drive(
    machine: lashlang.Machine, source: str, host: ScriptedHost, projected: Mapping[str, Value] | None = None
) -> lashlang.Outcome:
    """Run a block, answering every wave whole, in branch order."""
    step = machine.start(source, projected=projected)
    while not isinstance(step, lashlang.Done):
        if isinstance(step, lashlang.Reads):
            raise AssertionError("a case projects inline values only")
        step = machine.resume({request.id: host.answer(request) for request in step.new})
    return step.outcome


def texts(outcome: lashlang.Outcome) -> list[str]:
    """The observations of a block."""
    return [observation.text for observation in outcome.prints]


@dataclass(slots=True)
class ScriptedHost:
    """Answers requests from a case's `tools`: scripted results, taken by matching arguments."""

    tools: Mapping[str, list[dict[str, Any]]]
    taken: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    started: dict[str, lashlang.Response] = field(default_factory=dict[str, lashlang.Response])

    def answer(self, request: lashlang.Request) -> lashlang.Response:
        """The scripted response to one request."""
        if isinstance(request, lashlang.Call):
            entry = self._take(request.tool, request.args)
            return _response(entry) if entry is not None else _no_result(request.tool)
        if isinstance(request, lashlang.Start):
            return self._start(request)
        if isinstance(request, lashlang.AwaitHandle):
            return self.started.get(str(request.handle.get("id")), lashlang.Response.failed("unknown handle"))
        if isinstance(request, lashlang.CancelHandle):
            number = str(request.handle.get("id"))
            if number not in self.started:
                return lashlang.Response.failed("unknown handle")
            self.started[number] = lashlang.Response.failed("cancelled")
        return lashlang.Response.ok()

    def _start(self, request: lashlang.Start) -> lashlang.Response:
        entry = self._take(request.tool, request.args)
        if entry is None:
            return _no_result(request.tool)
        if "start_error" in entry:
            return lashlang.Response.failed(entry["start_error"])
        number = f"h{len(self.started) + 1}"
        self.started[number] = _response(entry)
        return lashlang.Response.ok({"__handle__": "tool", "id": number, "tool": request.tool})

    def _take(self, tool: str, args: Mapping[str, Value]) -> dict[str, Any] | None:
        """The first entry left whose `args_match` the arguments satisfy; it is used up unless it repeats."""
        taken = self.taken.setdefault(tool, set())
        for number, entry in enumerate(self.tools.get(tool, ())):
            wanted: dict[str, Value] = entry.get("args_match", {})
            if number not in taken and all(name in args and equal(args[name], v) for name, v in wanted.items()):
                if not entry.get("repeat"):
                    taken.add(number)
                return entry
        return None


def _response(entry: Mapping[str, Any]) -> lashlang.Response:
    if entry.get("ok"):
        return lashlang.Response.ok(entry.get("value"))
    return lashlang.Response.failed(entry.get("error", entry.get("start_error", "")))


def _no_result(tool: str) -> lashlang.Response:
    return lashlang.Response.failed(f"no scripted result for tool `{tool}`")


def equal(a: Value, b: Value) -> bool:
    """Whether two values are the same JSON: numbers by exact value, objects without regard to key order."""
    a = a.to_json() if isinstance(a, Image) else a
    b = b.to_json() if isinstance(b, Image) else b
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b
    if isinstance(a, list) and isinstance(b, list):
        left, right = cast("list[Value]", a), cast("list[Value]", b)
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(a, dict) and isinstance(b, dict):
        mine, other = cast("dict[str, Value]", a), cast("dict[str, Value]", b)
        return mine.keys() == other.keys() and all(equal(item, other[key]) for key, item in mine.items())
    return isinstance(a, str) and isinstance(b, str) and a == b


def _misses(
    expect: Mapping[str, Any], outcome: lashlang.Outcome, prints: Sequence[str], machine: lashlang.Machine
) -> list[str]:
    misses: list[str] = []

    def check(what: str, wanted: Value, found: Value) -> None:
        if not equal(wanted, found):
            misses.append(f"{what}: wanted {_shown(wanted)}, found {_shown(found)}")

    if "error" in expect:
        misses += _error_misses(expect["error"], outcome)
    elif outcome.error is not None:
        misses.append(f"failed:\n{outcome.render_error()}")
    if "submit" in expect and outcome.error is None:
        check("status", "submitted", outcome.status)
        check("submit", expect["submit"], outcome.value)
    if "prints" in expect:
        check("prints", expect["prints"], list(prints))
    if "fuel" in expect:
        check("fuel", expect["fuel"], outcome.fuel)
    if "globals" in expect:
        check("globals", expect["globals"], dict(machine.globals))
    return misses


def _error_misses(wanted: Mapping[str, Any], outcome: lashlang.Outcome) -> list[str]:
    error = outcome.error
    if error is None:
        return [f"wanted {wanted['kind']}, found {outcome.status} {_shown(outcome.value)}"]
    misses: list[str] = []
    for name in ("kind", "line", "column"):
        found: object = getattr(error, name)
        if name in wanted and wanted[name] != found:
            misses.append(f"error {name}: wanted {wanted[name]}, found {found} ({error.message})")
    if "message_contains" in wanted and wanted["message_contains"] not in error.message:
        misses.append(f"error message: wanted {wanted['message_contains']!r} in {error.message!r}")
    if wanted.get("hint") and not error.hint:
        misses.append(f"error hint: none given ({error.message})")
    if "snippet" in wanted:
        snippet = "\n".join(outcome.render_error().split("\n")[2:4])
        if snippet != wanted["snippet"]:
            misses.append(f"error snippet: wanted\n{wanted['snippet']}\nfound\n{snippet}")
    return misses


def _shown(value: Value) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run files of cases and print the misses; the exit code."""
    files = list(sys.argv[1:] if arguments is None else arguments)
    if not files or any(file.startswith("-") for file in files):
        print("usage: python -m lash.testing.cases FILE...", file=sys.stderr)
        return 2
    total = missed = 0
    for file in files:
        try:
            cases = load(Path(file))
        except (OSError, ValueError) as error:
            print(f"{file}: {error}", file=sys.stderr)
            return 2
        for case in cases:
            total += 1
            try:
                misses = run_case(case)
            except lashlang.LashlangError as error:
                misses = [f"{type(error).__name__}: {error}"]
            if misses:
                missed += 1
                print(f"{case['name']}:", *(miss.replace("\n", "\n    ") for miss in misses), sep="\n    ")
    print(f"{total - missed} of {total} cases pass")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
