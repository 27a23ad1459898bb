"""A server of the tests' own that speaks plain JSON-RPC on its stdin and stdout, and misbehaves as it is told.

    python raw_server.py [HOW]

HOW is how it starts: `dies`, `silent`, `noisy` (lines before the first message), `pages` (never a last one), `crowd`
(very many tools), `odd` (tools as nobody should write them). Its tools do what their names say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
CYCLE: dict[str, Any] = {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}
PLAIN = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = (
    "echo die garbage long_line endless_line stderr wrong_id unparsable unparsable_last silent asks progress env "
    "secret raises no_content bad_image huge_error pid requests grandchild list_changed null_result"
).split()


def deep(levels: int) -> dict[str, Any]:
    """A schema of objects in objects."""
    return {"type": "object", "properties": {"x": deep(levels - 1)}} if levels else {"type": "string"}


ODD: list[Any] = [
    {"name": "good", "inputSchema": PLAIN, "description": "Still here."},
    {"name": "no schema"},
    {"name": 7, "inputSchema": PLAIN},
    "no tool at all",
    {"name": "text schema", "inputSchema": "object"},
    {"name": "array", "inputSchema": {"type": "array"}},
    {"name": "broken", "inputSchema": {"type": "object", "properties": {"a": {"type": "nothing"}}}},
    {"name": "list of properties", "inputSchema": {"type": "object", "properties": ["a"]}},
    {"name": "boolean", "inputSchema": {"type": "object", "properties": {"any": True, "none": False}}},
    {"name": "cycle", "inputSchema": {"type": "object", "properties": {"a": CYCLE["$defs"]["a"]}} | CYCLE},
    {"name": "dangling", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}}},
    {"name": "remote", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}},
    {"name": "deep", "inputSchema": {"type": "object", "properties": {"a": deep(60)}}},
    {"name": "huge", "inputSchema": {"type": "object", "description": "x" * 200_000}},
    {"name": "bad output", "inputSchema": PLAIN, "outputSchema": {"type": 3}},
    {"name": "🙂 näme/with:signs\n", "inputSchema": PLAIN},
    {"name": "x" * 1_000_000, "inputSchema": PLAIN},
    {"name": "talkative", "inputSchema": PLAIN, "description": "\x1b[31mred\x00\u202e " + "y" * (1 << 20)},
    {"name": "odd hints", "inputSchema": PLAIN, "annotations": 5, "title": ["no text"]},
    {"name": "good", "inputSchema": PLAIN, "description": "A second one."},
    {"name": "odd properties", "inputSchema": {"type": "object", "properties": {"a b": {}, "": {}, "`\n```": {}}}},
]


def say(message: dict[str, Any]) -> None:
    line(json.dumps({"jsonrpc": "2.0", **message}))


def line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def answer(number: int, text: str) -> None:
    say({"id": number, "result": {"content": [{"type": "text", "text": text}]}})


def listed(cursor: str | None) -> dict[str, Any]:
    if HOW == "pages":
        number = int(cursor or 0) + 1
        return {"tools": [{"name": f"tool {number}", "inputSchema": PLAIN}], "nextCursor": str(number)}
    if HOW == "crowd":
        return {"tools": [{"name": f"tool {number}", "inputSchema": PLAIN} for number in range(100_000)]}
    if HOW == "odd":
        return {"tools": ODD}
    tools: list[dict[str, Any]] = [{"name": name, "inputSchema": PLAIN} for name in TOOLS]
    tools[0]["annotations"] = {"readOnlyHint": True}
    if CHANGED:
        tools.append({"name": "new", "inputSchema": PLAIN})
    return {"tools": tools}


CHANGED: list[bool] = []
ASKED: list[int] = []


def call(request: int, name: str, args: dict[str, Any]) -> None:
    match name:
        case "die":
            os._exit(3)
        case "garbage":
            for _ in range(int(args.get("text", "20"))):
                line("this is no message")
            answer(request, "after garbage")
        case "long_line":
            answer(request, "x" * int(args["text"]))
        case "endless_line":
            while True:
                sys.stdout.write("x" * 65536)
        case "stderr":
            for _ in range(20_000):
                sys.stderr.write("all work and no play makes a dull log\n")
            sys.stderr.write("z" * 1_000_000)
            sys.stderr.flush()
            answer(request, "after noise")
        case "wrong_id":
            answer(request + 1000, "for somebody else")
            say({"id": None, "error": {"code": -1, "message": "for nobody"}})
            say({"id": {"an": "object"}, "result": {}})
        case "unparsable":
            line('{"jsonrpc":"2.0","id":' + str(request) + ',"result":{"content":[{"type":')
        case "unparsable_last":
            line('{"result":{"content":[1,},"jsonrpc":"2.0","id":' + str(request) + "}")
        case "silent":
            return
        case "asks":
            say({"id": 77, "method": "elicitation/create", "params": {"message": "?", "requestedSchema": PLAIN}})
            ASKED.append(request)
        case "progress":
            for number in range(20_000):
                params = {"progressToken": request, "progress": number, "message": "m" * 100}
                say({"method": "notifications/progress", "params": params})
                say({"method": "notifications/message", "params": {"level": "info", "data": "d"}})
            answer(request, "after progress")
        case "env":
            answer(request, os.environ.get(args["text"], "unset"))
        case "secret":
            say({"id": request, "error": {"code": -5, "message": f"the key is {os.environ['SERVER_TOKEN']}"}})
        case "raises":
            say({"id": request, "error": {"code": int(args["text"]), "message": "said the server"}})
        case "no_content":
            say({"id": request, "result": {"structuredContent": {"n": 1}}})
        case "null_result":
            say({"id": request, "result": None})
        case "bad_image":
            image = {"type": "image", "data": "%%%", "mimeType": "image/png"}
            say({"id": request, "result": {"content": [image]}})
        case "huge_error":
            content = [{"type": "text", "text": "e" * 500_000}]
            say({"id": request, "result": {"isError": True, "content": content}})
        case "pid":
            answer(request, str(os.getpid()))
        case "requests":
            for number in range(10_000):
                say({"id": 1000 + number, "method": "ping"})
            time.sleep(3600)
        case "grandchild":
            child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
            answer(request, str(child.pid))
        case "list_changed":
            CHANGED.append(True)
            for _ in range(1000):
                say({"method": "notifications/tools/list_changed"})
            answer(request, "changed")
        case _:
            answer(request, args.get("text", ""))


def main() -> None:
    if HOW == "dies":
        sys.stderr.write(f"no licence for {os.environ.get('SERVER_TOKEN', 'anybody')}\n")
        sys.exit(4)
    if HOW == "noisy":
        for number in range(50):
            line(f"loading module {number}")
    for text in sys.stdin:
        message = json.loads(text)
        if message.get("id") == 77 and "error" in message:
            content = [{"type": "text", "text": f"no input: {message['error']['message']}"}]
            say({"id": ASKED.pop(), "result": {"isError": True, "content": content}})
        if "id" not in message or "method" not in message or HOW == "silent":
            continue
        params: dict[str, Any] = message.get("params") or {}
        match message["method"]:
            case "initialize":
                capabilities = {"tools": {"listChanged": True}}
                info = {"name": "raw", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
                say({"id": message["id"], "result": result})
            case "tools/list":
                say({"id": message["id"], "result": listed(params.get("cursor"))})
            case "tools/call":
                call(message["id"], params["name"], params.get("arguments") or {})
            case _:
                say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})


if __name__ == "__main__":
    main()
