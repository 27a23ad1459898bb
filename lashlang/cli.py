"""The command line: `lashlang run`, `check`, `disasm` and `repl`.

The submitted value goes to standard output, text as it is and anything else as JSON; prints and
diagnostics go to standard error, so that the output can be piped. Exit codes: 0 the block submitted or
continued, 1 the program has an error, 2 the command could not be carried out (usage, files, tools),
130 interrupted from the keyboard. For `repl`, which is described in `docs/repl.md`, 1 means that something
in a stream failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, cast

import lashlang
from lashlang._version import __version__
from lashlang.screen import coloured, error_text, wants_colour
from lashlang.values import Image, Value
from lashlang.vm.limits import check_limit
from lashlang.vm.machine import is_name

OK, PROGRAM_ERROR, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """What was asked cannot be done; the text is one line for the person who asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; the exit code."""
    options = _parser().parse_args(arguments)
    command = cast("Callable[[argparse.Namespace], int]", options.command)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except (UsageError, lashlang.LashlangError) as error:
        print(f"lashlang: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("lashlang: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; leave nothing for the interpreter to flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lashlang", description="Check and run Lashlang programs.")
    parser.add_argument("--version", action="version", version=f"lashlang {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run", help="run a program", description="Run a program; its submitted value goes to standard output."
    )
    run.add_argument("file", metavar="FILE", help="the program, - for standard input")
    _add_surroundings(run, "units of work the program may use")
    run.add_argument("--json", action="store_true", help="print one JSON object: status, value, prints, error, fuel")
    run.set_defaults(command=_run)

    check = commands.add_parser(
        "check", help="report errors without running", description="Report what can be said without running."
    )
    check.add_argument("files", metavar="FILE", nargs="+", help="programs, - for standard input")
    check.set_defaults(command=_check)

    disasm = commands.add_parser(
        "disasm", help="show the compiled code", description="Show the compiled code of a program."
    )
    disasm.add_argument("file", metavar="FILE", help="the program, - for standard input")
    disasm.set_defaults(command=_disasm)

    repl = commands.add_parser(
        "repl",
        help="enter programs one after the other",
        description="Enter programs one after the other; variables stay. Reads standard input where that is a pipe.",
    )
    repl.add_argument(
        "--snapshot", metavar="FILE", type=Path, help="begin with its variables if it exists, write it on leaving"
    )
    _add_surroundings(repl, "units of work each block may use")
    repl.set_defaults(command=_repl)
    return parser


def _add_surroundings(parser: argparse.ArgumentParser, fuel: str) -> None:
    """The options for what programs find when they run; `_Surroundings.of` reads them."""
    parser.add_argument("--tools", metavar="PY", type=Path, help="a Python file whose public functions become tools")
    parser.add_argument("--globals", metavar="JSON", type=Path, help="a JSON file whose members become variables")
    parser.add_argument(
        "--context",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="a text file to read lazily as NAME; repeatable",
    )
    parser.add_argument("--fuel", metavar="N", type=_fuel, help=fuel)


def _fuel(text: str) -> int:
    try:
        fuel = int(text)
        check_limit("fuel", fuel)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a whole number of at least 0 is wanted, got {text!r}") from error
    return fuel


# --- commands --------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    source = _read_source(options.file)
    given = _Surroundings.of(options)
    machine = lashlang.Machine()
    _bind(machine, given.variables, options.globals)
    try:
        host = lashlang.FunctionHost(given.tools, on_print=None if options.json else _show_print)
    except TypeError as error:
        raise UsageError(f"{options.tools}: {error}") from error
    outcome = machine.run(source, host=host, projected=given.projected, fuel=options.fuel)
    if options.json:
        print(json.dumps(_as_record(outcome), ensure_ascii=False, allow_nan=False))
    elif outcome.error is not None:
        _show_error(outcome.error, source, options.file)
    elif outcome.status == "submitted":
        _show_value(outcome.value)
    return OK if outcome.ok else PROGRAM_ERROR


def _check(options: argparse.Namespace) -> int:
    code = OK
    for file in options.files:
        source = _read_source(file)
        try:
            lashlang.compile(source)
        except lashlang.CompileError as error:
            _show_error(error.diagnostic, source, file)
            code = PROGRAM_ERROR
    return code


def _disasm(options: argparse.Namespace) -> int:
    source = _read_source(options.file)
    try:
        program = lashlang.compile(source)
    except lashlang.CompileError as error:
        _show_error(error.diagnostic, source, options.file)
        return PROGRAM_ERROR
    print(lashlang.disassemble(program))
    return OK


def _repl(options: argparse.Namespace) -> int:
    from lashlang.repl import Console, Front, Session, talk

    given = _Surroundings.of(options)
    console = Console()
    try:
        session = Session(given.tools, projected=given.projected, fuel=options.fuel, on_print=console.printed)
    except TypeError as error:
        raise UsageError(f"{options.tools}: {error}") from error
    with session:
        front = Front(session, console, options.snapshot)
        if sys.stdin.isatty():
            front.greet()
        if options.snapshot:
            front.open(options.snapshot)
        if given.variables and session.suspended:
            raise UsageError(f"{options.globals}: the block suspended in {options.snapshot} has variables of its own")
        _bind(session.machine, given.variables, options.globals)
        return OK if talk(front) else PROGRAM_ERROR


# --- what goes in ------------------------------------------------------------------------------------


class _Surroundings(NamedTuple):
    """What programs find when they run: variables, read-only names, tools."""

    variables: dict[str, Value]
    projected: dict[str, lashlang.TextSource]
    tools: dict[str, Callable[..., Any]]

    @classmethod
    def of(cls, options: argparse.Namespace) -> _Surroundings:
        """Those that the command line names; UsageError where a file is no good."""
        return cls(
            _read_globals(options.globals) if options.globals else {},
            dict(_read_context(argument) for argument in options.context),
            load_tools(options.tools) if options.tools else {},
        )


def _read_text(file: str | Path) -> str:
    """A file's text, or standard input's for `-`; UsageError where it cannot be read or is no UTF-8."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 text (byte {error.start})") from error


def _read_source(file: str) -> str:
    return _read_text(file)


def _read_globals(file: Path) -> dict[str, Value]:
    try:
        variables: object = json.loads(_read_text(file))
    except json.JSONDecodeError as error:
        raise UsageError(f"{file}: not JSON: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{file}: nested too deeply") from error
    if not isinstance(variables, dict):
        raise UsageError(f"{file}: the variables must be one JSON object")
    return cast("dict[str, Value]", variables)


def _bind(machine: lashlang.Machine, variables: dict[str, Value], file: Path) -> None:
    for name, value in variables.items():
        try:
            machine.globals[name] = value
        except (ValueError, lashlang.HostValueError, lashlang.LanguageError) as error:
            raise UsageError(f"{file}: {name}: {error}") from error


class _ContextText(lashlang.TextSource):
    """A text of `--context`. By `ref`, its name, the REPL finds it again when a snapshot refers to it."""

    type_name = "TextSource"
    ref = ""


def _read_context(argument: str) -> tuple[str, lashlang.TextSource]:
    name, equals, file = argument.partition("=")
    if not equals or not name or not file:
        raise UsageError(f"--context takes NAME=FILE, got {argument!r}")
    if not is_name(name):
        raise UsageError(f"--context: {name!r} is not a Lashlang name")
    if not os.access(file, os.R_OK) or not Path(file).is_file():
        raise UsageError(f"{file}: not a file that can be read")
    source = _ContextText.from_file(file)
    assert isinstance(source, _ContextText)
    source.ref = name
    return name, source


def load_tools(file: Path) -> dict[str, Callable[..., Any]]:
    """The tools a Python file offers: what its `__all__` names, else the public functions defined in it.

    UsageError where the file is missing, does not import, or names something that cannot be called.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    spec = importlib.util.spec_from_file_location("lashlang_tools", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling inside the file look their module up.
    sys.modules[spec.name] = module
    # A tools file may import its neighbours, as a script may.
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{file}: {type(error).__name__} at import: {error}") from error
    finally:
        sys.path.pop(0)
    offered: object = getattr(module, "__all__", None)
    if offered is None:
        return {
            name: value
            for name, value in vars(module).items()
            if not name.startswith("_") and inspect.isfunction(value) and value.__module__ == spec.name
        }
    tools: dict[str, Callable[..., Any]] = {}
    for name in cast("Sequence[str]", offered):
        value: object = getattr(module, name, None)
        if not callable(value):
            raise UsageError(f"{file}: `{name}` in __all__ is not a function")
        tools[name] = value
    return tools


# --- what comes out ----------------------------------------------------------------------------------


def _show_value(value: Value) -> None:
    print(value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False))


def _show_print(value: Value, text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show_error(error: lashlang.Diagnostic, source: str, file: str) -> None:
    """The diagnostic as chapter 17 lays it out, under the file's name, in colour on a terminal."""
    text = error_text(error, source, file="" if file == "-" else file)
    print(coloured(text) if wants_colour(sys.stderr) else text, file=sys.stderr)


def _as_record(outcome: lashlang.Outcome) -> dict[str, Value]:
    return {
        "status": outcome.status,
        "value": _plain(outcome.value),
        "prints": [observation.text for observation in outcome.prints],
        "error": asdict(outcome.error) if outcome.error is not None else None,
        "fuel": outcome.fuel,
    }


def _plain(value: Value) -> Value:
    """A value as JSON has it: images as objects, numbers that JSON lacks as null."""
    if isinstance(value, Image):
        return value.to_json()
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Value]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Value]", value).items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
