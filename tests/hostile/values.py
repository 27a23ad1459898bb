"""Hostile values: shared parts that describe exponential ones, nesting, containers without end, quadratic habits."""

from __future__ import annotations

from lashlang import Limits

from .program import LONG, MIB, SHARED, SHARED_RECORD, SHORT, TIGHT, TWO_SHARED, Hostile, doubled, numbered, text

LEAVING = {
    "submit shared parts": Hostile("value_size", SHARED + "submit x"),
    "submit shared parts inside a record": Hostile("value_size", SHARED + "submit { a: { b: [x] } }"),
    "print shared parts": Hostile("value_size", SHARED + "print x"),
    "shared parts to a tool": Hostile("value_size", SHARED + "submit call echo { x: x }"),
    "shared parts to a start": Hostile("value_size", SHARED + "submit start call echo { x: x }"),
    "shared parts to tools in branches": Hostile(
        "value_size", SHARED + "parallel { call echo { x: 1 }, call echo { x: x } }"
    ),
    "await shared parts": Hostile("value_size", SHARED + "submit await x"),
    "await shared handles": Hostile("value_size", SHARED.replace("x = 1", "x = { handle: 1 }") + "submit await x"),
    "cancel shared parts": Hostile("value_size", SHARED_RECORD + "cancel { handle: x }"),
    "shared parts as text": Hostile("value_size", SHARED + "submit to_string(x)"),
    "shared parts as JSON": Hostile("value_size", SHARED_RECORD + "submit json_text(x)"),
    "shared parts joined to text": Hostile("value_size", SHARED + "submit '' + x"),
    "text joined to shared parts": Hostile("value_size", SHARED + "submit x + ''"),
    "shared parts appended to text": Hostile("value_size", SHARED + "s = ''\ns += x"),
    "shared parts formatted": Hostile("value_size", SHARED + "submit format('{}', x)"),
    "an error of shared parts": Hostile("value_size", SHARED + "submit { ok: false, error: x }?"),
    "shared parts that fit, formatted too often": Hostile(
        "string_size", doubled("x", 15) + "t = '{0}'\nfor i in range(6) { t += t }\nsubmit format(t, x)", SHORT
    ),
    "one text a hundred times": Hostile("value_size", LONG + "submit [s for i in range(100)]"),
    "one long key a hundred times": Hostile("value_size", LONG + "r = {}\nr[s] = 1\nsubmit [r for i in range(100)]"),
    "one element too many for the size": Hostile("value_size", "submit range(4096)", Limits(value_size=4096 * 16 + 15)),
    "JSON text of long keys": Hostile(
        "value_size", LONG + "r = {}\nr[s] = 1\nsubmit json_text([r for i in range(99)])"
    ),
    "a wave of long texts": Hostile("memory", LONG + "parallel { " + "call echo { s: s }, " * 500 + " }"),
}
"""Values that are small inside and would be enormous outside."""

WALKS = {
    "compare shared parts": Hostile("fuel", TWO_SHARED + "submit x == y"),
    "compare shared parts with themselves": Hostile("fuel", SHARED + "submit x == x"),
    "compare shared records": Hostile(
        "fuel", SHARED_RECORD + doubled("y", 100, "{{ a: {0}, b: {0} }}") + "submit x != y"
    ),
    "compare shared parts before what differs": Hostile("fuel", TWO_SHARED + "submit [x, 1] == [y, 2]"),
    "look for shared parts": Hostile("fuel", TWO_SHARED + "submit y in [1, x]"),
    "look for shared parts that are absent": Hostile("fuel", TWO_SHARED + "submit [y] not in [x, [x]]"),
    "count shared parts": Hostile("fuel", TWO_SHARED + "submit count([x, x], y)"),
    "unique shared parts": Hostile("fuel", TWO_SHARED + "submit unique([x, y, [x]])"),
    "the least of shared texts": Hostile("fuel", LONG + "submit min([s for i in range(999999)] + [s + 'a'])"),
    "sort shared parts": Hostile("type_error", SHARED + "submit sort([x, x])"),
    "sort by shared parts": Hostile("type_error", SHARED + "submit sort_by([{ k: x }, { k: x }], 'k')"),
    "group by shared parts": Hostile("type_error", SHARED + "submit group_by([{ k: x }, { k: x }], 'k')"),
    "join shared parts": Hostile("type_error", SHARED + "submit join(x, ',')"),
    "order shared parts": Hostile("type_error", TWO_SHARED + "submit x < y"),
    "sort shared texts": Hostile("fuel", LONG + "submit len(sort([s for i in range(100000)]))"),
    "sort texts with a long common beginning": Hostile(
        "fuel", text("s", 13) + "submit len(sort([s + i for i in range(2000)]))", Limits(fuel=1_000_000)
    ),
    "unique of nearly equal lists": Hostile(
        "fuel", "b = range(1000)\nx = [b + [i] for i in range(1000)]\nwhile true { unique(x) }", Limits(fuel=200_000)
    ),
    "compare nearly equal lists": Hostile(
        "fuel", "b = range(100000)\nx = b + [1]\ny = b + [2]\nwhile true { x == y }", Limits(fuel=200_000)
    ),
}
"""Walks over values, which must stop at what the fuel can pay."""

DEPTH = {
    "a value too deep": Hostile("value_depth", "x = 1\nwhile true { x = [x] }"),
    "a record too deep": Hostile("value_depth", "x = {}\nwhile true { x = { a: x.a, b: x } }"),
    "a list pushed into a list without end": Hostile("value_depth", "x = []\nwhile true { x = push([], x) }"),
    "a path that goes deeper each time": Hostile("value_depth", "x = { a: 1 }\nwhile true { x.a = { a: x.a } }"),
    "an element set to its own list": Hostile("value_depth", "x = [0]\nwhile true { x[0] = x }"),
    "a comprehension inside its own result": Hostile("value_depth", "x = 1\nwhile true { x = [x for i in range(2)] }"),
    "merged records without end": Hostile("value_depth", "x = {}\nwhile true { x = merge(x, { a: x }) }"),
    "zipped with itself": Hostile("value_depth", "x = [1]\nwhile true { x = zip(x, x) }"),
    "enumerated without end": Hostile("value_depth", "x = [1]\nwhile true { x = enumerate(x) }"),
    "items of items": Hostile("value_depth", "x = { a: 1 }\nwhile true { x = { a: items(x) } }"),
    "grouped without end": Hostile("value_depth", "x = [{ k: 1 }]\nwhile true { x = [{ k: 1, v: group_by(x, 'k') }] }"),
    "the values of branches": Hostile("value_depth", "x = 1\nwhile true { x = parallel { x, x } }"),
    "a concatenation of what is too deep already": Hostile("value_depth", "x = [1]\nwhile true { x = [x] + [x] }"),
}
"""Nesting made by every kind of operation that nests."""

SIZE = {
    "a huge range": Hostile("list_size", "x = range(1000001)"),
    "a loop over a huge range": Hostile("list_size", "for i in range(9223372036854775807) {}"),
    "a huge range downwards": Hostile("list_size", "for i in range(0, -9223372036854775808, -1) {}"),
    "a comprehension without end": Hostile(
        "list_size", "x = [1 for a in range(999) for b in range(999) for c in range(999)]"
    ),
    "a comprehension that keeps nothing": Hostile(
        "fuel", "x = [1 for a in range(9999) for b in range(9999) for c in range(9999) if false]"
    ),
    "a list that doubles": Hostile("list_size", "x = [1]\nwhile true { x += x }"),
    "a list that doubles by flatten": Hostile("list_size", "x = [1]\nwhile true { x = flatten([x, x]) }"),
    "a list that is pushed to without end": Hostile("list_size", "x = []\nwhile true { x = push(x, 1) }"),
    "many lists flattened to one": Hostile("list_size", "b = range(1000)\nx = flatten([b for i in range(1001)])"),
    "a record without end": Hostile(
        "list_size", "r = {}\ni = 0\nwhile true { r['k' + i] = i  i += 1 }", Limits(list_size=100_000)
    ),
    "two records merged": Hostile(
        "list_size",
        "r = {}\nq = {}\nfor i in range(60000) { r['k' + i] = i  q['j' + i] = i }\nx = merge(r, q)",
        Limits(list_size=100_000),
    ),
    "a record of groups": Hostile("memory", "x = [{ k: i } for i in range(999999)]\ny = group_by(x, 'k')"),
    "lists that are kept": Hostile("memory", "x = []\nwhile true { x = push(x, range(1000) + [1]) }"),
    "records that are kept": Hostile("memory", "x = []\nwhile true { x = push(x, { a: len(x), b: { c: 1 } }) }"),
    "texts that are kept": Hostile("memory", LONG + "x = []\nwhile true { x = push(x, s + len(x)) }"),
    "pieces that keep their long texts": Hostile(
        "memory", LONG + "x = []\nwhile true { x = push(x, slice(s + len(x), 0, 100000)) }"
    ),
    "keys that are kept": Hostile("memory", LONG + "r = {}\nwhile true { r[s + len(r)] = 1 }"),
    "branches with many variables each": Hostile("memory", "parallel { " + numbered("v{0} = {0}", 9_000, ", ") + " }"),
    "variables that are kept": Hostile("memory", LONG + numbered("v{0} = s + {0}", 100)),
    "very little memory": Hostile("memory", "x = range(100000)\nwhile true { x = push(x, x) }", Limits(memory=2 * MIB)),
}
"""Containers that grow until a limit says no."""

SLOW = {
    "a list built from its front": Hostile("fuel", "x = []\nwhile true { x = [1] + x }", Limits(fuel=500_000)),
    "a text built from its front": Hostile("fuel", "x = ''\nwhile true { x = 'a' + x }"),
    "a text in front of a long one": Hostile("fuel", LONG + "while true { x = 'a' + s }"),
    "a large list copied each time": Hostile(
        "fuel", "x = range(300000)\nwhile true { y = x  y[0] = 1 }", Limits(fuel=1_000)
    ),
    "a large record copied each time": Hostile(
        "fuel",
        "r = {}\nfor i in range(20000) { r['k' + i] = i }\nwhile true { q = r  q.k0 = 1 }",
        Limits(fuel=50_000),
    ),
    "a large list appended to each time": Hostile(
        "fuel", "x = range(300000)\nwhile true { y = push(x, 1) }", Limits(fuel=6_000)
    ),
    "records merged again and again": Hostile(
        "fuel", "r = {}\nwhile true { r = merge(r, { a: 1 })\nr['k' + len(r)] = 1 }", Limits(fuel=200_000)
    ),
    "one key taken out each time": Hostile(
        "fuel",
        "r = {}\nfor i in range(9999) { r['k' + i] = i }\nwhile true { q = without(r, 'k1') }",
        Limits(fuel=500_000),
    ),
    "slices of slices": Hostile(
        "fuel", "x = range(999999)\nwhile true { x = slice(slice(x, 1), 0, -1) }", Limits(fuel=1_000_000)
    ),
    "slices of slices of text": Hostile("fuel", LONG + "while true { s = slice(slice(s, 1), 0, -1) + 'ab' }"),
    "reversed without end": Hostile("fuel", "x = range(999999)\nwhile true { x = reverse(x) }", Limits(fuel=1_000_000)),
    "sorted without end": Hostile("fuel", "x = range(99999)\nwhile true { x = sort(x, true) }", Limits(fuel=4_000_000)),
    "equal keys sorted without end": Hostile(
        "fuel", "x = [7 for i in range(99999)]\nwhile true { x = sort(x) }", Limits(fuel=4_000_000)
    ),
    "a list looped over and thrown away": Hostile("fuel", "while true { for i in range(999999) { break } }"),
    "a record looped over and copied each time": Hostile(
        "fuel", "r = { a: 1 }\nwhile true { for k, v in r { r[k] = v } }", Limits(fuel=1_000_000)
    ),
    "an endless loop": Hostile("fuel", "while true {}"),
    "an endless loop of one name": Hostile("fuel", "x = 0\nwhile true { x }"),
    "an endless loop over itself": Hostile("fuel", "while true { while true { break } }"),
    "an endless loop of empty loops": Hostile("fuel", "while true { for i in [] {} }"),
    "an endless loop that only continues": Hostile("fuel", "while true { continue }"),
    "an endless chain of conditions": Hostile("fuel", "while true { if false {} else if false {} else {} }"),
}
"""Habits that cost more each time, and loops that never end."""

FINE = {
    "a deep value": Hostile("submitted", "x = 1\nfor i in range(128) { x = [x] }\nsubmit len(json_text(x)) + len(x)"),
    "a record of a million keys": Hostile(
        "submitted", "r = {}\nfor i in range(1000000) { r['k' + i] = i }\nsubmit len(r)", Limits()
    ),
    "a list that grows in a record": Hostile(
        "continued", "m = {}\nfor i in range(200000) { k = i % 9  m[k] = push(m[k], i) }"
    ),
    "a number deep in a large list": Hostile(
        "continued", "m = { a: { b: range(99999) } }\nfor i in range(200000) { m.a.b[i % 9999] += i }"
    ),
    "a list that grows at the end of a path": Hostile(
        "continued", "m = { a: [[]] }\nfor i in range(200000) { m.a[0] = push(m.a[0], i) }"
    ),
    "a list changed while it is looped over": Hostile(
        "submitted", "x = range(3000)\nfor i in x { x = push(x, i) }\nsubmit len(x)"
    ),
    "sorting again and again": Hostile(
        "continued", "x = [i * 7919 % 100003 for i in range(100000)]\nfor i in range(9) { x = sort(x) }"
    ),
    "shared parts that can be paid": Hostile("submitted", doubled("x", 25) + doubled("y", 25) + "submit x == y", TIGHT),
    "numbers that collide in a simple hash": Hostile(
        "submitted", "submit len(unique([i * 4294967296 for i in range(200000)]))"
    ),
    "keys that collide in a simple hash": Hostile(
        "submitted",
        "k = ['Aa', 'BB', 'C#']\nr = {}\n"
        "for a in k { for b in k { for c in k { for d in k { for e in k { for f in k {\n"
        "for g in k { for h in k { r[join([a, b, c, d, e, f, g, h], '')] = 1 } } } } } } } }\nsubmit len(r)",
    ),
}
"""Values that only look dangerous."""
