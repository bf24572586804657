"""Values as an author writes them, in arguments of a command, as values of generated classes.

`12.50`, `2h`, `[1, 2]`, `Offer(99.5)`, `bob`: the language's own way to write them, read by its own
parser. Knows no flow and no node.
"""

from __future__ import annotations

import datetime
import decimal
import types
import typing
from collections.abc import Iterable
from typing import Any

from flowlang import syntax
from flowlang.parser import parse
from flowlang.source import Source
from flowrt.core.flow import Party, normal
from flowrt.core.values import BadBytes, decode, encode


class NotAValue(Exception):
    """The text is no value of the wanted type; says why."""


def value_of(text: str, kind: Any, modules: Iterable[types.ModuleType]) -> Any:
    """The value that `text` writes, of the type `kind` (of a field of a generated class).

    Texts and names of parties may stand without quotes. Raises NotAValue.
    """
    if not _is_written(text):
        raise NotAValue("the text holds bytes that are not UTF-8")
    known = list(modules)
    wanted = _without_none(kind)
    if wanted is str and not text.startswith('"'):
        return text
    if wanted is Party and not text.startswith(("Party(", '"')):
        return Party(text)
    if wanted is Party and len(text) > 1 and text.endswith('"') and text.startswith('"'):
        return Party(text[1:-1])
    if _is_time(wanted) and not text.startswith(("timestamp(", "none")):
        text = f'timestamp("{text}")'
    node = _read(text)
    value = _Reader(known).value(node, wanted)
    try:
        return decode(kind, encode(value))
    except (BadBytes, TypeError, ValueError, OverflowError) as error:
        raise NotAValue(f"`{text}` does not fit: {error}") from None


def _read(text: str) -> syntax.Expr:
    program = f"flow F():\n    return {text}\n"
    parsed = parse(Source("argument", "argument", program))
    flow = parsed.file.declarations[0] if not parsed.diagnostics else None
    body = flow.body if isinstance(flow, syntax.Flow) else ()
    statement = body[0] if len(body) == 1 else None
    if not isinstance(statement, syntax.Return) or isinstance(
        statement.value, syntax.Effect | None
    ):
        why = parsed.diagnostics[0].message if parsed.diagnostics else "one value is wanted"
        raise NotAValue(f"`{text}` is not a value: {why}")
    return statement.value


class _Reader:
    def __init__(self, modules: list[types.ModuleType]) -> None:
        self._modules = modules

    def value(self, node: syntax.Expr, kind: Any) -> Any:
        kind = _without_none(kind)
        match node:
            case syntax.Constant(kind="Decimal", value=decimal.Decimal() as number):
                return normal(number)
            case syntax.Constant(kind="Int", value=int() as number) if kind is decimal.Decimal:
                return decimal.Decimal(number)
            case syntax.Constant(value=value):
                return value
            case syntax.Unary(operator="-", operand=operand):
                number = self.value(operand, kind)
                if isinstance(number, bool) or not isinstance(
                    number, int | decimal.Decimal | datetime.timedelta
                ):
                    raise NotAValue("only a number has a minus")
                return -number
            case syntax.ListLiteral(items=items):
                item = (typing.get_args(kind) or (Any,))[0]
                return tuple([self.value(one, item) for one in items])
            case syntax.MapLiteral(entries=entries):
                key, value = typing.get_args(kind) or (Any, Any)
                return {self.value(k, key): self.value(v, value) for k, v in entries}
            case syntax.Name(name=name) if kind is Party:
                return Party(name)
            case syntax.Name(name=name) | syntax.Attribute(name=name):
                return self._made(self._class(name, kind), ())
            case syntax.Call(callee=syntax.Name(name="timestamp"), arguments=(argument,)):
                return self._time(argument.value)
            case syntax.Call(callee=callee, arguments=arguments):
                return self._made(self._class(callee.name, kind), arguments)
            case _:
                raise NotAValue("this has to be computed; write a value")

    def _time(self, node: syntax.Expr) -> datetime.datetime:
        text = str(node.value) if isinstance(node, syntax.Constant) else ""
        try:
            found = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise NotAValue(f"`{text}` is not a time, such as 2026-01-31T12:00:00Z") from None
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)

    def _made(self, made: Any, arguments: tuple[syntax.Argument, ...]) -> Any:
        hints = typing.get_type_hints(made)
        fields = list(made.__struct_fields__)
        given: dict[str, Any] = {}
        for number, argument in enumerate(arguments):
            name = argument.name or (fields[number] if number < len(fields) else "")
            if name not in fields:
                raise NotAValue(f"{made.__name__} has {', '.join(fields) or 'no fields'}")
            given[name] = self.value(argument.value, hints[name])
        try:
            return made(**given)
        except TypeError as error:
            raise NotAValue(f"{made.__name__}: {error}") from None

    def _class(self, name: str, kind: Any) -> Any:
        """The record of that name, or the case of the wanted enum."""
        for one in typing.get_args(kind) or (kind,):
            called = getattr(one, "__name__", "")
            if called == name or called.endswith(f"_{name}"):
                return one
        for module in self._modules:
            found = vars(module).get(name)
            if hasattr(found, "__struct_fields__"):
                return found
        raise NotAValue(f"there is no `{name}` here")


def _without_none(kind: Any) -> Any:
    """`T` of `T | None`; what is left of an annotated type."""
    if typing.get_origin(kind) is typing.Annotated:
        return _without_none(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        left = [one for one in typing.get_args(kind) if one is not types.NoneType]
        return _without_none(left[0]) if len(left) == 1 else typing.Union[tuple(left)]  # noqa: UP007
    return kind


def _is_written(text: str) -> bool:
    """Whether it can be encoded; a command line may hold bytes that nobody can read."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def _is_time(kind: Any) -> bool:
    return kind is datetime.datetime
