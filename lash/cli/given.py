"""What the command line gives a turn, read and checked before anything runs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from jsonschema import Draft202012Validator, SchemaError

from lash.cli.configuration.reading import Settings, read_settings
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.options import TurnOptions
from lash.cli.tools import load_tools
from lash.runtime.sansio.values import JsonValue


@dataclass(frozen=True, slots=True)
class Given:
    """The question, variables, schema, tools and configuration; `prompt` is None where only a rest is driven on."""

    prompt: str | None
    variables: dict[str, JsonValue]
    schema: dict[str, JsonValue] | None
    tools: tuple[object, ...]
    settings: Settings

    @staticmethod
    def of(options: TurnOptions, prompt: str | None) -> Given:
        """What the command line gives; also enters the directory. Raises CliError and click.UsageError."""
        enter(options.cwd)
        text = _standard_input() if prompt == "-" else prompt
        if text is not None and not text.strip():
            raise CliError("the prompt is empty: a turn needs some text")
        if text is not None and not _is_text(text):
            raise CliError("the prompt is no text in the encoding of this terminal: write it as UTF-8")
        return Given(
            text,
            options.globals(),
            read_schema(options.output_schema),
            tuple(tool for given in options.tools for tool in load_tools(given)),
            read_settings(os.environ, Path.cwd()),
        )


def enter(folder: Path | None) -> None:
    """Go where `--cwd` says. Raises CliError where that is impossible."""
    if folder is not None:
        if os.environ.get("LASH_HOME"):
            # A relative one is meant from where we were.
            os.environ["LASH_HOME"] = str(Home.of(os.environ).folder.absolute())
        try:
            os.chdir(folder)
        except OSError as error:
            raise CliError(f"--cwd {folder}: {error.strerror or error}") from error


def _is_text(text: str) -> bool:
    """Whether every byte of an argument was decoded; what was not stands in it as a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CliError(f"the prompt on standard input is no UTF-8 text (byte {error.start})") from error


def read_schema(file: Path | None) -> dict[str, JsonValue] | None:
    """The JSON Schema in a file. Raises CliError where there is none."""
    if file is None:
        return None
    try:
        schema: JsonValue = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(schema, dict):
            raise CliError(f"--output-schema {file}: a JSON Schema is an object, not {type(schema).__name__}")
        Draft202012Validator.check_schema(cast("dict[str, Any]", schema))
    except SchemaError as error:
        raise CliError(f"--output-schema {file}: no JSON Schema: {error.message}") from error
    except OSError as error:
        raise CliError(f"--output-schema {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CliError(f"--output-schema {file}: no JSON: {error}") from error
    return schema


PROGRAMS_ONLY: Final = {
    "context": "--context binds a name of programs",
    "output_schema": "--output-schema is for the value that a program submits",
    "variables": "--var sets a variable of programs",
}
"""Options that mean nothing where no programs are run, and why."""


def check_mode(options: TurnOptions, mode: str) -> None:
    """Raise CliError for options that sessions of this mode have no use for."""
    if mode == "rlm":
        return
    for name, why in PROGRAMS_ONLY.items():
        if getattr(options, name):
            raise CliError(f"{why}, and a session in {mode} mode runs none: leave it out, or begin one in mode rlm")
