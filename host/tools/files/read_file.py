"""The tool `read_file`: a window of a text, an image, the text of a PDF, the names in a directory (plugins.md 13.2)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import closing
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO, Final, Literal

from pydantic import Field

from lash.host.stores.images import sniff
from lash.host.tools.files.pdf import SUFFIX, pdf_text
from lash.host.tools.files.resolved import ResolvedPath, one_line
from lash.host.tools.files.tool import READING, FileTool, stop_if
from lash.host.tools.files.window import OUTPUT_BYTES, Lines, window
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, call_in_thread
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.result import ToolError

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
IMAGE_BYTES: Final = 20 << 20
_HEAD_BYTES: Final = 8192
"""Where a NUL says that a file is no text."""

_PIECE_BYTES: Final = 1 << 18


class ReadFile(FileTool):
    """`read_file` under a policy. `ReadFilePluginFactory` makes a plugin of it."""

    @tool(retry=READING, mutates=False)
    async def read_file(
        self,
        ctx: ToolContext,
        path: str,
        offset: Annotated[int, Field(ge=1)] = 1,
        limit: Annotated[int, Field(ge=1)] = 2000,
    ) -> str | AttachmentRef:
        """Read a file as numbered lines (`N: text`), at most 2000 lines and 50 KB at a time.

        An image is shown to you, of a PDF you get the text, of a directory the names in it.

        Args:
            path: The file, relative to the working directory or absolute.
            offset: The first line to show, from 1.
            limit: How many lines to show.
        """
        token = ctx.cancel_token
        found, kind = await call_in_thread(ctx, lambda: self._look(path))
        if kind == "dir":
            return await call_in_thread(ctx, lambda: self._names_window(found, offset, limit, token))
        suffix = PurePosixPath(found.real.name).suffix.lower()
        if suffix in IMAGE_SUFFIXES and (image := await call_in_thread(ctx, lambda: _image(found))) is not None:
            return await ctx.put_attachment(image, label=_image_label(found, image))
        if suffix == SUFFIX and (data := await call_in_thread(ctx, lambda: _pdf(found))) is not None:
            text, whole = await pdf_text(data, found.shown)
            return _pdf_window(found, len(data), text, whole, offset, limit)
        most = self.policy.max_read_bytes
        return await call_in_thread(ctx, lambda: _text_window(found, offset, limit, token, most))

    def _look(self, path: str) -> tuple[ResolvedPath, Literal["file", "dir"]]:
        found = self.policy.resolve(path)
        kind = found.kind()
        if kind is None:
            raise ToolError(f"There is no file {found.shown}: look for it with `ls` or `glob`")
        return found, kind

    def _names_window(self, found: ResolvedPath, offset: int, limit: int, token: CancelToken) -> str:
        total = 0

        def names() -> Iterator[str]:
            nonlocal total
            denied = self.policy.denied_in(found.real)
            with found.folder() as folder, closing(folder.entries()) as entries:
                for entry in entries:
                    stop_if(token)
                    if not denied(entry.name):
                        total += 1
                        yield (
                            f"{one_line(entry.name)}/" if entry.is_dir(follow_symlinks=False) else one_line(entry.name)
                        )

        # No more names are held than are shown, for a directory may have millions; a row takes four bytes and more.
        first = "\n".join(heapq.nsmallest(offset - 1 + min(limit, OUTPUT_BYTES // 4), names()))
        hint = f"{found.shown} is a directory; the names in it ({total}), which `ls` and `glob` tell more of:"
        return window(Lines(iter([first.encode()])), offset, limit, header=hint, total=total)


def _image(found: ResolvedPath) -> bytes | None:
    """The bytes of a file that is an image, whatever its name says; ToolError for one that is too large to be shown."""
    with found.open(any_size=True) as file:
        if sniff(_head(file)) is None:
            return None
    size = found.stat().st_size
    if size > IMAGE_BYTES:
        raise ToolError(
            f"{found.shown} is an image of {size} bytes; at most {IMAGE_BYTES} bytes can be shown",
            cls="resource_limit",
            code="file_too_large",
        )
    return found.read()


def _image_label(found: ResolvedPath, data: bytes) -> str:
    info = sniff(data)
    size = f" {info.width}x{info.height}" if info is not None and info.width is not None else ""
    return f"{found.shown} ({_kilobytes(len(data))}{size})"


def _pdf(found: ResolvedPath) -> bytes | None:
    """The bytes of a file that is a PDF, whatever its name says."""
    with found.open() as file:
        if b"%PDF-" not in _head(file):
            return None
    return found.read()


def _pdf_window(found: ResolvedPath, size: int, text: bytes, whole: bool, offset: int, limit: int) -> str:
    total = Lines(iter([text])).count(len(text))
    cut = "" if whole else ", the rest is left out"
    header = f"[PDF: {found.shown} ({_kilobytes(size)}, {total} lines extracted{cut})]"
    return window(Lines(iter([text])), offset, limit, header=header, total=total)


def _text_window(found: ResolvedPath, offset: int, limit: int, token: CancelToken, count_bytes: int) -> str:
    with found.open(any_size=True) as file:
        head = _head(file)
        if b"\0" in head:
            raise ToolError(f"Binary file detected: {found.shown} cannot be shown as text")

        def pieces() -> Iterator[bytes]:
            piece = head
            while piece:
                stop_if(token)
                yield piece
                piece = file.read(_PIECE_BYTES)

        return window(Lines(pieces()), offset, limit, count_bytes=count_bytes)


def _head(file: BinaryIO) -> bytes:
    """The beginning of a file; nothing of one that has nothing ready, as some files of `/proc` have."""
    return file.read(_HEAD_BYTES) or b""


def _kilobytes(size: int) -> str:
    return f"{max(1, round(size / 1024))}KB"
