"""Builds the VM kernel: renders the generated Zig sources, then compiles `main.zig` to a WebAssembly module.

The package build, `make kernel` and the tests all come here:

    python -m lashlang.kernel.build                                      vm.wasm, where the package looks for it
    python -m lashlang.kernel.build --mode ReleaseSafe --out /tmp/vm.wasm
    python -m lashlang.kernel.build --test [FILE.zig ...]                the kernel's own tests, on this machine

Needs the `ziglang` distribution and nothing else, not even the package around it: the package build loads this
module from its file. Compiled modules are kept in `.build/` under a digest of everything that went into them, so
an unchanged kernel is not compiled twice. Equal sources give equal bytes, on every machine and in every folder.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

KERNEL = Path(__file__).resolve().parent
"""The folder of the kernel's sources."""

WORK = KERNEL.parent.parent / ".build"
"""Where the modules compiled so far are kept."""

ZIG_CACHE = WORK / "zig-cache"
"""The compiler's own caches. Without a folder named to it, Zig looks for a home directory."""

ZIG_VERSION = "0.16.0"
"""The only compiler version that is used: another one may give other bytes, or none."""

MODES = ("Debug", "ReleaseSafe", "ReleaseFast", "ReleaseSmall")
"""Zig's optimisation modes."""

TEST_MODES = ("Debug", "ReleaseSafe")
"""The modes that check what a program does: the kernel's tests run in both."""

WASM_FLAGS = (
    *("-target", "wasm32-freestanding", "-mcpu=generic+simd128+bulk_memory"),
    *("-fstrip", "-fno-entry", "-rdynamic", "--stack", "65536"),
)
"""How the module is compiled, apart from the mode."""

TEST_ROOT = KERNEL / f"all_tests_{os.getpid()}.gen.zig"
"""Root file of a test run; it exists only during the run, and has to be here because Zig imports nothing above it."""


class KernelBuildError(Exception):
    """The kernel could not be built; the message says why and what to do."""


def find_zig() -> Path:
    """The Zig compiler of the installed `ziglang` distribution.

    Raises `KernelBuildError` when it is missing or has another version.
    """
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise KernelBuildError(f"the kernel is compiled with Zig: pip install ziglang=={ZIG_VERSION}")
    folder = Path(spec.origin).parent
    zig = next((path for path in (folder / "zig", folder / "zig.exe") if path.exists()), None)
    if zig is None:
        raise KernelBuildError(f"no compiler in {folder}: pip install --force-reinstall ziglang=={ZIG_VERSION}")
    version = subprocess.run([zig, "version"], capture_output=True, text=True, check=False).stdout.strip()
    if version != ZIG_VERSION:
        raise KernelBuildError(f"Zig {ZIG_VERSION} is wanted, found {version or 'none that starts'} at {zig}")
    return zig


def run_zig(arguments: Sequence[str | Path]) -> int:
    """Run the compiler in the sources' folder and return its exit status; what it prints is shown as it is.

    File names go in relative to that folder, so that the place of a checkout leaves no mark in the output.
    """
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(ZIG_CACHE), "ZIG_LOCAL_CACHE_DIR": str(ZIG_CACHE)}
    return subprocess.run([find_zig(), *arguments], cwd=KERNEL, env=environment, check=False).returncode


def write_generated() -> None:
    """Bring `gen/` in line with the Python tables; unchanged files are not touched, leftovers are removed.

    The generator is loaded from its file, because importing the package would need what the package needs.
    """
    source = KERNEL / "generate.py"
    spec = importlib.util.spec_from_file_location("_lashlang_kernel_generate", source)
    if spec is None or spec.loader is None or not source.exists():
        raise KernelBuildError(f"no generator at {source}: the kernel is built from a checkout or a source archive")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    files = cast(Callable[[], dict[str, str]], module.render_all)()
    folder = KERNEL / "gen"
    folder.mkdir(exist_ok=True)
    for leftover in folder.iterdir():
        if leftover.name not in files and not leftover.name.startswith("."):
            leftover.unlink()
    for name, text in files.items():
        target, data = folder / name, text.encode()
        if not target.exists() or target.read_bytes() != data:
            replace_file(target, data)


def replace_file(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, so that builds running at the same time never see half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-", delete=False) as file:
        file.write(data)
    try:
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target)
    except OSError:
        Path(file.name).unlink(missing_ok=True)
        raise


def sources() -> Iterator[Path]:
    """Every file that can go into a compilation, in a fixed order, generated ones included."""
    for path in sorted(KERNEL.rglob("*")):
        unrelated = path.suffix in {".py", ".pyc", ".wasm"} or path.name.startswith(".")
        if path.is_file() and not unrelated and not path.name.endswith(".gen.zig"):
            yield path


def fingerprint(mode: str) -> str:
    """A digest of all that decides the compiled bytes: compiler, flags, mode and every source file."""
    digest = hashlib.sha256(repr((ZIG_VERSION, WASM_FLAGS, mode)).encode())
    for path in sources():
        data = path.read_bytes()
        digest.update(f"{path.relative_to(KERNEL).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def build_kernel(mode: str = "ReleaseFast", out: Path | None = None, root: str = "main.zig") -> Path:
    """Make the kernel module, compiling it only when no module of these very sources is at hand.

    `out` is the file to write, by default the one the package loads. `root` is the source that says what the
    module exports; tests have their own. Returns the file.
    Raises `KernelBuildError` when there is no compiler, no source, or the compilation fails.
    """
    target = KERNEL / "vm.wasm" if out is None else out.resolve()
    if not (KERNEL / root).exists():
        raise KernelBuildError(f"no {root} in {KERNEL}: the kernel is built from a checkout or a source archive")
    write_generated()
    digest = fingerprint(mode)
    kept = WORK / Path(root).stem / f"{mode}-{digest}.wasm"
    if not kept.exists():
        compile_module(mode, kept, root)
        if fingerprint(mode) != digest:
            kept.unlink()
            raise KernelBuildError("the kernel's sources changed while they were compiled: build again")
    data = kept.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        replace_file(target, data)
    return target


def compile_module(mode: str, target: Path, root: str) -> None:
    """Compile `root` into `target`, which then takes the place of older modules of that mode."""
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "vm.wasm"
        status = run_zig(["build-exe", root, *WASM_FLAGS, "-O", mode, f"-femit-bin={made}"])
        if status != 0:
            raise KernelBuildError(f"the kernel does not compile ({mode}); see the compiler's messages above")
        replace_file(target, made.read_bytes())
    for older in target.parent.glob(f"{mode}-*.wasm"):
        if older != target:
            older.unlink(missing_ok=True)
    print(f"kernel: compiled {mode} in {time.monotonic() - started:.1f} s", flush=True)


def files_with_tests() -> list[str]:
    """The kernel's Zig files that contain tests, relative to its folder."""
    declaration = re.compile(r"^\s*test\b\s*[\"{\w]", re.MULTILINE)
    return [
        path.relative_to(KERNEL).as_posix()
        for path in sources()
        if path.suffix == ".zig" and declaration.search(path.read_text(encoding="utf-8"))
    ]


def run_tests(names: Sequence[str] = ()) -> bool:
    """Run the kernel's `zig test`s natively, in each of `TEST_MODES`; say whether all passed.

    One program holds the tests of all files, or of those named (and of what they import): a compilation each would
    cost minutes. Raises `KernelBuildError` for a name that is no source file, and when there is nothing to run.
    """
    write_generated()
    chosen = list(names) or files_with_tests()
    if unknown := [name for name in chosen if not (KERNEL / name).is_file()]:
        raise KernelBuildError(f"no such file in {KERNEL}: {', '.join(unknown)}")
    if not chosen:
        raise KernelBuildError(f"no file in {KERNEL} contains a test")
    imports = "".join(f'    _ = @import("{name}");\n' for name in chosen)
    replace_file(TEST_ROOT, f"test {{\n{imports}}}\n".encode())
    try:
        failed = [mode for mode in TEST_MODES if run_mode(mode, len(chosen)) != 0]
    finally:
        TEST_ROOT.unlink(missing_ok=True)
    return not failed


def run_mode(mode: str, files: int) -> int:
    """Run the prepared tests in one mode and return Zig's exit status."""
    print(f"kernel: zig test, {mode}, {files} files", flush=True)
    return run_zig(["test", TEST_ROOT.name, "-O", mode])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line described at the top. Exit status: 0 done, 1 build or tests failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m lashlang.kernel.build", description="Builds the VM kernel.")
    parser.add_argument("--mode", choices=MODES, default="ReleaseFast", help="optimisation mode (%(default)s)")
    parser.add_argument("--out", type=Path, help="where to write the module (the package's vm.wasm)")
    parser.add_argument("--test", nargs="*", metavar="FILE", help="run the kernel's tests, or those of some files")
    options = parser.parse_args(argv)
    try:
        if options.test is not None:
            return 0 if run_tests(options.test) else 1
        made = build_kernel(options.mode, options.out)
    except KernelBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"kernel: {made} is up to date ({made.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
