"""The model as files in a directory (providers.md 11.1): `request-N.json` goes out, `reply-N.txt` or `.json` comes in.

A reply file counts once its size has stood still for a second, so that it may be written in pieces; an empty one does
not count yet. When a reply has been taken, the empty file `reply-N.taken` says so. A request without that mark, if it
is equal to the one to be made, is taken up again with whatever reply it has: a turn that was killed and is resumed
asks nothing twice, even if the answer came in between.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

from lash.host.providers.command_wire import (
    MAX_LINE_BYTES,
    Answer,
    Delta,
    malformed,
    parse_object,
    read_answer,
    request_document,
    text_response,
)
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderReliability
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

FILES_PROFILE = ProviderReliability(idle_timeout_ms=24 * 3_600_000, attempt_timeout_ms=None)
"""Its own defaults: who answers may be a person."""

POLL_S = 0.2
STILL_S = 1.0
"""How long a reply's size has to stand still."""

_NUMBERED = re.compile(r"(?:request|reply)-([1-9][0-9]*)\.(?:json|txt|taken)")


class FilesTransport:
    """The wire to whoever answers with files. Files are small and local, so they are read and written in place."""

    requires_streaming = False

    def __init__(self, directory: str, state: ProviderState, clock: Clock) -> None:
        self._directory = Path(directory)
        self._state = state
        self._clock = clock
        self._waiting: set[int] = set()

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Ask, wait for the reply, mark it as taken; raises ProviderFailure."""
        document = request_document("", request, self._state.options.output_bound(request.max_output_tokens))
        try:
            number = self._ask(document)
            trace.request_body({**document, "id": str(number)})
            self._waiting.add(number)
            try:
                answer = await self._reply(number, trace)
                (self._directory / f"reply-{number}.taken").touch()
            finally:
                self._waiting.discard(number)
        except OSError as error:
            raise ProviderFailure(
                "validation", f"the directory {self._directory} cannot be used: {error}", code="files_directory"
            ) from error
        match answer:
            case LlmResponse():
                return answer
            case ProviderFailure():
                raise answer
            case Delta(text=text):
                raise malformed("a reply file holds a whole reply", text)

    async def aclose(self) -> None:
        """There is nothing to give back."""

    def _ask(self, document: dict[str, JsonValue]) -> int:
        """The number of the request file: one that waits already, or else a new one."""
        self._directory.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in self._directory.iterdir()}
        numbers = sorted({int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))})
        for number in numbers:
            open_request = f"request-{number}.json" in names and f"reply-{number}.taken" not in names
            if open_request and number not in self._waiting and self._asks(number, document):
                return number
        number = numbers[-1] + 1 if numbers else 1
        while not self._write_request(number, document):
            number += 1
        return number

    def _asks(self, number: int, document: dict[str, JsonValue]) -> bool:
        """Whether a request file asks what `document` does."""
        try:
            stored = cast("JsonValue", json.loads((self._directory / f"request-{number}.json").read_bytes()))
        except ValueError:
            return False
        return stored == {**document, "id": str(number)}

    def _write_request(self, number: int, document: dict[str, JsonValue]) -> bool:
        """Write a request file, whole or not at all; False where another process has taken the number."""
        text = json.dumps({**document, "id": str(number)}, ensure_ascii=False, indent=2) + "\n"
        final = self._directory / f"request-{number}.json"
        temporary = self._directory / f".request-{number}.tmp"
        try:
            # Creating the temporary file claims the number: whoever had it before has renamed it by now.
            with temporary.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except FileExistsError:
            return False
        if final.exists():
            temporary.unlink()
            return False
        temporary.rename(final)
        return True

    async def _reply(self, number: int, trace: AttemptTrace) -> Answer:
        """Wait for a reply file that has stood still, and read it."""
        seen: dict[str, tuple[int, float]] = {}
        while True:
            now = self._clock.monotonic()
            for name in (f"reply-{number}.json", f"reply-{number}.txt"):
                size = self._size(name)
                if size == 0:
                    continue
                known, since = seen.get(name, (0, now))
                if size != known:
                    seen[name] = (size, now)
                    trace.received()
                elif now - since >= STILL_S:
                    return self._read(name, trace)
            await self._clock.sleep(POLL_S)

    def _size(self, name: str) -> int:
        """The size of a file, 0 where there is none."""
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, name: str, trace: AttemptTrace) -> Answer:
        """What a reply file says."""
        data = (self._directory / name).read_bytes()
        if len(data) > MAX_LINE_BYTES:
            return malformed(f"{name} has more than {MAX_LINE_BYTES:,} bytes", "")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return malformed(f"{name} is no UTF-8", data[:200].decode("utf-8", "replace"))
        trace.event(name, text)
        if name.endswith(".txt"):
            return text_response(text)
        try:
            return read_answer(parse_object(text), text)
        except ProviderFailure as failure:
            return failure
