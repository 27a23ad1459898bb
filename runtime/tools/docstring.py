"""What a docstring says of a tool, its parameters and result: Google, NumPy, Sphinx (providers.md 12.1)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_GOOGLE = re.compile(r"([A-Z][A-Za-z ]*):(?: +(\S.*))?")
_UNDERLINE = re.compile(r"-{3,}|={3,}")
_SPHINX = re.compile(r":(\w+)(?: +([^:]*?))?:(?: +(.*))?")
_ENTRY = re.compile(r"\*{0,2}(\w+)(?: *\([^)]*\))? *:(?: +(.*))?")
_ARGUMENTS = frozenset({"args", "arguments", "parameters", "params"})
_RETURNS = frozenset({"returns", "return"})
_OTHERS = frozenset(
    "raises,yields,example,examples,note,notes,warning,warnings,see also,references,attributes,todo".split(",")
)


@dataclass(slots=True)
class Docstring:
    """A docstring in parts: the text for the model, what is said of each parameter, and of the result."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    returns: str = ""


def read_docstring(function: Callable[..., object]) -> Docstring:
    """The parts of a function's own docstring, each text as a paragraph; all empty where there is none."""
    text = getattr(function, "__doc__", None)
    return parse(text) if isinstance(text, str) else Docstring()


def parse(text: str) -> Docstring:
    """The parts of a docstring's text; sections other than parameters and result stay in the description."""
    doc = Docstring()
    kept: list[str] = []
    for title, inline, body in _sections(inspect.cleandoc(text).splitlines()):
        kind = title.lower()
        if kind in _ARGUMENTS:
            doc.parameters.update(_entries(body))
        elif kind in _RETURNS:
            doc.returns = _returned(inline, body)
        else:
            kept += body
    doc.description = "\n".join(_without_fields(kept, doc)).strip()
    return doc


def _sections(lines: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Sections as (title, text on the title's line, lines below it).

    The text before the first one, and sections that stay in the description, have no title and all their lines.
    """
    at = 0
    while at < len(lines):
        title, inline, body = _heading(lines, at)
        if not title:
            yield "", "", [lines[at]]
            at += 1
            continue
        underlined = body == at + 2
        end = body
        while end < len(lines) and not _ends(lines, end, underlined):
            end += 1
        yield title, inline, lines[body:end]
        at = end


def _heading(lines: list[str], at: int) -> tuple[str, str, int]:
    """Title, text beside it and first line of the section that begins here; an empty title where none does.

    Only sections that are taken out of the description count.
    """
    line = lines[at]
    if at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1].strip()) and not line.startswith(" "):
        title = line.strip()
        return (title, "", at + 2) if title.lower() in _ARGUMENTS | _RETURNS else ("", "", at)
    found = _GOOGLE.fullmatch(line)
    if found is None:
        return "", "", at
    title, inline = found[1], found[2] or ""
    wanted = title.lower() in _RETURNS or (title.lower() in _ARGUMENTS and not inline)
    return (title, inline, at + 1) if wanted else ("", "", at)


def _ends(lines: list[str], at: int, underlined: bool) -> bool:
    """Whether a section's lines end before this one."""
    line = lines[at]
    if not line or line.startswith(" "):
        return False
    if not underlined:
        return True
    followed = at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1].strip()) is not None
    return followed or _heading(lines, at)[0] != "" or _is_other(line)


def _is_other(line: str) -> bool:
    found = _GOOGLE.fullmatch(line)
    return found is not None and not found[2] and found[1].lower() in _OTHERS


def _entries(body: list[str]) -> dict[str, str]:
    """Names with their descriptions, from lines `name (type): text` or `name : type` with the text below."""
    indents = [len(line) - len(line.lstrip()) for line in body if line.strip()]
    outer = min(indents, default=0)
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in body:
        inner = line[outer:]
        if inner.strip() and not inner.startswith(" "):
            names, first = _entry(inner, numpy=outer == 0)
            for name in names:
                found[name] = [first] if first else []
        else:
            for name in names:
                found[name].append(inner.strip())
    return {name: " ".join(filter(None, lines)) for name, lines in found.items()}


def _entry(line: str, numpy: bool) -> tuple[list[str], str]:
    """The names that an entry's first line gives and, in the Google form, the text beside them."""
    if numpy:
        names = line.partition(":")[0]
        return [name.strip().lstrip("*") for name in names.split(",") if name.strip()], ""
    found = _ENTRY.fullmatch(line)
    return ([found[1]], (found[2] or "").strip()) if found else ([line.split(maxsplit=1)[0].rstrip(":")], "")


def _returned(inline: str, body: list[str]) -> str:
    """The text of a section on the result; in the NumPy form the type's line is left out where text follows it."""
    lines = [line for line in body if line.strip()]
    numpy = bool(lines) and not lines[0].startswith(" ")
    if numpy and len(lines) > 1:
        lines = lines[1:]
    return " ".join(filter(None, (inline, *(line.strip() for line in lines))))


def _without_fields(lines: list[str], doc: Docstring) -> Iterator[str]:
    """The lines that are no Sphinx fields; fields of parameters and result are noted in `doc`."""
    at = 0
    while at < len(lines):
        found = _SPHINX.fullmatch(lines[at])
        kind = found[1] if found else ""
        if found is None or kind not in ("param", "parameter", "arg", "argument", "type", "return", "returns", "rtype"):
            yield lines[at]
            at += 1
            continue
        text = [(found[3] or "").strip()]
        at += 1
        while at < len(lines) and lines[at].startswith(" ") and lines[at].strip():
            text.append(lines[at].strip())
            at += 1
        if kind in ("return", "returns"):
            doc.returns = " ".join(filter(None, text))
        elif kind not in ("type", "rtype"):
            doc.parameters[(found[2] or "").split()[-1] if found[2] else ""] = " ".join(filter(None, text))
