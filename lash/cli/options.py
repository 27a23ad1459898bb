"""The options of a turn, shared by `lash -p` and `lash sessions resume`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

if TYPE_CHECKING:
    from lash.runtime.sansio.values import JsonValue

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
    mode: str | None = None
    max_turns: int | None = None
    timeout: float | None = None
    cwd: Path | None = None
    context: str | None = None
    variables: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    no_mcp: bool = False
    roots: tuple[str, ...] = ()
    allow_write: bool = False
    allow_shell: bool = False
    no_files: bool = False
    trust_project: bool = False
    approve: str | None = None
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
        if options.ephemeral and options.approve == "park":
            raise click.UsageError("--approve park keeps the turn for later, and --ephemeral keeps nothing")
        if options.trace_level is not None and options.trace is None:
            raise click.UsageError("--trace-level says how much goes into the file of --trace: give both")
        return options

    def kept(self) -> dict[str, JsonValue]:
        """What a turn needs again when it is driven on by another process, as JSON."""
        found: dict[str, Any] = {name: getattr(self, name) for name in KEPT}
        return {
            name: [*value] if isinstance(value, tuple) else value for name, value in found.items() if value is not None
        }

    def over(self, kept: Mapping[str, JsonValue]) -> TurnOptions:
        """These options, with what was kept where they say nothing, nor anything that excludes it."""
        said = {field.name for field in fields(self) if getattr(self, field.name)}
        said |= {one for pair in EXCLUDING for one in pair if said & {*pair}}
        unsaid: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in kept.items()
            if name in KEPT and name not in said
        }
        return replace(self, **unsaid)

    @property
    def is_durable(self) -> bool:
        """Whether the turn is recorded: a turn that is to wait for approvals has to be."""
        return self.durable or self.approve == "park"

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


KEPT: Final = (
    *("provider", "model", "variant", "base_url", "max_context_tokens", "max_output_tokens", "max_turns", "variables"),
    *("tools", "roots", "allow_write", "allow_shell", "no_files", "no_mcp", "trust_project", "approve"),
    *("json", "json_stream", "quiet", "verbose"),
)
"""Options that a turn is driven on with, where nothing else is said. Its question and schema are in the journal."""

TAKEN: Final = ("context", "history")
"""Names that a turn binds itself."""

EXCLUDING: Final = (
    ("no_files", "roots"),
    ("no_files", "allow_write"),
    ("no_mcp", "trust_project"),
    ("ephemeral", "session"),
    ("ephemeral", "durable"),
    ("ephemeral", "name"),
    ("session", "name"),
    ("quiet", "verbose"),
    ("json", "json_stream"),
)


def _flag(name: str) -> str:
    return {"json_stream": "--json=stream", "roots": "--root", "quiet": "-q", "verbose": "-v"}.get(
        name, f"--{name.replace('_', '-')}"
    )


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


MODEL, EXECUTION, FILES = "Model", "Execution", "Files and shell"
SESSION, OUTPUT, OTHER = "Session", "Output", "Options"


PROVIDERS: Final = ("anthropic", "openai", "google", "openrouter", "openai-compatible")
"""Providers that the environment can set up."""

MODES: Final = ("rlm", "standard")
"""Modes of a session, that of new ones first."""

WAYS: Final = ("ask", "allow", "deny", "park")
"""How approvals are answered."""

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
    files = _under(FILES)
    session = _under(SESSION)
    output = _under(OUTPUT)
    which = [
        session("Go on in this session.", "--session", metavar="ID|NAME|last"),
        session("The new session's name; two words if none is given.", "--name", metavar="TEXT"),
        session("Keep nothing: a session in memory.", "--ephemeral", is_flag=True),
    ]
    return [
        model(
            f"A name of the configuration, {', '.join(PROVIDERS)}, command:ARGV or files:DIR.",
            "--provider",
            metavar="NAME",
        ),
        model("The model, with or without its vendor in front.", "--model", metavar="NAME"),
        model("How much the model thinks, where it has a choice.", "--variant", metavar="NAME"),
        model("The server; alone, one that speaks OpenAI's Chat Completions.", "--base-url", metavar="URL"),
        model("The model's context, where it is not known.", "--max-context-tokens", metavar="N", type=count),
        model("Tokens of one reply at most.", "--max-output-tokens", metavar="N", type=count),
        execution(
            "How the model acts: by programs (rlm) or by tool calls (standard); a session keeps it.",
            "--mode",
            type=click.Choice(MODES),
        ),
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
        files(
            "A directory that file tools may read; repeatable. The current one if none is given.",
            "--root",
            "roots",
            metavar="DIR",
            multiple=True,
        ),
        files("Let file tools write below the roots, too.", "--allow-write", is_flag=True),
        files(
            "Let the model run commands. No root confines them: they reach whatever you may reach.",
            "--allow-shell",
            is_flag=True,
        ),
        files("Leave out the file tools.", "--no-files", is_flag=True),
        execution("Use no MCP server.", "--no-mcp", is_flag=True),
        execution("Use the MCP servers that the project names, without asking.", "--trust-project", is_flag=True),
        execution(
            "Who decides where a tool needs approval: you (ask), yes (allow), no (deny), or you later (park)."
            " If not given: ask on a terminal, deny elsewhere.",
            "--approve",
            type=click.Choice(WAYS),
        ),
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
    groups: dict[str, list[tuple[str, str]]] = {OTHER: [], MODEL: [], EXECUTION: [], FILES: [], SESSION: [], OUTPUT: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            groups[parameter.heading if isinstance(parameter, TurnOption) else OTHER].append(record)
    for heading, records in groups.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)
