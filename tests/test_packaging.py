"""What the distribution promises: names, links, files to ship, versions that agree."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import lash
from lashlang._version import __version__
from lashlang.kernel import build

ROOT = Path(__file__).resolve().parent.parent
LINKS = {
    "lash/runtime": "../runtime",
    "lash/host": "../host",
    "lash/modes": "../modes",
    "lashlang/grammar": "../grammar",
}


def project() -> dict[str, Any]:
    """The contents of `pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement(lines: list[str], name: str) -> str:
    """The one requirement of that name, without blanks and comments."""
    (found,) = (line for line in lines if re.match(rf"{name}(?![\w-])", line))
    return found.replace(" ", "")


def need_checkout() -> None:
    """Skip where there is no repository: a source archive holds folders in place of links."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")


def test_lash_reports_the_version_of_the_distribution() -> None:
    assert lash.__version__ == __version__


def test_the_installed_metadata_has_the_version_of_the_sources() -> None:
    try:
        installed = importlib.metadata.version("lash-runtime")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("lash-runtime is not installed in this environment")
    assert installed == __version__


@pytest.mark.parametrize("command", ["lashlang"])
def test_a_console_script_names_a_function_that_exists(command: str) -> None:
    module, _, function = project()["project"]["scripts"][command].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("package", ["lash", "lashlang"])
def test_a_package_declares_itself_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize(("link", "target"), LINKS.items())
def test_a_linked_folder_is_reached_by_a_relative_link(link: str, target: str) -> None:
    need_checkout()
    assert str((ROOT / link).readlink()) == target
    assert (ROOT / link).is_dir()


@pytest.mark.parametrize(("link", "target"), LINKS.items())
def test_a_link_is_committed_as_a_link(link: str, target: str) -> None:
    need_checkout()
    listed = subprocess.run(["git", "ls-files", "--stage", link], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout.startswith("120000 ")
    held = subprocess.run(["git", "show", f":{link}"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert held.stdout == target


@pytest.mark.parametrize("name", ["lash.runtime", "lash.host", "lash.modes"])
def test_a_linked_folder_is_a_package_below_lash(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__name__ == name
    assert module.__doc__


def test_the_kernel_is_built_with_the_compiler_version_the_build_asks_for() -> None:
    assert requirement(project()["build-system"]["requires"], "ziglang") == f"ziglang=={build.ZIG_VERSION}"


def test_developers_compile_with_the_compiler_version_the_build_asks_for() -> None:
    contents = project()
    wanted = requirement(contents["build-system"]["requires"], "ziglang")
    assert requirement(contents["project"]["optional-dependencies"]["dev"], "ziglang") == wanted


def test_parser_tables_are_written_by_a_lark_that_may_also_read_them() -> None:
    contents = project()
    wanted = requirement(contents["project"]["dependencies"], "lark")
    assert requirement(contents["build-system"]["requires"], "lark") == wanted


def test_what_the_wheel_ships_beyond_the_repository_is_ignored_by_git() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    artifacts: list[str] = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["artifacts"]
    assert artifacts
    assert [path for path in artifacts if path not in ignored] == []


def test_parser_tables_are_the_same_in_every_run(tmp_path: Path) -> None:
    script = (
        "import pathlib as p, sys; from lashlang.syntax.tables import build_tables; build_tables(p.Path(sys.argv[1]))"
    )
    written: set[bytes] = set()
    for seed in ("1", "2", "3"):
        target = tmp_path / seed
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, target], cwd=ROOT, env=environment, check=True)
        written.add(target.read_bytes())
    assert len(written) == 1
