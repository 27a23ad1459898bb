"""`--context`: a file, standard input, or the text files of a folder, as the name `context` that programs read lazily.

Contents are kept by their hash, so that a session that is resumed has them again, whatever has become of the files.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from lash.cli.exits import CliError, Exit
from lash.runtime.sansio.values import JsonValue
from lashlang import Projected, TextSource

MOST_FILES: Final = 10_000
MOST_BYTES: Final = 1 << 30

_PIECE: Final = 1 << 20
_LOOK: Final = 8192
"""So much of a file is looked at for a NUL, which text has not."""


class NotText(Exception):
    """A file is no UTF-8 text; the text says at which byte."""


@dataclass(frozen=True, slots=True)
class Context:
    """What `context` stands for: the hash of a text, or of the list of a folder's files, with its size in bytes.

    `skipped` are files of the folder that are not in it, each with the reason.
    """

    kind: Literal["text", "files"]
    sha256: str
    size: int
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """As a session's record holds it."""
        return {"kind": self.kind, "sha256": self.sha256, "bytes": self.size}

    @staticmethod
    def of_json(record: JsonValue) -> Context | None:
        """The context in a session's record; None where there is none."""
        match record:
            case {"kind": "text" | "files" as kind, "sha256": str(sha256), "bytes": int(size)}:
                return Context(kind, sha256, size)
            case _:
                return None


class ContextStore:
    """Texts in a folder, each under its hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, given: str) -> Context:
        """Keep what `--context` names: `-`, a file or a folder. Raises CliError where that cannot be read as text."""
        if given == "-":
            return self._keep_stream(sys.stdin.buffer, "standard input")
        path = Path(given)
        try:
            if path.is_dir():
                return self._keep_folder(path)
            with path.open("rb") as file:
                return self._keep_stream(file, given)
        except OSError as error:
            raise CliError(f"--context {given}: {error.strerror or error}") from error

    def binding(self, context: Context) -> object:
        """The value of the name `context`. Raises CliError where its contents are gone."""
        if context.kind == "text":
            return self._source(context.sha256, context.size)
        listed = cast("list[dict[str, JsonValue]]", json.loads(self._file(context.sha256, context.size).read_bytes()))
        return [
            {
                "path": entry["path"],
                "text": Projected(
                    f"context[{at}].text", self._source(cast("str", entry["sha256"]), cast("int", entry["bytes"]))
                ),
            }
            for at, entry in enumerate(listed)
        ]

    def _source(self, sha256: str, size: int) -> TextSource:
        return TextSource.from_file(self._file(sha256, size))

    def _file(self, sha256: str, size: int) -> Path:
        file = self._folder / sha256
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            state = "is gone" if found is None else f"has {found} bytes instead of {size}"
            raise CliError(f"the context of this session {state} ({file}): give it again with --context", Exit.FAILED)
        return file

    # --- keeping -----------------------------------------------------------------------------------

    def _keep_stream(self, stream: BinaryIO, what: str) -> Context:
        try:
            sha256, size = self._copy(stream)
        except NotText as error:
            raise CliError(f"--context {what}: no UTF-8 text ({error}); convert it, or name a folder") from error
        return Context("text", sha256, size)

    def _copy(self, stream: BinaryIO) -> tuple[str, int]:
        """Copy a text to its place; its hash and size. Raises NotText and OSError, and leaves nothing then."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, decoder, size = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 0
        handle, draft = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                while piece := stream.read(_PIECE):
                    waiting = len(decoder.getstate()[0])  # the beginning of a character, from the piece before
                    try:
                        decoder.decode(piece)
                    except UnicodeDecodeError as error:
                        raise NotText(f"byte {size - waiting + error.start}") from error
                    digest.update(piece)
                    size += len(piece)
                    out.write(piece)
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                raise NotText(f"byte {size}, its end") from error
            os.replace(draft, self._folder / digest.hexdigest())
        finally:
            Path(draft).unlink(missing_ok=True)
        return digest.hexdigest(), size

    def _keep_folder(self, root: Path) -> Context:
        skipped: list[str] = []
        files = list(_regular_files(root, skipped))
        texts = [(name, path, size) for name, path, size in files if not _is_binary(path, name, skipped)]
        total = sum(size for _, _, size in texts)
        if len(texts) > MOST_FILES or total > MOST_BYTES:
            raise CliError(
                f"--context {root}: {len(texts):,} text files with {total:,} bytes; at most {MOST_FILES:,} files and"
                f" {MOST_BYTES:,} bytes are taken. Name a smaller folder"
            )
        listed: list[JsonValue] = []
        for name, path, _ in sorted(texts):
            try:
                with path.open("rb") as file:
                    sha256, size = self._copy(file)
            except NotText:
                skipped.append(f"{name} (no UTF-8 text)")
                continue
            listed.append({"path": name, "sha256": sha256, "bytes": size})
        if not listed:
            raise CliError(f"--context {root}: there is no text file in it")
        manifest = json.dumps(listed, ensure_ascii=False).encode()
        sha256 = hashlib.sha256(manifest).hexdigest()
        (self._folder / sha256).write_bytes(manifest)
        return Context("files", sha256, len(manifest), tuple(sorted(skipped)))


def _regular_files(root: Path, skipped: list[str]) -> Iterator[tuple[str, Path, int]]:
    """Name below the root, path and size of every regular file; what is left out is noted, unless git ignores it."""
    inside = root.resolve()
    for name in _names(root):
        path = root / name
        try:
            name.encode()
        except UnicodeEncodeError:
            skipped.append(f"{os.fsencode(name)!r} (its name is no UTF-8)")
            continue
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except OSError as error:
            skipped.append(f"{name} ({error.strerror or error})")
            continue
        if not real.is_relative_to(inside):
            skipped.append(f"{name} (a link that leads out of the folder)")
        elif stat.S_ISREG(status.st_mode):
            yield name, real, status.st_size
        elif not stat.S_ISDIR(status.st_mode):
            skipped.append(f"{name} (no regular file)")


def _names(root: Path) -> Iterator[str]:
    """Names of the files below a folder: in a git work tree those that git does not ignore, else all but `.git`."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
            capture_output=True,
            check=False,
        )
    except OSError:
        listed = None
    if listed is not None and listed.returncode == 0 and listed.stdout:
        for name in dict.fromkeys(filter(None, listed.stdout.split(b"\0"))):
            if os.path.lexists(root / os.fsdecode(name)):  # git also lists what was deleted
                yield os.fsdecode(name)
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in files:
            yield os.path.relpath(os.path.join(folder, name), root)


def _is_binary(path: Path, name: str, skipped: list[str]) -> bool:
    try:
        with path.open("rb") as file:
            binary = b"\0" in file.read(_LOOK)
    except OSError as error:
        skipped.append(f"{name} ({error.strerror or error})")
        return True
    if binary:
        skipped.append(f"{name} (binary)")
    return binary
