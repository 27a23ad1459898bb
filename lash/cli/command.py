"""The commands of `lash` and their arguments. What they do is imported when they do it."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO

import click

from lash import __version__
from lash.cli.options import STREAM, TurnOptions, turn_options, write_options

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room left for the output."""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _WithTurnOptions(click.Command):
    """A command with the options of a turn, listed by heading."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _flags(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)


class _Root(click.Group):
    """`lash` itself: the options of a turn, or a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _flags(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; the error for a question without `-p` says how to ask it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if getattr(error, "possibilities", None):
                raise
            raise click.UsageError(f'{error.message} A question goes with -p: lash -p "..."', ctx) from error


def _flags(args: list[str]) -> list[str]:
    """The arguments with `--json=stream` as a flag of its own. Raises click.UsageError for `--json=` anything else."""
    for one in args:
        if one.startswith("--json=") and one != "--json=stream":
            raise click.UsageError(f"{one}: write --json for one result, or --json=stream for every activity as well")
    return [STREAM if one == "--json=stream" else one for one in args]


EXIT_CODES = (
    "Exit codes: 0 answered, 1 the turn failed, 2 usage, 3 no model set up, 4 the model gave up, 5 a limit was reached,"
    " 6 the turn waits for approvals, 7 the session is busy, 130 cancelled."
)


@click.group(cls=_Root, invoke_without_command=True, context_settings=SETTINGS, epilog=EXIT_CODES)
@click.version_option(__version__, message="lash %(version)s")
@click.option(
    "--print", "-p", "prompt", metavar="PROMPT|-", help="Run one turn on PROMPT; - reads it from standard input."
)
@turn_options()
@click.pass_context
def lash(ctx: click.Context, prompt: str | None, **parameters: Any) -> None:
    """Ask a model that acts by writing small sandboxed programs.

    \b
    lash -p "Which functions are never called?" --context src
    lash sessions resume last "And which of them are tested?"

    The answer goes to standard output, everything else to standard error.
    """
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is not None:
        if given:
            raise click.UsageError(f"the options of a turn go with -p, not in front of {ctx.invoked_subcommand!r}")
        return
    if prompt is None:
        if given:
            raise click.UsageError('a turn needs a question: -p "..."')
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
    options = TurnOptions.of(parameters)
    if prompt == "-" and options.context == "-":
        raise click.UsageError("standard input is either the prompt or the context: write one of them out")
    from lash.cli.printing import print_turn

    ctx.exit(print_turn(options, prompt))


@lash.group(context_settings=SETTINGS)
def sessions() -> None:
    """List, show, resume and fork sessions."""


@sessions.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_sessions(as_json: bool) -> None:
    """List the sessions, the one used last first."""
    from lash.cli.sessions import list_all

    list_all(as_json=as_json)


@sessions.command("show")
@click.argument("session", metavar="ID")
@click.option("--turn", metavar="K", type=click.IntRange(min=1), help="One turn, with its programs, prints and calls.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show_session(session: str, turn: int | None, as_json: bool) -> None:
    """Show what was said and done in a session.

    ID is an id, the beginning of one (4 characters or more), a name, or `last`: the newest of this directory.
    """
    from lash.cli.sessions import show

    show(session, turn=turn, as_json=as_json)


@sessions.command("resume", cls=_WithTurnOptions)
@click.argument("session", metavar="ID")
@click.argument("prompt", required=False)
@turn_options(resumes=True)
@click.pass_context
def resume_session(ctx: click.Context, session: str, prompt: str | None, **parameters: Any) -> None:
    """Finish a session's turn and run another one.

    A suspended or interrupted turn is driven on first, then one more is run on PROMPT, if it is given. ID is an id, the
    beginning of one (4 characters or more), a name, or `last`: the newest of this directory.
    """
    from lash.cli.printing import resume_turn

    ctx.exit(resume_turn(TurnOptions.of({**parameters, "session": session}), prompt))


@sessions.command("fork")
@click.argument("session", metavar="ID")
@click.option(
    "--turn", metavar="K|TURN_ID", help="The turn to begin from, 0 for the start; the last one if none is given."
)
@click.option("--name", metavar="TEXT", help="The new session's name; two words if none is given.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def fork_session(session: str, turn: str | None, name: str | None, as_json: bool) -> None:
    """Begin a new session from a turn.

    It has the variables of then; its id is printed. ID is an id, the beginning of one (4 characters or more), a name,
    or `last`: the newest of this directory.
    """
    from lash.cli.sessions import fork

    fork(session, turn=turn, name=name, as_json=as_json)


@lash.group(context_settings=SETTINGS)
def approvals() -> None:
    """List and answer what suspended turns ask.

    A turn that was begun with --approve park waits until its questions are answered.
    """


@approvals.command("list")
@click.option("--session", metavar="ID|NAME|last", help="Of this session only.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_approvals(session: str | None, as_json: bool) -> None:
    """List the open questions, the oldest first."""
    from lash.cli.questions import list_all

    list_all(session, as_json=as_json)


@approvals.command("allow")
@click.argument("approval", metavar="ID")
@click.option("--edit", metavar="JSON", help="The arguments that the tool is to run with instead.")
@click.option("--no-resume", is_flag=True, help="Leave the turn suspended, also where this was the last answer.")
@click.pass_context
def allow(ctx: click.Context, approval: str, edit: str | None, no_resume: bool) -> None:
    """Let a tool run. The last answer that a turn waits for drives it on, as `lash -p` would.

    ID is an id, or the beginning of one (6 characters or more).
    """
    from lash import Approve
    from lash.cli.questions import answer, edit_of

    ctx.exit(answer(approval, Approve() if edit is None else edit_of(edit), resume=not no_resume))


@approvals.command("deny")
@click.argument("approval", metavar="ID")
@click.option("--reason", metavar="TEXT", default="", help="What the model is told.")
@click.option("--no-resume", is_flag=True, help="Leave the turn suspended, also where this was the last answer.")
@click.pass_context
def deny(ctx: click.Context, approval: str, reason: str, no_resume: bool) -> None:
    """Keep a tool from running. The last answer that a turn waits for drives it on, as `lash -p` would.

    ID is an id, or the beginning of one (6 characters or more).
    """
    from lash import Deny
    from lash.cli.questions import answer

    ctx.exit(answer(approval, Deny(reason), resume=not no_resume))


@lash.group(context_settings=SETTINGS)
def config() -> None:
    """Show and check the configuration."""


@config.command("path")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def config_path(as_json: bool) -> None:
    """Print where configuration files are looked for."""
    from lash.cli.configuration.commands import path

    path(as_json=as_json)


@config.command("show")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def config_show(as_json: bool) -> None:
    """Print every value and where it comes from.

    What holds here and now, without secrets.
    """
    from lash.cli.configuration.commands import show

    show(as_json=as_json)


@config.command("check")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def config_check(ctx: click.Context, as_json: bool) -> None:
    """Tell what is wrong with the configuration, and where."""
    from lash.cli.configuration.commands import check

    ctx.exit(check(as_json=as_json))


@lash.command("models")
@click.argument("pattern", required=False)
@click.option("--check", is_flag=True, help="Ask one tiny question of every provider that is set up.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def list_models(ctx: click.Context, pattern: str | None, check: bool, as_json: bool) -> None:
    """List the models that are known, and which of them can be used.

    PATTERN is a part of an id, or a glob.
    """
    from lash.cli.model_table import check_providers, list_all

    ctx.exit(check_providers(pattern, as_json=as_json) if check else list_all(pattern, as_json=as_json))


def run() -> None:
    """Carry out the command line of this process, and leave with its exit code."""
    from lash.cli.screen import open_streams, tolerate_any_text

    open_streams()
    tolerate_any_text()
    out = sys.stdout
    try:
        code = lash.main(prog_name="lash", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("lash: interrupted", err=True)
        code = 130
    except SystemExit:
        if sys.stdout is out:
            raise
        # So does click end, with another stream in its place, where the reader of our output has gone.
        code = _unread(out)
    except BrokenPipeError:
        code = _unread(out)
    except Exception as error:
        code = _report(error)
    sys.exit(code if isinstance(code, int) else 0)


def _unread(out: TextIO) -> int:
    """Leave nothing for the interpreter to flush into an output that nobody reads; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return 0


def _report(error: Exception) -> int:
    """Tell a person what could not be done; the exit code. Errors of others are raised again, but for a full disk."""
    from lash import LashError
    from lash.cli.exits import CliError, Exit, exit_of_error
    from lash.cli.screen import clean

    if isinstance(error, CliError):
        click.echo(clean(f"lash: {error}"), err=True)
        return int(error.code)
    if isinstance(error, LashError):
        click.echo(clean(f"lash: {error.message} [{error.code}]"), err=True)
        return int(exit_of_error(error))
    if isinstance(error, OSError) and error.errno in FULL:
        # What is left in the buffer would fail again when the interpreter flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"lash: not everything could be written: {error.strerror}", err=True)
        return int(Exit.FAILED)
    raise error
