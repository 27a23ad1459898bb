"""`lash models`: the models that are known, who serves them, and whether that works."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

import click

from lash import LashError, ProviderHandle
from lash.cli.configuration.reading import Settings, read_settings
from lash.cli.exits import CliError, Exit
from lash.cli.models import NO_PROVIDER, ModelFlags, choose
from lash.cli.providers import GATEWAYS, Providers, Source, build
from lash.cli.screen import Screen, cells, clean, one_line
from lash.cli.tables import write_table
from lash.provider import LlmRequest, ModelCatalog
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import Block, LlmMessage

T = TypeVar("T")

CHECK_S: Final = 60.0
"""How long a provider may take for its tiny answer."""

CHECK_TOKENS: Final = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A model: who serves it, its sizes, its variants, where it is listed, and whether there is a key for it."""

    id: str
    provider: str | None
    context: int
    output: int | None
    variants: tuple[str, ...]
    default_variant: str | None
    source: str
    credential: bool


def list_all(pattern: str | None, *, as_json: bool) -> int:
    """`lash models`: the table; the exit code."""
    settings = read_settings(os.environ, Path.cwd())
    rows = [row for row in _rows(settings) if _matches(row.id, pattern)]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2))
    elif rows:
        _write(rows)
    else:
        nearest = ", ".join(ModelCatalog(settings.models).nearest(pattern or ""))
        click.echo(f"no model is like {pattern!r}; the nearest are {nearest}", err=True)
    return int(Exit.OK)


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return True
    wanted, name = pattern.lower(), name.lower()
    if any(sign in wanted for sign in "*?["):
        return fnmatchcase(name, wanted) or fnmatchcase(name.rpartition("/")[2], wanted)
    # As in the table itself, dots and dashes are one.
    return wanted.replace(".", "-") in name.replace(".", "-")


def _rows(settings: Settings) -> list[Row]:
    catalog, providers = ModelCatalog(settings.models), Providers(settings, os.environ)
    ready = {source.name for source in providers.ready()}
    handles: dict[str, ProviderHandle | None] = {}
    rows: list[Row] = []
    for name in catalog.ids():
        info = catalog.lookup(name)
        if info is None:
            continue
        able = _serving(name, providers, settings)
        source = next((one for one in able if one.name in ready), able[0] if able else None)
        handle = _handle(source, handles)
        rows.append(
            Row(
                id=name,
                provider=source.name if source is not None else None,
                context=info.context,
                output=info.output,
                variants=handle.supported_variants(name) if handle is not None else (),
                default_variant=handle.default_variant(name) if handle is not None else None,
                source="config" if name in settings.models else "bundled",
                credential=source is not None and source.name in ready,
            )
        )
    return rows


def _serving(model: str, providers: Providers, settings: Settings) -> list[Source]:
    """The providers that have a model, the likeliest first: its vendor's, then gateways to everybody's."""
    vendor, slash, _ = model.partition("/")
    sources = providers.sources
    own = sources.get(vendor) if slash else None
    alike = [source for source in sources.values() if slash and source.kind == vendor and source is not own]
    chosen = sources.get(settings.user.provider or "")
    gateways = [source for source in sources.values() if source.name in GATEWAYS[:1]]
    if own is None and not alike:
        return [source for source in (chosen, *gateways) if source is not None]
    return [source for source in (own, *alike, *gateways) if source is not None]


def _handle(source: Source | None, made: dict[str, ProviderHandle | None]) -> ProviderHandle | None:
    """A handle to ask for variants; None where the provider's entry is wrong, which `lash config check` tells."""
    if source is None:
        return None
    if source.name not in made:
        try:
            made[source.name] = build(source.sketch())
        except CliError:
            made[source.name] = None
    return made[source.name]


def _write(rows: list[Row]) -> None:
    """One line a model."""
    columns = {
        "ID": [clean(row.id) for row in rows],
        "PROVIDER": [clean(row.provider or "-") for row in rows],
        "CONTEXT": [f"{row.context:,}" for row in rows],
        "OUTPUT": [f"{row.output:,}" if row.output else "-" for row in rows],
        "SOURCE": [row.source for row in rows],
        "KEY": ["yes" if row.credential else "no" for row in rows],
        "VARIANTS": [_variants(row) for row in rows],
    }
    write_table(columns, least_telling=("SOURCE", "VARIANTS", "OUTPUT", "PROVIDER"))


def _variants(row: Row) -> str:
    """The variants in a line, the one that is taken where none is named in parentheses."""
    return " ".join(f"({name})" if name == row.default_variant else name for name in row.variants)


# --- --check -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of asking a provider; `error` where it did not answer."""

    provider: str
    model: str | None
    ok: bool
    seconds: float
    error: str | None = None


def check_providers(pattern: str | None, *, as_json: bool) -> int:
    """`lash models --check`: one tiny call to each provider that is set up; the exit code.

    PATTERN then chooses among the names of providers. Raises CliError (NO_PROVIDER) where none is set up.
    """
    settings = read_settings(os.environ, Path.cwd())
    providers = Providers(settings, os.environ)
    asked = {source.name: source for source in [*providers.configured.values(), *providers.ready()]}
    chosen = [one for name, one in asked.items() if _matches(name, pattern) and one.kind != "files"]
    if not chosen:
        if asked and pattern is not None:
            raise CliError(f"no provider that is set up is like {pattern!r}; there are {', '.join(asked)}")
        raise CliError(NO_PROVIDER.format(path=settings.user_path), Exit.NO_PROVIDER)

    async def run() -> list[Checked]:
        return await asyncio.gather(*(_checked(source, settings) for source in chosen))

    found = asyncio.run(run())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=2))
    else:
        screen = Screen(sys.stdout)
        for one in found:
            sign = screen.good(screen.signs("✓")) if one.ok else screen.bad(screen.signs("✗"))
            told = f"answered in {one.seconds:.1f} s" if one.ok else one.error or ""
            name = f"{one.provider} ({clean(one.model)})" if one.model else one.provider
            click.echo(f"{sign} {screen.accent(clean(name))} {one_line(told, max(40, screen.width - cells(name) - 3))}")
    return int(Exit.OK if all(one.ok for one in found) else Exit.FAILED)


async def _checked(source: Source, settings: Settings) -> Checked:
    """Ask one provider for next to nothing."""
    began = time.monotonic()
    try:
        chosen = choose(ModelFlags(provider=source.name), {**os.environ, "LASH_MODEL": ""}, None, settings)
    except CliError as error:
        return Checked(source.name, None, False, 0.0, str(error))
    handle = chosen.handle
    request = LlmRequest(
        model=handle.resolve_model(chosen.model),
        messages=(LlmMessage("user", (Block.Text("Answer with one word: ok."),)),),
        max_output_tokens=CHECK_TOKENS,
    )
    try:
        await handle.complete(request, deadline_s=CHECK_S)
    except (ProviderFailure, LashError) as error:
        return Checked(source.name, chosen.model, False, time.monotonic() - began, _told(error))
    finally:
        await handle.aclose()
    return Checked(source.name, chosen.model, True, time.monotonic() - began)


def _told(error: ProviderFailure | LashError) -> str:
    return f"{error.message} [{error.code}]" if error.code else error.message
