"""Hostile projections: large texts searched without end, and sources that lie, fail or answer nonsense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lashlang
from lashlang import Limits

from .program import Answering, Hostile, cyclic, deep

TEN_MILLION = "the quick brown fox jumps over the lazy dog, and away it goes\n" * 161_290
"""A text of ten million characters."""


def doc(text: str) -> Callable[[], Mapping[str, Any]]:
    """A projected text `doc`."""
    return lambda: {"doc": lashlang.TextSource(text)}


def lying(**answers: Any) -> Callable[[], Mapping[str, Any]]:
    """A projected value `p` that answers as told: a value, an exception to raise, or a function of the arguments."""
    return lambda: {"p": Answering(answers)}


def wholly(value: Any) -> Callable[[], Mapping[str, Any]]:
    """A projected value `p` that only gives the whole."""
    return lying(whole=value)


FEW_READS = Limits(fuel=150)
"""A read costs little fuel whatever the source has to do for it, so that programs of endless reads need to be short."""


class Endless(lashlang.Answers):
    """A record in a record in a record."""

    def answer(self, target: lashlang.Projected, question: str, args: Any) -> Any:
        """Each field is another lazy one."""
        if question != "field":
            raise lashlang.Unsupported
        return target.field(args[0])


SEARCHED = {
    "a long text searched without end": Hostile(
        "fuel", "while true { find(doc, 'cat') }", FEW_READS, projected=doc(TEN_MILLION)
    ),
    "a long text counted without end": Hostile(
        "fuel", "while true { count(doc, 'q') }", FEW_READS, projected=doc(TEN_MILLION)
    ),
    "a long text read letter by letter": Hostile(
        "fuel", "i = 0\nwhile true { x = doc[i]  i += 1 }", Limits(fuel=20_000), projected=doc(TEN_MILLION)
    ),
    "a long text sliced in all ways": Hostile(
        "fuel",
        "i = 0\nwhile true { x = slice(doc, i, i * 2)  i += 1 }",
        Limits(fuel=20_000),
        projected=doc(TEN_MILLION),
    ),
    "a long text of too many pieces": Hostile("list_size", "x = split(doc, '')", projected=doc(TEN_MILLION)),
    "a long text of too many words": Hostile("list_size", "x = split(doc)", projected=doc("a " * 1_000_001)),
    "a long text of too many spans": Hostile(
        "list_size", "x = chunk_spans(doc, 2, 1)", Limits(), projected=doc(TEN_MILLION)
    ),
    "a long text submitted": Hostile(
        "value_size", "submit '' + [doc, 1]", Limits(value_size=1_000_000), projected=doc(TEN_MILLION)
    ),
    "a long text kept without end": Hostile(
        "memory", "x = []\nwhile true { x = push(x, slice(doc, len(x))) }", projected=doc(TEN_MILLION)
    ),
    "a long text that is longer than texts may be": Hostile(
        "string_size", "x = doc", Limits(string_size=9_000_000), projected=doc(TEN_MILLION)
    ),
    "a long text that does not fit the memory": Hostile(
        "memory", "x = doc", Limits(memory=8_000_000), projected=doc(TEN_MILLION)
    ),
    "lazy parts held without end": Hostile(
        "list_size",
        "x = []\nwhile true { x = push(x, [p.a, p.b]) }",
        Limits(list_size=5_000),
        projected=lambda: {"p": lashlang.JsonSource({"a": [[1]] * 99, "b": ["x" * 100] * 99})},
    ),
    "a lazy part of a lazy part without end": Hostile(
        "fuel",
        "x = []\nwhile true { x = [p.a.a.a.a.a.a.a, 1] }",
        Limits(fuel=20_000),
        projected=lambda: {"p": Endless()},
    ),
}
"""Sources that are honest and large."""

LYING = {
    "an answer that is an object": Hostile("projection_unavailable", "submit p + 1", projected=wholly(object())),
    "an answer that is too deep": Hostile("value_depth", "submit p + 1", projected=wholly(deep(1000))),
    "an answer that is a cycle": Hostile("projection_unavailable", "submit p + 1", projected=wholly(cyclic())),
    "an answer that is too long": Hostile("list_size", "x = p", projected=wholly([0] * 1_000_001)),
    "an answer larger than the memory": Hostile("memory", "x = p", projected=wholly(["x" * 1_000_000] * 100)),
    "a source that raises": Hostile("projection_unavailable", "x = p", projected=wholly(OSError("gone"))),
    "a source that raises a hundred megabytes": Hostile(
        "memory", "x = p", projected=wholly(OSError("x" * 100_000_000))
    ),
    "a source that raises half a character": Hostile(
        "projection_unavailable", "x = p", projected=wholly(OSError("\udc80"))
    ),
    "a source that stops an iteration": Hostile("projection_unavailable", "x = p", projected=wholly(StopIteration())),
    "a source that supports nothing": Hostile("projection_unavailable", "submit len(p)", projected=lying()),
    "a source that answers with another projection": Hostile(
        "projection_unavailable", "x = p", projected=wholly(lashlang.Projected("q", lashlang.JsonSource(1)))
    ),
    "a source without anybody behind it": Hostile(
        "projection_unavailable", "submit p + 1", projected=lambda: {"p": lashlang.Projected("p")}
    ),
    "an argument that cannot be read": Hostile(
        "unwrap_failed", "x = (call echo { p: p })?", projected=wholly(OSError("gone"))
    ),
    "an argument that is too large to be read": Hostile(
        "memory", "x = call echo { p: p }", projected=wholly(["x" * 1_000_000] * 100)
    ),
    "a projected value that is written": Hostile("read_only", "p = 1", projected=wholly(1)),
}
"""Sources that are not honest, or not able."""

NONSENSE = {
    "a length of text": Hostile("type_error", "for i in range(len(p)) {}", projected=lying(len="many")),
    "a length below nothing": Hostile("submitted", "submit [x for x in range(len(p))]", projected=lying(len=-1)),
    "a length that is broken": Hostile("type_error", "for i in range(len(p)) {}", projected=lying(len=0.5)),
    "a length that is no number": Hostile("type_error", "submit len(p) * 2", projected=lying(len=[1])),
    "an offset that is a record": Hostile(
        "type_error", "submit slice('abc', find(p, 'x'))", projected=lying(find={"at": 1})
    ),
    "pieces that are no list": Hostile("not_iterable", "for x in split(p, ',') {}", projected=lying(split=5)),
    "a slice that is a number": Hostile("type_error", "submit len(slice(p, 1, 2))", projected=lying(slice=5)),
    "keys that are a record": Hostile("not_iterable", "for k in keys(p) {}", projected=lying(keys={"a": 1})),
    "a truth that is a text": Hostile("submitted", "submit p ? 1 : 2", projected=lying(truthy="yes")),
    "a membership that is a list": Hostile("submitted", "submit [1 in p, 1 not in p]", projected=lying(contains=[])),
    "a field that is far too deep": Hostile("value_depth", "submit p.a + 1", projected=lying(field=deep(1000))),
    "a length beyond all numbers": Hostile("submitted", "submit len(p)", projected=lying(len=1 << 62)),
    "a length that contradicts the whole": Hostile(
        "continued", "for i in range(len(p)) { x = p[i] }", projected=lying(len=9, whole=[1])
    ),
    "an offset beyond the end": Hostile("submitted", "submit find(p, 'x')", projected=lying(find=1 << 40)),
    "a match at a place that is none": Hostile(
        "submitted", "submit slice(p, find(p, 'x'))", projected=lying(find=99, whole="abc")
    ),
    "a slice that is longer than asked for": Hostile(
        "submitted", "submit len(slice(p, 0, 1))", projected=lying(slice="x" * 1_000_000)
    ),
    "another answer each time": Hostile(
        "submitted",
        "submit [p == p, len(p), len(p), p[0], p[0]]",
        projected=lambda: {"p": Answering({"whole": iter([[1], [2], "x", "y"] * 9).__next__})},
    ),
}
"""Lies that the machine believes, being the host's own; a program is wrong by them, and the machine is not."""
