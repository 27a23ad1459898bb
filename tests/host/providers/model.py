"""A program that plays the model of a command provider: the last message says what it does."""

import json
import os
import signal
import subprocess
import sys


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


held: list[str] = []
cancelled: list[str] = []
for raw in sys.stdin:
    request = json.loads(raw)
    call = request["id"]
    if request.get("cancel"):
        cancelled.append(call)
        continue
    word, _, rest = request["messages"][-1]["content"].partition(" ")
    match word:
        case "stream":
            for piece in rest:
                say(id=call, delta=piece)
            say(id=call, text=rest, usage={"input": 3, "output": 2, "cached": 1}, stop="output_limit")
        case "hold":
            say(id=call, delta="held")
            held.append(call)
        case "release":
            say(id=call, text="released")
            for other in reversed(held):
                say(id=other, text=f"late {other}")
            held.clear()
        case "error":
            say(id=call, error=json.loads(rest))
        case "exit":
            print("last words", file=sys.stderr, flush=True)
            sys.exit(int(rest))
        case "exit-once":
            if not os.path.exists(rest):
                open(rest, "w").close()
                sys.exit(4)
            say(id=call, text="again")
        case "raw":
            print(rest, flush=True)
            say(id=call, text="after")
        case "cancelled":
            say(id=call, text=",".join(cancelled))
        case "ignore-signals":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say(id=call, text="deaf")
        case "child":
            child = subprocess.Popen(["sleep", "1000"])
            say(id=call, text=str(child.pid))
        case "stray":
            stray = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            say(id=call, text=str(stray.pid))
        case "pid":
            say(id=call, text=str(os.getpid()))
        case "long":
            print("x" * (16 * 1024 * 1024 + 2), flush=True)
        case "endless":
            while True:
                print("x" * 1024 * 1024, end="", flush=True)
        case "close-stdin":
            os.close(0)
            say(id=call, text="closed")
            signal.pause()
        case _:
            say(id=call, text=json.dumps(request))
if "deaf" in sys.argv:
    signal.pause()
