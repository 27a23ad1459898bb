"""The process of a conversion: a document from stdin, what a converter makes of it to stdout.

It runs as a script with limits on its memory and its time, and imports nothing of lash. Its argument is the path of
another script, which defines the converter: `convert(data: bytes) -> Iterable[bytes]`, the output in pieces.

Exit codes: 0 the whole output, 3 as much of it as is allowed, 4 none, for the reason on stderr.
"""

from __future__ import annotations

import logging
import runpy
import sys

MEMORY_BYTES = 1 << 30
CPU_S = 20
OUTPUT_BYTES = 16 << 20
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


def main(script: str) -> int:
    """Read, convert, write; the exit code."""
    limit()
    logging.disable()  # what the libraries have to say of a document would fill stderr
    try:
        convert = runpy.run_path(script)["convert"]
        written = 0
        for piece in convert(sys.stdin.buffer.read()):
            sys.stdout.buffer.write(piece[: OUTPUT_BYTES - written])
            written += len(piece)
            if written > OUTPUT_BYTES:
                return CUT
    except MemoryError:
        reason = "it takes too much memory"
    except Exception as error:  # a reader of hostile documents may raise anything
        reason = str(error) or type(error).__name__
    else:
        return 0
    sys.stderr.buffer.write(reason.replace("\n", " ")[:500].encode("utf-8", "replace"))
    return UNREADABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
