"""The pages of `:help`, made of the texts in `help` and of the table of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lashlang.repl.help import BuiltinHelp, builtins, topic_of, topics
from lashlang.syntax.hints import nearest


class CommandHelp(Protocol):
    """What the pages want to know of a command."""

    @property
    def usage(self) -> str:
        """How it is written."""
        ...

    @property
    def text(self) -> str:
        """What it does, in a line."""
        ...

    @property
    def more(self) -> str:
        """What else there is to know; may be empty."""
        ...


def page(word: str, commands: Mapping[str, CommandHelp]) -> str | None:
    """The page for what somebody asks about, which may be nothing in particular; None where there is none.

    Builtins stand before pages of the language, and these before commands, unless the word begins with `:`.
    """
    if not word:
        return _overview(commands)
    word = word.strip("`")
    name = word.partition("(")[0] or word
    if name in builtins():
        return _builtin(builtins()[name])
    topic = topic_of(word)
    if topic is not None:
        return f"{topic.name.upper()}\n\n{topic.text}"
    command = commands.get(word.removeprefix(":"))
    return None if command is None else f"{command.usage}\n  {command.text}" + f"\n{command.more}".rstrip()


def words(commands: Mapping[str, CommandHelp]) -> list[str]:
    """The words that have a page of their own."""
    return [*topics(), *builtins(), *(f":{name}" for name in commands)]


def near(word: str, commands: Mapping[str, CommandHelp]) -> str | None:
    """The word with a page that is spelt nearly so."""
    others = [other for topic in topics().values() for other in topic.also]
    return nearest(word, [*words(commands), *commands, *others])


def _overview(commands: Mapping[str, CommandHelp]) -> str:
    widest = max(len(command.usage) for command in commands.values())
    lines = ["Enter a program, or an expression to see its value. Commands:", ""]
    lines += [f"  {command.usage:<{widest}}  {command.text}" for command in commands.values()]
    lines += ["", "The language (:help and the word; begin with :help begin):", ""]
    lines += _wrapped(list(topics()))
    groups: dict[str, list[str]] = {}
    for entry in builtins().values():
        groups.setdefault(entry.group, []).append(entry.name)
    for group, names in groups.items():
        lines += ["", f"Builtins for {group}:", "", *_wrapped(names)]
    return "\n".join(lines)


def _wrapped(names: list[str]) -> list[str]:
    lines: list[str] = []
    line = " "
    for name in names:
        if len(line) + 1 + len(name) > 78:
            lines.append(line)
            line = " "
        line += f" {name}"
    return [*lines, line]


def _builtin(entry: BuiltinHelp) -> str:
    return f"{entry.signature}\n  {entry.text}\n\n> {entry.example}\n{entry.shown}"
