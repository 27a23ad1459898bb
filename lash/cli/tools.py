"""`--tools`: Python modules and files whose tools a turn may call."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import lash
from lash import ConfigError, Tool
from lash.cli.exits import CliError
from lash.cli.naming import nearest
from lash.runtime.tools.decorator import as_providers

PACKAGE: Final = Path(lash.__file__).parent
"""Where lash itself is: errors that it raises are told with the place of the user's code."""


def load_tools(given: str) -> list[object]:
    """The tools that `module[:attr]` or `FILE.py[:attr]` names; all `@lash.tool` functions of it without `attr`.

    The code runs with the user's rights. Raises CliError where it cannot be imported, or there are no tools in it.
    """
    place, attribute = _split(given)
    module = _from_file(Path(place), given) if place.endswith(".py") else _from_name(place, given)
    if attribute:
        return _checked(_member(module, attribute, given), given)
    tools: list[object] = [
        value for value in vars(module).values() if isinstance(value, Tool) and value.__module__ == module.__name__
    ]
    if not tools:
        raise CliError(
            f"--tools {given}: no tools in it; decorate functions with @lash.tool, or name an object with"
            f" --tools {given}:NAME"
        )
    return tools


def _split(given: str) -> tuple[str, str]:
    place, colon, attribute = given.rpartition(":")
    return (place, attribute) if colon and place and os.sep not in attribute else (given, "")


def _from_file(file: Path, given: str) -> ModuleType:
    if not file.is_file():
        raise CliError(f"--tools {given}: there is no file {file}")
    name = f"lash_tools_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise CliError(f"--tools {given}: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, annotations and pickling inside the file look their module up.
    sys.modules[name] = module
    # A tools file may import its neighbours, as a script may.
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise CliError(f"--tools {given}: {_failure(error)}") from error
    return module


def _from_name(name: str, given: str) -> ModuleType:
    # As with `python -m`, modules of the current directory are found.
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise CliError(
                f"--tools {given}: there is no module {error.name!r} here or among the installed ones; for a file write"
                " its name with .py"
            ) from error
        raise CliError(f"--tools {given}: {_failure(error)}") from error
    except (Exception, SystemExit) as error:
        raise CliError(f"--tools {given}: {_failure(error)}") from error


def _failure(error: BaseException) -> str:
    """An exception at import, with the place of the user's code where it arose."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(PACKAGE)]
    where = f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
    text = error.message if isinstance(error, ConfigError) else str(error)
    return f"{where}{type(error).__name__}: {text}" if text else f"{where}{type(error).__name__}"


def _member(module: ModuleType, path: str, given: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            like = nearest(name, [one for one in dir(found) if not one.startswith("_")], 1)
            raise CliError(
                f"--tools {given}: there is no {name!r} in it" + (f"; did you mean {like[0]!r}?" if like else "")
            )
        found = getattr(found, name)
    return found


def _checked(found: object, given: str) -> list[object]:
    tools = [*cast("list[Any]", found)] if isinstance(found, (list, tuple)) else [found]
    try:
        providers = as_providers(tools)
    except ConfigError as error:
        raise CliError(f"--tools {given}: {error.message}") from error
    if not providers:
        raise CliError(f"--tools {given}: the list is empty")
    return tools
