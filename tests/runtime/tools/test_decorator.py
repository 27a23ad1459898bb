"""`@tool`: what a function's signature and docstring become, and how it is called."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import lashlang.syntax.kinds
from lash.runtime.errors import ConfigError
from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.values import to_json
from lash.runtime.tools.context import ToolContext, ToolProgress
from lash.runtime.tools.decorator import LASHLANG_KEYWORDS, Tool, as_providers, tool, tools_of
from lash.runtime.tools.definition import Availability, ToolRetryPolicy
from lash.runtime.tools.result import TAG, ToolResult
from tests.runtime.tools.support import bench, failure, value


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


@dataclasses.dataclass
class Size:
    width: int


class Options(TypedDict):
    deep: bool


def properties(made: Tool[..., Any]) -> Any:
    return made.definition.contract.input_schema["properties"]


def test_the_keywords_are_those_of_the_language() -> None:
    assert frozenset(lashlang.syntax.kinds.RESERVED) == LASHLANG_KEYWORDS


def test_a_tool_is_still_the_function_that_it_was() -> None:
    @tool
    def double(n: int) -> int:
        """Twice."""
        return n * 2

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert double.signature == "call double { n: int } -> int"


def test_the_schema_is_that_of_the_parameters() -> None:
    @tool
    def find(
        query: str,
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
        tag: str | None = None,
        colour: Colour = Colour.RED,
        kind: Literal["a", "b"] = "a",
        at: Point | None = None,
        size: Size | None = None,
        options: Options | None = None,
    ) -> None: ...

    schema = find.definition.contract.input_schema
    assert schema["required"] == ["query"]
    assert schema["additionalProperties"] is False
    assert "title" not in str(schema)
    assert properties(find)["limit"] == {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}
    assert properties(find)["tag"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert properties(find)["kind"] == {"enum": ["a", "b"], "type": "string", "default": "a"}
    assert {"Colour", "Point", "Size", "Options"} <= set(schema["$defs"])  # type: ignore[arg-type]


def test_a_parameter_may_be_called_like_something_of_a_model() -> None:
    @tool
    def copy(json: str, model_config: int, schema: str = "s", title: str = "t") -> None: ...

    assert list(properties(copy)) == ["json", "model_config", "schema", "title"]


def test_the_docstring_gives_the_descriptions() -> None:
    @tool
    def find(query: str, limit: Annotated[int, Field(description="Most.")] = 3) -> list[str]:
        """Find documents.

        It looks everywhere.

        Args:
            query: What to
                look for.
            limit: Not this.

        Returns:
            The ids.

        Example:
            find("x")
        """
        return []

    definition = find.definition
    assert definition.manifest.description.startswith("Find documents.\n\nIt looks everywhere.")
    assert definition.manifest.description.endswith('Example:\n    find("x")')
    assert "look for" not in definition.manifest.description
    assert properties(find)["query"]["description"] == "What to look for."
    assert properties(find)["limit"]["description"] == "Most."
    assert definition.contract.output_schema == {
        "items": {"type": "string"},
        "type": "array",
        "description": "The ids.",
    }


def test_options_are_those_of_the_manifest() -> None:
    @tool(
        name="other",
        description="Given.",
        availability="callable",
        execution_mode="serial",
        retry=ToolRetryPolicy.safe(2, 10, 20),
        mutates=False,
        timeout_ms=None,
        namespace="n",
        aliases=["x"],
        examples=["call other {}"],
    )
    def made() -> None:
        """Not this."""

    manifest = made.definition.manifest
    assert (manifest.name, manifest.description, manifest.availability) == ("other", "Given.", Availability.CALLABLE)
    assert (manifest.execution_mode, manifest.retry_policy.attempts, manifest.mutates) == ("serial", 2, False)
    assert (manifest.timeout_ms, manifest.namespace, manifest.aliases) == (None, "n", ("x",))
    assert made.definition.contract.examples == ("call other {}",)


def refused(function: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as error:
        tool(**options)(function)
    assert error.value.code == "invalid_tool"
    return error.value.message


def any_number(*args: int) -> None: ...
def any_name(**kwargs: int) -> None: ...
def by_place(a: int, /) -> None: ...
def private(_a: int) -> None: ...
def two_contexts(a: ToolContext, b: ToolContext | None) -> None: ...
def no_schema(a: Callable[[], int]) -> None: ...
def aliased(a: Annotated[int, Field(alias="b")] = 1) -> None: ...
def unannotated(a: int) -> None: ...
def unknown_name(a: int) -> None: ...


# What a type checker would not let stand is put there behind its back.
unannotated.__annotations__.clear()
unknown_name.__annotations__["a"] = "Nowhere"


def documented(a: int) -> None:
    """X.

    Args:
        b: Nothing of the kind.
    """


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def bad_result() -> Callable[[], int]:
    return lambda: 1


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (unannotated, "'a' has no annotation"),
        (any_number, "any number of arguments"),
        (any_name, "any number of arguments"),
        (by_place, "positional-only"),
        (private, "underscore"),
        (two_contexts, "two parameters"),
        (no_schema, "without a schema"),
        (aliased, "alias"),
        (unknown_name, "Nowhere"),
        (documented, "'b', which is no parameter"),
        (generator, "generator"),
        (async_generator, "generator"),
        (bad_result, "result"),
        (len, "no function"),
        (staticmethod(any_number), "staticmethod"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_where_it_is_decorated(function: Any, told: str) -> None:
    assert told in refused(function)


@pytest.mark.parametrize("name", ["has-dash", "9lives", "submit", "x" * 65, "é"])
def test_a_name_that_no_program_could_call_is_refused(name: str) -> None:
    def fine() -> None: ...

    refused(fine, name=name)


def test_a_field_that_is_to_keep_references_has_to_be_a_parameter() -> None:
    def fine(seed: dict[str, Any]) -> None: ...

    assert "no parameter" in refused(fine, preserve_projected="sead")


def test_types_that_are_local_to_a_function_are_found() -> None:
    class Local(BaseModel):
        n: int

    class Holder:
        class Inner(BaseModel):
            m: int

        @tool
        def use(self, one: Local, two: Inner) -> Local:
            return one

    (made,) = tools_of(Holder())
    assert list(properties(made)) == ["one", "two"]


# --- calling -------------------------------------------------------------------------------------


async def test_arguments_arrive_as_the_types_of_the_parameters() -> None:
    seen: list[Any] = []

    @tool
    async def take(at: Point, colour: Colour, size: Size, day: date, rest: list[Point] | None = None) -> None:
        seen.extend([at, colour, size, day, rest])

    async with bench([take]) as on:
        args: Any = {"at": {"x": 1}, "colour": "blue", "size": {"width": 3}, "day": "2026-01-02"}
        await on.call("take", {**args, "rest": [{"x": 1, "y": 2}]})
        assert seen == [Point(x=1), Colour.BLUE, Size(3), date(2026, 1, 2), [Point(x=1, y=2)]]


async def test_what_the_types_refuse_after_the_schema_is_an_argument_error() -> None:
    @tool
    async def take(day: date) -> None:
        raise AssertionError("not called")

    async with bench([take]) as on:
        cls, code, message = failure(await on.call("take", {"day": "tomorrow"}))
        assert (cls, code) == ("invalid_request", "invalid_tool_args")
        assert message.startswith("day: ")


async def test_context_and_progress_are_filled_in_under_any_name() -> None:
    @tool
    async def look(n: int, where: ToolContext, bar: ToolProgress | None) -> str:
        assert bar is not None
        return f"{where.session_id} {n}"

    assert list(properties(look)) == ["n"]
    async with bench([look]) as on:
        assert value(await on.call("look", {"n": 1})) == "s 1"


RESULTS: list[tuple[Any, Any]] = [
    (None, None),
    ({"a": [1, "x", None]}, {"a": [1, "x", None]}),
    (Point(x=1), {"x": 1, "y": 0}),
    ([Point(x=1)], [{"x": 1, "y": 0}]),
    (Size(2), {"width": 2}),
    (Colour.RED, "red"),
    (date(2026, 1, 2), "2026-01-02"),
    (Path("/a/b"), "/a/b"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Decimal("1.5"), "1.5"),
    ({1}, [1]),
    ((1, 2), [1, 2]),
    ({"p": (Point(x=1), Colour.BLUE)}, {"p": [{"x": 1, "y": 0}, "blue"]}),
]


@pytest.mark.parametrize(("returned", "expected"), RESULTS)
async def test_results_become_json(returned: Any, expected: Any) -> None:
    @tool
    async def give():  # type: ignore[no-untyped-def]
        return returned

    async with bench([give]) as on:
        assert value(await on.call("give")) == expected


async def test_results_follow_the_return_annotation() -> None:
    @tool
    async def give() -> Annotated[Point, Field(description="Where.")]:
        return Point(x=3)

    assert give.signature == "call give {} -> { x: int, y?: int = 0 }"
    async with bench([give]) as on:
        assert value(await on.call("give")) == {"x": 3, "y": 0}


@pytest.mark.parametrize(
    ("returned", "place"),
    [
        (b"x", "result"),
        ({"a": [b"x"]}, "a[0]"),
        (float("nan"), "result"),
        ([1.0, float("inf")], "[1]"),
        ({"a": "\ud800"}, "a"),
        (object(), "result"),
    ],
)
async def test_what_has_no_form_in_json_fails_the_call(returned: Any, place: str) -> None:
    @tool
    async def give():  # type: ignore[no-untyped-def]
        return returned

    async with bench([give]) as on:
        _, code, message = failure(await on.call("give"))
        assert code == "invalid_tool_result"
        assert place in message


async def test_a_tool_result_passes_unchanged_and_says_nothing_of_the_value() -> None:
    @tool
    async def give() -> ToolResult | int:
        return ToolResult.cancelled("not today")

    assert give.definition.contract.output_schema == {"type": "integer"}
    async with bench([give]) as on:
        assert not (await on.call("give")).succeeded


IMAGE = AttachmentRef("ab12", "image/png", 10, 3, 4, "cat")


class Album(BaseModel):
    cover: AttachmentRef
    name: str


async def test_images_in_a_result_stay_references_however_deep_they_are() -> None:
    @tool
    async def give() -> list[Album]:
        return [Album(cover=IMAGE, name="n")]

    async with bench([give]) as on:
        called = await on.call("give")
        assert value(called) == [{"cover": {TAG: "attachment", "ref": to_json(IMAGE)}, "name": "n"}]
        assert called.model_attachments == ("ab12",)
        assert called.model_return == '[{"cover":"[image ab12: cat 3x4]","name":"n"}]'


class Images:
    """Services that know one image."""

    async def describe_attachment(self, attachment_id: str) -> AttachmentRef | None:
        return IMAGE if attachment_id == IMAGE.id else None

    def take_usage(self, call_id: str) -> tuple[()]:
        return ()


async def test_images_among_the_arguments_arrive_as_references() -> None:
    seen: list[Any] = []

    @tool
    async def look(image: AttachmentRef, more: list[AttachmentRef]) -> None:
        seen.extend([image, more])

    descriptor: Any = {"type": "image", "id": "ab12", "label": "cat", "size": 10, "width": 3, "height": 4}
    async with bench([look], services=Images()) as on:
        await on.call("look", {"image": descriptor, "more": [descriptor]})
        assert seen == [IMAGE, [IMAGE]]
        unknown = failure(await on.call("look", {"image": {"type": "image", "id": "zz"}, "more": []}))
        assert unknown[1] == "invalid_tool_args"
        assert unknown[2].startswith("image")


# --- methods -------------------------------------------------------------------------------------


class Board:
    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    async def show(self, n: int) -> str:
        """Show."""
        return f"{self.name} {n}"

    @tool
    def clear(self) -> str:
        return f"{self.name} cleared"

    @staticmethod
    @tool
    async def version() -> int:
        return 2


class Wide(Board):
    @tool
    async def widen(self) -> None: ...


def test_an_object_gives_its_methods_in_the_order_of_their_definition() -> None:
    assert [one.name for one in tools_of(Wide("b"))] == ["show", "clear", "version", "widen"]


async def test_methods_are_bound_to_their_object() -> None:
    async with bench([Board("a")]) as on:
        assert value(await on.call("show", {"n": 1})) == "a 1"
        assert value(await on.call("clear")) == "a cleared"
        assert value(await on.call("version")) == 2
    assert await Board("b").show(2) == "b 2"


def test_a_method_without_its_object_is_refused_where_it_is_listed() -> None:
    with pytest.raises(ConfigError, match="give the object it belongs to"):
        as_providers([Board.show])


@pytest.mark.parametrize("thing", [lambda: 1, Board, object(), "search"])
def test_what_is_no_tool_is_refused_where_it_is_listed(thing: object) -> None:
    with pytest.raises(ConfigError, match="is no tool"):
        as_providers([thing])


async def test_two_calls_of_one_tool_overlap() -> None:
    both = asyncio.Event()
    count = 0

    @tool
    async def meet() -> None:
        nonlocal count
        count += 1
        if count == 2:
            both.set()
        await both.wait()

    async with bench([meet]) as on:
        await on.batch(("meet", {}), ("meet", {}))
