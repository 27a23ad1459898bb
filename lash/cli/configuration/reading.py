"""Reading the configuration: which files there are, what is wrong with them, and where each value comes from.

In this order: flag, environment, the project's file, the person's file. A project's file comes with somebody else's
code, so it cannot choose a provider, a key or what may be written; what it says of approvals only adds to them.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from lash import ModelInfo
from lash.cli.configuration.lines import dotted, line_of, lines
from lash.cli.configuration.schema import SECTIONS, LashConfig, ModelDefault, ModelEntry, ProjectConfig, Section
from lash.cli.exits import CliError
from lash.cli.home import Home
from lash.cli.naming import nearest

NAME: Final = "config.toml"
PROJECT: Final = Path(".lash", NAME)

MOST_BYTES: Final = 1024 * 1024
"""A file that is larger is no configuration; a project's may be anybody's."""

S = TypeVar("S", bound=Section)


class ConfigurationError(CliError):
    """Files that cannot be used, with every problem in them."""

    def __init__(self, problems: list[str]) -> None:
        if len(problems) == 1:
            super().__init__(problems[0])
        else:
            shown = "".join(f"\n  {problem}" for problem in problems)
            super().__init__(f"the configuration has {len(problems)} errors:{shown}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read: what it says, and on which line."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]
    sha256: str

    def place(self, key: tuple[str, ...]) -> str:
        """File and line of a key, as far as they are known."""
        line = line_of(self.lines, key)
        return f"{self.path}:{line}" if line is not None else str(self.path)


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a run, without flags and environment; `searched` is where files were looked for."""

    user: LashConfig = field(default_factory=LashConfig)
    project: ProjectConfig = field(default_factory=ProjectConfig)
    user_file: ConfigFile | None = None
    project_file: ConfigFile | None = None
    user_path: Path = Path(NAME)
    project_path: Path = PROJECT
    warnings: tuple[str, ...] = ()

    @property
    def models(self) -> dict[str, ModelInfo]:
        """Sizes of models over the bundled table."""
        entries: dict[str, ModelEntry] = {**self.user.models, **self.project.models}
        return {name: ModelInfo(entry.context, entry.output) for name, entry in entries.items()}

    @property
    def model_defaults(self) -> dict[str, ModelDefault]:
        """Models of new sessions, by provider."""
        return {**self.user.model_defaults, **self.project.model_defaults}

    @property
    def asked_first(self) -> list[str]:
        """Patterns of the tools that a person is asked about."""
        return list(dict.fromkeys([*self.user.approvals.tools, *self.project.approvals.tools]))


def read_settings(environment: Mapping[str, str], folder: Path) -> Settings:
    """The configuration for a run in `folder`. Raises ConfigurationError for what cannot be read or understood."""
    user_path = Home.of(environment).folder / NAME
    project_path = find_project_file(folder, user_path)
    problems: list[str] = []
    user_file, user = _read(user_path, LashConfig, problems, user_path)
    project_file, project = None, None
    if not same_file(project_path, user_path):
        project_file, project = _read(project_path, ProjectConfig, problems, user_path)
    if problems:
        raise ConfigurationError(problems)
    return Settings(
        user or LashConfig(),
        project or ProjectConfig(),
        user_file,
        project_file,
        user_path,
        project_path,
        tuple(_loose(user_file, user)) if user_file is not None and user is not None else (),
    )


def find_project_file(folder: Path, user_path: Path) -> Path:
    """The nearest project file from the folder up to the repository's root; where it would be, if there is none.

    Outside a repository only the folder's own counts. The person's file is nobody's project file.
    """
    above = [folder, *folder.parents]
    root = next((one for one in above if (one / ".git").exists()), folder)
    for one in above[: above.index(root) + 1]:
        file = one / PROJECT
        if os.path.lexists(file) and not same_file(file, user_path):
            return file
    return root / PROJECT


def same_file(one: Path, other: Path) -> bool:
    """Whether both are one file that is there."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _read(path: Path, model: type[S], problems: list[str], user_path: Path) -> tuple[ConfigFile | None, S | None]:
    """A file and what it says; neither where there is none. What is wrong with it is added to the problems."""
    try:
        content = _content(path)
        text = content.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.islink(path):
            return None, None
        problems.append(f"{path}: it is a link that leads nowhere")
        return None, None
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror or error}")
        return None, None
    except _NoFile as error:
        problems.append(f"{path}: {error}")
        return None, None
    except UnicodeDecodeError as error:
        problems.append(f"{path}: no UTF-8 text (byte {error.start})")
        return None, None
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(f"{path}: no TOML: {error}")
        return None, None
    file = ConfigFile(path, data, lines(text), hashlib.sha256(content).hexdigest())
    try:
        return file, model.model_validate(data)
    except ValidationError as error:
        problems += _problems(file, error, model, user_path)
        return file, None


class _NoFile(Exception):
    """What is there is nothing that is read as a configuration."""


def _content(path: Path) -> bytes:
    """The bytes of a file. Raises OSError, and _NoFile for what might never end: pipes, devices, huge files."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _NoFile("it is no regular file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _NoFile(f"it is larger than {MOST_BYTES:,} bytes, which no configuration is")
    return content


# --- errors ------------------------------------------------------------------------------------------


def _problems(file: ConfigFile, error: ValidationError, model: type[Section], user_path: Path) -> list[str]:
    """What is wrong, a line each, in the order of the file."""
    found: list[tuple[int, str]] = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        place = _place(item["loc"], file.data)
        text = _in_words(item["type"], item["msg"], place, model, user_path)
        names = tuple(part for part in place if isinstance(part, str))
        line = line_of(file.lines, names)
        found.append((line or 0, f"{file.path}{'' if line is None else f':{line}'}: {text}"))
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda one: one[0])))


def _place(loc: tuple[int | str, ...], data: Any) -> tuple[int | str, ...]:
    """The path of a fault without what pydantic adds of its own, the names of the choices it tried."""
    place: list[int | str] = []
    here = data
    for at, part in enumerate(loc):
        inside = (isinstance(here, dict) and part in here) or (isinstance(here, list) and isinstance(part, int))
        if inside:
            here = cast("Any", here)[part]
        elif at < len(loc) - 1 or not isinstance(here, dict):
            continue
        place.append(part)
    return tuple(place)


WORDS: Final = {
    "string_type": "has to be a text, in quotes",
    "string_too_short": "is empty",
    "int_type": "has to be a whole number",
    "bool_type": "has to be true or false",
    "list_type": "has to be a list",
    "dict_type": "has to be a table",
    "model_type": "has to be a table",
}
"""What is wrong with a value, in the words of TOML; of other faults pydantic says it well enough."""


def _in_words(kind: str, said: str, place: tuple[int | str, ...], model: type[Section], user_path: Path) -> str:
    key = dotted(place)
    if kind == "missing":
        return f"{dotted(place[:-1])}: `{place[-1]}` is missing"
    if kind == "extra_forbidden":
        top = str(place[0])
        if model is ProjectConfig and len(place) == 1 and top in LashConfig.model_fields:
            return f"`{key}` cannot be set by a project's file; set it in {user_path}"
        known = [*_known(place[:-1], model)]
        like = nearest(str(place[-1]), known, 1)
        hint = f"did you mean `{like[0]}`?" if like else f"there are {', '.join(known)}"
        return f"unknown key `{key}`; {hint}"
    text = WORDS.get(kind) or said.removeprefix("Value error, ").replace("Input should be", "has to be")
    return f"`{key}`: {text}"


def _known(place: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that there are at a place of a file."""
    for pattern, section in SECTIONS.items():
        if len(pattern) == len(place) and all(one in ("*", part) for one, part in zip(pattern, place, strict=True)):
            model = section
    return list(model.model_fields)


# --- permissions -------------------------------------------------------------------------------------


def _loose(file: ConfigFile, user: LashConfig) -> list[str]:
    """The warning for a file with a secret in it that others can read."""
    mode = file.path.stat().st_mode & 0o777
    held = literal_secrets(user)
    if not held or not mode & 0o077:
        return []
    return [
        f"{file.path} holds a secret ({dotted(held[0])}) and others can read it (mode {mode:04o}): chmod 600 it, or"
        " write { env = NAME } in its place"
    ]


def literal_secrets(user: LashConfig) -> list[tuple[str, ...]]:
    """The keys of the secrets that stand in the person's file themselves."""
    found: list[tuple[str, ...]] = []
    for name, entry in user.providers.items():
        if isinstance(entry.api_key, str):
            found.append(("providers", name, "api_key"))
        options = entry.spec().get("options")
        headers = options.get("extra_headers") if isinstance(options, dict) else None
        if isinstance(headers, dict):
            found += [
                ("providers", name, "options", "extra_headers", key)
                for key, value in headers.items()
                if isinstance(value, str)
            ]
    found += [("secrets", key) for key, value in user.secrets if isinstance(value, str)]
    return found
