"""The options of a turn, shared by `lash -p` and `lash sessions resume`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

Output = Literal["text", "json", "stream"]


class TurnOption(click.Option):
    """An option that help lists under a heading."""

    def __init__(self, *args: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Nothing: bounds as `x>=1` explain little, and the error for what lies outside says them."""
        return {}


class _Count(click.IntRange):
    """A whole number, called so in errors."""

    name = "whole number"


class _Seconds(click.FloatRange):
    """A number of seconds, called so in errors."""

    name = "number of seconds"


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """What the command line says of a turn, checked as far as one option can be."""

    provider: str | None = None
    model: str | None = None
    variant: str | None = None
    base_url: str | None = None
    max_context_tokens: int | None = None
    max_output_tokens: int | None = None
    max_turns: int | None = None
    timeout: float | None = None
    cwd: Path | None = None
    context: str | None = None
    variables: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    session: str | None = None
    name: str | None = None
    wait: float | None = None
    ephemeral: bool = False
    durable: bool = False
    json: bool = False
    json_stream: bool = False
    output_schema: Path | None = None
    trace: Path | None = None
    trace_level: str | None = None
    quiet: bool = False
    verbose: bool = False

    @staticmethod
    def of(parameters: Mapping[str, Any]) -> TurnOptions:
        """Those among click's parameters. Raises click.UsageError for options that exclude each other."""
        names = {field.name for field in fields(TurnOptions)}
        options = TurnOptions(**{name: value for name, value in parameters.items() if name in names})
        for one, other in EXCLUDING:
            if getattr(options, one) and getattr(options, other):
                raise click.UsageError(f"{_flag(one)} and {_flag(other)} exclude each other")
        if options.trace_level is not None and options.trace is None:
            raise click.UsageError("--trace-level says how much goes into the file of --trace: give both")
        return options

    @property
    def output(self) -> Output:
        """What goes to standard output."""
        return "stream" if self.json_stream else "json" if self.json else "text"

    def globals(self) -> dict[str, Any]:
        """The variables of `--var`. Raises click.UsageError for what is no NAME=JSON, and names that cannot be used."""
        import lashlang
        from lashlang.vm.machine import RESERVED, is_name

        machine = lashlang.Machine()
        found: dict[str, Any] = {}
        for given in self.variables:
            name, equals, text = given.partition("=")
            if not equals or not name:
                raise click.UsageError(f"--var takes NAME=JSON, not {given!r}")
            if not is_name(name) or name in (*RESERVED, *TAKEN):
                raise click.UsageError(f"--var {name}: no program can have a variable of this name")
            try:
                found[name] = json.loads(text, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise click.UsageError(
                    f"--var {name}: {text!r} is no JSON ({error}); a text is written '\"…\"'"
                ) from error
            try:
                machine.globals[name] = found[name]
            except (ValueError, lashlang.HostValueError, lashlang.LanguageError) as error:
                raise click.UsageError(f"--var {name}: no program can have this value: {error}") from error
        return found


TAKEN: Final = ("context", "history")
"""Names that a turn binds itself."""

EXCLUDING: Final = (
    ("ephemeral", "session"),
    ("ephemeral", "durable"),
    ("ephemeral", "name"),
    ("session", "name"),
    ("quiet", "verbose"),
    ("json", "json_stream"),
)


def _flag(name: str) -> str:
    return {"json_stream": "--json=stream", "quiet": "-q", "verbose": "-v"}.get(name, f"--{name.replace('_', '-')}")


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


MODEL, EXECUTION, SESSION, OUTPUT, OTHER = "Model", "Execution", "Session", "Output", "Options"


PROVIDERS: Final = ("anthropic", "openai", "openrouter", "openai-compatible")
"""Providers that the environment can set up."""

LEVELS: Final = ("standard", "extended")
"""Levels of a trace."""


def _declarations(*, resumes: bool) -> list[Decorator]:
    """The options in the order of help; a turn on a session that is named otherwise has no `--session`."""
    count = _Count(min=1)
    seconds = _Seconds(min=0, min_open=True)
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    file = click.Path(path_type=Path)  # looked at once the directory of --cwd is entered
    model = _under(MODEL)
    execution = _under(EXECUTION)
    session = _under(SESSION)
    output = _under(OUTPUT)
    which = [
        session("Go on in this session.", "--session", metavar="ID|NAME|last"),
        session("The new session's name; two words if none is given.", "--name", metavar="TEXT"),
        session("Keep nothing: a session in memory.", "--ephemeral", is_flag=True),
    ]
    return [
        model(f"{', '.join(PROVIDERS)}, command:ARGV or files:DIR.", "--provider", metavar="NAME"),
        model("The model, with or without its vendor in front.", "--model", metavar="NAME"),
        model("How much the model thinks, where it has a choice.", "--variant", metavar="NAME"),
        model("The server; alone, one that speaks OpenAI's Chat Completions.", "--base-url", metavar="URL"),
        model("The model's context, where it is not known.", "--max-context-tokens", metavar="N", type=count),
        model("Tokens of one reply at most.", "--max-output-tokens", metavar="N", type=count),
        execution("Text that programs read lazily as `context`.", "--context", metavar="FILE|DIR|-"),
        execution("A variable of programs; repeatable.", "--var", "variables", metavar="NAME=JSON", multiple=True),
        execution(
            "Tools of a Python module or FILE.py; repeatable. Its code runs with your rights.",
            "--tools",
            metavar="MODULE[:ATTR]",
            multiple=True,
        ),
        execution("Model calls of the turn at most.", "--max-turns", metavar="N", type=count),
        execution("Seconds of the turn at most.", "--timeout", metavar="S", type=seconds),
        execution("Run as if started in DIR.", "--cwd", "-C", metavar="DIR", type=folder),
        *([] if resumes else which),
        session("Seconds to wait for a session that is busy.", "--wait", metavar="S", type=_Seconds(min=0)),
        session("Record every effect, so that a killed turn can be resumed.", "--durable", is_flag=True),
        output("The result as JSON; --json=stream: before it every activity, in lines.", "--json", is_flag=True),
        output("", STREAM, is_flag=True, hidden=True),
        output("JSON Schema that the answer has to fit.", "--output-schema", metavar="FILE", type=file),
        output("Nothing on standard error but errors.", "--quiet", "-q", is_flag=True),
        output("Whole programs and prints, reasoning, tokens, logs.", "--verbose", "-v", is_flag=True),
        output("Write a trace of the turn, as lines of JSON.", "--trace", metavar="FILE", type=file),
        output("How much goes there.", "--trace-level", type=click.Choice(LEVELS)),
    ]


STREAM: Final = "--json-stream"
"""What `--json=stream` is to the parser, whose flags take no values."""


def _under(heading: str) -> Callable[..., Decorator]:
    """What declares options under a heading: help, names, and click's attributes."""

    def declare(text: str, *names: str, **attributes: Any) -> Decorator:
        return click.option(*names, cls=TurnOption, heading=heading, help=text, **attributes)

    return declare


def turn_options(*, resumes: bool = False) -> Decorator:
    """Declare the options of a turn on a command."""

    def declare(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(_declarations(resumes=resumes)):
            command = option(command)
        return command

    return declare


def write_options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of a command as help shows them: what has no heading, then each heading with its own."""
    groups: dict[str, list[tuple[str, str]]] = {OTHER: [], MODEL: [], EXECUTION: [], SESSION: [], OUTPUT: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            groups[parameter.heading if isinstance(parameter, TurnOption) else OTHER].append(record)
    for heading, records in groups.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)
