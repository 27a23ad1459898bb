"""The main demonstration: a question about several megabytes of text, answered by programs that a model writes.

    python examples/agent.py [QUESTION] [--kill-after N] [--home DIR] [--model NAME] [--base-url URL]

The text is the source of Python's standard library, some twelve million characters of which the model reads only what
its programs slice, count and search. With ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment, or with --base-url,
a live model answers; without, a recorded one, which knows the standard question only, and the demo says so.
--kill-after N kills the process in its N-th tool call, as a crash would, and a second one finishes the turn: what was
recorded is not done again. The session stays in SQLite, where `lash sessions show` finds it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import lash
from lash import TurnEvent
from lash.durability import JournalEffectHost
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.provider import AnthropicProvider, LlmRequest, OpenAICompatibleProvider, OpenAIProvider, ProviderHandle
from lash.testing.scripted import ScriptedProvider, Step, reply
from lashlang import TextSource

sys.path.insert(0, str(Path(__file__).resolve().parent))

from stdlib_research.replies import REPLIES

QUESTION = (
    "Which packages of Python's standard library raise NotImplementedError most often, which define the most "
    "coroutines, and which mention DeprecationWarning most? Name the top three of each with their counts."
)
LIBRARY = Path(sysconfig.get_paths()["stdlib"])
SESSION = "research"
LEASE_S = 3.0
"""How long a killed process keeps its session: short, so that the demo goes on soon."""
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
VICTIM = "LASH_DEMO_VICTIM"
"""Set in the environment of the process that is to be killed."""


class Package(BaseModel):
    """One package and how often something was found in it."""

    name: str
    count: int


class Topic(BaseModel):
    """One part of the question, with its packages, the first with the most."""

    topic: str
    packages: list[Package]


class Answer(BaseModel):
    """What the turn has to end with."""

    files: int
    topics: list[Topic]
    note: str = ""


def sources() -> list[tuple[str, str]]:
    """The library's modules, tests and installed packages left out: path and text."""
    files = sorted(LIBRARY.rglob("*.py"))
    left_out = {"site-packages", "test", "tests", "idle_test"}
    return [
        (str(path.relative_to(LIBRARY)), path.read_text(encoding="utf-8", errors="replace"))
        for path in files
        if not left_out & set(path.relative_to(LIBRARY).parts)
    ]


class Library:
    """The app's side: texts, and a tool to search them."""

    def __init__(self, kill_after: int | None) -> None:
        self.texts = sources()
        self._kill_after = kill_after
        self._calls = 0

    @lash.tool
    async def search(self, pattern: str) -> list[dict[str, Any]]:
        """Count the lines of every module that match a regular expression.

        Args:
            pattern: as Python's `re` takes it; matched against each line from its beginning

        Returns:
            the path and count of every module with at least one such line
        """
        self._calls += 1
        if self._calls == self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        wanted = re.compile(pattern, re.MULTILINE)
        counts = await asyncio.to_thread(lambda: [(path, len(wanted.findall(text))) for path, text in self.texts])
        return [{"path": path, "count": count} for path, count in counts if count]


def model(options: argparse.Namespace) -> tuple[ProviderHandle, str]:
    """Who answers, and the name of the model."""
    name: str
    if options.base_url:
        name = options.model or "default"
        provider = OpenAICompatibleProvider(options.base_url, api_key=os.environ.get("OPENAI_COMPATIBLE_API_KEY", ""))
    elif key := os.environ.get("ANTHROPIC_API_KEY"):
        name, provider = options.model or "claude-sonnet-4-6", AnthropicProvider(key)
    elif key := os.environ.get("OPENAI_API_KEY"):
        name, provider = options.model or "gpt-5.4", OpenAIProvider(key)
    else:
        say("No key is set, so a recorded model answers. What its programs find is found here and now.")
        return ScriptedProvider([recorded] * len(REPLIES)), "recorded"
    say(f"{name} answers.")
    return provider, name


def recorded(request: LlmRequest) -> Step:
    """What the recorded model says next: one reply for each that the conversation has."""
    return reply(REPLIES[sum(message.role == "assistant" for message in request.messages)], chunk=24)


def say(text: str) -> None:
    """A line about what goes on."""
    print(text, file=sys.stderr, flush=True)


class Screen:
    """Shows a turn as it runs, and of a turn that goes on what comes from the journal."""

    def __init__(self) -> None:
        self._recorded = False

    async def emit(self, activity: lash.TurnActivity) -> None:
        """Show one activity."""
        if activity.replayed != self._recorded:
            self._recorded = activity.replayed
            say("\n[from the journal]" if activity.replayed else "\n[from here on for the first time]")
        match activity.event:
            case TurnEvent.AssistantProseDelta(text=text):
                print(text, end="", file=sys.stderr, flush=True)
            case TurnEvent.CodeBlockStarted(code=code):
                say("\n" + "\n".join(f"    | {line}" for line in code.splitlines()))
            case TurnEvent.ToolCallCompleted(name=name, args=args, duration_ms=ms):
                say(f"    * {name} {args}: {ms} ms")
            case TurnEvent.CodeOutput(text=text):
                say(f"    > {text if len(text) <= 160 else text[:160] + '…'}")
            case TurnEvent.CodeBlockCompleted(error=str(error)):
                say(f"    ! {error}")
            case _:
                return


async def answer(options: argparse.Namespace, home: Path) -> int:
    """Run the turn, or go on with one that was killed."""
    library = Library(options.kill_after)
    provider, name = model(options)
    core = lash.LashCore.rlm(
        provider=provider,
        model=name,
        max_context_tokens=options.max_context_tokens,
        tools=[library],
        store=SqliteSessionStoreFactory(home / "sessions"),
        attachments=FileAttachmentStore(home / "attachments"),
        effect_host=JournalEffectHost(home / "journal.db", lease_s=LEASE_S),
        lease=lash.LeaseTimings(ttl_s=LEASE_S, renew_s=LEASE_S / 3),
    )
    # Each text is read where a program asks for a part of it, and never as a whole.
    texts = [{"path": path, "text": TextSource(text)} for path, text in library.texts]
    async with core, core.session(SESSION, projected={"sources": texts}) as session:
        if options.resume:
            result = await session.resume_turn(sink=Screen(), wait_if_busy=2 * LEASE_S)
        else:
            result = await session.turn(options.question, require_submit=Answer, sink=Screen())
        if not result.is_success():
            say(f"The turn ended without an answer: {result.outcome}")
            return 1
        print(result.submitted_as(Answer).model_dump_json(indent=2))
        tokens = result.total_usage().total()
        say(f"\nTurn {result.turn_index} is stored{f'; it took {tokens:,} tokens' if tokens else ''}. See it with")
        # The command is where this interpreter is; it is on the PATH only where somebody put it there.
        say(f"    LASH_HOME={home} {Path(sys.executable).with_name('lash')} sessions show {SESSION}")
        return 0


def main() -> int:
    """Answer the question; 1 where the turn did not end with an answer."""
    parser = argparse.ArgumentParser(description="Ask a question about the sources of Python's standard library.")
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument(
        "--kill-after", metavar="N", type=int, help="die in the N-th tool call; a second process resumes"
    )
    parser.add_argument("--home", metavar="DIR", type=Path, help="where the session is kept (default: a new folder)")
    parser.add_argument("--model", metavar="NAME")
    parser.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint")
    parser.add_argument("--max-context-tokens", metavar="N", type=int, default=200_000)
    parser.add_argument("--resume", action="store_true", help="go on with the turn that was killed in --home")
    options = parser.parse_args()
    if options.question != QUESTION and not (options.base_url or any(os.environ.get(key) for key in KEYS)):
        parser.error(f"the recorded model answers one question only; for another set {' or '.join(KEYS)}")
    home: Path = options.home or Path(tempfile.mkdtemp(prefix="lash-demo-"))
    if options.kill_after is None:
        return asyncio.run(answer(options, home))
    if os.environ.get(VICTIM):
        return asyncio.run(answer(options, home))
    command = [sys.executable, __file__, *sys.argv[1:], "--home", str(home)]
    died = subprocess.run(command, env=os.environ | {VICTIM: "1"}, check=False)
    if died.returncode != -signal.SIGKILL:
        return died.returncode
    say("\n--- That process is dead. A second one goes on. ---\n")
    options.kill_after, options.resume = None, True
    return asyncio.run(answer(options, home))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except lash.LashError as problem:
        sys.exit(f"agent.py: {problem}")
