"""What a hostile program costs its host's own process, Python objects and the machine's memory together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lashlang

from . import effects, texts, values
from .program import MIB, SHARED, Hostile, doubled

MEASURE = """
import resource, sys
from tests.hostile import test_host_memory as here
from tests.hostile.aftermath import how_it_ended, run_to_its_end
from tests.hostile.program import Hostile

warm, _ = run_to_its_end(Hostile("submitted", "submit json_text(call echo { a: [1, 'x'] })"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
machine, outcome = run_to_its_end(here.PROGRAMS[sys.argv[1]])
print(how_it_ended(outcome), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

OBJECT = 88
"""Bytes of the largest Python object that an empty value becomes, a list, with its place in another one."""

PROGRAMS = {
    "a wave of long texts": values.LEAVING["a wave of long texts"],
    "submit shared parts": values.LEAVING["submit shared parts"],
    "texts that are kept": values.SIZE["texts that are kept"],
    "lists that are kept": values.SIZE["lists that are kept"],
    "JSON of one key again and again": texts.JSON["JSON of one key again and again"],
    "prints of texts that grow": effects.FLOODS["prints of texts that grow"],
    "prints of nothing": effects.FLOODS["prints of nothing"],
    "waves without end": effects.FLOODS["waves without end"],
    "starts that nobody awaits": effects.FLOODS["starts that nobody awaits"],
    "a tool that answers a little more each time": effects.ANSWERS["a tool that answers a little more each time"],
    "as many empty lists as may leave": Hostile(
        "submitted", doubled("x", 17, leaf="[]") + "submit x", lashlang.Limits(memory=64 * MIB, value_size=4 * MIB)
    ),
    "calls with shared parts": Hostile(
        "requests",
        doubled("x", 8, leaf="[]") + "h = [start call echo { x: x } for i in range(2001)]",
        lashlang.Limits(memory=64 * MIB, requests=2_000),
    ),
    "globals of shared parts": Hostile("continued", SHARED),
}
"""Those that make most of what is in the machine appear outside."""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is the system's own")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_takes_no_more_of_its_host_than_its_limits_describe(name: str) -> None:
    limits = PROGRAMS[name].limits
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    end, kibibytes = done.stdout.split()
    assert end == PROGRAMS[name].end
    # The machine's memory, a message of that size as bytes, and the largest value that may leave as Python objects.
    most = 2 * limits.memory + 16 * MIB + limits.memory + min(limits.value_size, limits.memory) // 16 * OBJECT
    assert int(kibibytes) * 1024 <= most
