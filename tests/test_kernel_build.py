"""The build of the kernel module, tried on a small kernel of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lashlang.kernel import build

MAIN = 'const table = @import("gen/table.zig");\nexport fn answer() u32 {\n    return table.answer;\n}\n'
GENERATE = 'def render_all() -> dict[str, str]:\n    return {"table.zig": "pub const answer: u32 = 42;\\n"}\n'


@pytest.fixture(scope="module")
def zig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One compiler cache for all tests here, so that Zig's own parts are compiled once."""
    return tmp_path_factory.mktemp("zig-cache")


@pytest.fixture
def kernel(tmp_path: Path, zig_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel folder of three lines, which `build` takes for the real one."""
    monkeypatch.setattr(build, "ZIG_CACHE", zig_cache)
    return small_kernel(tmp_path / "checkout", monkeypatch)


def small_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small kernel below `root` and point `build` at it."""
    folder = root / "kernel"
    folder.mkdir(parents=True)
    (folder / "main.zig").write_text(MAIN)
    (folder / "generate.py").write_text(GENERATE)
    monkeypatch.setattr(build, "KERNEL", folder)
    monkeypatch.setattr(build, "TEST_ROOT", folder / "all.gen.zig")
    monkeypatch.setattr(build, "WORK", root / "work")
    return folder


def without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `ziglang` look uninstalled."""
    monkeypatch.setitem(sys.modules, "ziglang", None)


def test_the_module_is_the_same_to_the_byte_wherever_it_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ZIG_CACHE", tmp_path / "cache")
    small_kernel(tmp_path / "here", monkeypatch)
    first = build.build_kernel().read_bytes()
    monkeypatch.setattr(build, "ZIG_CACHE", tmp_path / "another cache")
    small_kernel(tmp_path / "somewhere" / "else", monkeypatch)
    assert build.build_kernel().read_bytes() == first
    assert first.startswith(b"\0asm")


def test_an_unchanged_kernel_is_not_compiled_again(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build.build_kernel().read_bytes()
    (kernel / "vm.wasm").unlink()
    without_zig(monkeypatch)
    assert build.build_kernel().read_bytes() == made


def test_a_module_that_was_tampered_with_is_put_right(kernel: Path) -> None:
    made = build.build_kernel().read_bytes()
    (kernel / "vm.wasm").write_bytes(b"other")
    assert build.build_kernel().read_bytes() == made


def test_a_build_elsewhere_leaves_the_package_alone(kernel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "safe.wasm"
    assert build.build_kernel("ReleaseSafe", out) == out
    assert out.read_bytes().startswith(b"\0asm")
    assert not (kernel / "vm.wasm").exists()


@pytest.mark.parametrize("name", ["main.zig", "more.zig", "gen/table.zig", "data.txt"])
def test_every_source_file_counts_in_the_fingerprint(kernel: Path, name: str) -> None:
    build.write_generated()
    before = build.fingerprint("ReleaseFast")
    (kernel / name).write_text("// changed")
    assert build.fingerprint("ReleaseFast") != before


def test_modes_have_different_fingerprints(kernel: Path) -> None:
    assert kernel.exists()
    assert len({build.fingerprint(mode) for mode in build.MODES}) == len(build.MODES)


def test_generated_files_follow_the_generator(kernel: Path) -> None:
    (kernel / "gen").mkdir()
    (kernel / "gen" / "leftover.zig").write_text("// of an earlier version")
    build.write_generated()
    assert [path.name for path in (kernel / "gen").iterdir()] == ["table.zig"]


def test_a_generated_file_that_would_not_change_is_not_written(kernel: Path) -> None:
    build.write_generated()
    written = (kernel / "gen" / "table.zig").stat().st_mtime_ns
    build.write_generated()
    assert (kernel / "gen" / "table.zig").stat().st_mtime_ns == written


def test_a_missing_compiler_is_named_with_the_way_to_install_it(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_zig(monkeypatch)
    assert build.main([]) == 1
    assert f"pip install ziglang=={build.ZIG_VERSION}" in capsys.readouterr().err
    assert not (kernel / "vm.wasm").exists()


def test_another_compiler_version_is_refused(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel.exists()
    monkeypatch.setattr(build, "ZIG_VERSION", "0.0.1")
    with pytest.raises(build.KernelBuildError, match=r"Zig 0\.0\.1 is wanted, found 0\.16\.0"):
        build.build_kernel()


def test_a_package_without_kernel_sources_says_so(kernel: Path) -> None:
    (kernel / "main.zig").unlink()
    with pytest.raises(build.KernelBuildError, match="checkout or a source archive"):
        build.build_kernel()


def test_a_kernel_that_does_not_compile_is_an_error(kernel: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (kernel / "main.zig").write_text("export fn answer() u32 { return nothing; }")
    with pytest.raises(build.KernelBuildError, match="does not compile"):
        build.build_kernel()
    assert "main.zig:1:33" in capfd.readouterr().err


def test_only_files_with_tests_are_tested(kernel: Path) -> None:
    (kernel / "tested.zig").write_text('const x = 1;\ntest "x is one" {}\n')
    (kernel / "latest.zig").write_text("const latest = 1;\nconst testing = 2;\n")
    assert build.files_with_tests() == ["tested.zig"]


def test_naming_a_file_that_does_not_exist_is_an_error(kernel: Path) -> None:
    assert kernel.exists()
    with pytest.raises(build.KernelBuildError, match=r"no such file in .*: nowhere\.zig"):
        build.run_tests(["nowhere.zig"])


@pytest.mark.parametrize(("claim", "status"), [("true", 0), ("false", 1)])
def test_the_exit_status_tells_whether_the_kernel_tests_passed(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, claim: str, status: int
) -> None:
    monkeypatch.setattr(build, "TEST_MODES", ("Debug",))
    (kernel / "claim.zig").write_text(f'test "claim" {{\n    if (!{claim}) return error.Wrong;\n}}\n')
    assert build.main(["--test"]) == status
    assert list(kernel.glob("*.gen.zig")) == []
