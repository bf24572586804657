"""A last look at generated text: nothing may be in it that the generator never writes.

What reaches this point wrong is our own mistake, so it is refused aloud and nothing is written.
"""

from __future__ import annotations

import ast

from flowlang.codegen import words

_KINDS = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Import, ast.ImportFrom,
    ast.alias, ast.Expr, ast.Assign, ast.AnnAssign, ast.Return, ast.Raise, ast.If, ast.While,
    ast.For, ast.Break, ast.Continue, ast.Pass, ast.Try, ast.ExceptHandler, ast.Match,
    ast.match_case, ast.MatchClass, ast.MatchValue, ast.MatchAs, ast.Name, ast.Attribute,
    ast.Subscript, ast.Constant, ast.Tuple, ast.Dict, ast.Call, ast.keyword, ast.Starred,
    ast.Lambda, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.expr_context, ast.boolop,
    ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.BitOr, ast.cmpop,
)  # fmt: skip

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
    for node in ast.walk(tree):
        if not isinstance(node, _KINDS):
            _refuse(node, f"a {type(node).__name__}")
        match node:
            case ast.Name(id=name) if name in _REFUSED:
                _refuse(node, f"the built-in {name}")
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.startswith("__"):
                if name not in _DUNDERS:
                    _refuse(node, name)
            case ast.Import(names=names):
                for alias in names:
                    if alias.name not in _LIBRARIES or alias.asname is not None:
                        _refuse(node, f"import {alias.name}")
            case ast.FunctionDef() if any(
                ast.unparse(d) != "classmethod" for d in node.decorator_list
            ):
                _refuse(node, "a decorator")
            case _:
                pass
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            if node.module not in {"__future__", "flowrt.core", *modules}:
                _refuse(node, f"an import from {node.module}")
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            _refuse(node, "a statement that does something when it is imported")


def _refuse(node: ast.AST, what: str) -> None:
    line = getattr(node, "lineno", "?")
    raise ValueError(f"generated code must not contain {what} (line {line})")
