"""The REPL on a terminal: prompt_toolkit's editor with the language's lexer, parser and names behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application.current import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import HighlightMatchingBracketProcessor
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from lashlang.repl.commands import COMMANDS
from lashlang.repl.completion import candidates
from lashlang.repl.front import Front
from lashlang.repl.highlight import stretches
from lashlang.repl.history import open_history
from lashlang.repl.pages import words
from lashlang.repl.reading import INDENT, indentation, is_command, is_finished
from lashlang.repl.session import Session

_STYLE = Style.from_dict(
    {
        "lash.keyword": "ansiblue bold",
        "lash.constant": "ansimagenta",
        "lash.number": "ansimagenta",
        "lash.string": "ansigreen",
        "lash.comment": "ansibrightblack",
        "lash.builtin": "ansicyan",
        "lash.tool": "ansiyellow",
        "lash.error": "ansired underline",
        "lash.command": "bold",
        "prompt": "bold",
        "continuation": "ansibrightblack",
    }
)


def converse(front: Front) -> None:
    """Carry out what a person enters until they leave."""
    session = front.session
    prompt = make_prompt(session, open_history(front.console.note))
    while not front.over:
        forks = session.forks
        mark = f"{forks[-1]}> " if forks else "> "
        try:
            text = session.wait_for(
                prompt.prompt_async([("class:prompt", mark)], prompt_continuation=_continuation(len(mark)))
            )
            # The empty line that ended an unfinished text is no part of it; errors are told behind its last word.
            front.enter(text.rstrip())
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def make_prompt(session: Session, history: History | None = None) -> PromptSession[str]:
    """The editor for one session."""
    return PromptSession(
        multiline=True,
        lexer=LashLexer(),
        completer=SessionCompleter(session),
        complete_while_typing=False,
        history=history or InMemoryHistory(),
        key_bindings=_bindings(),
        style=_STYLE,
        input_processors=[HighlightMatchingBracketProcessor(chars="[](){}")],
        include_default_pygments_style=False,
    )


def _continuation(width: int) -> Callable[[int, int, int], StyleAndTextTuples]:
    """What stands in front of the lines after the first: dots below the prompt."""

    def mark(columns: int, line: int, wraps: int) -> StyleAndTextTuples:
        return [("class:continuation", " " * columns if wraps else "." * (width - 1) + " ")]

    return mark


class LashLexer(Lexer):
    """Colours by what the language's own lexer finds."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """See `Lexer`: the fragments of each line."""
        lines: list[list[tuple[str, str]]] = [[]]
        for start, end, name in stretches(document.text):
            first, *more = document.text[start:end].split("\n")
            style = f"class:lash.{name}" if name else ""
            lines[-1].append((style, first))
            lines += [[(style, part)] for part in more]

        def line(number: int) -> StyleAndTextTuples:
            return [*lines[number]] if number < len(lines) else []

        return line


class SessionCompleter(Completer):
    """Completes names of the session and the language, commands and what they take."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See `Completer`."""
        before = document.text_before_cursor
        if not is_command(before):
            for found in candidates(before, self._session):
                yield Completion(found.text, -found.replaced, display_meta=found.about)
            return
        command, space, argument = before.lstrip().partition(" ")
        if not space:
            for known in COMMANDS.values():
                if f":{known.name}".startswith(command):
                    yield Completion(f":{known.name}", -len(command), display_meta=known.text)
        elif command == ":help":
            for word in words(COMMANDS):
                if word.startswith(argument):
                    yield Completion(word, -len(argument))
        elif command == ":vars":
            for name in self._session.names():
                if name.startswith(argument):
                    yield Completion(name, -len(argument))
        elif command in (":save", ":load"):
            yield from self._paths.get_completions(Document(argument), complete_event)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @Condition
    def in_margin() -> bool:
        """Whether nothing but white space stands before the cursor in its line."""
        return not get_app().current_buffer.document.current_line_before_cursor.strip()

    @bindings.add("enter", filter=Condition(lambda: not get_app().layout.is_searching))
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if accepts(buffer.document):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indentation(buffer.document.text_before_cursor))

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n" + indentation(event.current_buffer.document.text_before_cursor))

    @bindings.add("tab", filter=in_margin)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(INDENT)

    for closer in "}])":

        @bindings.add(closer, filter=in_margin)
        def _(event: KeyPressEvent) -> None:
            before = event.current_buffer.document.current_line_before_cursor
            if before.endswith(INDENT):
                event.current_buffer.delete_before_cursor(len(INDENT))
            event.current_buffer.insert_text(event.data)

    return bindings


def accepts(document: Document) -> bool:
    """Whether Enter, pressed here, ends the text."""
    return not document.text_after_cursor.strip() and is_finished(document.text)
