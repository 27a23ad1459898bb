"""Hostile types: schemas that describe more checks, or longer messages, than anybody can pay for."""

from __future__ import annotations

from lashlang import Limits

from .program import LONG, SHARED, SHARED_RECORD, Hostile, doubled, numbered

UNION = "t = {{ type: 'string' }}\nfor i in range({0}) {{ t = {{ anyOf: [t, t] }} }}\n"
"""A union of 2^n variants."""

SCHEMAS = {
    "a type of shared parts": Hostile("value_size", SHARED_RECORD + "submit validate(1, { '$lash_type': x })"),
    "a type of shared parts tried": Hostile(
        "value_size", SHARED_RECORD + "submit try_validate(1, { '$lash_type': x })"
    ),
    "unions inside unions": Hostile("value_size", UNION.format(50) + "submit validate(1, { '$lash_type': t })"),
    "unions of types by name": Hostile(
        "value_size", "t = Type { a: int }\nfor i in range(25) { t = Type { a: t | t } }\nsubmit validate(1, t)"
    ),
    "shared parts against a type as deep": Hostile(
        "fuel",
        SHARED + "t = { type: 'number' }\nfor i in range(100) { t = { type: 'array', items: t } }\n"
        "submit validate(x, { '$lash_type': t })",
    ),
    "shared records against a type as deep": Hostile(
        "fuel",
        SHARED_RECORD + "t = {}\n"
        "for i in range(60) { t = { type: 'object', properties: { a: t, b: { type: 'object' } } } }\n"
        "while true { validate(x, { '$lash_type': t }) }",
        Limits(fuel=10_000),
    ),
    "a long list against a union": Hostile(
        "fuel",
        UNION.format(12) + "u = { anyOf: [t, { type: 'number' }] }\nx = range(999999)\n"
        "submit validate(x, { '$lash_type': { type: 'array', items: u } })",
    ),
    "a long list tried against a union": Hostile(
        "fuel",
        UNION.format(12) + "x = range(999999)\nu = { anyOf: [{ type: 'array', items: { anyOf: [t, {}] } }, {}] }\n"
        "submit try_validate(x, { '$lash_type': u }).ok",
    ),
    "a value of shared parts against many fields": Hostile(
        "fuel",
        "p = {}\nfor i in range(999) { p['k' + i] = {} }\nr = {}\nfor i in range(999) { r['k' + i] = 1 }\n"
        "x = [r for i in range(99999)]\nu = { properties: p, type: 'object' }\n"
        "t = { '$lash_type': { items: u, type: 'array' } }\n"
        "while true { validate(x, t) }",
        Limits(fuel=10_000_000),
    ),
    "a message of long words": Hostile(
        "value_size", LONG + "submit validate('x', { '$lash_type': { enum: [s for i in range(99)] } })"
    ),
    "a message of many words": Hostile(
        "validation_failed", "submit validate('x', { '$lash_type': { enum: ['k' + i for i in range(99999)] } })"
    ),
    "a message about a long text": Hostile(
        "validation_failed", LONG + "submit validate(s, { '$lash_type': { enum: ['a'] } })"
    ),
    "a message with a long path": Hostile(
        "validation_failed",
        LONG + "r = {}\nr[s] = 1\np = {}\np[s] = { type: 'string' }\n"
        "submit validate(r, { '$lash_type': { type: 'object', properties: p } })",
    ),
    "a type of a cycle by name": Hostile("unknown_name", "t = Type { a: t | null }"),
    "a type that is no type": Hostile("type_error", SHARED + "submit validate(1, x)"),
}
"""Types that end in an error."""

FINE = {
    "a type full of nonsense": Hostile(
        "submitted",
        "submit validate([1], { '$lash_type': { type: 7, anyOf: 1, enum: { a: 1 }, items: [], required: 1 } })",
    ),
    "fields that are required again and again": Hostile(
        "submitted",
        "q = ['k' for i in range(99999)]\nsubmit validate({ k: 1 }, { '$lash_type': { type: 'object', required: q } })",
    ),
    "many words for many texts": Hostile(
        "submitted",
        "e = ['k' + i for i in range(20000)]\n"
        "submit validate(e, { '$lash_type': { type: 'array', items: { enum: reverse(e) } } }) == e",
    ),
    "shared parts against a type as deep that can be paid": Hostile(
        "continued",
        doubled("x", 20) + "t = {}\nfor i in range(20) { t = { type: 'array', items: t } }\n"
        "y = validate(x, { '$lash_type': t })",
    ),
    "many fields": Hostile(
        "submitted", "submit validate({ k1: 1 }, Type { " + numbered("k{0}: int?", 9_000, ", ") + " })"
    ),
}
"""Types that only look dangerous."""
