"""Tables for people: a head and lines, as wide as the screen and no wider."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from lash.cli.screen import Screen, cells, cut, one_line


def write_table(
    columns: Mapping[str, Sequence[str]],
    *,
    least_telling: Sequence[str] = (),
    rest: tuple[str, Sequence[str]] | None = None,
    least_rest: int = 0,
) -> None:
    """Write columns by head; `rest` is a last one that takes the room that is left, and wants `least_rest` of it.

    Where there is too little room, columns are left out in the order of `least_telling`.
    """
    screen = Screen(sys.stdout)
    widths = {head: max(map(cells, (head, *texts))) + 2 for head, texts in columns.items()}
    needed = least_rest if rest is not None else -2
    for head in least_telling:
        if sum(widths.values()) + needed > screen.width:
            del widths[head]
    room = max(0, screen.width - sum(widths.values()))
    title, lasts = rest if rest is not None else ("", ())
    click.echo(screen.bold(("".join(head.ljust(width) for head, width in widths.items()) + cut(title, room)).rstrip()))
    for at in range(len(next(iter(columns.values()), ()))):
        texts = ((columns[head][at], width) for head, width in widths.items())
        line = screen.signs("".join(text + " " * (width - cells(text)) for text, width in texts))
        click.echo((line + (one_line(lasts[at], room) if lasts and room else "")).rstrip())
