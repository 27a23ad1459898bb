"""The text of PDFs, extracted in a process with limits of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from lash.host.tools.files.pdf_child import CUT, TEXT_BYTES, UNREADABLE
from lash.runtime.tools.result import ToolError

SUFFIX: Final = ".pdf"
WALL_S: Final = 60.0
"""How long the process may take at most; it has a shorter limit for the time that it computes."""

_CHILD: Final = str(Path(__file__).with_name("pdf_child.py"))
_KEPT: Final = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME")


async def pdf_text(data: bytes, shown: str) -> tuple[bytes, bool]:
    """The text of a PDF as UTF-8, and whether that is all of it. ToolError where there is none to be had."""
    env = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
    # -P: the script's folder has modules of the names of the standard library's.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", _CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WALL_S):
            text, reason = await child.communicate(data)
    except TimeoutError:
        raise ToolError(f"{shown}: the text of this PDF could not be extracted in {WALL_S:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == UNREADABLE:
        raise ToolError(f"{shown}: this PDF cannot be read: {reason.decode('utf-8', 'replace')}")
    if child.returncode not in (0, CUT):
        raise ToolError(f"{shown}: this PDF takes too much time or memory to be read")
    return text[:TEXT_BYTES], child.returncode == 0
