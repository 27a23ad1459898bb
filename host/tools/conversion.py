"""Converting documents that may be hostile into text, in a process with limits of its own.

A hostile PDF or page can make any reader of it compute and allocate without end, and no thread can be stopped.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from lash.host.tools.conversion_child import CUT, OUTPUT_BYTES, UNREADABLE

WALL_S: Final = 60.0
"""How long a conversion may take at most; its process has a shorter limit for the time that it computes."""

_CHILD: Final = str(Path(__file__).with_name("conversion_child.py"))
_KEPT: Final = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME")


class ConversionError(Exception):
    """A document could not be converted; the text says why."""


async def converted(script: Path, data: bytes) -> tuple[bytes, bool]:
    """What the converter in a script makes of data, and whether that is all of it.

    `lash.host.tools.conversion_child` says what a converter is. Raises ConversionError.
    """
    env = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
    # -P: the script's folder may have modules of the names of the standard library's.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", _CHILD, str(script)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WALL_S):
            output, reason = await child.communicate(data)
    except TimeoutError:
        raise ConversionError(f"it did not end within {WALL_S:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == UNREADABLE:
        raise ConversionError(reason.decode("utf-8", "replace"))
    if child.returncode not in (0, CUT):
        raise ConversionError("it takes too much time or memory")
    return output[:OUTPUT_BYTES], child.returncode == 0
