"""Running `lash` in an empty folder with a home of its own, with a program as the model."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lash.cli.command import run
from lash.host.providers.environment import PROVIDERS

MODEL = Path(__file__).with_name("model.py")
ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


def block(code: str) -> str:
    """A reply that is a program."""
    return f"```lashlang\n{code}\n```"


class Lash:
    """Runs the command line: `lash(...)` in this process, `process(...)` in one of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._scripts = 0

    def __call__(self, *arguments: str, stdin: str | bytes = b"") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        self._monkeypatch.setattr(sys, "argv", ["lash", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run()
        out, err = self._capsys.readouterr()
        return Ran(end.value.code if isinstance(end.value.code, int) else 1, out, err)

    def script(self, *replies: str | dict[str, Any]) -> str:
        """The `--provider` of a model that gives these replies."""
        self._scripts += 1
        file = self.folder / f".script-{self._scripts}.json"
        file.write_text(json.dumps(replies), encoding="utf-8")
        return f"command:{sys.executable} -S {MODEL} {file}"

    def ask(self, *replies: str | dict[str, Any], prompt: str = "Go.", also: tuple[str, ...] = (), **how: Any) -> Ran:
        """`lash -p` with a model that gives these replies."""
        return self("-p", prompt, "--provider", self.script(*replies), *also, **how)

    def argv(self, *arguments: str) -> list[str]:
        """A command line for a process of its own."""
        return [sys.executable, "-m", "lash.cli", *arguments]

    def process(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Ran:
        """Run in a process of its own."""
        done = subprocess.run(
            self.argv(*arguments), input=stdin, capture_output=True, env={**os.environ, **environment}, check=False
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def write(self, name: str, text: str | bytes) -> Path:
        """A file in the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file


@pytest.fixture
def lash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lash:
    """The command line in an empty folder, with an empty home and no keys in the environment."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Lash(folder, monkeypatch, capsys)
    monkeypatch.setenv("LASH_HOME", str(made.home))
    for name in ("LASH_MODEL", "LASH_PROVIDER", "OPENAI_COMPATIBLE_BASE_URL", *(one.key for one in PROVIDERS.values())):
        monkeypatch.delenv(name, raising=False)
    # A process of its own has this checkout's packages whatever directory it is in.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return made
