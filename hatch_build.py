"""The part of the package build that is ours: compile the VM kernel and write the parser tables.

Hatchling calls it for wheels and for editable installs, after it has installed the build requirements. A source
archive carries neither file: they are made again from the sources it holds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STEPS = """
import sys, types
# The modules of the package without its __init__, which needs more than the build requirements.
package = types.ModuleType("lashlang")
package.__path__ = [sys.argv[1]]
sys.modules["lashlang"] = package

from pathlib import Path
from lashlang.kernel import build
from lashlang.syntax.tables import build_tables

if build.main([]) != 0:
    sys.exit(1)
build_tables(Path(sys.argv[1], "syntax", "tables.bin"))
"""


class KernelBuildHook(BuildHookInterface[Any]):
    """Makes the files that the wheel carries but the repository does not."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build both files in place, in a process of their own; `pyproject.toml` lists them as artifacts."""
        done = subprocess.run([sys.executable, "-P", "-c", STEPS, Path(self.root, "lashlang")], check=False)
        if done.returncode != 0:
            raise RuntimeError("the kernel or the parser tables could not be built; the reason stands above")
        # A WebAssembly module runs on every platform, so one wheel serves all.
        build_data["pure_python"] = True
        build_data["tag"] = "py3-none-any"
