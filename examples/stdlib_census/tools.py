"""Tools of the census: list and read Python files below the running interpreter's standard library."""

from __future__ import annotations

import sysconfig
import tokenize
from pathlib import Path
from typing import TypedDict

__all__ = ["list_files", "read_file"]

ROOT = Path(sysconfig.get_paths()["stdlib"]).resolve()


class File(TypedDict):
    """One file: its path below the library, with forward slashes, and its size in bytes."""

    path: str
    size: int


def list_files(pattern: str, without: list[str]) -> list[File]:
    """All files that match a glob pattern, sorted by path; folders named in `without` are left out."""
    found = (path for path in ROOT.glob(pattern) if path.is_file())
    relative = sorted((path.relative_to(ROOT), path.stat().st_size) for path in found)
    return [
        {"path": path.as_posix(), "size": size} for path, size in relative if not set(path.parts[:-1]) & set(without)
    ]


def read_file(path: str) -> str:
    """The text of one file below the library, decoded as its own encoding line says."""
    target = (ROOT / path).resolve()
    if not target.is_relative_to(ROOT):
        raise PermissionError(f"{path} lies outside the library")
    with tokenize.open(target) as file:
        return file.read()
