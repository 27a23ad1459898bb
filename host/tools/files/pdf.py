"""The text of PDFs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lash.host.tools.conversion import ConversionError, converted
from lash.runtime.tools.result import ToolError

SUFFIX: Final = ".pdf"

_CONVERTER: Final = Path(__file__).with_name("pdf_child.py")


async def pdf_text(data: bytes, shown: str) -> tuple[bytes, bool]:
    """The text of a PDF as UTF-8, and whether that is all of it. ToolError where there is none to be had."""
    try:
        return await converted(_CONVERTER, data)
    except ConversionError as error:
        raise ToolError(f"{shown}: this PDF cannot be read: {error}") from None
