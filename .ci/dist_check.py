"""Builds the wheel from the checkout, a source archive, and a second wheel from that archive, and examines them.

The two wheels have to be equal to the byte, hold what a user needs and nothing else, and work in a new environment in
which no Zig is installed. `make dist-check` runs this; it is slow because the kernel is compiled from scratch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED = (
    *("lash/py.typed", "lashlang/py.typed", "lashlang/kernel/vm.wasm", "lashlang/syntax/tables.bin"),
    *("lashlang/repl/builtins.txt", "lashlang/repl/topics.txt"),
)
LINKED = ("lash/runtime/", "lash/host/", "lash/modes/", "lashlang/grammar/")
BARE_NAMES = ("runtime", "host", "modes", "grammar", "tests", "hatch_build")

PROBE = f"""
import importlib.util, lash.runtime, lash.host, lash.modes, lashlang.kernel
taken = [name for name in {BARE_NAMES} if importlib.util.find_spec(name)]
assert not taken, f"the installation occupies {{taken}}"
assert importlib.util.find_spec("ziglang") is None, "the environment is meant to have no Zig"
"""
PROGRAM = "x = [n * n for n in range(4)]  submit sum(x)"
ANSWER = "14"


def run(*command: str | Path, cwd: Path, stdin: str = "") -> str:
    """What a command prints. It must succeed: otherwise its output is shown and the check ends."""
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(kind: str, source: Path, into: Path) -> Path:
    """One archive (`wheel` or `sdist`) of a source tree, made with the build requirements of this environment."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", into, source, cwd=into.parent)
    (archive,) = into.iterdir()
    return archive


def check_contents(names: Sequence[str]) -> None:
    """The wheel carries the built files and the linked folders, but no sources of the kernel and no bare names."""
    missing = [name for name in WANTED if name not in names]
    missing += [folder for folder in LINKED if not any(name.startswith(folder) for name in names)]
    if missing:
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    if tops != {"lash", "lashlang"}:
        sys.exit(f"the wheel occupies {', '.join(sorted(tops))}")
    if zig := [name for name in names if name.endswith(".zig")]:
        sys.exit(f"the wheel holds sources of the kernel: {', '.join(zig)}")


def check_installed(wheel: Path, work: Path) -> None:
    """The wheel installs into a new environment and runs a program there."""
    environment = work / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", wheel, cwd=work)
    run(python, "-c", PROBE, cwd=work)
    answer = run(environment / "bin" / "lashlang", "run", "-", cwd=work, stdin=PROGRAM)
    if ANSWER not in answer.split():
        sys.exit(f"the installed lashlang answered {answer!r} to {PROGRAM!r}")


def main() -> None:
    """Build, compare, examine, install; the first failure ends the process with status 1."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        outputs = [work / name for name in ("direct", "source", "again", "unpacked")]
        for output in outputs:
            output.mkdir()
        direct, source, again, unpacked = outputs
        wheel = build("wheel", ROOT, direct)
        archive = build("sdist", ROOT, source)
        run("tar", "-xzf", archive, "-C", unpacked, cwd=work)
        (tree,) = unpacked.iterdir()
        second = build("wheel", tree, again)
        if not wheel.name.endswith("-py3-none-any.whl"):
            sys.exit(f"the wheel is not for every platform: {wheel.name}")
        if wheel.name != second.name or wheel.read_bytes() != second.read_bytes():
            sys.exit("the wheel from the source archive differs from the one from the checkout")
        with zipfile.ZipFile(wheel) as contents:
            check_contents(contents.namelist())
        check_installed(wheel, work)
        print(f"dist-check: {wheel.name}, {wheel.stat().st_size} bytes, is the same from checkout and source archive")


if __name__ == "__main__":
    main()
