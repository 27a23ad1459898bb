"""The main demonstration: a question about several megabytes of text, answered by programs that a model writes.

    python examples/agent.py [QUESTION] [--kill-after N] [--folder DIR] [--model NAME] [--base-url URL]

The text is the source of Python's standard library, some twelve million characters of which the model reads only what
its programs slice, count and search. With ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment, or with --base-url,
a live model answers; without, a recorded one, and the demo says so. --kill-after N kills the process after its N-th
tool call, as a crash would, and a second one finishes the turn: what was recorded is not done again.
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
from lash.host.effects.journal import JournalEffectHost
from lash.host.providers import register_all
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.system import RandomIds, SystemClock
from lash.runtime.providers.registry import ProviderRegistry, Surroundings
from lash.testing.scripted import ScriptedProvider, reply
from lashlang import TextSource

sys.path.insert(0, str(Path(__file__).resolve().parent))

from stdlib_research.replies import REPLIES

QUESTION = (
    "Which packages of Python's standard library raise NotImplementedError most often, which define the most "
    "coroutines, and which mention DeprecationWarning most? Name the top three of each with their counts."
)
LIBRARY = Path(sysconfig.get_paths()["stdlib"])
LEASE_S = 3.0
"""How long a killed process keeps its session: short, so that the demo goes on soon."""


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


def model(options: argparse.Namespace, turn_begun: bool) -> tuple[lash.ProviderHandle, str]:
    """Who answers, and the name of the model."""
    kinds: dict[str, dict[str, Any]] = {}
    if options.base_url:
        key = os.environ.get("OPENAI_COMPATIBLE_API_KEY", "")
        kinds[options.model or "default"] = {"type": "openai-compatible", "base_url": options.base_url, "api_key": key}
    elif key := os.environ.get("ANTHROPIC_API_KEY"):
        kinds[options.model or "claude-sonnet-4-6"] = {"type": "anthropic", "api_key": key}
    elif key := os.environ.get("OPENAI_API_KEY"):
        kinds[options.model or "gpt-5.4"] = {"type": "openai", "api_key": key}
    if not kinds:
        say("No key is set: a recorded model answers. Its programs run for real.")
        # Of a turn that goes on, the journal answers the replies that were recorded.
        return ScriptedProvider(
            [reply(text, chunk=24) for text in (REPLIES[2:] if turn_begun else REPLIES)]
        ), "recorded"
    registry = ProviderRegistry(Surroundings(clock=SystemClock()))
    register_all(registry)
    ((name, spec),) = kinds.items()
    say(f"{name} answers.")
    return registry.build(spec), name


def say(text: str) -> None:
    """A line about what goes on."""
    print(text, file=sys.stderr, flush=True)


class Screen:
    """Shows a turn as it runs."""

    async def emit(self, activity: lash.TurnActivity) -> None:
        """Show one activity."""
        again = " (from the journal)" if activity.replayed else ""
        match activity.event:
            case TurnEvent.AssistantProseDelta(text=text):
                print(text, end="", file=sys.stderr, flush=True)
            case TurnEvent.CodeBlockStarted(code=code):
                say("\n" + "\n".join(f"    | {line}" for line in code.splitlines()))
            case TurnEvent.ToolCallCompleted(name=name, args=args, duration_ms=ms):
                say(f"    * {name} {args}: {ms} ms{again}")
            case TurnEvent.CodeOutput(text=text):
                say(f"    > {text[:160]}")
            case TurnEvent.CodeBlockCompleted(error=str(error)):
                say(f"    ! {error}")
            case _:
                return


async def answer(options: argparse.Namespace, folder: Path) -> int:
    """Run the turn, or go on with one that was killed."""
    clock, ids = SystemClock(), RandomIds()
    host = JournalEffectHost(folder / "journal.db", clock=clock, ids=ids, lease_s=LEASE_S)
    library = Library(options.kill_after)
    projected = [{"path": path, "text": TextSource(text)} for path, text in library.texts]
    provider, name = model(options, options.resume)
    core = lash.LashCore.rlm(
        provider=provider,
        model=name,
        max_context_tokens=options.max_context_tokens,
        tools=[library],
        store=SqliteSessionStoreFactory(folder / "sessions"),
        attachments=FileAttachmentStore(folder / "attachments"),
        effect_host=host,
        lease=lash.LeaseTimings(ttl_s=LEASE_S, renew_s=LEASE_S / 3),
    )
    async with core, core.session("research", projected={"sources": as_projection(projected)}) as session:
        if options.resume:
            turn = await session.resume_turn(sink=Screen())
        else:
            turn = session.turn(options.question, require_submit=Answer, sink=Screen())
        result = await turn
        await host.aclose()
        if not result.is_success():
            say(f"The turn ended as {result.outcome}")
            return 1
        print(result.submitted_as(Answer).model_dump_json(indent=2))
        tokens = result.total_usage().total()
        say(f"Turn {result.turn_id} is stored in {folder}" + (f", {tokens:,} tokens." if tokens else "."))
        return 0


def as_projection(values: list[dict[str, Any]]) -> Any:
    """The texts as one value whose parts are read lazily."""
    from lashlang import JsonSource

    return JsonSource(values)


def main() -> int:
    """Answer the question; 1 where the turn did not end with an answer."""
    parser = argparse.ArgumentParser(description="Ask a question about the sources of Python's standard library.")
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--kill-after", metavar="N", type=int, help="die at the N-th tool call, then resume")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where the session is kept")
    parser.add_argument("--model", metavar="NAME")
    parser.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint")
    parser.add_argument("--max-context-tokens", metavar="N", type=int, default=200_000)
    parser.add_argument("--resume", action="store_true", help="go on with the turn that was killed in --folder")
    options = parser.parse_args()
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="lash-demo-"))
    if options.kill_after and not options.resume:
        command = [sys.executable, __file__, options.question, "--folder", str(folder), "--kill-after"]
        if options.model:
            command += ["--model", options.model]
        if os.environ.get("LASH_DEMO_CHILD") != "1":
            environment = os.environ | {"LASH_DEMO_CHILD": "1"}
            died = subprocess.run([*command, str(options.kill_after)], env=environment, check=False)
            if died.returncode != -signal.SIGKILL:
                return died.returncode
            say("\n--- the process was killed; a second one goes on ---\n")
            options.kill_after, options.resume = None, True
    return asyncio.run(answer(options, folder))


if __name__ == "__main__":
    sys.exit(main())
