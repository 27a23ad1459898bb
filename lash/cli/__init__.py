"""The `lash` command: one turn from the shell, and the sessions it leaves (docs/cli.md).

An ordinary host of the facade. Starting it loads the argument parser and nothing else; what a command needs is
imported when it runs.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The console script: carry out the command line and leave with its exit code."""
    try:
        from lash.cli.command import run
    except KeyboardInterrupt:
        # Ctrl+C may come before anything is there that deals with it.
        sys.exit(130)
    run()
