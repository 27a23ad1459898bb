"""`lash config path`, `show` and `check`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from lash.cli.configuration.lines import dotted
from lash.cli.configuration.reading import ConfigFile, ConfigurationError, Settings, read_settings
from lash.cli.configuration.shown import shown
from lash.cli.exits import CliError, Exit
from lash.cli.providers import Providers, Source, build, program
from lash.cli.screen import Screen, cells, clean
from lash.cli.servers import made_server
from lash.provider import ModelCatalog


def path(*, as_json: bool) -> None:
    """`lash config path`: where the files are looked for, and which are there."""
    # What is in them does not matter here, so neither do errors in it.
    from lash.cli.configuration.reading import NAME, find_project_file, same_file
    from lash.cli.home import Home

    user = Home.of(os.environ).folder / NAME
    project = find_project_file(Path.cwd(), user)
    # Where the home is the project's folder as well, its file is the person's.
    found = {"user": (user, user.exists()), "project": (project, project.exists() and not same_file(project, user))}
    if as_json:
        files = {name: {"path": str(file), "exists": there} for name, (file, there) in found.items()}
        click.echo(json.dumps(files, ensure_ascii=False, indent=2))
        return
    for name, (file, there) in found.items():
        click.echo(f"{name:<9}{file}{'' if there else '  (not there)'}")


def show(*, as_json: bool) -> None:
    """`lash config show`: the values that hold, and where each comes from."""
    settings = read_settings(os.environ, Path.cwd())
    values = shown(settings, os.environ)
    if as_json:
        found: dict[str, Any] = {
            "files": {
                "user": _file(settings.user_path, settings.user_file),
                "project": _file(settings.project_path, settings.project_file),
            },
            "values": [one.to_json() for one in values],
            "warnings": list(settings.warnings),
        }
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    screen = Screen(sys.stdout)
    lines = [(clean(text), origin) for text, origin in (one.line() for one in values)]
    width = min(60, max(cells(text) for text, _ in lines))
    for name, place, file in (
        ("user", settings.user_path, settings.user_file),
        ("project", settings.project_path, settings.project_file),
    ):
        click.echo(screen.dim(f"# {name}: {place}{'' if file is not None else ' (not there)'}"))
    for text, origin in lines:
        click.echo(f"{text}{' ' * (width - cells(text))}  {screen.dim(f'# {origin}')}")
    _warn(settings.warnings)


def check(*, as_json: bool) -> int:
    """`lash config check`: whether the configuration can be used; the exit code."""
    try:
        settings = read_settings(os.environ, Path.cwd())
    except ConfigurationError as error:
        problems, warnings, files = error.problems, [], []
    else:
        problems, warnings = _deeper(settings)
        files = [file.path for file in (settings.user_file, settings.project_file) if file is not None]
    if as_json:
        click.echo(
            json.dumps({"ok": not problems, "errors": problems, "warnings": warnings}, ensure_ascii=False, indent=2)
        )
        return int(Exit.USAGE if problems else Exit.OK)
    for problem in problems:
        click.echo(clean(f"error: {problem}"), err=True)
    _warn(warnings)
    if not problems:
        told = " and ".join(map(str, files)) if files else "no configuration file is there, and none is needed"
        click.echo(f"{told}: ok" if files else told)
    return int(Exit.USAGE if problems else Exit.OK)


def _deeper(settings: Settings) -> tuple[list[str], list[str]]:
    """What the files' form does not tell: whether each provider can be made, and what they name is there."""
    problems: list[str] = []
    warnings = [*settings.warnings]
    providers = Providers(settings, os.environ)
    for source in providers.configured.values():
        problem = _unbuildable(source)
        if problem is not None:
            problems.append(f"{source.place}: {dotted(('providers', source.name))}: {problem}")
        elif missing := source.missing():
            warnings.append(f"provider {source.name} cannot be used yet: it needs {missing}")
    for file, entries in (
        (settings.user_file, settings.user.mcp_servers),
        (settings.project_file, settings.project.mcp_servers),
    ):
        for name, entry in entries.items():
            try:
                made_server(name, entry, file)
            except CliError as error:
                problems.append(str(error))
    user, file = settings.user, settings.user_file
    if file is not None and user.provider is not None:
        try:
            # No more than whether there is one: its secrets are not looked up.
            if program(user.provider) is None:
                providers.source(user.provider)
        except CliError as error:
            problems.append(f"{file.place(('provider',))}: {error}")
    for key, secret in user.secrets.model_dump().items():
        match secret:
            case {"env": str(variable)} if not os.environ.get(variable, "").strip():
                warnings.append(f"{dotted(('secrets', key))}: {variable} is not in the environment")
            case _:
                pass
    known = providers.sources
    for name in settings.model_defaults:
        if name not in known:
            warnings.append(f"{dotted(('model_defaults', name))}: there is no provider of this name")
    if user.model is not None and user.provider in (*providers.sources, None):
        catalog = ModelCatalog(settings.models)
        if catalog.lookup(user.model) is None:
            warnings.append(
                f'the context size of model {user.model!r} is not known: add [models."{user.model}"] with `context`'
            )
    return problems, warnings


def _unbuildable(source: Source) -> str | None:
    """What is wrong with a provider's entry but for its secrets, which are neither read nor asked for."""
    try:
        build(source.sketch())
    except CliError as error:
        return str(error)
    return None


def _file(path: Path, file: ConfigFile | None) -> dict[str, Any]:
    return {"path": str(path), "exists": file is not None}


def _warn(warnings: tuple[str, ...] | list[str]) -> None:
    for warning in warnings:
        click.echo(clean(f"warning: {warning}"), err=True)
