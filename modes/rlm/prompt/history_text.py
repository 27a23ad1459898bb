"""The history as the model reads it (rlm.md 7.2, 7.3, 7.4): its own replies as it wrote them, and what it was shown.

Long texts are shown by their ends, with the expression that gives a program the whole. Code is never shortened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lash.modes.rlm import notes
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.driver import same_error
from lash.modes.rlm.fence import LABEL, SHORTEST
from lash.modes.rlm.history import (
    History,
    MessageItem,
    StepItem,
    ToolCallItem,
    content_of,
    result_of,
    status_of,
)
from lash.modes.rlm.observe import head_tail
from lash.modes.rlm.prompt.anchors import CHARS_HIDDEN, NO_OUTPUT
from lash.modes.rlm.types import RlmTrajectoryEntry, StepImage
from lash.runtime.sansio.llm import Block, LlmAttachment, LlmMessage
from lash.runtime.sansio.messages import Message, PruneState
from lash.runtime.sansio.values import JsonValue
from lashlang.compiler.faults import KINDS

MOST_IMAGES = 8
"""Images of one step that the model sees; of more it reads the descriptions."""

MOST_PRINTS = 200
"""Prints of one step that are shown; of more those in the middle are counted."""

LEAST_PRINT = 200
"""Characters of each print that are shown however many there are."""

SAME_ERROR_COUNT = 3
"""The identical error in a row that gets a note."""

KEPT_NOTE = "What the block assigned before the error is kept."

NO_HISTORY = "There is no history yet."

_KEEPS_ASSIGNMENTS = frozenset(KINDS) - {"internal_error", "interrupted"}
"""Errors that stop a block on its way; after the other two the mode undoes the whole block (rlm.md 8.6)."""

_KIND = re.compile(r"error\[(\w+)\]:")


class Images:
    """The images of one request, each once."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._attachments: list[LlmAttachment] = []

    def block(
        self, number: str, media_type: str, label: str | None, width: int | None, height: int | None
    ) -> Block.Image:
        """The image as a content block."""
        if number not in self._index:
            self._index[number] = len(self._attachments)
            self._attachments.append(LlmAttachment(media_type, number, label, width, height))
        return Block.Image(self._index[number])

    def attachments(self) -> tuple[LlmAttachment, ...]:
        """All of them, by index."""
        return tuple(self._attachments)


class HistoryText:
    """Renders the history of one request into messages, for the turn `turn_id`; `images` collects what they show.

    `texts` renders what is text in it, and may be used for many requests.
    """

    def __init__(self, config: RlmConfig, turn_id: str, images: Images, texts: ItemTexts) -> None:
        self._config = config
        self._turn_id = turn_id
        self._images = images
        self._texts = texts

    def render(self, history: History, shown: Sequence[Message]) -> tuple[list[LlmMessage], list[LlmMessage]]:
        """The history, and after it the messages that were said to the model alone and belong to its end.

        `shown` are the messages as the model is to see them. Of the history's own those are left out that are not
        among them, because a context transform dropped them, and with each the steps of earlier turns that follow it.
        """
        known = {item.message.id for item in history if isinstance(item, MessageItem)}
        by_id = {message.id: message for message in shown}
        strays = _Strays(shown, known)
        told = [self._message(stray, None) for stray in strays.first]
        remarks = _remarks(history)
        follows_shown = True
        for index, item in enumerate(history.items):
            match item:
                case MessageItem(message=message):
                    follows_shown = message.id in by_id
                    if follows_shown:
                        told += [self._message(stray, None) for stray in strays.before.get(message.id, ())]
                        told.append(self._message(by_id[message.id], index))
                        told += [self._message(stray, None) for stray in strays.after.get(message.id, ())]
                case StepItem(entry=entry):
                    if (follows_shown or entry.turn_id == self._turn_id) and not _told_by_message(history, index):
                        told += self._step(entry, index, remarks.get(index, ()))
                case ToolCallItem():
                    if follows_shown:
                        told.append(self._tool_call(item, index))
        return [one for one in told if one.blocks], [self._message(stray, None) for stray in strays.last]

    # --- messages --------------------------------------------------------------------------------

    def _message(self, message: Message, index: int | None) -> LlmMessage:
        """A message with the images that it still has."""
        told = self._texts.message(message, index)
        images = [
            self._images.block(ref.id, ref.media_type, ref.label, ref.width, ref.height)
            for part in message.parts
            if part.kind == "image"
            and (ref := part.attachment) is not None
            and isinstance(part.prune, PruneState.Intact)
        ]
        return LlmMessage(told.role, (*told.blocks, *images)) if images else told

    def _tool_call(self, item: ToolCallItem, index: int) -> LlmMessage:
        record = item.record
        limit = self._config.max_output_chars
        arguments = head_tail(_compact(record.args), limit, f"history[{index}].args")
        result = result_of(record)
        text = result if isinstance(result, str) else _compact(result)
        shown = head_tail(text, limit, f"history[{index}].result")
        told = f"Tool call {record.tool} {arguments} ({status_of(record)}), history[{index}].result:\n{shown}"
        return LlmMessage("user", (Block.Text(told),))

    def _step(self, entry: RlmTrajectoryEntry, index: int, remarks: Sequence[str]) -> list[LlmMessage]:
        """What the model wrote, and the observation."""
        reply, observation = self._texts.step(entry, index, remarks)
        if not (entry.images and self._config.prompt_features.images):
            return [reply, observation]
        images = [
            self._images.block(image.id, image.media_type, image.label, image.width, image.height)
            for image in entry.images[:MOST_IMAGES]
        ]
        return [reply, LlmMessage("user", (*observation.blocks, *images))]


class ItemTexts:
    """Renders messages and steps, images aside, each once as long as it keeps its place."""

    def __init__(self, config: RlmConfig) -> None:
        self._config = config
        self._messages: dict[int, tuple[Message, LlmMessage]] = {}
        self._steps: dict[int, tuple[RlmTrajectoryEntry, Sequence[str], LlmMessage, LlmMessage]] = {}

    def message(self, message: Message, index: int | None) -> LlmMessage:
        """A message; one of the system is passed on as the user's, under a line that says whose it is.

        Several providers know one system text only and would move the rest of them to the front. One without an
        `index` is no part of the history.
        """
        known = None if index is None else self._messages.get(index)
        if known is not None and known[0] is message:
            return known[1]
        handle = "" if index is None else f"history[{index}].content"
        text = head_tail(content_of(message), self._config.max_output_chars, handle)
        role = message.role
        if role == "system":
            role, text = "user", f"System message:\n{text}" if text else ""
        told = LlmMessage(role, (Block.Text(text),) if text else ())
        if index is not None:
            self._messages[index] = message, told
        return told

    def step(self, entry: RlmTrajectoryEntry, index: int, remarks: Sequence[str]) -> tuple[LlmMessage, LlmMessage]:
        """What the model wrote, and what it was shown."""
        known = self._steps.get(index)
        if known is None or known[0] is not entry or known[1] != remarks:
            known = self._steps[index] = (entry, remarks, *self._render(entry, index, remarks))
        return known[2], known[3]

    def _render(self, entry: RlmTrajectoryEntry, index: int, remarks: Sequence[str]) -> tuple[LlmMessage, LlmMessage]:
        prose = head_tail(entry.prose, self._config.max_output_chars, f"history[{index}].prose")
        reply = f"{prose}\n\n{fenced(entry.code)}" if prose.strip() else fenced(entry.code)
        parts = [*self._prints(entry.output, index), *self._images_told(entry.images), *self._ending(entry, index)]
        observation = "\n\n".join([*(parts or [NO_OUTPUT]), *remarks])
        return LlmMessage("assistant", (Block.Text(reply),)), LlmMessage("user", (Block.Text(observation),))

    def _prints(self, output: Sequence[str], index: int) -> Iterator[str]:
        limit = self._print_limit(output)
        shown = range(len(output))
        head = tail = shown
        if len(output) > MOST_PRINTS:
            head, tail = shown[: MOST_PRINTS // 2], shown[-(MOST_PRINTS - MOST_PRINTS // 2) :]
        for number in head:
            yield _print(output[number], index, number, limit)
        if head is not tail:
            left_out = output[head.stop : tail.start]
            yield (
                f"history[{index}].output[{head.stop}] to [{tail.start - 1}]: {len(left_out)} prints with "
                f"{sum(map(len, left_out))} {CHARS_HIDDEN}"
            )
            for number in tail:
                yield _print(output[number], index, number, limit)

    def _print_limit(self, output: Sequence[str]) -> int:
        """Characters of each print: the common limit, or less where all together pass the budget of a step."""
        limit, budget = self._config.max_output_chars, self._config.max_step_output_chars
        wanted = sum(min(len(text), limit) if limit else len(text) for text in output)
        if not budget or wanted <= budget:
            return limit
        share = max(LEAST_PRINT, budget // len(output))
        return min(limit, share) if limit else share

    def _images_told(self, images: Sequence[StepImage]) -> Iterator[str]:
        if images and self._config.prompt_features.images:
            yield "\n".join(["Images:", *(_described(image, at < MOST_IMAGES) for at, image in enumerate(images))])

    def _ending(self, entry: RlmTrajectoryEntry, index: int) -> Iterator[str]:
        limit = self._config.max_output_chars
        if entry.error is not None:
            yield f"Error:\n{head_tail(entry.error, limit, f'history[{index}].error')}"
        if entry.final_output is not None:
            value = json.dumps(entry.final_output.get("value"), ensure_ascii=False, indent=2)
            yield f"Final value:\n{head_tail(value, limit, f'history[{index}].final_output')}"


# --- parts -----------------------------------------------------------------------------------------


def fenced(code: str) -> str:
    """The program in a fence that it cannot close."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(SHORTEST, longest + 1)
    return f"{fence}{LABEL}\n{code}\n{fence}"


def _print(text: str, index: int, number: int, limit: int) -> str:
    handle = f"history[{index}].output[{number}]"
    return f"{handle} ({len(text)} chars):\n{head_tail(text, limit, handle)}"


def _described(image: StepImage, attached: bool) -> str:
    size = f", {image.width}x{image.height}" if image.width and image.height else ""
    label = json.dumps(image.label, ensure_ascii=False) if image.label else "(no label)"
    aside = "" if attached else ", not attached"
    return f"- {label} id {image.id}, {image.media_type}{size}, {image.byte_len} bytes{aside}"


def _compact(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _remarks(history: History) -> dict[int, tuple[str, ...]]:
    """Notes on steps that follow from the reply or from the steps before, by index."""
    remarks: dict[int, tuple[str, ...]] = {}
    turn, error, in_a_row, told_kept = "", None, 0, False
    for index, item in enumerate(history.items):
        if not isinstance(item, StepItem):
            continue
        entry, own = item.entry, list[str]()
        if entry.turn_id != turn:
            turn, error, told_kept = entry.turn_id, None, False
        in_a_row = in_a_row + 1 if same_error(error, entry.error) else 1
        error = entry.error
        if error is not None and not told_kept and _keeps_assignments(error):
            told_kept = True
            own.append(KEPT_NOTE)
        if error is not None and in_a_row == SAME_ERROR_COUNT:
            own.append(notes.SAME_ERROR_NOTE)
        if entry.blocks_seen > 1:
            own.append(notes.later_blocks_note(entry.blocks_seen))
        if own:
            remarks[index] = tuple(own)
    return remarks


def _keeps_assignments(error: str) -> bool:
    found = _KIND.match(error)
    return found is not None and found[1] in _KEEPS_ASSIGNMENTS


def _told_by_message(history: History, index: int) -> bool:
    """Whether the step ended its turn and a committed message of the assistant says the same."""
    step = history.items[index]
    if not isinstance(step, StepItem) or step.entry.final_output is None:
        return False
    after = history.items[index + 1 : index + 2]
    return any(isinstance(item, MessageItem) and item.message.role == "assistant" for item in after)


class _Strays:
    """Messages that are no part of the history, by the message of the history beside which they stand.

    What was said to the model alone is told `before` the message that came next, or `last` of all while it is news;
    anything else has replaced something, and is told `after` the message that it followed, or `first` of all.
    """

    def __init__(self, shown: Sequence[Message], known: set[str]) -> None:
        self.first: list[Message] = []
        self.before: dict[str, list[Message]] = {}
        self.after: dict[str, list[Message]] = {}
        self.last: list[Message] = []
        follows: str | None = None
        for message in shown:
            if message.id in known:
                if self.last:
                    self.before[message.id], self.last = self.last, []
                follows = message.id
            elif message.transient:
                self.last.append(message)
            else:
                (self.first if follows is None else self.after.setdefault(follows, [])).append(message)


def with_breakpoint(messages: Sequence[LlmMessage]) -> list[LlmMessage]:
    """The messages with the last text that is not blank marked as the end of what a provider may cache."""
    marked = list(messages)
    for at in range(len(marked) - 1, -1, -1):
        blocks = list(marked[at].blocks)
        for place in range(len(blocks) - 1, -1, -1):
            block = blocks[place]
            if isinstance(block, Block.Text) and block.text.strip():
                blocks[place] = replace(block, cache_breakpoint=True)
                marked[at] = LlmMessage(marked[at].role, tuple(blocks))
                return marked
    return marked
