"""Golden files: snapshots as some version of lash wrote them, which every later version has to read.

    python -m tests.snapshots.golden --write

writes the files of the present format into `golden/v<FORMAT>/`, with what they are to give in `expected.json`. It
refuses where they exist: golden files are written once, when a format is new, and never changed. Their digests stand
in `golden/digests.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import lashlang
from lashlang.compiler.opcodes import BYTECODE_VERSION
from lashlang.projection import Projected
from lashlang.vm.snapshot import FORMAT_VERSION
from tests.snapshots.attack import LAZY, SUSPENDED
from tests.snapshots.programs import FAN_OUT, STATE

ROOT = Path(__file__).parent / "golden"
"""Where the golden files are, a folder for each format."""

DIGESTS = ROOT / "digests.json"
"""SHA-256 of every golden file, by its name below `ROOT`."""

KEY = b"the published key of golden files"
"""Seals the sealed ones; it protects nothing."""


class Shelf(lashlang.JsonSource):
    """A projection's source that is found again by its name."""

    type_name = "shelf"

    def __init__(self, ref: str) -> None:
        super().__init__({"title": "Shelf", "x": {"y": [1, 2, 3]}, "text": "line\n" * 40})
        self.ref = ref


def find(ref: str, type_name: str) -> lashlang.Projection | None:
    """The sources of golden files by their names."""
    return Shelf(ref) if type_name == Shelf.type_name else None


# --- writing -------------------------------------------------------------------------------------------


def begin_state(machine: lashlang.Machine) -> None:
    """Variables of every kind, with parts they share and views of texts, and projections."""
    machine.globals["picture"] = lashlang.Image("i1", "a picture", 10, 3, None)
    machine.run(STATE)
    machine.globals["lazy"] = [Projected("shelf", Shelf("shelf/1")), Projected("doc")]
    machine.run("doubled = 1\nfor i in range(60) { doubled = [doubled, doubled] }\nboth = { a: doubled, b: [doubled] }")


def begin_block(source: str) -> Callable[[lashlang.Machine], None]:
    """A block suspended at its first request, over a small state."""

    def begin(machine: lashlang.Machine) -> None:
        machine.globals["x"] = {"from": ["before", "before"]}
        lazy = {"doc": Projected("doc")} if source in LAZY.values() else {"shelf": Shelf("shelf/2")}
        machine.start(source, projected=lazy)

    return begin


def begin_fan_out(machine: lashlang.Machine) -> None:
    """Branches inside branches, of which some have their answers."""
    step = machine.start(FAN_OUT)
    assert isinstance(step, lashlang.Requests)
    machine.resume({request.id: answer(request) for request in step.pending[:2]})


STATES: dict[str, Callable[[lashlang.Machine], None]] = {"state": begin_state, "sealed state": begin_state}
BLOCKS: dict[str, Callable[[lashlang.Machine], None]] = {
    **{name: begin_block(source) for name, source in (SUSPENDED | LAZY).items()},
    "fan out": begin_fan_out,
    "sealed fan out": begin_fan_out,
}


def key_of(name: str) -> bytes | None:
    """The key that a golden file is sealed with."""
    return KEY if name.startswith("sealed") else None


def written() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """All golden files of this version: name, bytes, and what they have to give."""
    for name, begin in (STATES | BLOCKS).items():
        with lashlang.Machine() as machine:
            begin(machine)
            data = machine.snapshot(key=key_of(name))
            yield name, data, given(machine)


def write() -> int:
    """Write the files of the present format; the exit code."""
    folder = ROOT / f"v{FORMAT_VERSION}"
    if folder.exists():
        print(f"{folder} exists: golden files are never changed", file=sys.stderr)
        return 1
    folder.mkdir(parents=True)
    expected: dict[str, Any] = {}
    for name, data, gives in written():
        (folder / f"{name}.snapshot").write_bytes(data)
        expected[name] = gives
    document = {"bytecode": BYTECODE_VERSION, "files": expected}
    (folder / "expected.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n", "utf-8")
    return 0


def digests() -> dict[str, str]:
    """The digests of the files that are there."""
    files = sorted(file for file in ROOT.rglob("*") if file.is_file() and file != DIGESTS)
    return {file.relative_to(ROOT).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


# --- what a file gives -----------------------------------------------------------------------------------


def given(machine: lashlang.Machine) -> dict[str, Any]:
    """What a machine comes to: its block's outcome, if it is in one, and its variables."""
    found: dict[str, Any] = {}
    if machine.running:
        outcome = finished(machine)
        found["outcome"] = {
            "status": outcome.status,
            "value": shown(outcome.value),
            "error": None if outcome.error is None else [outcome.error.kind, outcome.error.code, outcome.error.line],
            "prints": [seen.text for seen in outcome.prints],
            "fuel": outcome.fuel,
            "requests": outcome.requests,
        }
    return found | {"variables": {name: variable(machine, name) for name in machine.globals}}


def variable(machine: lashlang.Machine, name: str) -> str:
    """A variable as text; one that is too large for the host by what the machine says of it."""
    try:
        return shown(machine.globals[name])
    except lashlang.LanguageError as error:
        return str(error)


def finished(machine: lashlang.Machine) -> lashlang.Outcome:
    """Take the suspended block to its end."""
    step: lashlang.Step | None = machine.step
    while not isinstance(step, lashlang.Done):
        if isinstance(step, lashlang.Reads):
            step = machine.resume(reads={read.id: read_answer(read) for read in step.reads})
        else:
            assert isinstance(step, lashlang.Requests)
            step = machine.resume({request.id: answer(request) for request in step.pending})
    return step.outcome


def answer(request: lashlang.Request) -> lashlang.Response:
    """What is answered, which depends on nothing but the request."""
    match request:
        case lashlang.Call(tool="double", args=args):
            return lashlang.Response.ok(cast("int", args["n"]) * 2)
        case lashlang.Call(tool=tool, args=args):
            return lashlang.Response.ok({"tool": tool, "got": list(args)})
        case lashlang.Start(tool=tool):
            return lashlang.Response.ok({"__handle__": "tool", "id": f"h{request.id}", "tool": tool})
        case lashlang.AwaitHandle(handle=handle):
            return lashlang.Response.ok(sorted(handle))
        case _:
            return lashlang.Response.ok()


def read_answer(read: lashlang.Read) -> lashlang.ReadResponse:
    """The answer to a question about a projection that the tool host answers."""
    if read.question == "whole":
        return lashlang.ReadResponse.ok({"title": "the title", "x": {"y": 7}})
    return lashlang.ReadResponse.unsupported()


def shown(value: object) -> str:
    """A value as text that tells integers from floats and keeps the order of records; long texts by their digest."""
    if isinstance(value, str) and len(value) > 60:
        return f"<{len(value)} code points {hashlib.sha256(value.encode()).hexdigest()}>"
    if isinstance(value, Projected):
        source: object = value.source
        return f"<{value.name} {value.path} of {getattr(source, 'type_name', None)} {getattr(source, 'ref', None)}>"
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return "{" + ", ".join(f"{key!r}: {shown(item)}" for key, item in entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, cast("list[object]", value))) + "]"
    return repr(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m tests.snapshots.golden")
    parser.add_argument("--write", action="store_true", required=True, help="write the files of a new format")
    parser.parse_args(arguments)
    return write()


if __name__ == "__main__":
    sys.exit(main())
