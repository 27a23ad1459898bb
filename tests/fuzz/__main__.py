"""Long runs of a fuzz target.

    python -m tests.fuzz execution --seconds 600 --seed 7
    python -m tests.fuzz snapshots --input fuzz-failures/snapshots-0123456789ab
    python -m tests.fuzz source --atheris -- -max_total_time=600

The first prints its seed, and for a failure the file with the input and the command that runs it again.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.running import fuzz
from tests.fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code says whether something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Run a fuzz target.")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats a run")
    parser.add_argument("--input", type=Path, help="run one input from a file")
    parser.add_argument(
        "--atheris", action="store_true", help="let atheris choose the inputs; what follows -- is for it"
    )
    parser.add_argument("--checked", action="store_true", help="with a kernel that traps on undefined behaviour")
    own = list(sys.argv[1:] if arguments is None else arguments)
    own, theirs = (own[: own.index("--")], own[own.index("--") + 1 :]) if "--" in own else (own, [])
    options = parser.parse_args(own)
    target = TARGETS[options.target]
    if options.checked:
        use_checked_kernel()
    if options.input is not None:
        target.run(options.input.read_bytes())
        print("nothing found")
        return 0
    if options.atheris:
        from tests.fuzz.guided import guided

        return guided(target, options.seed, theirs)
    print(f"{target.name}, seed {options.seed}", flush=True)
    return fuzz(target, options.seed, seconds=options.seconds)


def use_checked_kernel() -> None:
    """Have all machines run on a kernel compiled with checks; needs the compiler."""
    from lashlang.vm import engine
    from tests.failing_kernel import FailingKernel

    with TemporaryDirectory() as folder:
        kernel = FailingKernel(Path(folder) / "checked.wasm")
    # The stand-in has what machines need of a kernel.
    setattr(engine.Kernel, "shared", lambda: kernel)  # noqa: B010


if __name__ == "__main__":
    sys.exit(main())
