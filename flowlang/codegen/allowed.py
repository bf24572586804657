"""A last look at generated text: nothing may be in it that the generator never writes.

What reaches this point wrong is our own mistake, so it is refused aloud and nothing is written.
"""

from __future__ import annotations

import ast
from typing import NoReturn

from flowlang.codegen import words

_KINDS = frozenset((
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Import, ast.ImportFrom,
    ast.alias, ast.Expr, ast.Assign, ast.AnnAssign, ast.Return, ast.Raise, ast.If, ast.While,
    ast.For, ast.Break, ast.Continue, ast.Pass, ast.Try, ast.ExceptHandler, ast.Match,
    ast.match_case, ast.MatchClass, ast.MatchValue, ast.MatchAs, ast.Name, ast.Attribute,
    ast.Subscript, ast.Constant, ast.Tuple, ast.Dict, ast.Call, ast.keyword, ast.Starred,
    ast.Lambda, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Load, ast.Store, ast.And,
    ast.Or, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.BitOr, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn,
))  # fmt: skip

_LOOKED_AT = frozenset((ast.Name, ast.Attribute, ast.Import, ast.FunctionDef))
_LEAVES = frozenset((ast.Name, ast.Constant, ast.Load, ast.Store, ast.Pass))
"""Kinds below which there is nothing more to look at."""

_BUILTINS = frozenset(
    (
        "bool",
        "bytes",
        "classmethod",
        "int",
        "isinstance",
        "len",
        "map",
        "object",
        "sorted",
        "str",
        "super",
        "tuple",
        "type",
    )
)
_LIBRARIES = frozenset(("datetime", "decimal", "typing"))
_DUNDERS = frozenset(("__init__", "__post_init__"))
_REFUSED = words.BUILTINS - _BUILTINS


def verify(text: str, modules: set[str]) -> None:
    """Raises ValueError unless `text` is made of what the generator writes. `modules` are the
    generated modules that it may import."""
    tree = ast.parse(text)
    waiting: list[ast.AST] = [tree]
    # A module has ten thousand nodes: looked at by their exact kind, and only where something can
    # be wrong, they cost a third of what `ast.walk` and `isinstance` do.
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind not in _KINDS:
            _refuse(node, f"a {kind.__name__}")
        if kind in _LOOKED_AT:
            _look_at(node)
        if kind in _LEAVES:
            continue
        for field in kind._fields:
            value = getattr(node, field)
            if type(value) is list:
                waiting += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append(value)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            if node.module not in {"__future__", "flowrt.core", *modules}:
                _refuse(node, f"an import from {node.module}")
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            _refuse(node, "a statement that does something when it is imported")


def _look_at(node: ast.AST) -> None:
    """Refuses one of `_LOOKED_AT` for what it names."""
    match node:
        case ast.Name(id=name) if name in _REFUSED:
            _refuse(node, f"the built-in {name}")
        case ast.Name(id=name) | ast.Attribute(attr=name):
            if name.startswith("__") and name not in _DUNDERS:
                _refuse(node, name)
        case ast.Import(names=names):
            for alias in names:
                if alias.name not in _LIBRARIES or alias.asname is not None:
                    _refuse(node, f"import {alias.name}")
        case ast.FunctionDef():
            if any(ast.unparse(decorator) != "classmethod" for decorator in node.decorator_list):
                _refuse(node, "a decorator")
        case _:
            pass


def _refuse(node: ast.AST, what: str) -> NoReturn:
    line = getattr(node, "lineno", "?")
    raise ValueError(f"generated code must not contain {what} (line {line})")
