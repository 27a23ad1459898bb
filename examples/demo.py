"""The main demonstration: a Lashlang program counts what is in Python's standard library.

    python examples/demo.py [PROGRAM]

The program (by default `stdlib_census/census.lash`) lists some seven hundred files, reads them in the
background sixty-four at a time, and folds twelve megabytes of text; all it can touch are the two
tools of `stdlib_census/tools.py`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

import lashlang

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from stdlib_census import tools  # noqa: E402 - the folder of this file has to be on the path first


def show(value: lashlang.Value, text: str) -> None:
    """Show an observation as soon as the program makes it."""
    print(f"  {text}")


async def main(file: Path) -> int:
    """Run the program and show what it submitted; 1 if it failed."""
    source = file.read_text(encoding="utf-8")
    host = lashlang.FunctionHost({name: getattr(tools, name) for name in tools.__all__}, on_print=show)
    print(f"{file.name}: {len(source.splitlines())} lines of Lashlang, tools: {', '.join(tools.__all__)}\n")
    machine = lashlang.Machine()
    begin = time.perf_counter()
    outcome = await machine.run_async(source, host=host)
    seconds = time.perf_counter() - begin
    if outcome.error is not None:
        print(outcome.render_error(), file=sys.stderr)
        return 1
    report(outcome.value)
    print(
        f"\n{outcome.requests:,} requests and {outcome.fuel:,} units of fuel in {seconds:.1f} s;"
        f" the machine now holds {machine.heap_used / 1024:,.0f} KiB"
    )
    return 0


def report(value: lashlang.Value) -> None:
    """Print a submitted record: numbers and texts as they are, lists of records as small tables."""
    for key, item in cast("dict[str, lashlang.Value]", value).items():
        title = key.replace("_", " ")
        if not isinstance(item, list):
            print(f"  {title}: {number(item)}")
        elif item:
            print(f"  {title}:")
            for row in cast("list[dict[str, lashlang.Value]]", item):
                print("   ", "  ".join(f"{number(cell):<14}" for cell in row.values()))


def number(value: lashlang.Value) -> str:
    """A value as text, whole numbers with commas between the thousands."""
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "stdlib_census" / "census.lash"
    sys.exit(asyncio.run(main(program)))
