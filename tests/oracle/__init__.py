"""The oracle: a plain, slow evaluator of Lashlang, written from the specification alone.

It shares the parser (`lashlang.syntax.parse` and its tree) and the table of Unicode case mappings with
the product, nothing else: its builtins, number texts, JSON, types, fuel and checks are its own. Tests
run programs on it and on the kernel and expect the same value, prints, state, error, position and fuel.
"""

from __future__ import annotations

from .cases import run_case
from .failure import OracleError
from .host import Host, Request, Response, ScriptedHost
from .json_forms import from_json, json_equal, to_json
from .limits import DEFAULTS
from .run import Lazy, Outcome, run
from .values import Image, ListValue, RecordValue, Value

__all__ = [
    "DEFAULTS",
    "Host",
    "Image",
    "Lazy",
    "ListValue",
    "OracleError",
    "Outcome",
    "RecordValue",
    "Request",
    "Response",
    "ScriptedHost",
    "Value",
    "from_json",
    "json_equal",
    "run",
    "run_case",
    "to_json",
]
