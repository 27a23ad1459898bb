"""The runner of scenario files (rlm.md 0).

    python -m lash.testing.scenarios FILE... [--chunks 1,3,7,whole] [--record-replay] [--only NAME]

plays every scenario in every way asked for and prints one line for each, with the differences below it. A scenario that
needs what this build does not have is listed with the reason. The exit code is 0 where all others pass, 1 where one
does not, 2 for a file or option that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from lash.testing.scenarios_format import load, out_of_scope
from lash.testing.scenarios_run import Variant, play


def main(arguments: Sequence[str] | None = None) -> int:
    """Run files of scenarios and print the report; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lash.testing.scenarios", description="Play files of scenarios.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--chunks",
        default="1,3,7,whole",
        metavar="SIZES",
        help="sizes of the pieces in which replies stream, `whole` for replies as they are written (1,3,7,whole)",
    )
    parser.add_argument("--record-replay", action="store_true", help="also record every turn and replay it")
    parser.add_argument("--only", metavar="NAME", help="play this scenario alone")
    given = parser.parse_args(arguments)
    try:
        ways = variants(given.chunks, given.record_replay)
    except ValueError as error:
        parser.error(str(error))
    try:
        return asyncio.run(_run(given.files, ways, given.only))
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def variants(chunks: str, record_replay: bool) -> list[Variant]:
    """The ways of playing that `--chunks` and `--record-replay` name; ValueError for a size that is none."""
    sizes: list[int | None] = []
    for size in chunks.split(","):
        if size != "whole" and not (size.isascii() and size.isdigit() and int(size) > 0):
            raise ValueError(f"--chunks: {size!r} is neither `whole` nor a number of characters")
        sizes.append(None if size == "whole" else int(size))
    return [Variant(size, recorded) for size in sizes for recorded in ((False, True) if record_replay else (False,))]


async def _run(files: Sequence[Path], ways: Sequence[Variant], only: str | None) -> int:
    passed = failed = later = 0
    for path in files:
        try:
            file = load(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        for problem in file.problems:
            failed += 1
            print(f"FAIL  {problem}")
        for scenario in file.scenarios:
            if only not in (None, scenario.id):
                continue
            reason = out_of_scope(scenario, file.defaults)
            if reason is not None:
                later += 1
                print(f"later {scenario.id}: needs {reason}")
                continue
            found = [f"[{way.label}] {one}" for way in ways for one in await play(scenario, way)]
            print(f"{'FAIL' if found else 'ok':5} {scenario.id}: {scenario.title}")
            for difference in found:
                print("      " + difference.replace("\n", "\n      "))
            failed += bool(found)
            passed += not found
    if only is not None and not passed + failed + later:
        raise ValueError(f"there is no scenario {only!r}")
    print(f"{passed} pass, {failed} fail, {later} need a later stage; played: {', '.join(way.label for way in ways)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
