"""A model as a program (providers.md 11.1): it gives the replies of a JSON file, one for each request.

A reply is a text, or an object: `text` with `delta` (characters a piece), `hang` (say nothing more), `touch` (make that
file first), `error` (fail with that message).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    replies: list[Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("cancel"):
            continue
        reply = replies.pop(0)
        answer(request, {"text": reply} if isinstance(reply, str) else reply)


def answer(request: dict[str, Any], reply: dict[str, Any]) -> None:
    number = request["id"]
    if "touch" in reply:
        Path(reply["touch"]).write_text(json.dumps(request), encoding="utf-8")
    if "error" in reply:
        say({"id": number, "error": {"message": reply["error"], "retryable": False}})
        return
    text = reply.get("text", "")
    size = reply.get("delta", 7)
    for start in range(0, len(text), size):
        say({"id": number, "delta": text[start : start + size]})
    if not reply.get("hang"):
        say({"id": number, "text": text, "usage": {"input": 100, "output": 20}})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
