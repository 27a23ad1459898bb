"""The text of a PDF, from stdin to stdout, in a process of its own.

A hostile PDF can make any reader of it compute and allocate without end, and no thread can be stopped. So this runs as
a script with limits on its memory and its time; it imports nothing of lash.

Exit codes: 0 the whole text, 3 as much of it as is allowed, 4 no text, for the reason on stderr.
"""

from __future__ import annotations

import io
import logging
import sys

MEMORY_BYTES = 1 << 30
CPU_S = 20
TEXT_BYTES = 16 << 20
CUT, UNREADABLE = 3, 4


def limit() -> None:
    """Bound memory and time of this process, where the platform can."""
    try:
        import resource  # Windows has none
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        _, hard = resource.getrlimit(what)
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (wanted, wanted))
        except (ValueError, OSError):
            continue  # macOS knows RLIMIT_AS and does not let it be set


def main() -> int:
    """Read, extract, write; the exit code."""
    limit()
    logging.disable()  # what pypdf has to say of a file would fill stderr
    from pypdf import PdfReader  # under the limits, and not where only the constants are wanted

    try:
        reader = PdfReader(io.BytesIO(sys.stdin.buffer.read()))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it is encrypted")
        written = 0
        for page in reader.pages:
            text = page.extract_text().rstrip()
            data = f"{text}\n".encode("utf-8", "replace") if text else b""
            sys.stdout.buffer.write(data[: TEXT_BYTES - written])
            written += len(data)
            if written > TEXT_BYTES:
                return CUT
    except MemoryError:
        reason = "it takes too much memory"
    except Exception as error:  # a reader of hostile files may raise anything
        reason = str(error) or type(error).__name__
    else:
        return 0
    sys.stderr.write(reason.replace("\n", " ")[:500])
    return UNREADABLE


if __name__ == "__main__":
    sys.exit(main())
