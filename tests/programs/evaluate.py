"""Expressions, for the reference interpreter: what each is worth. Waits for nothing.

It goes by the values that it meets; the checker has seen to it that they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flowlang import syntax
from tests.programs import arithmetic, language, library
from tests.programs.arithmetic import (
    Made,
    Map,
    Moment,
    Party,
    Span,
    Value,
    negated,
    shown,
    whole,
)
from tests.programs.world import Effect, Frame, Run, Session, Thrown, World


class Evaluator:
    """Works out the expressions of one run."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.run = run

    def value(self, frame: Frame, expression: syntax.Expr) -> Value:
        entry = language.expression(expression)
        if entry is not None:
            return entry.worth(self, frame, expression)
        match expression:
            case syntax.Constant(kind=kind, value=value):
                return _constant(kind, value)
            case syntax.Interpolation(parts=parts):
                return "".join(
                    [p if isinstance(p, str) else shown(self.value(frame, p)) for p in parts]
                )
            case syntax.Formatted(value=inner, format=written):
                return library.formatted(self.value(frame, inner), written)
            case syntax.Update(value=inner, changes=changes):
                made = self.value(frame, inner)
                assert isinstance(made, Made)
                new = {change.name: self.value(frame, change.value) for change in changes}
                fields = tuple((name, new.get(name, old)) for name, old in made.fields)
                return Made(made.name, fields)
            case syntax.Name(name=name):
                return self.name(frame, name)
            case syntax.Attribute(value=syntax.Name(name="Decision"), name=name):
                return Made(f"Decision.{name}", ())
            case syntax.Attribute(value=inner, name=name):
                value = self.value(frame, inner)
                if isinstance(value, Thrown) and name not in value.fields:
                    return self.about(frame, value, name)
                return _attribute(value, name)
            case syntax.Index(value=inner, index=index):
                values = self.value(frame, inner)
                return arithmetic.item(values, self.value(frame, index))
            case syntax.Unary(operator="not", operand=operand):
                return self.value(frame, operand) is not True
            case syntax.Unary(operand=operand):
                return negated(self.value(frame, operand))
            case syntax.Binary():
                return self.binary(frame, expression)
            case syntax.ListLiteral(items=items):
                return tuple([self.value(frame, item) for item in items])
            case syntax.MapLiteral(entries=entries):
                return Map([(self.value(frame, k), self.value(frame, v)) for k, v in entries])
            case syntax.Call():
                return self.called(frame, expression)
        raise AssertionError(expression)

    def name(self, frame: Frame, name: str) -> Value:
        match name:
            case "me":
                return Party(self.run.party)
            case "now":
                return Moment(self.world.now)
            case "flow_id":
                return self.run
        return frame.values[name]

    def about(self, frame: Frame, thrown: Thrown, name: str) -> Value:
        """What any error can be asked."""
        self.world.counts[f"{name} of an error"] += 1
        if name == "peer":
            return None if thrown.peer is None else Party(thrown.peer)
        declared = self.world.declared[thrown.error.name]
        assert name == "text"
        assert isinstance(declared, syntax.Error)
        assert declared.text is not None
        return self.value(Frame(frame.flow, dict(thrown.error.fields)), declared.text)

    def binary(self, frame: Frame, expression: syntax.Binary) -> Value:
        left = self.value(frame, expression.left)
        match expression.operator:
            case "and":
                return left is True and self.value(frame, expression.right)
            case "or":
                return left is True or self.value(frame, expression.right)
        return arithmetic.binary(expression.operator, left, self.value(frame, expression.right))

    def arguments(self, frame: Frame, call: syntax.Call, names: list[str]) -> dict[str, Value]:
        """By parameter, worked out in the order in which they are written."""
        return {
            argument.name or names[at]: self.value(frame, argument.value)
            for at, argument in enumerate(call.arguments)
        }

    def given(
        self,
        frame: Frame,
        call: syntax.Call,
        declared: Sequence[syntax.Field | syntax.Parameter],
    ) -> dict[str, Value]:
        """The arguments, and the defaults of those that are left out."""
        found = self.arguments(frame, call, [one.name for one in declared])
        for one in declared:
            if one.name not in found:
                assert one.default is not None
                found[one.name] = self.value(frame, one.default)
        return found

    def case(self, frame: Frame, call: syntax.Call, name: str) -> Value:
        """A case of the enum that has fields."""
        enum = self.world.declared["Decision"]
        assert isinstance(enum, syntax.Enum)
        case = next(one for one in enum.cases if one.name == name)
        given = self.given(frame, call, case.parameters)
        fields = tuple((one.name, given[one.name]) for one in case.parameters)
        return Made(f"Decision.{name}", fields)

    def called(self, frame: Frame, call: syntax.Call) -> Value:
        callee = call.callee
        if isinstance(callee, syntax.Attribute):
            if isinstance(callee.value, syntax.Name) and callee.value.name == "Decision":
                return self.case(frame, call, callee.name)
            if not (isinstance(callee.value, syntax.Name) and callee.value.name == "Desk"):
                whole = self.value(frame, callee.value)
                given = [self.value(frame, argument.value) for argument in call.arguments]
                answer = library.asked(whole, callee.name, given)
                assert answer is not library.NOTHING, (whole, callee.name)
                return answer
            values = [self.value(frame, argument.value) for argument in call.arguments]
            entry = language.called().get(f"Desk.{callee.name}")
            if entry is not None:
                return entry.meant(self, values)
            return self.operation(callee.name, values)
        if callee.name == "round":
            value, places = [self.value(frame, one.value) for one in call.arguments[:2]]
            way = call.arguments[2].value
            assert isinstance(way, syntax.Name)
            assert isinstance(value, Fraction)
            assert isinstance(places, int)
            return library.rounded(value, places, way.name)
        if callee.name == "timestamp":
            text = self.value(frame, call.arguments[0].value)
            assert isinstance(text, str)
            return library.moment(text)
        if callee.name in ("abs", "min", "max", "int", "text"):
            given = [self.value(frame, argument.value) for argument in call.arguments]
            return library.built_in(callee.name, given)
        declaration = self.world.declared[callee.name]
        match declaration:
            case syntax.Record(name=name, fields=fields):
                given = self.given(frame, call, fields)
                return Made(name, tuple((field.name, given[field.name]) for field in fields))
            case syntax.Error(name=name, parameters=parameters):
                given = self.given(frame, call, parameters)
                return Made(name, tuple((p.name, given[p.name]) for p in parameters))
            case syntax.Function(name=name, parameters=parameters):
                taken = self.given(frame, call, parameters)
                values = [taken[parameter.name] for parameter in parameters]
                entry = language.called().get(name)
                return _function(name, *values) if entry is None else entry.meant(self, values)
        raise AssertionError(declaration)

    # --- the scripted service ---

    def operation(self, name: str, values: list[Value]) -> Value:
        """What the service of every node answers; see also the same in Python for nodes."""
        run = self.run
        match name, values:
            case "count", []:
                return run.rows()
            case "coin", [int(n)]:
                return (n + run.rows()) % 2 == 0
            case "label_of", [int(n)]:
                return f"n{n}"
            case "note", [str(line)]:
                run.pending.append(Effect("journal", what=line))
                return None
            case "take", [int(n)]:
                run.pending.append(Effect("journal", what=f"take {n}"))
                return run.rows()
            case "claim", [int(n)]:
                if n % 3 == 2:
                    raise Thrown(Made("Taken", (("number", n),)))
                run.pending.append(Effect("journal", what=f"claim {n}"))
                return Made("Pair", (("left", run.rows()), ("right", n)))
        raise AssertionError((name, values))


_PENDING = Made("Decision.Pending", ())


def _constant(kind: str, value: object) -> Value:
    if kind == "Decimal":
        return Fraction(str(value))
    if kind == "Duration":
        days, seconds, micros = value.days, value.seconds, value.microseconds  # type: ignore[attr-defined]
        return Span((days * 86_400 + seconds) * 1_000_000 + micros)
    return value


def _attribute(value: Value, name: str) -> Value:
    answer = library.asked(value, name, ())
    if answer is not library.NOTHING:
        return answer
    match value:
        case Made():
            return value.field(name)
        case Thrown():
            return value.error.field(name)
        case Party() if name == "name":
            return value.name
        case Session() if name == "peer":
            return Party(value.peer)
        case Session() if name == "version" and value.other is not None:
            return value.other.owner.flow.version
        case str() | bytes() | tuple() | Map() if name == "size":
            return len(value)
    raise AssertionError((value, name))


def _function(name: str, value: Value, by: Value = None) -> Value:
    """What the Python functions do; see also the same in Python for nodes."""
    if name == "plus":
        assert isinstance(value, int)
        assert isinstance(by, int)
        return value % 1000 + by % 1000
    if name == "decide":
        assert isinstance(value, int)
        if value % 3 == 0:
            return Made("Decision.Approved", (("by", "desk"), ("level", value)))
        return Made("Decision.Counted", (("n", value),)) if value % 3 == 1 else _PENDING
    match name, value:
        case "half", int():
            return value // 2
        case "shout", str():
            return value.upper()
        case "fits", int():
            return value % 3 != 2
        case "picky", int():
            if value % 4 == 3:
                raise Thrown(Made("Picky", (("given", value),)))
            return whole(value)
        case "swap", Made(fields=((_, left), (_, right))):
            return Made("Pair", (("left", right), ("right", left)))
    raise AssertionError((name, value))
