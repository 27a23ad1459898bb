"""What a person sees of a turn of `board.py`, and how they are asked."""

from __future__ import annotations

import asyncio
import sys
import threading

import lash
from lash import TurnEvent


class Terminal:
    """Shows a turn while it runs, and asks for approvals."""

    def __init__(self, approve: str) -> None:
        self._approve = approve
        self._in_line = False

    async def emit(self, activity: lash.TurnActivity) -> None:
        """Show one activity."""
        match activity.event:
            case TurnEvent.AssistantProseDelta(text=text):
                print(text, end="", flush=True)
                self._in_line = not text.endswith("\n")
            case TurnEvent.CodeBlockStarted(code=code):
                self.say("\n".join(f"    | {line}" for line in code.splitlines()))
            case TurnEvent.ToolCallCompleted(name=name, args=args, output=output):
                self.say(f"  * {name} {args}" + (f": {output.failure.message}" if output.type == "failure" else ""))
            case TurnEvent.CodeBlockCompleted(error=str(error)):
                self.say(f"    ! {error}")
            case _:
                return

    def say(self, text: str) -> None:
        """A line of its own."""
        print("\n" * self._in_line + text, flush=True)
        self._in_line = False

    async def ask(self, question: lash.PendingApproval) -> lash.Approve | lash.Deny:
        """Answer an approval, by the option or by what is typed."""
        said = self._approve if self._approve != "ask" else await typed(f"  {question.reason}. Allow it? [y/N] ")
        return lash.Approve() if said.strip().lower() in ("y", "yes") else lash.Deny("the user said no")


async def typed(prompt: str) -> str:
    """A line from the terminal, read in a thread that no exit waits for; nothing at the end of the input."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        print(prompt, end="", flush=True)
        text = sys.stdin.readline()
        loop.call_soon_threadsafe(lambda: line.done() or line.set_result(text))

    threading.Thread(target=read, daemon=True).start()
    return await line
