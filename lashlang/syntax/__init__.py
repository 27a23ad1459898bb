"""From source text to tree: tokens, line-sensitive rules, grammar, diagnostics.

`parse` is the way in. The stages, in order: `lexer` (tokens), `passes` (what context decides about
them), `parser` (Lark's tables, driven over the tokens), `builder` (the nodes of `tree`). Errors are
`CompileError`s that carry a `Diagnostic`; `hints` says what to do about them.
"""

from lashlang.syntax import tree
from lashlang.syntax.diagnostics import CompileError, Diagnostic
from lashlang.syntax.parser import Token, parse, tokenize
from lashlang.syntax.source import Source

__all__ = ["CompileError", "Diagnostic", "Source", "Token", "parse", "tokenize", "tree"]
